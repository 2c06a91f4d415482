// Draws one test's stacked waveforms: noise band, baseline, running average, stimulus line, axis, scale bars.
// Pure drawing: everything it shows is in `model` {average, baseline, measure} and `view`.

import { FONT, font, ink } from "./canvas.js";
import { numbers } from "./frame.js";
import { drawPeaks } from "./peaks.js";
import { ticks } from "./scale.js";
import { derivation, micro } from "./text.js";

const MARGIN = { left: 10, right: 58, top: 8, bottom: 24 };
// What lies this close to the stimulus is artifact and must not decide the gain.
const ARTIFACT_MS = [-1, 3];
// A division's share of its row; the scale bar is one division long.
const DIVISION = 0.3;

// Geometry: x(ms), y(row, uv) and their limits; `steps` are microvolts per division.
export function layout(width, height, average, steps, negativeUp) {
  const rows = average.derivations.length;
  const count = average.mean_uv.shape[0];
  const from = average.t0_ms;
  const to = from + Math.max(count - 1, 1) * average.dt_ms;
  const left = MARGIN.left, right = width - MARGIN.right, top = MARGIN.top, bottom = height - MARGIN.bottom;
  const tall = (bottom - top) / rows;
  const sense = negativeUp ? 1 : -1;
  return {
    rows, from, to, left, right, top, bottom, tall, steps, sense, division: DIVISION * tall,
    x: (ms) => left + ((ms - from) / (to - from)) * (right - left),
    y: (row, uv) => top + (row + 0.5) * tall + (sense * uv * DIVISION * tall) / steps[row],
  };
}

// The largest size that row `row` has to show outside the artifact, in uV.
export function need_uv(traces, row) {
  if (!traces || !traces.mean_uv) return 0;
  const [count, rows] = traces.mean_uv.shape;
  const values = traces.mean_uv.values;
  let largest = 0;
  for (let k = 0; k < count; k++) {
    const ms = traces.t0_ms + k * traces.dt_ms;
    if (ms >= ARTIFACT_MS[0] && ms <= ARTIFACT_MS[1]) continue;
    const size = Math.abs(values[k * rows + row]);
    if (size > largest) largest = size;
  }
  return largest;
}

export function drawWaves(c, at, model, view) {
  drawGrid(c, at);
  c.save();
  c.beginPath();
  c.rect(at.left, 0, at.right - at.left, at.bottom);
  c.clip();
  c.lineJoin = "round";
  const noise = numbers(model.average.noise_uv) ?? [];
  for (let row = 0; row < at.rows; row++) {
    if (view.noise && noise[row] > 0) drawBand(c, at, model.average, row, 2 * noise[row]);
    const same = model.baseline ? model.baseline.derivations.indexOf(model.average.derivations[row]) : -1;
    if (view.baseline && same >= 0) {
      c.strokeStyle = ink.base;
      c.lineWidth = 1.25;
      c.setLineDash([5, 3]);
      drawTrace(c, at, model.baseline, same, row);
      c.setLineDash([]);
    }
    c.strokeStyle = ink.trace;
    c.lineWidth = 2;
    drawTrace(c, at, model.average, row, row);
  }
  c.restore();
  drawStimulus(c, at);
  const taken = drawLabels(c, at, model.average, noise);
  drawScales(c, at);
  drawPeaks(c, at, model, view, taken);
}

function drawGrid(c, at) {
  c.lineWidth = 1;
  c.font = font(11);
  c.textAlign = "center";
  c.textBaseline = "top";
  const marks = ticks(at.from, at.to, at.right - at.left, 52);
  c.strokeStyle = ink.grid;
  c.beginPath();
  for (const ms of marks) {
    const x = Math.round(at.x(ms)) + 0.5;
    c.moveTo(x, at.top);
    c.lineTo(x, at.bottom);
  }
  for (let row = 0; row < at.rows; row++) {
    const y = Math.round(at.y(row, 0)) + 0.5;
    c.moveTo(at.left, y);
    c.lineTo(at.right, y);
  }
  c.stroke();
  c.strokeStyle = ink.axis;
  c.beginPath();
  for (let row = 1; row < at.rows; row++) {
    const y = Math.round(at.top + row * at.tall) + 0.5;
    c.moveTo(at.left, y);
    c.lineTo(at.right + MARGIN.right - 10, y);
  }
  c.moveTo(at.left, Math.round(at.bottom) + 0.5);
  c.lineTo(at.right, Math.round(at.bottom) + 0.5);
  c.stroke();
  c.fillStyle = ink.dim;
  for (const ms of marks) c.fillText(String(Math.round(ms * 1000) / 1000).replace("-", "\u2212"), at.x(ms), at.bottom + 7);
  c.textAlign = "right";
  c.fillText("ms", at.right + 24, at.bottom + 7);
}

// Straight lines in the two variables: y = middle + uv * perUv, x = left + k * perRow.
function mapping(at, traces, row) {
  const left = at.x(traces.t0_ms), middle = at.y(row, 0);
  return { left, perRow: at.x(traces.t0_ms + traces.dt_ms) - left, middle, perUv: at.y(row, 1) - middle };
}

function drawTrace(c, at, traces, from, row) {
  const [count, rows] = traces.mean_uv.shape;
  const values = traces.mean_uv.values;
  const { left, perRow, middle, perUv } = mapping(at, traces, row);
  c.beginPath();
  let pen = false;
  for (let k = 0, i = from; k < count; k++, i += rows) {
    const y = middle + values[i] * perUv;
    if (y !== y) {
      pen = false;
      continue;
    }
    if (pen) c.lineTo(left + k * perRow, y);
    else c.moveTo(left + k * perRow, y);
    pen = true;
  }
  c.stroke();
}

// Mean +- `half_uv` as one wide stroke would bulge at steep flanks; as an area it is right everywhere.
function drawBand(c, at, traces, row, half_uv) {
  const [count, rows] = traces.mean_uv.shape;
  const values = traces.mean_uv.values;
  const { left, perRow, middle, perUv } = mapping(at, traces, row);
  const half = half_uv * perUv;
  c.fillStyle = ink.noise;
  c.beginPath();
  for (let k = 0, i = row; k < count; k++, i += rows) c.lineTo(left + k * perRow, middle + (values[i] || 0) * perUv + half);
  for (let k = count - 1, i = k * rows + row; k >= 0; k--, i -= rows) c.lineTo(left + k * perRow, middle + (values[i] || 0) * perUv - half);
  c.fill();
}

function drawStimulus(c, at) {
  if (at.from > 0 || at.to < 0) return;
  const x = Math.round(at.x(0));
  c.fillStyle = ink.stim;
  c.fillRect(x - 0.75, at.top, 1.5, at.bottom - at.top);
  c.beginPath();
  c.moveTo(x - 5, at.top - 6);
  c.lineTo(x + 5, at.top - 6);
  c.lineTo(x, at.top + 2);
  c.fill();
}

// Names on the left, noise on the right, where responses seldom are. Returns the boxes that they take, so that
// the peaks' labels keep clear of them.
function drawLabels(c, at, average, noise) {
  const taken = [];
  c.textBaseline = "middle";
  for (let row = 0; row < at.rows; row++) {
    const top = at.top + row * at.tall + 4;
    c.font = font(13, 600);
    c.fillStyle = ink.text;
    c.textAlign = "left";
    taken.push(said(c, derivation(average.derivations[row]), at.left + 3, top, 0));
    c.font = font(11);
    c.fillStyle = ink.dim;
    c.textAlign = "right";
    taken.push(said(c, noise[row] > 0 ? `noise ${micro(noise[row])} µV` : "noise unknown", at.right - 3, top, 1));
  }
  return taken;
}

function said(c, text, x, top, fromRight) {
  const wide = c.measureText(text).width;
  const left = x - fromRight * wide;
  backdrop(c, left - 3, top, wide + 6, 17);
  c.fillText(text, x, top + 9);
  return { left: left - 3, right: left + wide + 3, top, bottom: top + 17 };
}

export function backdrop(c, x, y, wide, high) {
  c.save();
  c.globalAlpha = 0.72;
  c.fillStyle = ink.panel;
  c.fillRect(x, y, wide, high);
  c.restore();
}

// One bar per row, one division long, and which way negative points.
function drawScales(c, at) {
  c.textAlign = "left";
  c.textBaseline = "middle";
  for (let row = 0; row < at.rows; row++) {
    const x = at.right + 9;
    const head = at.y(row, 0) - at.division / 2, foot = head + at.division;
    c.fillStyle = ink.text;
    c.fillRect(x, head, 2, at.division);
    c.fillRect(x, head, 6, 2);
    c.fillRect(x, foot - 2, 6, 2);
    c.font = font(11, 600);
    c.fillText(`${Number(at.steps[row].toPrecision(2))} µV`, x + 9, (head + foot) / 2);
    c.fillStyle = ink.dim;
    c.font = font(12);
    c.fillText(at.sense > 0 ? "\u2212" : "+", x - 2, head - 8);
    c.fillText(at.sense > 0 ? "+" : "\u2212", x - 2, foot + 8);
  }
}

// What a panel without an average says in its place.
export function drawEmpty(c, width, height, said) {
  c.fillStyle = ink.dim;
  c.font = `400 14px ${FONT}`;
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillText(said, width / 2, height / 2);
}
