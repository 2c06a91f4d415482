// The last averages of one derivation that share no sweep, one below the other, oldest on top; single responses
// are shown alike. The baseline lies dashed under the newest, and each carries its time.

import { font, ink } from "./canvas.js";
import { numbers } from "./frame.js";
import { ticks } from "./scale.js";
import { clock, derivation } from "./text.js";
import { drawEmpty } from "./waves.js";

const MARGIN = { left: 52, right: 10, top: 20, bottom: 22 };
const ROWS = 12;
const OVERLAP = 1.6;

// `step_uv` is a division of the waveforms beside it, so that a size means the same in both.
export function drawFall(c, width, height, { average, fall, baseline, name, step_uv, negativeUp, seconds }) {
  const rows = lines(average, fall, name);
  if (!rows.length) return drawEmpty(c, width, height, "No finished average yet");
  const [low, high] = [MARGIN.left, width - MARGIN.right];
  const from = average.t0_ms, to = from + (average.mean_uv.shape[0] - 1) * average.dt_ms;
  const x = (ms) => low + ((ms - from) / (to - from)) * (high - low);
  const tall = (height - MARGIN.top - MARGIN.bottom) / Math.max(rows.length, 6);
  const perUv = ((negativeUp ? 1 : -1) * tall * OVERLAP * 0.3) / step_uv;
  c.font = font(11);
  c.fillStyle = ink.dim;
  c.textBaseline = "top";
  c.textAlign = "left";
  c.fillText(`${derivation(name)}, the last ${rows.length}`, low, 3);
  c.strokeStyle = ink.grid;
  c.lineWidth = 1;
  c.beginPath();
  c.textAlign = "center";
  for (const ms of ticks(from, to, high - low, 52)) {
    c.moveTo(Math.round(x(ms)) + 0.5, MARGIN.top);
    c.lineTo(Math.round(x(ms)) + 0.5, height - MARGIN.bottom);
    c.fillText(String(Math.round(ms * 1000) / 1000).replace("-", "−"), x(ms), height - MARGIN.bottom + 5);
  }
  c.stroke();
  c.save();
  c.beginPath();
  c.rect(low, MARGIN.top - 6, high - low, height - MARGIN.top - MARGIN.bottom + 12);
  c.clip();
  const middle = (k) => MARGIN.top + (k + 0.5) * tall;
  if (baseline) draw(c, baseline, ink.base, middle(rows.length - 1), perUv, x, [5, 3]);
  rows.forEach((row, k) => draw(c, row, k === rows.length - 1 ? ink.trace : ink.faded, middle(k), perUv, x, []));
  c.restore();
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillStyle = ink.dim;
  rows.forEach((row, k) => c.fillText(clock(seconds(row.t_ns)), low - 6, middle(k)));
}

// One row per average or answer: where its values begin and how far they are apart.
function lines(average, fall, name) {
  if (average.stack_uv) {
    const column = average.derivations.indexOf(name);
    const [count, rows, columns] = average.stack_uv.shape;
    return Array.from({ length: count }, (_, k) => ({
      t_ns: k === count - 1 ? average.t_ns : NaN, t0_ms: average.t0_ms, dt_ms: average.dt_ms, count: rows,
      at: (i) => average.stack_uv.values[(k * rows + i) * columns + column],
    }));
  }
  const column = fall.frame?.derivations.indexOf(name) ?? -1;
  if (column < 0) return [];
  const [count, columns] = fall.frame.shape;
  return fall.rows.slice(-ROWS).map(({ t_ns, mean }) => ({
    t_ns, t0_ms: fall.frame.t0_ms, dt_ms: fall.frame.dt_ms, count, at: (i) => mean[i * columns + column],
  }));
}

// The same of a message with a mean, or null.
export function lineOf(traces, name) {
  const column = traces?.derivations.indexOf(name) ?? -1;
  if (column < 0) return null;
  const [count, columns] = traces.mean_uv.shape;
  const values = numbers(traces.mean_uv);
  return { t_ns: NaN, t0_ms: traces.t0_ms, dt_ms: traces.dt_ms, count, at: (i) => values[i * columns + column] };
}

function draw(c, row, colour, middle, perUv, x, dash) {
  c.strokeStyle = colour;
  c.lineWidth = dash.length ? 1.25 : 1.5;
  c.setLineDash(dash);
  c.beginPath();
  let pen = false;
  for (let i = 0; i < row.count; i++) {
    const y = middle + row.at(i) * perUv;
    if (Number.isNaN(y)) pen = false;
    else if (pen) c.lineTo(x(row.t0_ms + i * row.dt_ms), y);
    else c.moveTo(x(row.t0_ms + i * row.dt_ms), y);
    pen = !Number.isNaN(y);
  }
  c.stroke();
  c.setLineDash([]);
}
