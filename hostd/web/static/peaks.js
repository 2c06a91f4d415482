// Draws the peaks on the waveforms: marker and interval where present, a dashed ring where absent,
// and a small open triangle where the baseline had it. Labels move out of each other's way.

import { font, ink } from "./canvas.js";
import { numbers } from "./frame.js";
import { fixed } from "./text.js";
import { unjudged } from "./state.js";
import { backdrop } from "./waves.js";

const LABEL_HIGH = 17;

// `taken` are the boxes of labels already drawn.
export function drawPeaks(c, at, model, view, taken) {
  const peaks = model.measure?.peaks ?? [];
  for (const peak of peaks) taken.push(...markerBox(at, model, peak));
  for (const peak of peaks) {
    const row = at.names.indexOf(peak.derivation);
    if (row < 0) continue;
    if (view.baseline && model.baseline && peak.baseline_latency_ms != null) {
      drawBaselinePeak(c, at, model.baseline, peak, row);
    }
    if (peak.present && peak.latency_ms != null) drawPresent(c, at, model.average, peak, row, taken);
    else if (!peak.present) drawAbsent(c, at, model.average, peak, row, taken);
  }
}

// What a peak's mark covers, the present one's or its baseline's: no label may hide it.
function markerBox(at, model, peak) {
  const row = at.names.indexOf(peak.derivation);
  const traces = peak.present ? model.average : model.baseline;
  const ms = peak.present ? peak.latency_ms : peak.baseline_latency_ms;
  if (row < 0 || !traces || ms == null) return [];
  const x = at.x(ms), y = at.y(row, valueAt(traces, peak.derivation, ms));
  const size = peak.present ? 5 : 11;
  return [{ left: x - 2, right: x + 2, top: y - size, bottom: y + size }];
}

// The trace's value at a time, between its two neighbours; 0 outside.
export function valueAt(traces, name, ms) {
  const [count, rows] = traces.mean_uv.shape;
  const column = traces.derivations.indexOf(name);
  const k = (ms - traces.t0_ms) / traces.dt_ms;
  const low = Math.floor(k);
  if (column < 0 || low < 0 || low + 1 >= count) return 0;
  const values = traces.mean_uv.values;
  return values[low * rows + column] * (1 - k + low) + values[(low + 1) * rows + column] * (k - low);
}

function drawPresent(c, at, average, peak, row, taken) {
  const uv = valueAt(average, peak.derivation, peak.latency_ms);
  const x = at.x(peak.latency_ms), y = at.y(row, uv);
  const interval = numbers(peak.latency_ci_ms);
  c.strokeStyle = ink.text;
  c.lineWidth = 1.5;
  if (interval) {
    const lo = at.x(interval[0]), hi = at.x(interval[1]);
    c.beginPath();
    c.moveTo(lo, y);
    c.lineTo(hi, y);
    for (const end of [lo, hi]) {
      c.moveTo(end, y - 4);
      c.lineTo(end, y + 4);
    }
    c.stroke();
  }
  c.fillStyle = ink.text;
  c.beginPath();
  c.arc(x, y, 3.2, 0, 2 * Math.PI);
  c.fill();
  const out = y <= at.y(row, 0) ? -1 : 1;
  label(c, at, taken, x, y, out, nameOf(peak), fixed(peak.latency_ms, 1), ink.text);
}

function drawAbsent(c, at, average, peak, row, taken) {
  const ms = peak.baseline_latency_ms;
  if (unjudged(peak) || ms == null) return;  // never seen: there is no place to mark
  const x = at.x(ms), y = at.y(row, valueAt(average, peak.derivation, ms));
  c.strokeStyle = ink.alarm;
  c.lineWidth = 1.5;
  c.setLineDash([3, 3]);
  c.beginPath();
  c.arc(x, y, 8, 0, 2 * Math.PI);
  c.stroke();
  c.setLineDash([]);
  label(c, at, taken, x, y + 8, 1, nameOf(peak), "absent", ink.alarm);
}

// A muscle's answer has the name of its row, which stands beside it already.
function nameOf(peak) {
  return peak.name === peak.derivation ? "" : peak.name;
}

// Only where it is apart from the present one: a pair of marks on one spot says less than one.
function drawBaselinePeak(c, at, baseline, peak, row) {
  if (peak.present && Math.abs(at.x(peak.latency_ms) - at.x(peak.baseline_latency_ms)) < 6) return;
  const uv = valueAt(baseline, peak.derivation, peak.baseline_latency_ms);
  const x = at.x(peak.baseline_latency_ms), y = at.y(row, uv);
  const out = y <= at.y(row, 0) ? -1 : 1;
  c.strokeStyle = ink.base;
  c.lineWidth = 1.5;
  c.beginPath();
  c.moveTo(x, y + out * 3);
  c.lineTo(x - 4.5, y + out * 10);
  c.lineTo(x + 4.5, y + out * 10);
  c.closePath();
  c.stroke();
}

// Beyond the peak if there is room, else beside it, else on its other side.
function label(c, at, taken, x, y, out, name, said, colour) {
  c.font = font(13, 700);
  const bold = name ? c.measureText(name).width : -5;
  c.font = font(12);
  const wide = bold + 5 + c.measureText(said).width;
  const beyond = out < 0 ? y - 8 - LABEL_HIGH : y + 8;
  const opposite = out < 0 ? y + 12 : y - 12 - LABEL_HIGH;
  const places = [[x - wide / 2, beyond], [x + 12, beyond], [x - 12 - wide, beyond], [x + 12, y - LABEL_HIGH / 2], [x - 12 - wide, y - LABEL_HIGH / 2],
    [x - wide / 2, beyond + out * LABEL_HIGH], [x - wide / 2, opposite], [x + 12, beyond + out * LABEL_HIGH]];
  const boxes = places.map(([left, top]) => boxAt(at, left, top, wide));
  const box = boxes.find((tried) => !taken.some((other) => overlap(tried, other))) ?? boxes[0];
  taken.push(box);
  backdrop(c, box.left - 3, box.top, wide + 6, LABEL_HIGH);
  c.fillStyle = colour;
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.font = font(13, 700);
  c.fillText(name, box.left, box.top + LABEL_HIGH / 2);
  c.font = font(12);
  c.fillText(said, box.left + bold + 5, box.top + LABEL_HIGH / 2);
}

function boxAt(at, left, top, wide) {
  const inside = Math.min(Math.max(left, at.left + 3), at.right - wide - 3);
  const below = Math.min(Math.max(top, 1), at.bottom - LABEL_HIGH);
  return { left: inside, right: inside + wide, top: below, bottom: below + LABEL_HIGH };
}

function overlap(a, b) {
  return a.left < b.right + 4 && b.left < a.right + 4 && a.top < b.bottom && b.top < a.bottom;
}
