// A canvas that follows its box and the screen's pixel density, and the inks that the style sheet names.

const style = getComputedStyle(document.documentElement);
const named = (name) => style.getPropertyValue(`--${name}`).trim();

export const ink = {
  trace: named("trace"), noise: named("noise"), base: named("base"), grid: named("grid"), axis: named("axis"),
  text: named("text"), dim: named("dim"), stim: named("stim"), alarm: named("alarm"), panel: named("panel"),
  faint: named("faint"), faded: named("faded"), warn: named("warn"), ok: named("ok"), low: named("low"),
};
export const FONT = named("font");

export function font(pixels, weight = 400) {
  return `${weight} ${pixels}px ${FONT}`;
}

// Calls `onResize` when the box changes; `begin` gives a cleared context in CSS pixels, or null when unseen.
export class Surface {
  constructor(canvas, onResize) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.width = 0;
    this.height = 0;
    // The observer tells the size after layout; asking for it while drawing would force one.
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.height = Math.floor(entry.contentRect.height);
      onResize();
    }).observe(canvas.parentElement);
  }

  begin() {
    const ratio = window.devicePixelRatio || 1;
    if (this.width < 40 || this.height < 20) return null;
    const [wide, high] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    return this.context;
  }
}
