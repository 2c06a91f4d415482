import { Subscriber } from "zeromq";
import { decode } from "@msgpack/msgpack";
const bus = new Subscriber();
bus.connect(process.argv[2] ?? "tcp://127.0.0.1:5752");
bus.subscribe("average.");
for await (const [topic, head, ...parts] of bus) {
  const { mean_uv, n_sweeps, noise_uv } = decode(head);
  const uv = new Float32Array(new Uint8Array(parts[mean_uv.part]).buffer);
  const first = uv.filter((_, k) => k % mean_uv.shape[1] === 0);
  const size_uv = Math.max(...first) - Math.min(...first);
  console.log(`${topic} ${n_sweeps} sweeps, noise ${noise_uv[0]?.toFixed(2)} uV, ${size_uv.toFixed(2)} uV peak to peak`);
}
