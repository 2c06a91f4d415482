// The bounded past of one case: trends of every test, its last whole averages, and the spectra of minutes.
// The gateway tells a page that comes late the same three things; both thin alike.

import { numbers } from "./frame.js";

const TREND_ROWS = 1024;
const WIDTH = 8;
const FALL_ROWS = 12;
const SPECTRA = 900;

export class History {
  constructor() {
    this.trends = new Map();
    this.falls = new Map();
    this.spectra = new Spectra();
  }

  take(family, test, header) {
    if (family === "measure") this.trend(test).add(header);
    else if (family === "trend") this.trend(test).fill(header);
    else if (family === "average" && header.final === true) this.fall(test).add(header);
    else if (family === "waterfall") this.fall(test).fill(header);
    else if (family === "spectrum") this.spectra.add(header);
    else if (family === "spectra") this.spectra.fill(header);
  }

  trend(test) {
    if (!this.trends.has(test)) this.trends.set(test, new Trend());
    return this.trends.get(test);
  }

  fall(test) {
    if (!this.falls.has(test)) this.falls.set(test, new Fall());
    return this.falls.get(test);
  }
}

// The peak that a measurement names as leading, else its first, else null.
export function leadingPeak(header) {
  const peaks = header?.peaks ?? [];
  return peaks.find((peak) => peak.name === header.leading) ?? peaks[0] ?? null;
}

// Rows [t_ns, latency, lo, hi, amplitude, lo, hi, present] of a test's leading peak, thinned like the gateway's;
// present 1, absent 0, not judged yet 0.5. All the memory that a case will need is taken at once.
class Trend {
  constructor() {
    this.name = "";
    this.store = new Float64Array(TREND_ROWS * WIDTH);
    this.length = 0;
    this.spacing_ns = 1e9;
  }

  at(row, column) {
    return this.store[row * WIDTH + column];
  }

  get newest_ns() {
    return this.length ? this.at(this.length - 1, 0) : -Infinity;
  }

  fill({ name, rows }) {
    if (!rows || rows.shape[1] !== WIDTH || rows.shape[0] > TREND_ROWS) return;
    this.name = name;
    this.length = rows.shape[0];
    this.store.set(rows.values);
    while (this.length > 2 && this.spacing_ns * TREND_ROWS < this.newest_ns - this.at(0, 0)) this.spacing_ns *= 2;
  }

  add(header) {
    const peak = leadingPeak(header);
    if (!peak || header.t_ns <= this.newest_ns) return;
    this.name = peak.name;
    const [lo, hi] = numbers(peak.latency_ci_ms) ?? [NaN, NaN];
    const [low, high] = numbers(peak.amplitude_ci_uv) ?? [NaN, NaN];
    const present = peak.present ? 1 : peak.noise_uv === null ? 0.5 : 0;
    if (!(this.length > 1 && header.t_ns - this.at(this.length - 2, 0) < this.spacing_ns)) {
      if (this.length === TREND_ROWS) this.thin();
      this.length += 1;
    }
    this.store.set([header.t_ns, peak.latency_ms ?? NaN, lo, hi, peak.amplitude_uv ?? NaN, low, high, present], (this.length - 1) * WIDTH);
  }

  thin() {
    for (let row = 0; 2 * row < this.length; row++) this.store.copyWithin(row * WIDTH, 2 * row * WIDTH, (2 * row + 1) * WIDTH);
    this.length = Math.ceil(this.length / 2);
    this.spacing_ns *= 2;
  }
}

// The last averages that share no sweep: [{t_ns, mean}] with mean (time, derivation), oldest first.
class Fall {
  constructor() {
    this.frame = null;
    this.rows = [];
  }

  fill({ derivations, t0_ms, dt_ms, t_ns, mean_uv }) {
    if (!mean_uv || !t_ns) return;
    const [count, rows, columns] = mean_uv.shape;
    this.frame = { derivations, t0_ms, dt_ms, shape: [rows, columns] };
    this.rows = [];
    for (let k = 0; k < count; k++) {
      this.rows.push({ t_ns: t_ns.values[k], mean: mean_uv.values.slice(k * rows * columns, (k + 1) * rows * columns) });
    }
  }

  add(header) {
    if (!header.mean_uv) return;
    const frame = { derivations: header.derivations, t0_ms: header.t0_ms, dt_ms: header.dt_ms, shape: header.mean_uv.shape };
    if (JSON.stringify(frame) !== JSON.stringify(this.frame)) this.rows = [];
    this.frame = frame;
    if (header.t_ns <= (this.rows.at(-1)?.t_ns ?? -Infinity)) return;
    this.rows.push({ t_ns: header.t_ns, mean: header.mean_uv.values });
    if (this.rows.length > FALL_ROWS) this.rows.shift();
  }
}

// Densities of one EEG: rows {t_ns, db (derivation * bin)}.
class Spectra {
  constructor() {
    this.derivations = [];
    this.hz = [];
    this.rows = [];
  }

  fill({ derivations, hz, t_ns, density_db }) {
    if (!density_db || !t_ns) return;
    const [count, rows, bins] = density_db.shape;
    [this.derivations, this.hz, this.rows] = [derivations, numbers(hz), []];
    for (let k = 0; k < count; k++) {
      this.rows.push({ t_ns: t_ns.values[k], db: density_db.values.slice(k * rows * bins, (k + 1) * rows * bins) });
    }
  }

  add(header) {
    if (!header.density_db) return;
    if (String(header.derivations) !== String(this.derivations) || numbers(header.hz).length !== this.hz.length) this.rows = [];
    this.derivations = header.derivations;
    this.hz = numbers(header.hz);
    if (header.t_ns <= (this.rows.at(-1)?.t_ns ?? -Infinity)) return;
    this.rows.push({ t_ns: header.t_ns, db: header.density_db.values });
    if (this.rows.length > SPECTRA) this.rows.shift();
  }
}
