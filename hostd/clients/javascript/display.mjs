// A display of an evokd bus in one file: node display.mjs [--report] [--key FILE.secret] [tcp://HOST:PORT]
// Says a line for every average and every alert, and STALE when the bus is silent.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer, Subscriber } from "zeromq";

const VERSION = 1;
const TOPICS = ["beat", "status", "alert", "alarms", "measure.", "average."];
const TYPES = {
  "<f4": Float32Array, "<f8": Float64Array, "<i2": Int16Array, "<i4": Int32Array, "<i8": BigInt64Array, "|u1": Uint8Array,
};
const STALE_MS = 2000, AGAIN_MS = 200, REPORT_MS = 250;

const { values: options, positionals } = parseArgs({
  options: { report: { type: "boolean" }, key: { type: "string" } }, allowPositionals: true,
});
const [, host, port] = /^(.*):(\d+)$/.exec(positionals[0] ?? "tcp://127.0.0.1:5750") ?? [];
if (!host) {
  console.error(`${positionals[0]}: write tcp://HOST:PORT`);
  process.exit(2);
}
const utf8 = new TextDecoder("utf-8", { fatal: true });
let boot = "", holes = 0, ask = false, asked = -Infinity, heard = performance.now(), stale = false;
const shaken = new Set(), oldBoots = new Set(), latest = new Map(), shown = new Map();

// The numbers of one array, row by row; throws when it is none.
function numbers({ dtype, shape, part }, parts) {
  const type = TYPES[dtype];
  if (!type || !Array.isArray(shape) || !shape.every((n) => Number.isInteger(n) && n >= 0)) throw new Error("no array");
  const bytes = new Uint8Array(parts[part]); // a copy, so that it is aligned
  const count = shape.reduce((a, b) => a * b, 1);
  if (!parts[part] || bytes.length !== count * type.BYTES_PER_ELEMENT) throw new Error("a buffer of another length");
  return new type(bytes.buffer);
}

function isArray(value) {
  return value !== null && typeof value === "object" && "dtype" in value && "shape" in value && "part" in value;
}

// For --report: every finite number times its column (from 1), summed.
function digest(arrays) {
  let sum = 0;
  for (const { uv, shape } of arrays) {
    const columns = shape.at(-1);
    uv.forEach((x, k) => { if (Number.isFinite(Number(x))) sum += Number(x) * ((k % columns) + 1); });
  }
  return sum;
}

// Whether a message is newer than what is shown; a hole or another boot asks for the snapshot again.
function isNew(topic, itsBoot, seq) {
  if (itsBoot !== boot) { // the box was started anew: everything known is of another case
    ask ||= boot !== "";
    oldBoots.add(boot);
    boot = itsBoot;
    latest.clear();
    shown.clear();
  }
  const before = latest.get(topic) ?? seq - 1;
  if (seq <= before) return false;
  if (seq > before + 1) {
    holes += seq - before - 1;
    ask = true;
  }
  latest.set(topic, seq);
  return true;
}

function show(topic, h, arrays) {
  if (topic === "alert") console.log(`ALERT ${h.state} ${h.priority}: ${h.text}`);
  if (topic.startsWith("measure.")) {
    const p = h.peaks.find((one) => one.name === h.leading);
    const told = !p ? "" : !p.present ? `${p.name} absent`
      : `${p.name} present at ${p.latency_ms?.toFixed(2)} ms, ${p.amplitude_uv?.toFixed(2)} uV`;
    console.log(`${topic.slice(8)} ${h.n_sweeps} sweeps ${told}`);
  }
  if (topic.startsWith("average.") && arrays.mean_uv.uv.length) {
    const { uv, shape } = arrays.mean_uv; // rows are times, columns derivations
    const first = uv.filter((x, k) => k % shape[1] === 0 && Number.isFinite(x));
    const size = first.reduce((a, x) => Math.max(a, x), -Infinity) - first.reduce((a, x) => Math.min(a, x), Infinity);
    console.log(`${topic.slice(8)} ${h.n_sweeps} sweeps, ${size.toFixed(2)} uV from top to bottom`);
  }
}

function take(topic, h, parts, live) {
  if (h === null || typeof h !== "object" || typeof h.boot !== "string" || !Number.isInteger(h.seq)) throw new Error("no header");
  if (h.v !== VERSION) return console.log(`${topic}: schema version ${h.v}, this display reads ${VERSION}`);
  const arrays = {};
  for (const [key, value] of Object.entries(h)) {
    if (isArray(value)) arrays[key] = { uv: numbers(value, parts), shape: value.shape };
  }
  if (!oldBoots.has(h.boot) && isNew(topic, h.boot, h.seq)) {
    show(topic, h, arrays);
    shown.set(topic, [h.seq, digest(Object.values(arrays))]);
  }
  if (live && h.boot === boot) {
    heard = performance.now();
    stale = false;
  }
}

function attempt(work) {
  try {
    work();
  } catch (error) {
    console.log(`a message that is none: ${error.message}`);
  }
}

function keyed() {
  if (!options.key) return {};
  const of = (name) => new RegExp(`^${name} *= *["'](.*)["']`, "m").exec(readFileSync(options.key, "utf8"))[1];
  return { curvePublicKey: of("public"), curveSecretKey: of("secret"), curveServerKey: of("server") };
}

const control = new Dealer({ linger: 0, immediate: true, sendTimeout: 0, ...keyed() });
control.connect(`${host}:${+port + 1}`);
let sending = Promise.resolve(); // one send at a time, as ZeroMQ wants it
function request(command, args) {
  const frames = ["", encode({ id: command, command, args })];
  sending = sending.then(() => control.send(frames)).catch(() => { if (command === "snapshot") ask = true; });
}

async function listen(offset) {
  const socket = new Subscriber({ linger: 0, receiveHighWaterMark: 10000, ...keyed() }); // never conflate: it aborts on multipart
  socket.events.on("handshake", () => { // subscribed anew: what was said before is in the snapshot
    shaken.add(offset);
    ask = shaken.size === 2;
  });
  socket.subscribe(...TOPICS);
  socket.connect(`${host}:${+port + offset}`);
  for await (const [topic, head, ...parts] of socket) attempt(() => take(utf8.decode(topic), decode(head), parts, true));
}

async function answers() {
  for await (const frames of control) {
    attempt(() => {
      const reply = decode(frames.at(-1));
      if (reply.id !== "snapshot") return;
      if (!reply.ok) ask = true; // it was busy
      for (const m of reply.result?.messages ?? []) attempt(() => take(m.topic, m.header, m.parts, false));
    });
  }
}

setInterval(() => {
  const now = performance.now();
  if (!stale && now - heard > STALE_MS) {
    stale = true;
    console.log(`STALE: nothing for ${STALE_MS / 1000} s; what stands above is old`);
  }
  if (ask && now - asked > AGAIN_MS) {
    ask = false;
    asked = now;
    request("snapshot", {});
  }
}, 50);
if (options.report) {
  setInterval(() => request("client.report", { boot, stale, holes, latest: Object.fromEntries(shown), topics: TOPICS }), REPORT_MS);
}
await Promise.all([listen(0), listen(2), answers()]);
