// The composition: link -> state -> panels, bar and rail. Draws once per animation frame and only what changed.
// `window.evokd` shows the page's state to tests and to the curious.

import { drawBar, drawSilence } from "./bar.js";
import { Link } from "./link.js";
import { drawAlerts, drawLog } from "./log.js";
import { Panel } from "./panel.js";
import { Gains } from "./scale.js";
import { pairOf, State } from "./state.js";
import { need_uv } from "./waves.js";

// Beats come at 10 Hz; twenty missed ones are a silence, and the eye must know within 3 s.
const STALE_MS = 2000;
const LOOK_MS = 200;

const state = new State();
const gains = new Gains();
const panels = new Map();
const view = { negativeUp: true, baseline: true, noise: true, alone: 0, ...remembered() };
const dirty = new Set(["all"]);
let frame = 0;
let stale = true;
const link = new Link((message) => mark(state.apply(message)));

window.evokd = {
  redraws: 0, redraw_ms: 0, redraw_ms_max: 0, view,
  get latest() { return state.latest; },
  get boot() { return state.boot; },
  get stale() { return stale; },
  get age_ms() { return link.age(); },
  // Where a time and a voltage are on a test's waveform canvas, in CSS pixels of that canvas.
  locate(test, row, ms, uv) {
    const at = panels.get(test)?.at;
    return at ? { x: at.x(ms), y: at.y(row, uv), step_uv: at.steps[row], division: at.division } : null;
  },
};

function mark(what) {
  if (!what) return;
  dirty.add(what);
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const began = performance.now();
  const all = dirty.has("all") || dirty.has("view");
  if (all || dirty.has("bar")) drawBar(state);
  if (all || dirty.has("log")) drawLog(state);
  else if (dirty.has("bar")) drawAlerts(state);
  if (arrange() || all) for (const panel of panels.values()) panel.dirty = true;
  const steps = scale();
  for (const [test, panel] of panels) {
    if (panel.dirty || dirty.has("log") || dirty.has(`test:${test}`)) panel.draw(state, view, steps.get(test));
    else if (dirty.has(`stim:${test}`)) panel.sayAges(state);
  }
  dirty.clear();
  const evokd = window.evokd;
  evokd.redraws += 1;
  evokd.redraw_ms = performance.now() - began;
  evokd.redraw_ms_max = Math.max(evokd.redraw_ms_max, evokd.redraw_ms);
}

// Makes and orders the panels that the tests need; true when anything changed.
function arrange() {
  const tests = state.tests();
  const root = document.getElementById("panels");
  const same = tests.length === panels.size && [...panels.keys()].every((test, k) => test === tests[k]);
  if (!same) {
    const kept = new Map(panels);
    panels.clear();
    tests.forEach((test, k) => panels.set(test, kept.get(test) ?? new Panel(test, k + 1, () => mark("resize"))));
    root.replaceChildren(...[...panels.values()].map((panel) => panel.root));
    root.dataset.count = String(Math.min(tests.length, 5));
  }
  const alone = tests[view.alone - 1];
  for (const [test, panel] of panels) panel.root.hidden = alone !== undefined && test !== alone;
  root.classList.toggle("alone", alone !== undefined);
  return !same;
}

// Microvolts per division for every test; rows of a left and right pair share theirs.
function scale() {
  const needs = new Map();
  const rowsOf = new Map();
  for (const test of panels.keys()) {
    const average = state.latest[`average.${test}`];
    const count = average?.derivations?.length ?? 0;
    rowsOf.set(test, count);
    const baseline = state.baselineOf(test);
    for (let row = 0; row < count; row++) {
      const key = `${pairOf(test)} ${row}`;
      const same = baseline ? baseline.derivations.indexOf(average.derivations[row]) : -1;
      const need = Math.max(need_uv(average, row), same < 0 ? 0 : need_uv(baseline, same));
      needs.set(key, Math.max(needs.get(key) ?? 0, need));
    }
  }
  const steps = new Map();
  for (const [key, need] of needs) {
    const before = gains.held.get(key);
    if (gains.update(key, need) !== before) for (const [test, panel] of panels) if (key.startsWith(`${pairOf(test)} `)) panel.dirty = true;
  }
  for (const [test, count] of rowsOf) {
    steps.set(test, Array.from({ length: count }, (_, row) => gains.held.get(`${pairOf(test)} ${row}`) ?? 1));
  }
  return steps;
}

function look() {
  const age = link.age();
  stale = age === null || age > STALE_MS;
  drawSilence(state, stale, age, link.connected);
  for (const panel of panels.values()) panel.sayAges(state);
}

function remembered() {
  try {
    const { negativeUp = true, baseline = true, noise = true } = JSON.parse(localStorage.getItem("evokd.view") ?? "{}");
    return { negativeUp, baseline, noise };
  } catch {
    return {};
  }
}

function choose(change) {
  Object.assign(view, change);
  const press = (id, on) => document.getElementById(id).setAttribute("aria-pressed", String(on));
  press("key-p", view.negativeUp);
  press("key-b", view.baseline);
  press("key-n", view.noise);
  press("key-0", view.alone > 0);
  document.getElementById("polarity").textContent = view.negativeUp ? "Negative up" : "Positive up";
  try {
    localStorage.setItem("evokd.view", JSON.stringify({ negativeUp: view.negativeUp, baseline: view.baseline, noise: view.noise }));
  } catch {
    // A browser without storage only forgets the choice.
  }
  mark("view");
}

const KEYS = {
  p: () => choose({ negativeUp: !view.negativeUp }),
  b: () => choose({ baseline: !view.baseline }),
  n: () => choose({ noise: !view.noise }),
  0: () => choose({ alone: 0 }),
  escape: () => choose({ alone: 0 }),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (KEYS[key]) KEYS[key]();
  else if (/^[1-9]$/.test(key)) choose({ alone: view.alone === Number(key) ? 0 : Number(key) });
});
for (const key of ["p", "b", "n"]) document.getElementById(`key-${key}`).addEventListener("click", KEYS[key]);
document.getElementById("key-0").addEventListener("click", () => choose({ alone: (view.alone + 1) % (panels.size + 1) }));

choose({});
look();
setInterval(look, LOOK_MS);
