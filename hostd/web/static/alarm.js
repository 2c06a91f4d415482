// Alarm sounds after IEC 60601-1-8: bursts of pulses by priority, as the box's `alarms` says that displays are to
// sound. High: ten pulses in two groups of five, medium three, low two; each pulse a fundamental with its
// harmonics. A browser makes no sound before somebody has touched the page: until then this says so.

// [pulse s, gaps between pulses in pulse-spacings, spacing s, pause between bursts s, fundamental Hz]
const BURSTS = {
  high: { pulse: 0.12, spacing: 0.1, gaps: [1, 1, 2.4, 1, 5, 1, 1, 2.4, 1], every: 3.2, hz: [523, 659, 784] },
  medium: { pulse: 0.18, spacing: 0.18, gaps: [1, 1], every: 3.6, hz: [440, 523, 659] },
  low: { pulse: 0.18, spacing: 0.2, gaps: [1], every: 16, hz: [392, 330] },
};
const HARMONICS = [1, 0.6, 0.45, 0.35, 0.25];
const LOUDNESS = 0.18;
const EDGE_S = 0.02;
const JUST_MS = 300;

// When each pulse of a burst begins, in seconds from its start.
export function pulses(priority) {
  const { pulse, spacing, gaps } = BURSTS[priority];
  const starts = [0];
  for (const gap of gaps) starts.push(starts.at(-1) + pulse + spacing * gap);
  return starts.map((start, k) => ({ start, length: pulse, hz: BURSTS[priority].hz[k % BURSTS[priority].hz.length] }));
}

export function everySeconds(priority) {
  return pulses(priority).at(-1).start + BURSTS[priority].pulse + BURSTS[priority].every;
}

export class Alarm {
  constructor() {
    this.context = null;
    this.on = true;
    this.sounding = null;
    this.next = 0;
    this.bursts = 0;
    this.unlockedAt = -Infinity;
    setInterval(() => this.tick(), 100);
  }

  // Called from a click or key: browsers allow sound from then on.
  unlock() {
    if (typeof AudioContext !== "function") return;
    if (this.blocked) this.unlockedAt = performance.now();
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume().catch(() => {});
  }

  // On or off; the act that first allowed sound only turns it on.
  toggle() {
    this.on = performance.now() - this.unlockedAt < JUST_MS ? true : !this.on;
  }

  get blocked() {
    return this.context === null || this.context.state !== "running";
  }

  // `alarms` of the box, or null; a silent box sounds for itself (see main.js).
  set(priority) {
    if (priority !== this.sounding) this.next = 0;
    this.sounding = BURSTS[priority] ? priority : null;
  }

  tick() {
    if (!this.sounding || !this.on || this.blocked) return;
    const now = this.context.currentTime;
    if (now < this.next) return;
    this.next = now + everySeconds(this.sounding);
    this.bursts += 1;
    for (const pulse of pulses(this.sounding)) this.play(now + 0.05 + pulse.start, pulse);
  }

  play(at, { length, hz }) {
    const gain = this.context.createGain();
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(LOUDNESS, at + EDGE_S);
    gain.gain.setValueAtTime(LOUDNESS, at + length - EDGE_S);
    gain.gain.linearRampToValueAtTime(0, at + length);
    gain.connect(this.context.destination);
    HARMONICS.forEach((size, k) => {
      const tone = this.context.createOscillator(), part = this.context.createGain();
      tone.frequency.value = hz * (k + 1);
      part.gain.value = size / 2;
      tone.connect(part).connect(gain);
      tone.start(at);
      tone.stop(at + length);
    });
  }
}
