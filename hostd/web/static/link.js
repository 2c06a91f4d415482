// The WebSocket to the gateway: connects, reconnects, asks, and knows how old the newest data can be at most.
// The age is measured with this page's own clock: the gateway says how long the bus has been silent and gives
// back our ping, so a silent daemon, a dead gateway, a cut network and a clogged one all make the age grow.

import { decode } from "./frame.js";

const PING_MS = 500;
const RETRY_MS = [250, 500, 1000, 2000];
const ANSWER_MS = 8000;

export class Link {
  // `hears`: by topic what is for one part of the page; everything else goes to `onMessage`. `view` "wall" or "".
  constructor(onMessage, hears = {}, view = "") {
    this.onMessage = onMessage;
    this.hears = hears;
    this.socket = null;
    this.tries = 0;
    this.freshAt = null; // performance.now() at which the newest data were certainly fresh
    this.broken = 0; // frames that could not be read
    this.asked = new Map();
    this.number = 0;
    this.wants = new Set();
    this.onOpen = () => {};
    this.box = new URLSearchParams(location.search).get("box") ?? "";
    this.view = view;
    setInterval(() => this.ping(), PING_MS);
    this.connect();
  }

  get connected() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  // Upper bound of the age of what is shown, in ms; null before any data.
  age() {
    return this.freshAt === null ? null : performance.now() - this.freshAt;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = new URLSearchParams();
    if (this.box) query.set("box", this.box);
    if (this.view) query.set("view", this.view);
    const socket = new WebSocket(`${scheme}://${location.host}/ws${query.size ? `?${query}` : ""}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.ping();
      if (this.wants.size) this.say({ want: [...this.wants] });
      this.onOpen();
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      for (const { fail } of this.asked.values()) fail("the connection was lost before the box answered");
      this.asked.clear();
      setTimeout(() => this.connect(), RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)]);
      this.tries += 1;
    };
  }

  say(what) {
    if (this.connected) this.socket.send(JSON.stringify(what));
    return this.connected;
  }

  ping() {
    this.say({ ping: performance.now() });
  }

  // Asks for what the gateway sends only on request ("emg.audio", "halves"), or no longer.
  want(topic, on) {
    if (on) this.wants.add(topic);
    else this.wants.delete(topic);
    this.say({ want: [...this.wants] });
  }

  // One control request; resolves with the result, rejects with the box's words.
  ask(command, args = {}) {
    return new Promise((done, reject) => {
      const id = ++this.number;
      const timer = setTimeout(() => this.asked.get(id)?.fail("the box did not answer"), ANSWER_MS);
      const settle = (finish) => (value) => {
        clearTimeout(timer);
        this.asked.delete(id);
        finish(value);
      };
      this.asked.set(id, { done: settle(done), fail: settle((text) => reject(new Error(text))) });
      if (!this.say({ ask: { id, command, args } })) this.asked.get(id).fail("there is no connection to the gateway");
    });
  }

  receive(data) {
    if (!(data instanceof ArrayBuffer)) return;
    let message;
    try {
      message = decode(data);
    } catch (error) {
      this.broken += 1;
      console.warn("a frame could not be read", error);
      return;
    }
    const { topic, header } = message;
    if (topic === "gateway") this.heard(header);
    else if (topic === "reply") this.answered(header);
    else if (this.hears[topic]) this.hears[topic](header);
    else this.onMessage(message);
  }

  answered(header) {
    const waiting = this.asked.get(header.id);
    if (!waiting) return;
    if (header.ok) waiting.done(header.result ?? {});
    else waiting.fail(header.error?.message ?? "refused");
  }

  heard({ bus_age_ms: silent, ping, mirror }) {
    this.mirror = mirror ?? "";
    if (silent !== null && ping !== null) this.freshAt = ping - silent;
    else if (silent === null) this.freshAt = null;
  }
}
