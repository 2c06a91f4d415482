// The top bar: what is running, what was lost, and why there may be nothing new.

import { by } from "./dom.js";
import { put } from "./panel.js";
import { saySilence } from "./silence.js";
import { bytes, clock, fixed, micro, NONE, wall } from "./text.js";

export function drawBar(state) {
  const status = state.latest.status;
  put(by("case"), status?.name ?? status?.case ?? NONE);
  by("case").title = status?.case ?? "";
  const phase = state.latest.case;
  put(by("state"), phase?.phase ?? status?.state ?? NONE);
  by("state-field").dataset.phase = phase?.phase ?? "";
  by("state-field").title = steps(phase);
  put(by("source"), sourceOf(status?.source));
  put(by("running"), status ? clock(status.samples / status.rate_hz) : NONE);
  by("running").title = status ? `${status.samples} samples at ${status.rate_hz} per second` : "";
  const lost = status?.lost_samples;
  const gaps = Array.isArray(status?.gaps) ? status.gaps.length : status?.gaps;
  put(by("lost"), lost > 0 ? `${lost} in ${gaps} gap${gaps === 1 ? "" : "s"}` : lost === 0 ? "0" : NONE);
  by("lost-field").classList.toggle("bad", lost > 0);
  drawRecording(status);
  drawMains(state.latest.mains);
  drawLeads(state.latest.impedance, status?.leads);
  drawStimulation(status);
}

function drawRecording(status) {
  const recording = status?.recording?.path ? status.recording : null;
  const trouble = ["slow", "failing"].includes(recording?.state) ? `, disk ${recording.state}` : "";
  put(by("recording"), !status ? NONE : recording ? bytes(recording.bytes) + trouble : "off");
  const missing = recording?.lost_samples > 0;
  const field = by("recording-field").classList;
  field.toggle("warn", Boolean(status) && (!recording || recording.state === "slow"));
  field.toggle("bad", recording?.state === "failing" || missing);
  field.toggle("on", Boolean(recording));
  by("recording-field").title = (recording?.path ?? "") + (missing ? `, ${recording.lost_samples} samples missing` : "");
}

function drawMains(mains) {
  const level = mains?.amplitude_uv?.[0];
  put(by("mains"), !mains ? NONE : mains.hz == null ? "none seen" : `${micro(level)} µV`);
  const worst = Object.entries(mains?.tests ?? {}).filter(([, one]) => one.locked).map(([test]) => test);
  by("mains-field").classList.toggle("warn", worst.length > 0);
  by("mains-field").title = mains?.hz ? `${fixed(mains.hz, 3)} Hz${worst.length ? `; rate locked: ${worst.join(", ")}` : ""}` : "";
}

function drawLeads(impedance, leads) {
  const off = [...(leads?.off ?? []), ...(leads?.railed ?? [])];
  const ohms = (impedance?.leads ?? []).map((lead) => lead.ohm).filter((ohm) => typeof ohm === "number");
  const worst = ohms.length ? `≤ ${fixed(Math.max(...ohms) / 1000, 1)} kΩ` : "not measured";
  put(by("leads"), leads?.measuring ? "measuring" : off.length ? `${off.length} off` : impedance ? worst : leads ? "not measured" : NONE);
  by("leads-field").classList.toggle("bad", off.length > 0);
  by("leads-field").title = off.length ? `off: ${off.join(", ")}` : "click for every electrode";
}

function drawStimulation(status) {
  const stimulation = status?.stimulation;
  const running = Object.entries(status?.tests ?? {}).filter(([, one]) => one === "running").length;
  const armed = Object.keys(stimulation?.armed_s ?? {}).length;
  const locks = stimulation?.locks ?? [];
  const said = locks.length ? `locked: ${locks.join(", ")}` : armed ? `${armed} armed` : running ? `${running} running` : "stopped";
  put(by("stimulation"), status ? said : NONE);
  by("stimulation-field").classList.toggle("warn", locks.length > 0 || armed > 0);
  by("stimulation-field").classList.toggle("bad", stimulation?.never_seen > 0);
  by("stimulation-field").title = stimulation?.never_seen > 0 ? `${stimulation.never_seen} pulses never came back in the samples` : "";
}

function steps(phase) {
  const open = (phase?.steps ?? []).filter((one) => ["waiting", "not measured", "nothing"].includes(one.state));
  return open.length ? `set-up still wants: ${open.map((one) => `${one.step} ${one.test}`.trim()).join(", ")}` : "";
}

function sourceOf(source) {
  if (source && typeof source === "object") return source.kind ?? source.name ?? NONE;
  return typeof source === "string" ? source : NONE;
}

// Why there is nothing new, and from when what is seen is.
export function drawSilence(state, stale, age_ms, { connected, mirror }) {
  document.title = stale ? "No data – evokd" : titleOf(state);
  const why = !connected ? "No connection to the gateway; trying again."
    : state.latest.status?.state === "closed" ? "The case is closed." : "The acquisition is silent: is evokd running?";
  const newest = Math.max(0, ...Object.values(state.latest).map((header) => header.utc_ns || 0));
  saySilence(stale, age_ms, newest ? `${why} What you see is from ${wall(newest)} and not live.` : why, mirror);
}

function titleOf(state) {
  const worst = state.activeAlerts()[0];
  return worst && ["high", "medium"].includes(worst.priority) ? `${worst.priority === "high" ? "!!!" : "!!"} ${worst.test} – evokd` : "evokd";
}
