// Draws the trend strip: latency over amplitude of a test's leading peak against case time, with intervals,
// the baseline, the customary limits (+10 % latency, -50 % amplitude) and the marks of the event log.

import { font, ink } from "./canvas.js";
import { clockStep, ticks } from "./scale.js";
import { unjudged } from "./state.js";
import { clock, fixed, micro } from "./text.js";

const LEFT = 96, RIGHT = 14, BOTTOM = 18, GAP = 8;
const APART = 1.5;
const SHORTEST_S = 300;

// `rows` as in state.js; `peak` the newest measurement of the leading peak or null.
export function drawTrend(c, width, height, trend, peak, marks_ns, seconds) {
  const rows = trend.rows;
  const first = rows.length ? seconds(rows[0][0]) : 0;
  const last = rows.length ? seconds(rows[rows.length - 1][0]) : 0;
  const from = Math.min(first, Math.max(0, last - SHORTEST_S));
  const to = Math.max(last, from + SHORTEST_S);
  const right = width - RIGHT;
  const high = (height - BOTTOM - GAP - 4) / 2;
  const scale = (right - LEFT) / (to - from) / 1e9;
  const zero_ns = rows.length ? rows[0][0] : 0;
  const x = (t_ns) => LEFT + (first - from) * scale * 1e9 + (t_ns - zero_ns) * scale;
  drawTime(c, from, to, right, height - BOTTOM, height);
  c.strokeStyle = ink.dim;
  c.lineWidth = 1;
  c.setLineDash([2, 3]);
  c.beginPath();
  for (const t_ns of marks_ns) {
    if (x(t_ns) < LEFT || x(t_ns) > right) continue;
    c.moveTo(Math.round(x(t_ns)) + 0.5, 4);
    c.lineTo(Math.round(x(t_ns)) + 0.5, height - BOTTOM);
  }
  c.stroke();
  c.setLineDash([]);
  const base = { ms: peak?.baseline_latency_ms ?? null, uv: peak?.baseline_amplitude_uv ?? null };
  const present = peak?.present === true;
  const not = peak && unjudged(peak) ? "open" : "absent";
  const lost = !present && peak?.baseline_amplitude_uv != null;
  strip(c, { x, right, top: 4, high, rows, value: 1, base: base.ms, limit: 1.1, limitSaid: "+10 %", least: 2, zero: false });
  said(c, 4, high, `${trend.name} latency`, present ? fixed(peak.latency_ms, 1) : not, present ? "ms" : "", present, lost);
  const top = 4 + high + GAP;
  strip(c, { x, right, top, high, rows, value: 4, base: base.uv, limit: 0.5, limitSaid: "\u221250 %", least: 0.5, zero: true });
  said(c, top, high, "amplitude", present ? micro(peak.amplitude_uv) : not, present ? "µV" : "", present, lost);
}

function drawTime(c, from, to, right, bottom, height) {
  const step = clockStep(to - from, right - LEFT, 90);
  c.font = font(11);
  c.fillStyle = ink.dim;
  c.textAlign = "center";
  c.textBaseline = "bottom";
  c.strokeStyle = ink.grid;
  c.lineWidth = 1;
  c.beginPath();
  for (let s = Math.ceil(from / step) * step; s <= to; s += step) {
    const x = LEFT + ((s - from) / (to - from)) * (right - LEFT);
    c.moveTo(Math.round(x) + 0.5, 4);
    c.lineTo(Math.round(x) + 0.5, bottom);
    if (x > LEFT + 20 && x < right - 20) c.fillText(clock(s), x, height - 1);
  }
  c.stroke();
}

function strip(c, p) {
  p.rows = thinned(p.rows, p.x);
  const points = p.rows.filter((row) => row[7] === 1 && Number.isFinite(row[p.value]));
  const shown = points.map((row) => row[p.value]);
  if (p.base !== null) shown.push(p.base, p.base * p.limit);
  let lo = p.zero ? 0 : Math.min(...shown), hi = Math.max(...shown);
  if (!shown.length) [lo, hi] = [0, 1];
  if (hi - lo < p.least) [lo, hi] = p.zero ? [0, p.least] : [(hi + lo - p.least) / 2, (hi + lo + p.least) / 2];
  const pad = (hi - lo) * 0.12;
  [lo, hi] = [p.zero ? 0 : lo - pad, hi + pad];
  const y = (value) => p.top + p.high - ((value - lo) / (hi - lo)) * p.high;
  c.save();
  c.strokeStyle = ink.axis;
  c.lineWidth = 1;
  c.strokeRect(LEFT + 0.5, Math.round(p.top) + 0.5, p.right - LEFT, Math.round(p.high));
  c.beginPath();
  c.rect(LEFT, p.top, p.right - LEFT, p.high + 1);
  c.clip();
  if (p.base !== null) drawLevels(c, p, y);
  drawPoints(c, p, points, y);
  c.restore();
  drawRange(c, p, lo, hi, y);
}

// Rows at least `APART` pixels from each other; the newest and every change between present and absent stay.
function thinned(rows, x) {
  let at = -Infinity, present = NaN;
  return rows.filter((row, k) => {
    const here = x(row[0]);
    if (here - at < APART && row[7] === present && k < rows.length - 1) return false;
    [at, present] = [here, row[7]];
    return true;
  });
}

function drawLevels(c, p, y) {
  c.lineWidth = 1.25;
  for (const [value, colour, dash] of [[p.base, ink.base, [5, 3]], [p.base * p.limit, ink.alarm, [1.5, 3]]]) {
    c.strokeStyle = colour;
    c.setLineDash(dash);
    c.beginPath();
    c.moveTo(LEFT, y(value));
    c.lineTo(p.right, y(value));
    c.stroke();
  }
  c.setLineDash([]);
  c.fillStyle = ink.alarm;
  c.font = font(10);
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillText(p.limitSaid, LEFT + 4, y(p.base * p.limit) + 2);
}

function drawPoints(c, p, points, y) {
  c.strokeStyle = ink.noise;
  c.lineWidth = 3;
  c.beginPath();
  for (const row of points) {
    if (!(row[p.value + 2] >= row[p.value + 1])) continue;
    c.moveTo(p.x(row[0]), y(row[p.value + 1]));
    c.lineTo(p.x(row[0]), y(row[p.value + 2]));
  }
  c.stroke();
  c.strokeStyle = ink.trace;
  c.lineWidth = 1.5;
  c.beginPath();
  let pen = false;
  for (const row of p.rows) {
    const drawn = row[7] === 1 && Number.isFinite(row[p.value]);
    if (drawn && pen) c.lineTo(p.x(row[0]), y(row[p.value]));
    else if (drawn) c.moveTo(p.x(row[0]), y(row[p.value]));
    pen = drawn;
  }
  c.stroke();
  c.fillStyle = ink.alarm;
  for (const row of p.rows) if (row[7] !== 1) c.fillRect(p.x(row[0]) - 1, p.top + p.high - 4, 2, 4);
  const newest = points[points.length - 1];
  if (!newest || newest !== p.rows[p.rows.length - 1]) return;
  c.fillStyle = ink.text;
  c.beginPath();
  c.arc(p.x(newest[0]), y(newest[p.value]), 3, 0, 2 * Math.PI);
  c.fill();
}

function drawRange(c, p, lo, hi, y) {
  c.fillStyle = ink.dim;
  c.font = font(10);
  c.textAlign = "right";
  c.textBaseline = "middle";
  const marks = ticks(lo, hi, p.high, 22);
  for (const value of marks) {
    const at = Math.min(Math.max(y(value), p.top + 5), p.top + p.high - 4);
    c.fillText(String(Number(value.toPrecision(3))), LEFT - 4, at);
  }
}

function said(c, top, high, name, value, unit, present, lost) {
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.fillStyle = ink.dim;
  c.font = font(11);
  c.fillText(name, 2, top + high / 2 - 13);
  c.fillStyle = present ? ink.text : lost ? ink.alarm : ink.dim;
  c.font = font(present ? 20 : 14, 600);
  const wide = c.measureText(value).width;
  c.fillText(value, 2, top + high / 2 + 5);
  c.fillStyle = ink.dim;
  c.font = font(11);
  c.fillText(unit, 2 + wide + 4, top + high / 2 + 7);
}
