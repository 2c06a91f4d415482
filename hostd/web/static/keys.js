// Keys and buttons of the cart: each does the same thing by either. Keys rest while somebody types.

import { by } from "./dom.js";

const PAUSE_S = 120;
const TYPED = "input:not([type=checkbox]), textarea, select";

// Whether a key is somebody's text; what has the focus in a window that was closed is nobody's.
export function typing(event) {
  return Boolean(event.target.matches?.(TYPED) && event.target.offsetParent);
}

export function keys({ view, panels, choose, pickRow, alerts, dialogs, rights, alarm, sound, state }) {
  const may = (command) => rights.may.has(command);
  const on = {
    p: () => choose({ negativeUp: !view.negativeUp }),
    b: () => choose({ baseline: !view.baseline }),
    n: () => choose({ noise: !view.noise }),
    r: () => choose({ replicates: !view.replicates }),
    w: () => choose({ fall: !view.fall }),
    0: () => choose({ alone: 0 }),
    escape: () => choose({ alone: 0 }),
    a: () => alerts.acknowledgeWorst(),
    e: () => alerts.worst && alerts.show(alerts.worst.id),
    m: () => dialogs.open("mark-dialog"),
    i: () => dialogs.open("sign-in-dialog"),
    c: () => may("case.critical") && rights.ask("case.critical", { on: state.latest.case?.critical !== true, author: rights.name }),
    l: () => may("alarm.signal") && rights.ask("alarm.signal", state.latest.alarms?.audio === "paused"
      ? { what: "audio", state: "on", author: rights.name }
      : { what: "audio", state: "paused", seconds: PAUSE_S, author: rights.name }),
    s: () => alarm.toggle(),
    g: () => by("key-g").setAttribute("aria-pressed", String(sound.toggle())),
    arrowup: () => pickRow(-1),
    arrowdown: () => pickRow(1),
  };
  const stop = () => rights.ask("stim.stop", {});
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || typing(event)) return;
    const key = event.key.toLowerCase();
    if (key === "x" && event.shiftKey) return stop();
    if (dialogs.any || (event.shiftKey && key.length === 1)) return;
    if (event.key.startsWith("Arrow") && !view.alone) return;
    if (on[key]) {
      event.preventDefault();
      on[key]();
    } else if (/^[1-9]$/.test(key)) choose({ alone: view.alone === Number(key) ? 0 : Number(key) });
  });
  for (const key of ["p", "b", "n", "r", "w", "m", "c", "l", "s", "g", "i"]) by(`key-${key}`).addEventListener("click", on[key]);
  by("key-0").addEventListener("click", () => choose({ alone: (view.alone + 1) % (panels.size + 1) }));
  by("key-x").addEventListener("click", stop);
  const leads = () => {
    dialogs.leads(state);
    dialogs.open("leads-dialog");
  };
  by("leads-field").addEventListener("click", leads);
  by("leads-field").addEventListener("keydown", (event) => { if (event.key === "Enter") leads(); });
  by("measure-leads").addEventListener("click", () => rights.ask("impedance.start", {}));
}
