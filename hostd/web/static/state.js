// What the page knows: the latest message per topic, alerts, log, and a bounded past. No drawing, no sockets.
// Belongs to one daemon start (`boot`); a new one empties it.

import { History, leadingPeak } from "./history.js";

const LOG_ROWS = 300;
const KEPT_ALERTS = 200;
const SIDES = /(^|[-_ .])(left|right|l|r)(?=$|[-_ .])/gi;
const OF_TEST = new Set(["average", "baseline", "measure", "response", "trend", "waterfall", "plugs"]);
const OF_WATCH = new Set(["wave", "spectrum", "spectra", "eeg", "tof"]);

export class State {
  constructor() {
    this.reset("");
  }

  reset(boot) {
    this.boot = boot;
    this.latest = {};
    this.log = [];
    this.alerts = new Map();
    this.ledger = new Map();
    this.stims = new Map();
    this.history = new History();
    this.newest_ns = 0;
  }

  // Takes a message in; returns what has to be shown anew: "all", "bar", "log", "test:NAME", "watch" or "".
  apply({ topic, header, past }) {
    let all = false;
    if (typeof header.boot === "string" && header.boot !== this.boot) {
      this.reset(header.boot);
      all = true;
    }
    const known = this.latest[topic];
    const summed = topic.startsWith("trend.") || topic.startsWith("waterfall.") || topic === "spectra";
    if (!past && !summed) {
      if (known && !(header.seq > known.seq)) return "";
      this.latest[topic] = header;
      if (header.t_ns > this.newest_ns) this.newest_ns = header.t_ns;
    }
    const dirty = this.enter(topic, header, Boolean(past));
    return all ? "all" : dirty;
  }

  enter(topic, header, past) {
    const dot = topic.indexOf(".");
    const family = dot < 0 ? topic : topic.slice(0, dot);
    const test = dot < 0 ? "" : topic.slice(dot + 1);
    if (topic === "emg") return this.note("emg", header);
    if (family === "stim") return this.stim(header);
    if (family === "event" || family === "alert") return this.note(family, header);
    if (family === "ledger") {
      this.ledger.set(header.alert, header);
      return "log";
    }
    if (past) return "";
    this.history.take(family, test, header);
    if (OF_TEST.has(family)) return `test:${test}`;
    if (OF_WATCH.has(family)) return "watch";
    if (family === "alarms") return this.alarmed(header);
    return family === "beat" ? "" : "bar";
  }

  stim(header) {
    const newest = this.stims.get(header.test);
    if (!newest || header.seq > newest.seq) this.stims.set(header.test, header);
    return header.verified === false ? this.note("stim", header) : `stim:${header.test}`;
  }

  note(topic, header) {
    if (this.log.some((entry) => entry.topic === topic && entry.header.seq === header.seq)) return "";
    if (topic === "alert") {
      const held = this.alerts.get(header.id);
      if (!held || header.seq > held.seq) this.alerts.set(header.id, header);
      if (this.alerts.size > KEPT_ALERTS) this.forgetCleared();
    }
    const at = this.log.findIndex((entry) => entry.header.t_ns <= header.t_ns);
    this.log.splice(at < 0 ? this.log.length : at, 0, { topic, header });
    this.log.length = Math.min(this.log.length, LOG_ROWS);
    return "log";
  }

  // Who comes late has heard the newest alert alone: the others that are open are told here, with less.
  alarmed(header) {
    for (const open of header.open ?? []) {
      if (!this.alerts.has(open.id)) this.alerts.set(open.id, { ...open, seq: 0, t_ns: header.t_ns, utc_ns: header.utc_ns });
    }
    return "log";
  }

  forgetCleared() {
    for (const [id, alert] of this.alerts) {
      if (alert.state === "cleared" && this.alerts.size > KEPT_ALERTS) this.alerts.delete(id);
    }
  }

  // Names in pairs, left before right, in the order that the case names them; trains of four are a watch.
  tests() {
    const status = this.latest.status;
    const names = new Set(status && status.tests ? Object.keys(status.tests) : []);
    for (const topic of Object.keys(this.latest)) if (topic.startsWith("average.")) names.add(topic.slice(8));
    const tof = this.latest.tof?.test;
    const listed = [...names].filter((name) => name !== tof && !(name === "tof" && !this.latest["average.tof"]));
    const pairs = [...new Set(listed.map(pairOf))];
    const side = (name) => (/left|(^|[-_ .])l($|[-_ .])/i.test(name) ? 0 : 1);
    return listed.sort((a, b) => pairs.indexOf(pairOf(a)) - pairs.indexOf(pairOf(b)) || side(a) - side(b));
  }

  // What is watched without averages: "tof", and the names behind wave.NAME, muscles before EEG.
  watches() {
    const names = Object.keys(this.latest).filter((topic) => topic.startsWith("wave.")).map((topic) => topic.slice(5));
    const muscles = (name) => (this.latest[`wave.${name}`].modality === "free_emg" ? 0 : 1);
    names.sort((a, b) => muscles(a) - muscles(b) || a.localeCompare(b));
    return this.latest.tof || this.latest.status?.tests?.tof ? ["tof", ...names] : names;
  }

  activeAlerts() {
    const rank = { high: 0, medium: 1, low: 2, info: 3 };
    return [...this.alerts.values()]
      .filter((alert) => alert.state !== "cleared")
      .sort((a, b) => (rank[a.priority] ?? 4) - (rank[b.priority] ?? 4)
        || (a.state === "acknowledged") - (b.state === "acknowledged") || b.seq - a.seq);
  }

  baselineOf(test) {
    const baseline = this.latest[`baseline.${test}`];
    return baseline && baseline.mean_uv && baseline.n_sweeps !== 0 ? baseline : null;
  }

  // Seconds of case time at a monotonic time, from the newest status as anchor.
  caseSeconds(t_ns) {
    const status = this.latest.status;
    return status ? status.samples / status.rate_hz + (t_ns - status.t_ns) / 1e9 : 0;
  }

  // The same of a sample index.
  indexSeconds(index) {
    const rate_hz = this.latest.status?.rate_hz;
    return rate_hz > 0 && Number.isFinite(index) ? index / rate_hz : NaN;
  }
}

// The test's name without its side: left and right of one pair share gain and place.
export function pairOf(test) {
  return test.toLowerCase().replace(SIDES, "");
}

// Neither present nor absent: there are too few sweeps to tell the noise that a verdict would need.
export function unjudged(peak) {
  return !peak.present && peak.noise_uv === null;
}

export { leadingPeak };
