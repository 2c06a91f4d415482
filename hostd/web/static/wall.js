// The wall: one tile per box, the one that needs somebody most first, as the gateway orders them. Every tile says
// how old what it shows is; a box that is not heard says so in its place and looks like nothing else.

import { by, make } from "./dom.js";
import { causeOf } from "./evidence.js";
import { Link } from "./link.js";
import { put } from "./panel.js";
import { saySilence } from "./silence.js";
import { clock, fixed, muscle, NONE, signed, title } from "./text.js";

const STALE_MS = 2500;
const LOOK_MS = 250;
const SIGN = { high: "!!!", medium: "!!", low: "!", info: "i" };

let tiles = [];
let heardAt = null;
let stale = true;
const shown = new Map();
const link = new Link(() => {}, { wall: take }, "wall");

window.evokd = {
  link, redraws: 0,
  get tiles() { return tiles; },
  get stale() { return stale; },
};

function take(header) {
  tiles = header.tiles ?? [];
  heardAt = performance.now();
  draw();
}

function draw() {
  const root = by("tiles");
  for (const tile of tiles) {
    const held = shown.get(tile.box);
    const key = JSON.stringify({ ...tile, age_ms: null, running_s: Math.floor(tile.running_s ?? 0), worst_s: null,
      tests: tile.tests.map((one) => ({ ...one, since_s: minute(one.since_s) })), alerts: tile.alerts.map((one) => ({ ...one, since_s: minute(one.since_s) })) });
    if (held?.key === key) continue;
    const element = tileOf(tile);
    if (held) held.element.replaceWith(element);
    shown.set(tile.box, { key, element });
  }
  const order = tiles.map((tile) => shown.get(tile.box).element);
  if (order.some((element, k) => root.children[k] !== element) || root.children.length !== order.length) {
    const focused = document.activeElement?.dataset?.box;
    root.replaceChildren(...order);
    if (focused) shown.get(focused)?.element.focus();
  }
  put(by("count"), String(tiles.length));
  const alarmed = tiles.filter((tile) => tile.alerts.some((one) => one.state !== "acknowledged" && one.priority !== "info")).length;
  const silent = tiles.filter((tile) => tile.silent && tile.state !== "closed").length;
  put(by("alarmed"), String(alarmed));
  put(by("silent"), String(silent));
  by("alarmed-field").classList.toggle("bad", alarmed > 0);
  by("silent-field").classList.toggle("bad", silent > 0);
  window.evokd.redraws += 1;
  ages();
}

function tileOf(tile) {
  const root = make("a", "tile");
  root.href = `/index.html?box=${encodeURIComponent(tile.box)}`;
  root.dataset.box = tile.box;
  const worst = tile.alerts[0];
  root.dataset.priority = worst?.priority ?? "";
  root.dataset.state = worst?.state ?? "";
  root.classList.toggle("silent", tile.silent);
  const head = make("header");
  const name = make("h2", "", tile.box);
  head.append(name, make("span", "phase", tile.critical ? "critical step" : tile.phase ?? tile.state ?? ""), make("span", "age"));
  root.append(head, make("p", "case", [tile.name, tile.running_s == null ? null : clock(tile.running_s)].filter(Boolean).join(" · ") || "no case yet"));
  root.append(...tile.alerts.slice(0, 2).map(alertLine));
  if (tile.open_alerts > 2) root.append(make("p", "more", `${tile.open_alerts - 2} more alerts`));
  const tests = make("ul");
  tests.append(...[...tile.tests].sort((a, b) => need(b) - need(a)).slice(0, 6).map(testLine));
  root.append(tests);
  const trouble = [...tile.faults, tile.lost_samples > 0 ? `${tile.lost_samples} samples lost` : "",
    ["slow", "failing"].includes(tile.recording) ? `disk ${tile.recording}` : ""].filter(Boolean);
  if (trouble.length) root.append(make("p", "trouble", trouble[0]));
  return root;
}

function alertLine(alert) {
  const line = make("p", "alert");
  line.dataset.priority = alert.priority ?? "info";
  line.dataset.state = alert.state ?? "";
  const since = minute(alert.since_s);
  line.append(make("span", "sign", SIGN[alert.priority] ?? "i"), ` ${String(alert.text ?? "").split("; ")[0]} `,
    make("small", "", [causeOf(alert), alert.state, since ? `${since} min` : ""].filter(Boolean).join(", ")));
  return line;
}

// What needs an eye comes first: lost, then long unseen.
function need(one) {
  return (one.had_baseline && !one.present ? 1e6 : 0) + (one.since_s ?? 0);
}

function testLine(one) {
  const line = make("li", one.present ? "" : one.had_baseline ? "lost" : "unseen");
  const since = minute(one.since_s);
  line.append(make("b", "", title(one.test)), make("span", "", one.peak ? muscle(one.peak) : ""),
    make("span", "", one.present ? `${fixed(one.latency_ms, 1)} ms${one.change_pct == null ? "" : ` ${signed(one.change_pct, 0)} %`}` : one.had_baseline ? "absent" : "not seen yet"),
    make("span", "since", one.since_s == null ? NONE : since < 1 ? "now" : `${since} min ago`));
  return line;
}

function minute(seconds) {
  return seconds == null ? null : Math.floor(seconds / 60);
}

// Ages go on between messages: what was told a second ago is a second older now.
function ages() {
  const passed = heardAt === null ? 0 : performance.now() - heardAt;
  for (const tile of tiles) {
    const age_ms = tile.age_ms === null ? null : tile.age_ms + passed;
    const element = shown.get(tile.box)?.element;
    if (!element) continue;
    const silent = age_ms === null || age_ms > 3000;
    element.classList.toggle("silent", silent);
    put(element.querySelector(".age"), age_ms === null ? "never heard" : silent ? `not heard for ${said(age_ms)}` : `${(age_ms / 1000).toFixed(1)} s`);
  }
}

function said(ms) {
  return ms < 120_000 ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`;
}

function look() {
  const age = link.age();
  stale = age === null || age > STALE_MS;
  saySilence(stale, age, link.connected ? "The gateway is silent." : "No connection to the gateway; trying again.");
  const worst = tiles[0]?.alerts[0];
  document.title = stale ? "No data – evokd wall" : worst && worst.priority === "high" ? `!!! ${tiles[0].box} – evokd wall` : "evokd wall";
  ages();
}

look();
setInterval(look, LOOK_MS);
