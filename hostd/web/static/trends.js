// Trends of a test's leading peak over the case: latency above, amplitude below, with their intervals, the
// baseline, the customary limits (+10 % latency, -50 % amplitude), the marks of the log, and where it was absent.
// uPlot draws and zooms (drag; double click shows all); all plots share one cursor.

import { FONT, ink } from "./canvas.js";
import { clockStep } from "./scale.js";
import { clock, fixed, micro, muscle } from "./text.js";

const SHORTEST_S = 300;
const AXIS = 36;
const DRAWN = 300;
const KINDS = {
  latency: { column: 1, factor: 1.1, said: "+10 %", least: 2, unit: "ms", text: (value) => fixed(value, 1) },
  amplitude: { column: 4, factor: 0.5, said: "−50 %", least: 0.5, unit: "µV", text: micro },
};

export class Trends {
  // `root` gets both plots; without the library it says so instead.
  constructor(root) {
    this.plots = [];
    if (typeof uPlot !== "function") {
      root.textContent = "No trends: uPlot is not installed here (make setup)";
      return;
    }
    for (const kind of ["latency", "amplitude"]) {
      const holder = document.createElement("div");
      holder.className = kind;
      root.append(holder);
      this.plots.push(new Plot(holder, KINDS[kind], kind));
    }
  }

  show(trend, peak, marks_s, seconds) {
    const rows = thinned(trend);
    const shared = { rows, x: rows.map((row) => seconds(trend.at(row, 0))), verdicts: rows.map((row) => trend.at(row, 7)) };
    for (const plot of this.plots) plot.show(trend, shared, peak, marks_s);
  }
}

// Rows to draw: the newest and as many before it as a plot has pixels for; where a response went or came back, too.
function thinned(trend) {
  const every = Math.ceil(trend.length / DRAWN);
  const rows = [];
  for (let row = 0; row < trend.length; row++) {
    const turns = row > 0 && trend.at(row, 7) !== trend.at(row - 1, 7);
    if (turns || (trend.length - 1 - row) % every === 0) rows.push(row);
  }
  return rows;
}

class Plot {
  constructor(holder, kind, name) {
    this.kind = kind;
    this.name = name;
    this.base = null;
    this.marks = [];
    this.absent = [];
    this.zoomed = false;
    this.head = document.createElement("p");
    this.head.append(document.createElement("span"), document.createElement("b"), document.createElement("small"));
    const canvas = document.createElement("div");
    holder.append(this.head, canvas);
    this.plot = new uPlot(this.options(), [[], [], [], []], canvas);
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      if (width > 60 && height > 20) this.plot.setSize({ width: Math.floor(width), height: Math.floor(height) });
    }).observe(canvas);
  }

  options() {
    const axis = { stroke: ink.dim, font: `10px ${FONT}`, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false } };
    return {
      width: 200, height: 60, padding: [4, 16, 0, 0], legend: { show: false },
      cursor: { sync: { key: "case" }, points: { size: 5 }, y: false, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (u, lo, hi) => this.rangeX(lo, hi) }, y: { range: (u, lo, hi) => this.rangeY(lo, hi) } },
      axes: [
        { ...axis, size: 16, gap: 2, splits: (u, k, lo, hi) => hours(lo, hi, u.width), values: (u, splits) => splits.map(clock) },
        { ...axis, size: AXIS, gap: 3, space: 18, values: (u, splits) => splits.map((v) => String(Number(v.toPrecision(3)))) },
      ],
      series: [
        {},
        { stroke: ink.trace, width: 1.5, points: { show: false }, spanGaps: false },
        { stroke: "transparent", width: 0, points: { show: false } },
        { stroke: "transparent", width: 0, points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: ink.noise }],
      hooks: {
        draw: [(u) => this.decorate(u)],
        setSelect: [(u) => { if (u.select.width > 0) this.zoomed = true; }],
        setCursor: [(u) => this.say(u.cursor.idx)],
        ready: [(u) => u.over.addEventListener("dblclick", () => { this.zoomed = false; })],
      },
    };
  }

  rangeX(lo, hi) {
    if (this.zoomed && lo !== null) return [lo, hi];
    const x = this.data?.[0] ?? [];
    const last = x.at(-1) ?? 0, first = Math.min(x[0] ?? 0, Math.max(0, last - SHORTEST_S));
    return [first, Math.max(last, first + SHORTEST_S)];
  }

  rangeY(lo, hi) {
    const { factor, least } = this.kind;
    const all = [lo, hi, this.base, this.base === null ? null : this.base * factor].filter((v) => v !== null && Number.isFinite(v));
    if (this.name === "amplitude") return [0, Math.max(least, ...all) * 1.12];
    if (!all.length) return [0, 1];
    const middle = (Math.min(...all) + Math.max(...all)) / 2;
    const half = Math.max(Math.max(...all) - middle, least / 2) * 1.15;
    return [middle - half, middle + half];
  }

  show(trend, { rows, x, verdicts }, peak, marks_s) {
    const { column } = this.kind;
    const shown = (k) => rows.map((row) => (trend.at(row, 7) === 1 && Number.isFinite(trend.at(row, k)) ? trend.at(row, k) : null));
    this.data = [x, shown(column), shown(column + 1), shown(column + 2)];
    this.verdicts = verdicts;
    this.absent = x.filter((_, k) => verdicts[k] === 0);
    this.base = (this.name === "latency" ? peak?.baseline_latency_ms : peak?.baseline_amplitude_uv) ?? null;
    this.marks = marks_s;
    this.peakName = trend.name;
    this.plot.setData(this.data, !this.zoomed);
    if (this.zoomed) this.plot.redraw(true);
    this.say(this.plot.cursor.idx);
  }

  // The value under the cursor, else the newest one.
  say(k) {
    if (!this.data) return;
    const last = this.data[0].length - 1;
    const at = k ?? last;
    const value = this.data[1][at] ?? null;
    const [name, number, unit] = this.head.children;
    name.textContent = `${muscle(this.peakName)} ${this.name}${k == null || k === last ? "" : ` at ${clock(this.data[0][at])}`}`;
    number.textContent = last < 0 ? "" : value !== null ? this.kind.text(value) : this.verdicts[at] === 0 ? "absent" : "open";
    unit.textContent = value === null ? "" : this.kind.unit;
    this.head.classList.toggle("lost", last >= 0 && this.verdicts[at] === 0 && this.base !== null);
  }

  decorate(u) {
    const c = u.ctx, { left, top, width, height } = u.bbox, ratio = devicePixelRatio || 1;
    c.save();
    c.beginPath();
    c.rect(left, top, width, height);
    c.clip();
    const line = (x0, y0, x1, y1, colour, dash) => {
      c.strokeStyle = colour;
      c.lineWidth = ratio;
      c.setLineDash(dash.map((n) => n * ratio));
      c.beginPath();
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
      c.stroke();
    };
    for (const s of this.marks) {
      const x = Math.round(u.valToPos(s, "x", true));
      line(x, top, x, top + height, ink.dim, [2, 3]);
    }
    if (this.base !== null) {
      const base = u.valToPos(this.base, "y", true), limit = u.valToPos(this.base * this.kind.factor, "y", true);
      line(left, base, left + width, base, ink.base, [5, 3]);
      line(left, limit, left + width, limit, ink.alarm, [2, 3]);
      c.fillStyle = ink.alarm;
      c.font = `${10 * ratio}px ${FONT}`;
      c.textBaseline = this.name === "latency" ? "top" : "bottom";
      c.fillText(this.kind.said, left + 3 * ratio, limit + (this.name === "latency" ? 1 : -1) * ratio);
    }
    c.fillStyle = ink.alarm;
    for (const s of this.absent) c.fillRect(u.valToPos(s, "x", true) - ratio, top + height - 4 * ratio, 2 * ratio, 4 * ratio);
    c.restore();
  }
}

function hours(lo, hi, width) {
  const step = clockStep(hi - lo, width - AXIS, 62);
  const found = [];
  for (let s = Math.ceil(lo / step) * step; s <= hi - (hi - lo) * 0.04; s += step) found.push(s);
  return found;
}
