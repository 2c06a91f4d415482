// What is watched beside the tests: the train of four, muscles that scroll, EEG with its density array.

import { Surface } from "./canvas.js";
import { Controls } from "./controls.js";
import { numbers } from "./frame.js";
import { drawDsas } from "./dsa.js";
import { put } from "./panel.js";
import { Scroll } from "./scroll.js";
import { fixed, title } from "./text.js";

export class Watch {
  constructor(name, onResize, asks, onDrawn) {
    this.name = name;
    this.drawn = "";
    this.root = document.createElement("section");
    this.root.className = `watch ${name === "tof" ? "tof" : "wave"}`;
    this.root.dataset.watch = name;
    this.root.innerHTML = name === "tof"
      ? `<header><h2></h2><span class="said"></span><span class="controls"></span></header>
         <div class="bars" role="img"></div>`
      : `<header><h2></h2><span class="said"></span></header>
         <div class="both"><div class="scroll"><canvas role="img"></canvas></div>
         <div class="dsa"><canvas role="img" aria-label="Density spectral array"></canvas></div></div>`;
    this.find = (one) => this.root.querySelector(`.${one}`);
    this.root.querySelector("h2").textContent = name === "tof" ? "Train of four" : title(name);
    this.root.setAttribute("aria-label", this.root.querySelector("h2").textContent);
    if (name === "tof") {
      this.controls = new Controls(this.find("controls"), name, asks, true);
    } else {
      this.scroll = new Scroll(this.find("scroll canvas"));
      this.scroll.onDrawn = onDrawn;
      this.dsa = new Surface(this.find("dsa canvas"), () => {
        this.drawn = "";
        onResize();
      });
    }
  }

  push(header) {
    this.scroll?.push(header);
  }

  show(state) {
    if (this.name === "tof") this.showTof(state);
    else this.showWave(state);
  }

  showTof(state) {
    this.controls.show(state);
    const tof = state.latest.tof;
    const key = `${state.boot} ${tof?.seq}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const counted = tof?.count == null ? "–" : `${tof.count} of 4`;
    const ratio = tof?.ratio == null ? "" : `, T4/T1 ${fixed(tof.ratio * 100, 0)} %`;
    put(this.find("said"), tof ? `${counted}${ratio}${tof.reason ? ` (${tof.reason})` : ""}` : "none yet");
    const most = Math.max(...(tof?.amplitudes_uv ?? []).map((uv) => uv ?? 0), 1);
    const bars = this.find("bars");
    bars.setAttribute("aria-label", tof?.text ?? "No train of four yet");
    bars.replaceChildren(...[0, 1, 2, 3].map((k) => {
      const bar = document.createElement("i");
      const uv = tof?.amplitudes_uv?.[k];
      bar.className = tof?.present?.[k] ? "there" : "gone";
      bar.style.height = `${uv == null ? 2 : Math.max(2, (100 * uv) / most)}%`;
      return bar;
    }));
    const why = document.createElement("p");
    why.textContent = tof ? `MEP ${tof.mep_allowed === false ? `barred: ${tof.mep_why}` : tof.mep_allowed ? "allowed" : "not known"}` : "";
    why.className = tof?.mep_allowed === false ? "bad" : "";
    bars.append(why);
  }

  showWave(state) {
    const wave = state.latest[`wave.${this.name}`];
    const eeg = state.latest.eeg?.test === this.name ? state.latest.eeg : null;
    const emg = wave?.modality === "free_emg" ? newestOf(state, this.name) : null;
    put(this.find("said"), eeg?.text?.replace(/^[^:]*: /, "") ?? emg ?? "");
    const spectra = state.history.spectra;
    const has = eeg !== null && spectra.rows.length > 0;
    this.root.classList.toggle("has-dsa", has);
    const key = `${state.boot} ${spectra.rows.at(-1)?.t_ns} ${this.dsa.width} ${this.dsa.height}`;
    if (!has || key === this.drawn) return;
    const c = this.dsa.begin();
    if (!c) return;
    this.drawn = key;
    const edges = (numbers(eeg.sef95_hz) ?? []).map((edge) => (Array.isArray(edge) ? edge[0] : null));
    drawDsas(c, this.dsa.width, this.dsa.height, spectra, (t_ns) => state.caseSeconds(t_ns), edges);
  }
}

// The newest thing that the muscles of a watch did, for its heading.
function newestOf(state, name) {
  const entry = state.log.find((one) => one.topic === "emg" && one.header.test === name);
  return entry?.header.text ?? null;
}
