// Live traces of muscles or EEG, drawn the way a monitor does: the pen runs across and writes over what is older.
// Only what is new is drawn, a little every frame, so that thirty-two channels cost next to nothing. What was
// lost on the way is left empty.

import { font, ink } from "./canvas.js";
import { step125 } from "./scale.js";
import { muscle } from "./text.js";

const SPAN_S = { free_emg: 10, eeg: 10 };
const LEFT = 84, TOP = 4, BOTTOM = 4;
const ERASE = 14;
const HEADROOM = 3;
const EVERY = 7; // of the values, to tell how large they are
const CATCH_UP = 4; // frames in which what has arrived is on the screen

export class Scroll {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.width = this.height = 0;
    this.waiting = [];
    this.backlog = 0;
    this.pace = 1; // rows a frame
    this.frame = null;
    this.step_uv = 0;
    this.largest = [];
    this.lastSeq = null;
    this.boot = "";
    this.onDrawn = null; // called with a message's header once its last sample is on the screen
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.height = Math.floor(entry.contentRect.height);
      this.clear();
    }).observe(canvas.parentElement);
  }

  // Takes a `wave` message in; `reset` by itself when derivations or the box's start are others.
  push(header) {
    if (!header.uv || header.uv.shape.length !== 2) return;
    const frame = JSON.stringify([header.derivations, header.rate_hz, header.rows_per, header.boot]);
    if (frame !== this.frame) {
      this.frame = frame;
      this.header = header;
      this.step_uv = 0;
      this.largest = [];
      this.waiting = [];
      this.backlog = 0;
      this.clear();
    }
    const [rows] = header.uv.shape;
    this.waiting.push({ header, at: 0, rows });
    this.backlog += rows;
    this.pace = Math.ceil(this.backlog / CATCH_UP);
    const most = this.span() * 2;
    while (this.backlog > most) this.backlog -= this.waiting.shift().rows;
  }

  span() {
    const { rate_hz, modality } = this.header; // of the rows, not of the samples
    return (SPAN_S[modality] ?? 10) * rate_hz;
  }

  clear() {
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(this.width * ratio), high = Math.round(this.height * ratio);
    if (wide < 80 || high < 20) return;
    this.canvas.width = wide;
    this.canvas.height = high;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.last = null;
    if (this.header) this.labels();
  }

  // Microvolts per row's half, from the sizes of the last seconds; a change begins a clean screen.
  gain() {
    const sizes = this.largest.slice(-40).sort((a, b) => a - b);
    const usual = sizes[Math.floor((sizes.length - 1) * 0.8)] ?? 0;
    const wanted = step125(Math.max(usual * HEADROOM, this.header.modality === "free_emg" ? 50 : 10));
    if (wanted > this.step_uv || wanted < this.step_uv / 4) {
      this.step_uv = wanted;
      this.clear();
    }
  }

  labels() {
    const c = this.context, count = this.header.derivations.length;
    const tall = (this.height - TOP - BOTTOM) / count;
    c.clearRect(0, 0, LEFT, this.height);
    c.font = font(Math.min(12, Math.max(8, tall - 2)), 600);
    c.textAlign = "left";
    c.textBaseline = "middle";
    c.fillStyle = ink.text;
    this.header.derivations.forEach((name, k) => c.fillText(muscle(name), 2, TOP + (k + 0.5) * tall, LEFT - 8));
    c.font = font(10);
    c.fillStyle = ink.dim;
    c.textAlign = "right";
    c.textBaseline = "bottom";
    c.fillText(`±${this.step_uv || 0} µV`, this.width - 4, this.height - 2);
  }

  // Draws a part of what waits; true when anything was drawn.
  draw() {
    if (!this.waiting.length || this.width < 120 || this.height < 24) return false;
    let rows = this.pace;
    if (this.waiting[0].at === 0) this.measure(this.waiting[0].header);
    if (!this.step_uv) this.gain();
    while (rows > 0 && this.waiting.length) {
      const first = this.waiting[0];
      const take = Math.min(rows, first.rows - first.at);
      this.stretch(first.header, first.at, take);
      first.at += take;
      rows -= take;
      this.backlog -= take;
      if (first.at < first.rows) continue;
      this.waiting.shift();
      this.onDrawn?.(first.header);
      if (this.waiting.length) this.measure(this.waiting[0].header);
      this.gain();
    }
    return true;
  }

  // How large most of a message is: all but the largest twentieth, so that a stimulus, which is short and in few
  // channels, does not flatten the muscles.
  measure({ uv, low_uv }) {
    const sizes = [];
    for (const field of [uv, low_uv]) {
      for (let k = 0; field && k < field.values.length; k += EVERY) if (field.values[k] === field.values[k]) sizes.push(Math.abs(field.values[k]));
    }
    sizes.sort((a, b) => a - b);
    this.largest.push(sizes[Math.floor((sizes.length - 1) * 0.95)] ?? 0);
    if (this.largest.length > 120) this.largest.shift();
  }

  stretch({ uv, low_uv, first_index, rows_per }, at, take) {
    const c = this.context, count = uv.shape[1];
    const span = this.span(), wide = this.width - LEFT - 4;
    const tall = (this.height - TOP - BOTTOM) / count;
    const begin = first_index / rows_per + at;
    const x = (row) => LEFT + (((row % span) + span) % span) * (wide / span);
    const from = x(begin), to = from + (take * wide) / span;
    c.clearRect(from, 0, Math.min(to - from + ERASE, this.width - from), this.height - 14);
    c.clearRect(from, this.height - 14, Math.min(to - from + ERASE, this.width - from - 60), 14);
    const joined = this.last && this.last.row === begin && from > LEFT + 0.5;
    c.strokeStyle = ink.trace;
    c.lineWidth = 1;
    c.beginPath();
    const kept = new Float32Array(count);
    for (let k = 0; k < count; k++) {
      const middle = TOP + (k + 0.5) * tall, perUv = -(tall * 0.5) / this.step_uv;
      let pen = joined && !Number.isNaN(this.last.y[k]);
      if (pen) c.moveTo(this.last.x, this.last.y[k]);
      for (let i = 0; i < take; i++) {
        const value = uv.values[(at + i) * count + k];
        const y = within(middle + value * perUv, middle, tall), here = from + (i * wide) / span;
        if (here > LEFT + wide) break;
        if (Number.isNaN(y)) pen = false;
        else if (pen) c.lineTo(here, y);
        else c.moveTo(here, y);
        pen = !Number.isNaN(y);
        if (low_uv && pen) c.lineTo(here, within(middle + low_uv.values[(at + i) * count + k] * perUv, middle, tall));
        kept[k] = y;
      }
    }
    c.stroke();
    this.last = { row: begin + take, x: from + ((take - 1) * wide) / span, y: kept };
  }
}

// What is larger than the scale ends at its row's edge, and overlaps the next by half a row at most.
function within(y, middle, tall) {
  return Number.isNaN(y) ? y : Math.min(Math.max(y, middle - tall * 0.75), middle + tall * 0.75);
}
