// How numbers are said. Anything that is not a finite number is an en dash, never a zero.

export const NONE = "–";
const MINUS = "\u2212";

export function fixed(value, digits) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  return value.toFixed(digits).replace("-", MINUS);
}

export function signed(value, digits) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  const said = fixed(value, digits);
  if (Number(value.toFixed(digits)) === 0) return (0).toFixed(digits);
  return value > 0 ? `+${said}` : said;
}

// Three significant digits at most, as an amplitude or noise is said.
export function micro(value) {
  const size = Math.abs(value);
  return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// How far an interval reaches: ± 0.40, or +1.90 −0.90 where it reaches twice as far up as down, or ± would say
// below zero what is not.
export function spread(value, interval) {
  if (!interval || interval.length !== 2 || !Number.isFinite(value)) return "";
  const below = value - interval[0], above = interval[1] - value;
  if (!Number.isFinite(below + above)) return "";
  const half = (above + below) / 2;
  const even = 3 * Math.abs(above - below) <= 2 * half && (half <= value || interval[0] < 0);
  return even ? `± ${micro(half)}` : `+${micro(above)} −${micro(below)}`;
}

export function clock(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const whole = Math.floor(Math.max(seconds, 0));
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export function wall(utc_ns) {
  if (!Number.isFinite(utc_ns)) return NONE;
  return new Date(utc_ns / 1e6).toLocaleTimeString([], { hour12: false });
}

export function bytes(count) {
  if (!Number.isFinite(count)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let k = 0;
  for (; count >= 1000 && k < units.length - 1; k++) count /= 1000;
  return `${count.toFixed(k && count < 100 ? 1 : 0)} ${units[k]}`;
}

export function ago(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 120 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min`;
}

export function title(name) {
  const spaced = name.replace(/[-_]+/g, " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

// A pair of electrodes over one muscle by the muscle alone: TAR1-TAR2 is TAR.
export function muscle(name) {
  const pair = /^(.{2,})1-(?:\1)2$/.exec(name);
  return pair ? pair[1] : derivation(name);
}

// A derivation with a real minus sign between its electrodes.
export function derivation(name) {
  return name.replace(/-/g, MINUS);
}
