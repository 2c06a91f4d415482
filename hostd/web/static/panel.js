// One test on the page: heading, controls, progress, waveforms, waterfall, table of peaks, trends. Owns its DOM
// and nothing else.

import { Surface } from "./canvas.js";
import { Controls } from "./controls.js";
import { numbers } from "./frame.js";
import { buildPanel } from "./panel_dom.js";
import { peakRow } from "./peak_table.js";
import { leadingPeak, unjudged } from "./state.js";
import { drawEmpty, drawWaves, layout } from "./waves.js";
import { Trends } from "./trends.js";
import { drawFall, lineOf } from "./waterfall.js";
import { ago, fixed, micro, NONE, title } from "./text.js";

const STIM_RECENT_MS = 5000;
const ROWS_WHEN_SMALL = 4;
const ROWS_OF_ANSWERS = 12;
const SMALL = 320;

export class Panel {
  // `asks` does what a button wants (see controls.js).
  constructor(test, number, onResize, asks) {
    this.test = test;
    this.at = null;
    this.dirty = true;
    this.drawnTrend = "";
    this.chosen = null; // derivation of the waterfall, null for the leading peak's
    this.root = buildPanel(test, number);
    this.find = (name) => this.root.querySelector(`.${name}`);
    const resized = () => {
      this.dirty = true;
      onResize();
    };
    this.waves = new Surface(this.find("waves canvas"), resized);
    this.fall = new Surface(this.find("fall canvas"), resized);
    this.trends = new Trends(this.find("trend"));
    this.controls = new Controls(this.find("controls"), test, asks);
  }

  // Redraws from `state`; `steps` are the pair's microvolts per division.
  // A message that cannot be drawn blanks this panel and says so: an old picture must not stay behind.
  draw(state, view, steps) {
    this.dirty = false;
    try {
      this.drawAll(state, view, steps);
    } catch (error) {
      console.error(this.test, error);
      this.at = null;
      this.find("peaks").replaceChildren();
      const c = this.waves.begin();
      if (c) drawEmpty(c, this.waves.width, this.waves.height, "This average cannot be drawn");
    }
  }

  drawAll(state, view, steps) {
    const model = {
      average: drawable(state.latest[`average.${this.test}`]),
      baseline: drawable(state.baselineOf(this.test)),
      measure: state.latest[`measure.${this.test}`] ?? null,
    };
    this.say(state, model);
    const c = this.waves.begin();
    if (c && model.average) {
      const shown = this.rows(model, view);
      this.at = layout(this.waves.width, this.waves.height, model.average, steps, view.negativeUp, shown);
      drawWaves(c, this.at, model, view);
    } else if (c) {
      this.at = null;
      drawEmpty(c, this.waves.width, this.waves.height, "No average yet");
    }
    if (view.fall || view.alone) this.drawFall(state, view, model, steps);
    this.drawTrends(state, leadingPeak(model.measure));
  }

  // Which derivations: all that fit, else those that peaks are measured in and the one that is followed.
  rows({ average, measure }, view) {
    const all = average.derivations.map((_, k) => k);
    const most = average.stack_uv ? ROWS_OF_ANSWERS : ROWS_WHEN_SMALL;
    if (view.alone || this.waves.height > SMALL || all.length <= most) return all;
    const named = new Set((measure?.peaks ?? []).map((peak) => peak.derivation));
    if (measure?.choice?.followed) named.add(measure.choice.followed);
    const wanted = all.filter((k) => named.has(average.derivations[k]));
    return (wanted.length ? wanted : all).slice(0, most);
  }

  drawFall(state, view, { average, baseline, measure }, steps) {
    const c = this.fall.begin();
    if (!c || !average) return;
    const leading = leadingPeak(measure)?.derivation;
    const name = [this.chosen, leading].find((one) => average.derivations.includes(one)) ?? average.derivations[0];
    drawFall(c, this.fall.width, this.fall.height, {
      average, name, fall: state.history.fall(this.test), baseline: view.baseline ? lineOf(baseline, name) : null,
      step_uv: steps[average.derivations.indexOf(name)], negativeUp: view.negativeUp,
      seconds: (t_ns) => state.caseSeconds(t_ns),
    });
  }

  // Another derivation for the waterfall: the next, or the one before.
  choose(average, by) {
    const names = average?.derivations ?? [];
    if (!names.length) return;
    const at = Math.max(0, names.indexOf(this.chosen));
    this.chosen = names[(at + by + names.length) % names.length];
    this.dirty = true;
  }

  // Only when it has new points: most redraws are of the waveforms alone.
  drawTrends(state, first) {
    const marks = state.log.filter(isMark).map((entry) => entry.header.t_ns);
    const trend = state.history.trend(this.test);
    const key = [state.boot, Boolean(state.latest.status), trend.length, trend.newest_ns, marks.length, marks[0],
      first?.baseline_amplitude_uv, first?.baseline_latency_ms].join(" ");
    if (key === this.drawnTrend || this.root.hidden) return;
    this.drawnTrend = key;
    this.trends.show(trend, first, marks.map((t_ns) => state.caseSeconds(t_ns)), (t_ns) => state.caseSeconds(t_ns));
  }

  say(state, { average, baseline, measure }) {
    const testing = state.latest.status?.tests?.[this.test];
    put(this.find("site"), average?.site && average.site !== title(this.test).toLowerCase() ? average.site : "");
    put(this.find("pill"), typeof testing === "string" ? testing : "");
    const worst = state.activeAlerts().find((a) => a.test === this.test);
    this.root.dataset.alarm = worst?.priority ?? "";
    this.sayProgress(average, measure);
    this.sayAges(state);
    this.find("peaks").replaceChildren(...(measure?.peaks ?? []).map((peak) => peakRow(peak, average)));
    this.find("waves canvas").setAttribute("aria-label", describe(this.test, average, baseline, measure));
    const plugs = state.latest[`plugs.${this.test}`];
    const trouble = plugs && !["waiting", "ok", "unsure"].includes(plugs.state);
    put(this.find("notice"), trouble ? plugs.text : measure?.control?.present === false ? measure.control.text : "");
  }

  sayProgress(average, measure) {
    const bar = this.find("progress");
    bar.max = average?.sweeps_target > 0 ? average.sweeps_target : 1;
    bar.value = average?.sweeps_target > 0 ? Math.min(average.n_sweeps, average.sweeps_target) : 0;
    put(this.find("sweeps"), average ? `${average.n_sweeps}` : NONE);
    put(this.find("target"), average?.sweeps_target > 0 ? ` / ${average.sweeps_target}` : "");
    put(this.find("rejected"), average ? `${average.n_rejected}` : NONE);
    put(this.find("effective"), average ? effective(average.n_effective) : NONE);
    const band = numbers(average?.band_hz);
    put(this.find("band"), band ? `${band[0]}–${band[1]} Hz` : average ? "unfiltered" : NONE);
    put(this.find("verdict-in"), untilVerdict(measure?.verdict));
  }

  // How old the average and the last proven stimulus are, in acquisition time.
  sayAges(state) {
    const stim = state.stims.get(this.test) ?? null;
    const missing_ms = stim ? (state.newest_ns - stim.t_ns) / 1e6 : NaN;
    const proof = this.find("proof");
    const recent = missing_ms < STIM_RECENT_MS;
    proof.dataset.ok = recent ? String(stim.verified === true) : "";
    put(proof, !stim ? "no stimulus seen" : !recent ? `no stimulus for ${ago(missing_ms)}`
      : stim.verified === true ? `stimulus proven${strength(stim)}` : "stimulus NOT proven");
    const header = state.latest[`average.${this.test}`];
    const age_ms = header ? Math.max(0, (state.newest_ns - header.t_ns) / 1e6) : NaN;
    put(this.find("age"), header ? `${header.final === true ? "complete, " : ""}${ago(age_ms)} old` : NONE);
    this.controls.show(state);
  }
}

// What people noted and when alerts began: a line each in the trends.
function isMark({ topic, header }) {
  if (topic === "alert") return header.state === "raised" || header.state === "confirmed";
  return topic === "event" && header.author !== "auto" && !/^(test|stim|baseline|checklist)/.test(header.kind ?? "");
}

// Only what was measured: what was commanded may be volts.
function strength(stim) {
  return stim.current_ma == null ? "" : `, ${micro(stim.current_ma)} mA`;
}

function untilVerdict(verdict) {
  if (!verdict || verdict.done || verdict.seconds_left == null) return verdict ? `verdict: ${verdict.decision}` : "";
  return `verdict in ${Math.ceil(verdict.seconds_left)} s`;
}

// Only an average whose array came through whole can be drawn.
export function drawable(average) {
  return average && average.mean_uv && average.mean_uv.shape.length === 2
    && average.mean_uv.shape[1] === average.derivations.length && average.mean_uv.shape[0] > 1 ? average : null;
}

function effective(field) {
  const list = (numbers(field) ?? [field]).filter((value) => typeof value === "number" && Number.isFinite(value));
  if (!list.length) return NONE;
  const lo = Math.round(Math.min(...list)), hi = Math.round(Math.max(...list));
  return lo === hi ? `${lo}` : `${lo}–${hi}`;
}

function describe(test, average, baseline, measure) {
  if (!average) return `${title(test)}: no average yet`;
  const said = (measure?.peaks ?? []).map((peak) =>
    peak.present ? `${peak.name} ${fixed(peak.latency_ms, 1)} ms ${micro(peak.amplitude_uv)} µV` : `${peak.name} ${unjudged(peak) ? "open" : "absent"}`);
  return `${title(test)}: average of ${average.n_sweeps} sweeps${baseline ? " over its baseline" : ""}; ${said.join(", ")}`;
}

// Writes only what changed: untouched text costs no layout.
export function put(element, said) {
  if (element.textContent !== said) element.textContent = said;
}
