// The top bar and the big word on silence: what is running, what was lost, and whether this is live.

import { put } from "./panel.js";
import { bytes, clock, NONE, wall } from "./text.js";

const by = (id) => document.getElementById(id);

export function drawBar(state) {
  const status = state.latest.status;
  put(by("case"), status?.case ?? NONE);
  put(by("state"), status?.state ?? NONE);
  put(by("source"), sourceOf(status?.source));
  put(by("running"), status ? clock(status.samples / status.rate_hz) : NONE);
  by("running").title = status ? `${status.samples} samples at ${status.rate_hz} per second` : "";
  const lost = status?.lost_samples;
  const gaps = Array.isArray(status?.gaps) ? status.gaps.length : status?.gaps;
  put(by("lost"), lost > 0 ? `${lost} in ${gaps} gap${gaps === 1 ? "" : "s"}` : lost === 0 ? "0" : NONE);
  by("lost-field").classList.toggle("bad", lost > 0);
  const recording = status?.recording?.path ? status.recording : null;
  const trouble = ["slow", "failing"].includes(recording?.state) ? `, disk ${recording.state}` : "";
  put(by("recording"), !status ? NONE : recording ? bytes(recording.bytes) + trouble : "off");
  const missing = recording?.lost_samples > 0;
  by("recording-field").classList.toggle("warn", Boolean(status) && (!recording || recording.state === "slow"));
  by("recording-field").classList.toggle("bad", recording?.state === "failing" || missing);
  by("recording-field").classList.toggle("on", Boolean(recording));
  by("recording-field").title = (recording?.path ?? "") + (missing ? `, ${recording.lost_samples} samples missing` : "");
}

function sourceOf(source) {
  if (source && typeof source === "object") return source.kind ?? source.name ?? NONE;
  return typeof source === "string" ? source : NONE;
}

// `age_ms` null: never heard anything. Says the age in words beside the colour.
export function drawSilence(state, stale, age_ms, connected) {
  document.body.classList.toggle("stale", stale);
  const seconds = age_ms === null ? null : Math.floor(age_ms / 1000);
  put(by("badge-word"), stale ? "No data" : "Live");
  put(by("badge-age"), age_ms === null ? "" : stale ? `for ${seconds} s` : `${Math.max(age_ms / 1000, 0).toFixed(1)} s`);
  document.title = stale ? "No data – evokd" : "evokd";
  if (!stale) return;
  put(by("silence-word"), age_ms === null ? "No data yet" : `No data for ${seconds} s`);
  const why = connected ? "The acquisition is silent." : "No connection to the gateway.";
  const newest = Math.max(0, ...Object.values(state.latest).map((header) => header.utc_ns || 0));
  put(by("silence-why"), newest ? `${why} What you see is from ${wall(newest)} and not live.` : why);
}
