// The muscles' sound: `emg.audio` played as it comes, a tenth of a second behind. What was lost is silence of its
// length; what comes too late is left out, so that the sound never lags behind the picture.

const BEHIND_S = 0.1;
const LATEST_S = 0.3;

export class MuscleSound {
  // `link` is asked for the topic only while somebody listens.
  constructor(link) {
    this.link = link;
    this.context = null;
    this.on = false;
    this.base = null; // context time of sample 0
    this.boot = "";
    this.played = this.left_out = 0;
  }

  toggle() {
    this.on = !this.on;
    if (this.on && typeof AudioContext === "function") {
      this.context ??= new AudioContext({ latencyHint: "interactive" });
      this.context.resume().catch(() => {});
    }
    this.base = null;
    this.link.want("emg.audio", this.on);
    return this.on;
  }

  take({ samples, rate_hz, first_index, boot }) {
    if (!this.on || !this.context || this.context.state !== "running" || !samples || !(rate_hz > 0)) return;
    const now = this.context.currentTime;
    if (boot !== this.boot) this.base = null;
    this.boot = boot;
    this.base ??= now + BEHIND_S - first_index / rate_hz;
    let at = this.base + first_index / rate_hz;
    if (at < now || at > now + LATEST_S) {
      // Clocks drift and networks stall: begin anew a tenth of a second from now.
      this.left_out += at < now ? samples.values.length : 0;
      this.base = now + BEHIND_S - first_index / rate_hz;
      at = now + BEHIND_S;
    }
    const buffer = this.context.createBuffer(1, samples.values.length, rate_hz);
    const channel = buffer.getChannelData(0);
    for (let k = 0; k < channel.length; k++) channel[k] = samples.values[k] / 32768;
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    source.start(at);
    this.played += channel.length;
  }
}
