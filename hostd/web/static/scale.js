// Steps of 1, 2, 5 for axes and gains. Pure functions and one small memory for the gain's hysteresis.

// The smallest of 1, 2, 5 x 10^n that is not below `value`.
export function step125(value) {
  if (!(value > 0)) return 1;
  const decade = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 5, 10]) if (step * decade >= value * 0.999999) return step * decade;
  return 10 * decade;
}

export function stepBelow(step) {
  const decade = 10 ** Math.floor(Math.log10(step * 1.000001));
  const lead = Math.round(step / decade);
  return lead === 1 ? decade / 2 : lead === 2 ? decade : 2 * decade;
}

// Divisions from a row's middle to its edge; a response may use them all.
const DIVISIONS = 1.6;

// Microvolts per division: grows at once, shrinks only when the response fits well into the next step.
export class Gains {
  constructor() {
    this.held = new Map();
  }

  update(key, need_uv) {
    const held = this.held.get(key);
    if (!(need_uv > 0)) return held ?? 1;
    const least_uv = need_uv / DIVISIONS;
    let step_uv = held ?? step125(least_uv);
    if (least_uv > step_uv) step_uv = step125(least_uv);
    while (least_uv < 0.8 * stepBelow(step_uv)) step_uv = stepBelow(step_uv);
    this.held.set(key, step_uv);
    return step_uv;
  }
}

export function ticks(lo, hi, pixels, apart) {
  const step = step125(((hi - lo) * apart) / Math.max(pixels, 1));
  const found = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-6; k++) found.push(k * step);
  return found;
}

// A tick step for seconds of case time that a clock reader expects.
export function clockStep(span_s, pixels, apart) {
  const wanted = (span_s * apart) / Math.max(pixels, 1);
  for (const step of [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200]) if (step >= wanted) return step;
  return 14400;
}
