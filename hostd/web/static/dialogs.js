// The small windows of the cart: a mark for the log, every electrode, and what the keys do.

import { by, make } from "./dom.js";
import { derivation, fixed, NONE } from "./text.js";

const QUICK = ["incision", "screw left", "screw right", "rod", "distraction", "clamp on", "clamp off", "bolus", "irrigation", "closing"];
const VITALS = [["map_mmhg", "MAP mmHg"], ["temperature_c", "Temperature °C"], ["mac", "MAC"]];

export class Dialogs {
  constructor(rights) {
    this.rights = rights;
    by("mark-quick").append(...QUICK.map((text) => {
      const one = make("button", "", text);
      one.type = "button";
      one.addEventListener("click", () => this.mark(text));
      return one;
    }));
    by("mark").addEventListener("submit", (event) => {
      event.preventDefault();
      this.mark(by("mark-text").value.trim());
    });
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    }
  }

  open(name) {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    by(name).showModal();
  }

  get any() {
    return document.querySelector("dialog[open]") !== null;
  }

  async mark(text) {
    const values = {};
    for (const [name] of VITALS) {
      const field = by(`mark-${name}`);
      if (field.value !== "" && Number.isFinite(Number(field.value))) values[name] = Number(field.value);
    }
    if (!text && !Object.keys(values).length) return;
    const done = await this.rights.ask("mark", { text: text || "vitals", kind: "note", author: this.rights.name, values });
    if (done === null) return;
    by("mark").reset();
    by("mark-dialog").close();
  }

  // Every electrode of the last measurement, worst first.
  leads(state) {
    const rows = [...(state.latest.impedance?.leads ?? [])];
    rows.sort((a, b) => (b.ohm ?? Infinity) - (a.ohm ?? Infinity));
    const off = new Set([...(state.latest.status?.leads?.off ?? []), ...(state.latest.status?.leads?.railed ?? [])]);
    by("leads-table").replaceChildren(...rows.map((lead) => {
      const row = make("tr", off.has(lead.lead) || lead.ohm === null || lead.ohm > 5000 ? "absent" : "");
      const range = lead.low_ohm == null ? "" : `${fixed(lead.low_ohm / 1000, 1)} to ${fixed(lead.high_ohm / 1000, 1)}`;
      row.append(make("td", "", derivation(lead.lead)), make("td", "", lead.ohm == null ? NONE : `${fixed(lead.ohm / 1000, 1)} kΩ`),
        make("td", "", range), make("td", "", lead.note ?? ""));
      return row;
    }));
    by("leads-none").hidden = rows.length > 0;
  }
}

