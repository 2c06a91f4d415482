// One test on the page: heading, progress, waveforms, table of peaks, trend. Owns its DOM and nothing else.

import { Surface } from "./canvas.js";
import { numbers } from "./frame.js";
import { leadingPeak, unjudged } from "./state.js";
import { drawEmpty, drawWaves, layout } from "./waves.js";
import { drawTrend } from "./trendplot.js";
import { ago, derivation, fixed, micro, NONE, signed, spread, title } from "./text.js";

const STIM_RECENT_MS = 5000;

export class Panel {
  constructor(test, number, onResize) {
    this.test = test;
    this.at = null;
    this.dirty = true;
    this.drawnTrend = "";
    this.root = build(test, number);
    this.find = (name) => this.root.querySelector(`.${name}`);
    const resized = () => {
      this.dirty = true;
      onResize();
    };
    this.waves = new Surface(this.find("waves canvas"), resized);
    this.trend = new Surface(this.find("trend canvas"), resized);
  }

  // Redraws both canvases and the texts from `state`; `steps` are the pair's microvolts per division.
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
      average: shown(state.latest[`average.${this.test}`]),
      baseline: state.baselineOf(this.test),
      measure: state.latest[`measure.${this.test}`] ?? null,
    };
    this.say(state, model);
    const c = this.waves.begin();
    if (c && model.average) {
      this.at = layout(this.waves.width, this.waves.height, model.average, steps, view.negativeUp);
      drawWaves(c, this.at, model, view);
    } else if (c) {
      this.at = null;
      drawEmpty(c, this.waves.width, this.waves.height, "No average yet");
    }
    this.drawTrend(state, leadingPeak(model.measure));
  }

  // Only when it has new points: most redraws are of the waveforms alone.
  drawTrend(state, first) {
    const marks = state.log.filter((entry) => entry.topic === "event").map((entry) => entry.header.t_ns);
    const rows = state.trend(this.test).rows;
    const key = [state.boot, Boolean(state.latest.status), rows.length, rows.at(-1)?.[0], marks.length, marks[0],
      this.trend.width, this.trend.height, window.devicePixelRatio].join(" ");
    if (key === this.drawnTrend) return;
    const t = this.trend.begin();
    if (!t) return;
    this.drawnTrend = key;
    drawTrend(t, this.trend.width, this.trend.height, state.trend(this.test), first, marks, (t_ns) => state.caseSeconds(t_ns));
  }

  say(state, { average, baseline, measure }) {
    const testing = state.latest.status?.tests?.[this.test];
    put(this.find("site"), average?.site ?? "");
    put(this.find("pill"), typeof testing === "string" ? testing : "");
    this.root.classList.toggle("alarmed", state.activeAlerts().some((a) => a.test === this.test && a.priority === "high"));
    this.sayProgress(average);
    this.sayAges(state);
    this.find("peaks").replaceChildren(...(measure?.peaks ?? []).map((peak) => peakRow(peak, average)));
    this.find("waves canvas").setAttribute("aria-label", describe(this.test, average, baseline, measure));
  }

  sayProgress(average) {
    const bar = this.find("progress");
    bar.max = average?.sweeps_target > 0 ? average.sweeps_target : 1;
    bar.value = average?.sweeps_target > 0 ? Math.min(average.n_sweeps, average.sweeps_target) : 0;
    put(this.find("sweeps"), average ? `${average.n_sweeps}` : NONE);
    put(this.find("target"), average?.sweeps_target > 0 ? ` / ${average.sweeps_target}` : "");
    put(this.find("rejected"), average ? `${average.n_rejected}` : NONE);
    put(this.find("effective"), average ? effective(average.n_effective) : NONE);
    const band = numbers(average?.band_hz);
    put(this.find("band"), band ? `${band[0]}–${band[1]} Hz` : average ? "unfiltered" : NONE);
  }

  // How old the average and the last proven stimulus are, in acquisition time.
  sayAges(state) {
    const stim = state.stims.get(this.test) ?? null;
    const missing_ms = stim ? (state.newest_ns - stim.t_ns) / 1e6 : NaN;
    const proof = this.find("proof");
    const recent = missing_ms < STIM_RECENT_MS;
    proof.dataset.ok = recent ? String(stim.verified === true) : "";
    put(proof, !stim ? "no stimulus seen" : !recent ? `no stimulus for ${ago(missing_ms)}`
      : stim.verified === true ? "stimulus proven" : "stimulus NOT proven");
    const header = state.latest[`average.${this.test}`];
    const age_ms = header ? Math.max(0, (state.newest_ns - header.t_ns) / 1e6) : NaN;
    put(this.find("age"), header ? `${header.final === true ? "complete, " : ""}${ago(age_ms)} old` : NONE);
  }
}

function build(test, number) {
  const root = document.createElement("section");
  root.className = "panel";
  root.tabIndex = 0;
  root.dataset.test = test;
  root.setAttribute("aria-label", title(test));
  root.innerHTML = `
    <header>
      <h2><span class="name"></span> <span class="site"></span></h2>
      <span class="proof" data-ok=""></span><span class="pill"></span>
    </header>
    <progress class="progress" max="1" value="0"></progress>
    <p class="facts"><span><b class="sweeps"></b><span class="target"></span> sweeps</span>
      <span><b class="rejected"></b> rejected</span><span><b class="effective"></b> effective</span>
      <span class="band"></span><span class="age"></span></p>
    <div class="waves"><canvas role="img"></canvas></div>
    <table>
      <thead><tr><th scope="col">Peak</th><th scope="col">Latency ms</th><th scope="col">Amplitude µV</th>
        <th scope="col" title="latency against the baseline">Δ ms</th><th scope="col" title="amplitude against the baseline">Δ %</th>
        <th scope="col">State</th></tr></thead>
      <tbody class="peaks"></tbody>
    </table>
    <div class="trend"><canvas role="img" aria-label="Trend of the leading peak"></canvas></div>`;
  root.querySelector(".name").textContent = title(test);
  root.querySelector("h2").title = `${test}: press ${number} to enlarge`;
  root.querySelector(".progress").setAttribute("aria-label", `Sweeps of ${title(test)}`);
  return root;
}

// Only an average whose array came through whole can be drawn.
function shown(average) {
  return average && average.mean_uv && average.mean_uv.shape.length === 2
    && average.mean_uv.shape[1] === average.derivations.length && average.mean_uv.shape[0] > 1 ? average : null;
}

function effective(field) {
  const list = (numbers(field) ?? [field]).filter((value) => typeof value === "number" && Number.isFinite(value));
  if (!list.length) return NONE;
  const lo = Math.round(Math.min(...list)), hi = Math.round(Math.max(...list));
  return lo === hi ? `${lo}` : `${lo}–${hi}`;
}

function peakRow(peak, average) {
  const row = document.createElement("tr");
  const cell = (said, small, name) => {
    const td = document.createElement("td");
    td.append(said);
    if (small) {
      td.append(" ", document.createElement("small"));
      td.lastChild.textContent = small;
    }
    if (name) td.className = name;
    row.append(td);
    return td;
  };
  cell(peak.name, derivation(peak.derivation), "peak");
  if (peak.present) {
    const shift_ms = peak.latency_ms != null && peak.baseline_latency_ms != null ? peak.latency_ms - peak.baseline_latency_ms : NaN;
    cell(fixed(peak.latency_ms, 2), spread(peak.latency_ms, numbers(peak.latency_ci_ms)));
    cell(micro(peak.amplitude_uv), spread(peak.amplitude_uv, numbers(peak.amplitude_ci_uv)));
    cell(signed(shift_ms, 2));
    cell(signed(peak.change_pct, 0));
    cell("present", "", "verdict");
    return row;
  }
  if (unjudged(peak)) {
    cell(`needs 16 sweeps`, "", "against").colSpan = 4;
    cell("open", "", "verdict");
    return row;
  }
  row.className = peak.baseline_amplitude_uv == null ? "unseen" : "absent";  // lost is red, not yet seen is not
  const noise = peak.noise_uv ?? (numbers(average?.noise_uv) ?? [])[average?.derivations.indexOf(peak.derivation) ?? -1];
  const was = peak.baseline_amplitude_uv == null ? "" : `, was ${micro(peak.baseline_amplitude_uv)} µV`;
  cell(`against noise ${micro(noise)} µV${was}`, "", "against").colSpan = 4;
  cell("absent", "", "verdict");
  return row;
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
