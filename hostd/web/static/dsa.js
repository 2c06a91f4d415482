// Density spectral array: frequency upwards, time to the right, power as colour. The scale runs from dark blue to
// pale yellow, which every kind of colour vision and a dimmed screen tell apart by lightness alone.

import { font, ink } from "./canvas.js";
import { clock, derivation } from "./text.js";

const LEFT = 34, RIGHT = 6, TOP = 16, BOTTOM = 16;
const LEAST_HIGH = 64;
const LOW_DB = -15, HIGH_DB = 25;
const STOPS = [[0, 4, 20], [30, 24, 96], [92, 44, 132], [178, 58, 102], [236, 112, 60], [250, 196, 90], [252, 250, 200]];

// Left over right where both fit: the first two derivations, each with its edge frequency of `edges_hz`.
export function drawDsas(c, width, height, spectra, seconds, edges_hz) {
  const count = Math.min(spectra.derivations.length, height >= 2 * LEAST_HIGH ? 2 : 1);
  for (let row = 0; row < count; row++) {
    c.save();
    c.translate(0, (row * height) / count);
    drawDsa(c, width, height / count, spectra, row, seconds, edges_hz[row] ?? null);
    c.restore();
  }
}

function drawDsa(c, width, height, spectra, row, seconds, edge_hz) {
  const { rows, hz, derivations } = spectra;
  if (!rows.length) return;
  const wide = width - LEFT - RIGHT, high = height - TOP - BOTTOM;
  if (wide < 40 || high < 16) return;
  const columns = Math.min(rows.length, Math.max(60, Math.floor(wide)));
  const shown = rows.slice(-columns), bins = hz.length;
  const image = new ImageData(shown.length, bins);
  shown.forEach(({ db }, k) => {
    for (let bin = 0; bin < bins; bin++) {
      const value = db[row * bins + bin];
      const at = ((bins - 1 - bin) * shown.length + k) * 4;
      if (Number.isNaN(value)) continue;
      const [r, g, b] = colour((value - LOW_DB) / (HIGH_DB - LOW_DB));
      image.data.set([r, g, b, 255], at);
    }
  });
  const off = new OffscreenCanvas(shown.length, bins);
  off.getContext("2d").putImageData(image, 0, 0);
  c.imageSmoothingEnabled = false;
  c.drawImage(off, LEFT, TOP, wide, high);
  c.font = font(10);
  c.fillStyle = ink.dim;
  c.textBaseline = "middle";
  c.textAlign = "right";
  for (let f = 0; f <= hz.at(-1); f += 10) c.fillText(String(f), LEFT - 4, TOP + high * (1 - f / hz.at(-1)));
  c.textBaseline = "top";
  c.textAlign = "left";
  if (wide > 130 || edge_hz == null) c.fillText(`${derivation(derivations[row] ?? "")}, Hz`, LEFT, 2);
  c.textAlign = "right";
  if (edge_hz != null) c.fillText(`SEF95 ${edge_hz.toFixed(1)} Hz`, width - RIGHT, 2);
  c.textBaseline = "bottom";
  c.fillText(clock(seconds(shown.at(-1).t_ns)), width - RIGHT, height - 2);
  c.textAlign = "left";
  c.fillText(clock(seconds(shown[0].t_ns)), LEFT, height - 2);
}

function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const k = Math.min(Math.floor(at), STOPS.length - 2), f = at - k;
  return STOPS[k].map((low, channel) => low + f * (STOPS[k + 1][channel] - low));
}
