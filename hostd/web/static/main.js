// The cart's composition: link -> state -> panels, watches, bar and rail. Draws once per animation frame and only
// what changed. `window.evokd` shows the page's state to tests and to the curious.

import { Alarm } from "./alarm.js";
import { MuscleSound } from "./audio.js";
import { drawBar, drawSilence } from "./bar.js";
import { Dialogs } from "./dialogs.js";
import { by } from "./dom.js";
import { keys } from "./keys.js";
import { Link } from "./link.js";
import { Alerts } from "./log.js";
import { Panel, put } from "./panel.js";
import { Rights } from "./rights.js";
import { Gains } from "./scale.js";
import { pairOf, State } from "./state.js";
import { Watch } from "./watch.js";
import { need_uv } from "./waves.js";

// Beats come at 10 Hz; twenty missed ones are a silence, and the eye must know within 3 s.
const STALE_MS = 2000;
const LOOK_MS = 200;

const state = new State();
const gains = new Gains();
const panels = new Map();
const watches = new Map();
const view = { negativeUp: true, baseline: true, noise: true, replicates: false, fall: false, alone: 0, ...remembered() };
const dirty = new Set(["all"]);
const alarm = new Alarm();
let frame = 0;
let stale = true;
let wasLive = false;
let running = false;

const link = new Link(take, {
  rights: (header) => rights.take(header),
  "emg.audio": (header) => sound.take(header),
});
const sound = new MuscleSound(link);
const rights = new Rights(link, () => mark("rights"));
const alerts = new Alerts(rights);
const dialogs = new Dialogs(rights);

window.evokd = {
  redraws: 0, redraw_ms: 0, redraw_ms_max: 0, frames: 0, view, alarm, sound, rights, link, scrolled: null,
  get latest() { return state.latest; },
  get boot() { return state.boot; },
  get stale() { return stale; },
  get age_ms() { return link.age(); },
  get state() { return state; },
  // Where a time and a voltage are on a test's waveform canvas, in CSS pixels of that canvas.
  locate(test, row, ms, uv) {
    const at = panels.get(test)?.at;
    return at ? { x: at.x(ms), y: at.y(row, uv), step_uv: at.steps[at.shown[row]], division: at.division } : null;
  },
};

function take(message) {
  const what = state.apply(message);
  if (message.topic.startsWith("wave.") && what) {
    watches.get(message.topic.slice(5))?.push(message.header);
    go();
  }
  mark(what);
}

function mark(what) {
  if (what) dirty.add(what);
  if (what && !frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const began = performance.now();
  const all = dirty.has("all") || dirty.has("view") || dirty.has("rights");
  if (all || dirty.has("bar")) drawBar(state);
  if (all || dirty.has("log") || dirty.has("bar")) {
    alerts.draw(state);
    sayState();
  }
  if (arrange() || all) for (const panel of panels.values()) panel.dirty = true;
  const steps = scale();
  for (const [test, panel] of panels) {
    if (panel.root.hidden) continue;
    if (panel.dirty || dirty.has("log") || dirty.has("bar") || dirty.has(`test:${test}`)) panel.draw(state, view, steps.get(test));
    else if (dirty.has(`stim:${test}`)) panel.sayAges(state);
  }
  if (all || dirty.has("watch") || dirty.has("log") || dirty.has("bar")) for (const watch of watches.values()) watch.show(state);
  dirty.clear();
  const { evokd } = window;
  evokd.redraws += 1;
  evokd.redraw_ms = performance.now() - began;
  evokd.redraw_ms_max = Math.max(evokd.redraw_ms_max, evokd.redraw_ms);
}

function go() {
  if (!running) requestAnimationFrame(run);
  running = true;
}

// The pens of the scrolling traces move every frame while something waits to be drawn, and rest else.
function run() {
  window.evokd.frames += 1;
  let waits = false;
  for (const { scroll } of watches.values()) {
    if (!stale) scroll?.draw();
    waits ||= scroll?.waiting.length > 0;
  }
  running = waits && !stale;
  if (running) requestAnimationFrame(run);
}

// Makes and orders the panels and watches that the case needs; true when anything changed.
function arrange() {
  const tests = state.tests(), seen = state.watches();
  const same = tests.join() === [...panels.keys()].join() && seen.join() === [...watches.keys()].join();
  if (!same) {
    keep(panels, tests, (test, k) => new Panel(test, k + 1, () => mark("resize"), rights), by("panels"));
    keep(watches, seen, (name) => new Watch(name, () => mark("watch"), rights, (header) => { window.evokd.scrolled = header; }), by("watches"));
    by("panels").dataset.count = String(Math.min(tests.length, 9));
    by("watches").dataset.count = String(seen.length);
  }
  const alone = tests[view.alone - 1];
  for (const [test, panel] of panels) panel.root.hidden = alone !== undefined && test !== alone;
  by("panels").classList.toggle("alone", alone !== undefined);
  by("panels").classList.toggle("falling", view.fall);
  by("watches").hidden = seen.length === 0;
  return !same;
}

function keep(map, names, create, root) {
  const kept = new Map(map);
  map.clear();
  names.forEach((name, k) => map.set(name, kept.get(name) ?? create(name, k)));
  root.replaceChildren(...[...map.values()].map((one) => one.root));
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

// Buttons that say a state of the case, and those that this browser may not press.
function sayState() {
  const signals = state.latest.alarms;
  const paused = signals?.audio && signals.audio !== "on";
  by("key-l").setAttribute("aria-pressed", String(Boolean(paused)));
  put(by("pause"), paused ? `Sound ${signals.audio}` : "Pause sound");
  by("key-c").setAttribute("aria-pressed", String(state.latest.case?.critical === true));
  for (const one of document.querySelectorAll("[data-needs]")) one.hidden = !rights.may.has(one.dataset.needs);
  by("to-reader").href = `reader${location.search}`;
}

function look() {
  const age = link.age();
  stale = age === null || age > STALE_MS;
  if (!stale) {
    wasLive = true;
    go(); // what came while this was not live yet waits to be drawn
  }
  drawSilence(state, stale, age, link);
  // A lost link is an alarm of this display's own: nobody else can tell that it has gone blind.
  const closed = state.latest.status?.state === "closed";
  alarm.set(stale ? (wasLive && !closed ? "medium" : null) : state.latest.alarms?.sounding ?? null);
  const blocked = alarm.on && alarm.blocked;
  put(by("sound"), `Alarms: ${!alarm.on ? "mute" : blocked ? "click" : "heard"}`);
  by("key-s").setAttribute("aria-pressed", String(alarm.on && !blocked));
  for (const panel of panels.values()) if (!panel.root.hidden) panel.sayAges(state);
}

function remembered() {
  try {
    const held = JSON.parse(localStorage.getItem("evokd.view") ?? "{}");
    return Object.fromEntries(["negativeUp", "baseline", "noise", "fall"].filter((key) => typeof held[key] === "boolean").map((key) => [key, held[key]]));
  } catch {
    return {};
  }
}

function choose(change) {
  Object.assign(view, change);
  const press = (id, on) => by(id).setAttribute("aria-pressed", String(on));
  press("key-p", view.negativeUp);
  press("key-b", view.baseline);
  press("key-n", view.noise);
  press("key-r", view.replicates);
  press("key-w", view.fall);
  press("key-0", view.alone > 0);
  put(by("polarity"), view.negativeUp ? "Negative up" : "Positive up");
  if (change.replicates !== undefined) link.want("halves", view.replicates);
  try {
    const { negativeUp, baseline, noise, fall } = view;
    localStorage.setItem("evokd.view", JSON.stringify({ negativeUp, baseline, noise, fall }));
  } catch {
    // A browser without storage only forgets the choice.
  }
  mark("view");
}

function pickRow(by_) {
  const test = state.tests()[view.alone - 1];
  if (test) panels.get(test).choose(state.latest[`average.${test}`], by_);
  mark("view");
}

keys({ view, panels, choose, pickRow, alerts, dialogs, rights, alarm, sound, state });
addEventListener("pointerdown", () => alarm.unlock(), { capture: true });
addEventListener("keydown", () => alarm.unlock(), { capture: true });
choose({});
look();
setInterval(look, LOOK_MS);
