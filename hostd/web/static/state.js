// What the page knows: the latest message per topic, alerts, log and trends. No drawing, no sockets.
// Belongs to one daemon start (`boot`); a new one empties it.

import { numbers } from "./frame.js";

const LOG_ROWS = 300;
const TREND_ROWS = 1024;
const SIDES = /(^|[-_ .])(left|right|l|r)(?=$|[-_ .])/gi;

export class State {
  constructor() {
    this.reset("");
  }

  reset(boot) {
    this.boot = boot;
    this.latest = {};
    this.log = [];
    this.alerts = new Map();
    this.trends = new Map();
    this.stims = new Map();
    this.seen = new Set();
    this.newest_ns = 0;
  }

  // Takes a message in; returns what has to be shown anew: "all", "bar", "log", "test:NAME" or "".
  apply({ topic, header, past }) {
    let all = false;
    if (header.boot !== this.boot) {
      this.reset(header.boot);
      all = true;
    }
    const known = this.latest[topic];
    if (!past && !topic.startsWith("trend.")) {
      if (known && !(header.seq > known.seq)) return "";
      this.latest[topic] = header;
      if (header.t_ns > this.newest_ns) this.newest_ns = header.t_ns;
    }
    const dirty = this.enter(topic, header);
    return all ? "all" : dirty;
  }

  enter(topic, header) {
    const dot = topic.indexOf(".");
    const family = dot < 0 ? topic : topic.slice(0, dot);
    const test = dot < 0 ? "" : topic.slice(dot + 1);
    if (family === "status") return "bar";
    if (family === "average" || family === "baseline") return `test:${test}`;
    if (family === "measure") {
      this.trend(test).add(header);
      return `test:${test}`;
    }
    if (family === "trend") {
      this.trend(test).fill(header);
      return `test:${test}`;
    }
    if (family === "stim") return this.stim(header);
    return family === "event" || family === "alert" ? this.note(family, header) : "";
  }

  stim(header) {
    const newest = this.stims.get(header.test);
    if (!newest || header.seq > newest.seq) this.stims.set(header.test, header);
    return header.verified === false ? this.note("stim", header) : `stim:${header.test}`;
  }

  note(topic, header) {
    const key = `${topic} ${header.seq}`;
    if (this.seen.has(key)) return "";
    this.seen.add(key);
    if (topic === "alert") {
      const held = this.alerts.get(header.id);
      if (!held || header.seq > held.seq) this.alerts.set(header.id, header);
    }
    this.log.push({ topic, header });
    this.log.sort((a, b) => b.header.t_ns - a.header.t_ns);
    this.log.length = Math.min(this.log.length, LOG_ROWS);
    return "log";
  }

  trend(test) {
    if (!this.trends.has(test)) this.trends.set(test, new Trend());
    return this.trends.get(test);
  }

  // Names in pairs, left before right, in the order that the case names them.
  tests() {
    const status = this.latest.status;
    const names = new Set(status && status.tests ? Object.keys(status.tests) : []);
    for (const topic of Object.keys(this.latest)) if (topic.startsWith("average.")) names.add(topic.slice(8));
    const listed = [...names];
    const pairs = [...new Set(listed.map(pairOf))];
    const side = (name) => (/left|(^|[-_ .])l($|[-_ .])/i.test(name) ? 0 : 1);
    return listed.sort((a, b) => pairs.indexOf(pairOf(a)) - pairs.indexOf(pairOf(b)) || side(a) - side(b));
  }

  activeAlerts() {
    const rank = { high: 0, medium: 1, low: 2, info: 3 };
    return [...this.alerts.values()]
      .filter((alert) => alert.state !== "cleared")
      .sort((a, b) => (rank[a.priority] ?? 4) - (rank[b.priority] ?? 4) || b.seq - a.seq);
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
}

// The test's name without its side: left and right of one pair share gain and place.
export function pairOf(test) {
  return test.toLowerCase().replace(SIDES, "");
}

// Neither present nor absent: there are too few sweeps to tell the noise that a verdict would need.
export function unjudged(peak) {
  return !peak.present && peak.noise_uv === null;
}

// The peak that a measurement names as leading, else its first, else null.
export function leadingPeak(header) {
  const peaks = header?.peaks ?? [];
  return peaks.find((peak) => peak.name === header.leading) ?? peaks[0] ?? null;
}

// Rows [t_ns, latency, lo, hi, amplitude, lo, hi, present] of a test's leading peak, thinned like the gateway's.
class Trend {
  constructor() {
    this.name = "";
    this.rows = [];
    this.spacing_ns = 1e9;
  }

  fill(header) {
    this.name = header.name;
    this.rows = [];
    const [count, width] = header.rows.shape;
    for (let k = 0; k < count; k++) this.rows.push(Array.from(header.rows.values.subarray(k * width, (k + 1) * width)));
    while (count > 2 && this.spacing_ns * TREND_ROWS < this.rows[count - 1][0] - this.rows[0][0]) this.spacing_ns *= 2;
  }

  add(header) {
    const peak = leadingPeak(header);
    const newest = this.rows.length ? this.rows[this.rows.length - 1][0] : -Infinity;
    if (!peak || header.t_ns <= newest) return;
    this.name = peak.name;
    const [lo, hi] = numbers(peak.latency_ci_ms) ?? [NaN, NaN];
    const [low, high] = numbers(peak.amplitude_ci_uv) ?? [NaN, NaN];
    const row = [header.t_ns, peak.latency_ms ?? NaN, lo, hi, peak.amplitude_uv ?? NaN, low, high, peak.present ? 1 : 0];
    const last = this.rows.length - 1;
    if (last > 0 && header.t_ns - this.rows[last - 1][0] < this.spacing_ns) this.rows[last] = row;
    else this.rows.push(row);
    if (this.rows.length > TREND_ROWS) {
      this.rows = this.rows.filter((_, k) => k % 2 === 0);
      this.spacing_ns *= 2;
    }
  }
}
