// Draws one test's stacked waveforms: noise band, baseline, running average, stimulus line, axis, scale bars.
// Pure drawing: everything it shows is in `model` {average, baseline, measure} and `view`.

import { FONT, font, ink } from "./canvas.js";
import { numbers } from "./frame.js";
import { drawPeaks } from "./peaks.js";
import { ticks } from "./scale.js";
import { micro, muscle } from "./text.js";

const MARGIN = { left: 74, small: 60, right: 64, top: 8, bottom: 22 };
// What lies this close to the stimulus is artifact and must not decide the gain.
const ARTIFACT_MS = [-1, 3];
// A division's share of its row; the scale bar is one division long.
const DIVISION = 0.3;

// Geometry: x(ms), y(row, uv) and their limits. Row `k` is derivation `shown[k]`; `steps` are microvolts per
// division of every derivation.
export function layout(width, height, average, steps, negativeUp, shown) {
  const rows = shown.length;
  const count = average.mean_uv.shape[0];
  const from = average.t0_ms;
  const to = from + Math.max(count - 1, 1) * average.dt_ms;
  const left = width < 330 ? MARGIN.small : MARGIN.left, right = width - MARGIN.right, top = MARGIN.top, bottom = height - MARGIN.bottom;
  const tall = (bottom - top) / rows;
  const sense = negativeUp ? 1 : -1;
  return {
    rows, shown, from, to, left, right, top, bottom, tall, steps, sense, division: DIVISION * tall,
    names: shown.map((column) => average.derivations[column]),
    x: (ms) => left + ((ms - from) / (to - from)) * (right - left),
    y: (row, uv) => top + (row + 0.5) * tall + (sense * uv * DIVISION * tall) / steps[shown[row]],
  };
}

// The largest size that row `row` has to show outside the artifact, in uV.
export function need_uv(traces, row) {
  if (!traces || !traces.mean_uv) return 0;
  const [count, rows] = traces.mean_uv.shape;
  const values = traces.mean_uv.values;
  const artifactEnd = Math.max(ARTIFACT_MS[1], (numbers(traces.blanked_ms)?.[1] ?? 0) + 0.5);
  let largest = 0;
  for (let k = 0; k < count; k++) {
    const ms = traces.t0_ms + k * traces.dt_ms;
    if (ms >= ARTIFACT_MS[0] && ms <= artifactEnd) continue;
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
  const stack = pieces(model.average, "stack_uv");
  const halves = view.replicates ? pieces(model.average, "halves_uv") : [];
  for (let row = 0; row < at.rows; row++) {
    const column = at.shown[row];
    if (view.noise && noise[column] > 0 && !stack.length) drawBand(c, at, model.average, column, row, 2 * noise[column]);
    const same = model.baseline ? model.baseline.derivations.indexOf(at.names[row]) : -1;
    if (view.baseline && same >= 0) {
      c.strokeStyle = ink.base;
      c.lineWidth = 1.25;
      c.setLineDash([5, 3]);
      drawTrace(c, at, model.baseline, same, row);
      c.setLineDash([]);
    }
    c.lineWidth = 1;
    c.strokeStyle = ink.faint;
    for (const older of stack.slice(0, -1)) drawTrace(c, at, older, column, row);
    c.strokeStyle = ink.trace;
    for (const half of halves) drawTrace(c, at, half, column, row);
    c.lineWidth = 2;
    if (!halves.length) drawTrace(c, at, stack.at(-1) ?? model.average, column, row);
  }
  c.restore();
  drawStimulus(c, at);
  const taken = drawLabels(c, at, model.average, noise);
  drawScales(c, at);
  drawPeaks(c, at, { ...model, average: newest(model.average) }, view, taken);
}

// Of single responses the last one, which the marks belong to; else the average itself.
export function newest(average) {
  return pieces(average, "stack_uv").at(-1) ?? average;
}

// A field (piece, time, derivation) as traces that can be drawn like the mean; [] where there is none.
function pieces(average, key) {
  const field = average[key];
  if (!field || field.shape.length !== 3) return [];
  const [count, rows, columns] = field.shape;
  const part = (k) => field.values.subarray(k * rows * columns, (k + 1) * rows * columns);
  return Array.from({ length: count }, (_, k) => ({ ...average, mean_uv: { shape: [rows, columns], values: part(k) } }));
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
function drawBand(c, at, traces, column, row, half_uv) {
  const [count, rows] = traces.mean_uv.shape;
  const values = traces.mean_uv.values;
  const { left, perRow, middle, perUv } = mapping(at, traces, row);
  const half = half_uv * perUv;
  c.fillStyle = ink.noise;
  c.beginPath();
  for (let k = 0, i = column; k < count; k++, i += rows) c.lineTo(left + k * perRow, middle + (values[i] || 0) * perUv + half);
  for (let k = count - 1, i = k * rows + column; k >= 0; k--, i -= rows) c.lineTo(left + k * perRow, middle + (values[i] || 0) * perUv - half);
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

// Names in the margin, noise on the right, where responses seldom are. Returns the boxes that they take, so that
// the peaks' labels keep clear of them.
function drawLabels(c, at, average, noise) {
  const taken = [];
  c.textBaseline = "middle";
  for (let row = 0; row < at.rows; row++) {
    const top = at.top + row * at.tall + 4;
    c.font = font(Math.min(13, Math.max(9, at.tall - 2)), 600);
    c.fillStyle = ink.text;
    c.textAlign = "left";
    c.fillText(muscle(at.names[row]), 2, at.y(row, 0), at.left - 6);
    if (average.stack_uv || at.tall < 44) continue;
    const noise_uv = noise[at.shown[row]];
    c.font = font(11);
    c.fillStyle = ink.dim;
    c.textAlign = "right";
    taken.push(said(c, noise_uv > 0 ? `noise ${micro(noise_uv)} µV` : "noise unknown", at.right - 3, top, 1));
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
    c.fillText(`${Number(at.steps[at.shown[row]].toPrecision(2))} µV`, x + 9, (head + foot) / 2);
    if (at.tall < 44) continue;
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
