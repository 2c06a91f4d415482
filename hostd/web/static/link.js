// The WebSocket to the gateway: connects, reconnects, and knows how old the newest data can be at most.
// The age is measured with this page's own clock: the gateway says how long the bus has been silent and gives
// back our ping, so a silent daemon, a dead gateway, a cut network and a clogged one all make the age grow.

import { decode } from "./frame.js";

const PING_MS = 500;
const RETRY_MS = [250, 500, 1000, 2000];

export class Link {
  constructor(onMessage) {
    this.onMessage = onMessage;
    this.socket = null;
    this.tries = 0;
    this.freshAt = null; // performance.now() at which the newest data were certainly fresh
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
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.ping();
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      setTimeout(() => this.connect(), RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)]);
      this.tries += 1;
    };
  }

  ping() {
    if (this.connected) this.socket.send(JSON.stringify({ ping: performance.now() }));
  }

  receive(data) {
    if (!(data instanceof ArrayBuffer)) return;
    const message = decode(data);
    if (message.topic !== "gateway") {
      this.onMessage(message);
      return;
    }
    const { bus_age_ms: silent, ping } = message.header;
    if (silent !== null && ping !== null) this.freshAt = ping - silent;
    else if (silent === null) this.freshAt = null;
  }
}
