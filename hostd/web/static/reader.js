// The reader's page: his own derivations, filter and windows, averaged by the gateway from the raw samples, over
// the cart's baseline or over another stretch of the case. Nothing he chooses reaches the cart.

import { Surface } from "./canvas.js";
import { by } from "./dom.js";
import { typing } from "./keys.js";
import { Link } from "./link.js";
import { Alerts } from "./log.js";
import { drawable, put } from "./panel.js";
import { peakRow } from "./peak_table.js";
import { Rights } from "./rights.js";
import { Gains } from "./scale.js";
import { saySilence } from "./silence.js";
import { State } from "./state.js";
import { clock, fixed, NONE, title } from "./text.js";
import { drawEmpty, drawWaves, layout, need_uv } from "./waves.js";

const STALE_MS = 2000;
const LOOK_MS = 200;

const state = new State();
const own = { reading: {}, reference: {} };
const gains = new Gains();
const view = { negativeUp: true, baseline: true, noise: true, replicates: false };
let asked = null;
let stale = true;
let frame = 0;

const hears = { rights: (header) => rights.take(header), "reading.error": (header) => put(by("error"), header.text ?? "") };
for (const name of ["reading", "reference"]) {
  for (const family of ["average", "measure", "response"]) {
    hears[`${name}.${family}`] = (header) => {
      if (!asked || header.test !== asked.test) return;
      own[name][family] = header;
      put(by("error"), "");
      mark();
    };
  }
}
const link = new Link((message) => {
  const what = state.apply(message);
  if (what === "all" && asked) ask(asked);
  mark();
}, hears);
const rights = new Rights(link, () => mark());
const alerts = new Alerts(rights);
const surface = new Surface(document.querySelector("#waves canvas"), () => mark());
link.onOpen = () => { if (asked) ask(asked); };

window.evokd = {
  own, rights, link, view,
  get state() { return state; },
  get asked() { return asked; },
  get stale() { return stale; },
};

function mark() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const status = state.latest.status;
  put(by("case"), status?.name ?? NONE);
  put(by("state"), state.latest.case?.phase ?? status?.state ?? NONE);
  put(by("running"), status ? clock(status.samples / status.rate_hz) : NONE);
  by("to-cart").href = `/index.html${location.search}`;
  alerts.draw(state);
  choices();
  drawAverage();
}

// The tests to choose from, and at first what the case has for one.
function choices() {
  const tests = state.tests();
  const select = by("test");
  if (tests.join() !== [...select.options].map((option) => option.value).join()) {
    const held = select.value;
    select.replaceChildren(...tests.map((test) => new Option(title(test), test)));
    select.value = tests.includes(held) ? held : tests[0] ?? "";
    if (select.value !== held) fill();
  }
  put(by("channels"), (state.latest.status?.channels ?? []).join(", ") || NONE);
  if (!by("derivations").value) fill();
}

// The case's own choice into the form.
function fill() {
  const average = state.latest[`average.${by("test").value}`];
  if (!average) return;
  by("derivations").value = average.derivations.join("\n");
  const band = average.band_hz ?? [null, null];
  by("low").value = band[0] ?? "";
  by("high").value = band[1] ?? "";
  const end = average.t0_ms + (average.mean_uv ? (average.mean_uv.shape[0] - 1) * average.dt_ms : 0);
  by("from").value = Math.ceil(average.t0_ms);
  by("to").value = Math.floor(end);
  by("sweeps").value = average.sweeps_target >= 16 ? average.sweeps_target : "";
  by("reject").value = "";
}

function wanted() {
  const number = (id) => (by(id).value === "" ? null : Number(by(id).value));
  const said = { test: by("test").value, derivations: by("derivations").value.split("\n").map((one) => one.trim()).filter(Boolean) };
  if (number("low") !== null && number("high") !== null) said.band_hz = [number("low"), number("high")];
  if (number("from") !== null && number("to") !== null) said.window_ms = [number("from"), number("to")];
  if (number("sweeps") !== null) said.sweeps = number("sweeps");
  if (number("reject") !== null) said.reject_uv = number("reject");
  const span = by("span").value;
  const now_s = state.caseSeconds(state.newest_ns);
  if (span === "own") said.span_s = [seconds("span-from") ?? 0, seconds("span-to")];
  else if (span) said.span_s = [Math.max(0, now_s - Number(span)), null];
  if (by("against").value === "own") said.reference_s = [seconds("against-from") ?? 0, seconds("against-to") ?? now_s];
  return said;
}

// "3:20" or "200" in seconds; null when empty or nonsense.
function seconds(id) {
  const match = /^\s*(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)\s*$/.exec(by(id).value);
  return match ? Number(match[1] ?? 0) * 3600 + Number(match[2] ?? 0) * 60 + Number(match[3]) : null;
}

function ask(what) {
  asked = what;
  own.reading = {};
  own.reference = {};
  put(by("error"), link.say({ read: what }) ? "" : "there is no connection to the gateway");
  put(by("what"), `${title(what.test)}: averaging …`);
  mark();
}

function drawAverage() {
  const c = surface.begin();
  if (!c) return;
  const average = drawable(own.reading.average);
  if (!average) return drawEmpty(c, surface.width, surface.height, asked ? "Averaging …" : "Choose, then Average");
  const rate_hz = state.latest.status?.rate_hz;
  put(by("kept"), average.kept_s ? `${clock(average.kept_s[0])} to ${clock(average.kept_s[1])}` : NONE);
  put(by("what"), title(average.test));
  put(by("counts"), `${average.n_sweeps} sweeps, ${average.n_rejected} rejected, ${average.band_hz ? `${average.band_hz.map((f) => fixed(f, 0)).join("–")} Hz` : "unfiltered"}`);
  const [first, last] = [average.first_index / rate_hz, average.last_index / rate_hz];
  const baseline = by("against").value === "own" ? drawable(own.reference.average)
    : by("against").value === "none" ? null : drawable(state.baselineOf(average.test));
  put(by("with"), `${clock(first)} to ${clock(last)}${by("against").value === "own" ? `, over ${baseline ? `${baseline.n_sweeps} sweeps of another span` : "nothing yet"}` : ""}`);
  const shown = average.derivations.map((_, k) => k);
  const steps = shown.map((k) => {
    const same = baseline ? baseline.derivations.indexOf(average.derivations[k]) : -1;
    return gains.update(`${average.test} ${average.derivations[k]}`, Math.max(need_uv(average, k), same < 0 ? 0 : need_uv(baseline, same)));
  });
  const measure = own.reading.measure ?? null;
  drawWaves(c, layout(surface.width, surface.height, average, steps, view.negativeUp, shown), { average, baseline, measure }, view);
  by("peaks").replaceChildren(...(measure?.peaks ?? []).map((peak) => peakRow(peak, average)));
}

function look() {
  const age = link.age();
  stale = age === null || age > STALE_MS;
  const why = link.connected ? "The acquisition is silent: is evokd running?" : "No connection to the gateway; trying again.";
  saySilence(stale, age, why, link.mirror);
}

const keys = {
  p: () => {
    view.negativeUp = !view.negativeUp;
    by("key-p").setAttribute("aria-pressed", String(view.negativeUp));
    put(by("polarity"), view.negativeUp ? "Negative up" : "Positive up");
    mark();
  },
  m: () => by("mark-dialog").showModal(),
  i: () => by("sign-in-dialog").showModal(),
  a: () => alerts.acknowledgeWorst(),
  e: () => alerts.worst && alerts.show(alerts.worst.id),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || typing(event)) return;
  if (document.querySelector("dialog[open]") || !keys[event.key.toLowerCase()]) return;
  event.preventDefault();
  keys[event.key.toLowerCase()]();
});
for (const key of ["p", "m", "i"]) by(`key-${key}`).addEventListener("click", keys[key]);
for (const dialog of document.querySelectorAll("dialog")) dialog.querySelector(".close").addEventListener("click", () => dialog.close());
by("choice").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(wanted());
});
by("reset").addEventListener("click", fill);
by("test").addEventListener("change", fill);
by("span").addEventListener("change", () => { by("span-own").hidden = by("span").value !== "own"; });
by("against").addEventListener("change", () => {
  by("against-own").hidden = by("against").value !== "own";
  mark();
});
by("mark").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = by("mark-text").value.trim();
  if (text && await rights.ask("mark", { text, kind: "reader", author: rights.name || "reader" }) !== null) {
    by("mark").reset();
    by("mark-dialog").close();
  }
});
look();
setInterval(look, LOOK_MS);
mark();
