// The badge and the big word: live, with the age of what is shown, or no data, since when and why.

import { by } from "./dom.js";
import { put } from "./panel.js";

// `age_ms` null: never heard anything. Says the age in words beside the colour, and when a `mirror` of the box is heard.
export function saySilence(stale, age_ms, why, mirror = "") {
  document.body.classList.toggle("stale", stale);
  const seconds = age_ms === null ? null : Math.floor(age_ms / 1000);
  put(by("badge-word"), stale ? "No data" : mirror ? "Live by mirror" : "Live");
  put(by("badge-age"), age_ms === null ? "" : stale ? `for ${seconds} s` : `${Math.max(age_ms / 1000, 0).toFixed(1)} s`);
  if (!stale) return;
  put(by("silence-word"), age_ms === null ? "No data yet" : `No data for ${seconds} s`);
  put(by("silence-why"), mirror ? `${why} Its mirror ${mirror} does not hear the box either.` : why);
}
