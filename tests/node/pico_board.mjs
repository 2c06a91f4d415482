// An RP2040 in rp2040js: registers as they are told on stdin, converters on its pins, memory to stdout.
// Frames go out bit by bit when SCLK rises; data-ready falls for each. Only enabled state machines are stepped
// (rp2040js steps all of them), and pins change after all of them (it has no synchroniser).
import { readFileSync } from "node:fs";
import { GPIOPinState, LogLevel, RP2040, ConsoleLogger } from "rp2040js";

const { writes, sclk, din, select, drdy, chips, opcodeBits, dumps } = JSON.parse(readFileSync(0, "utf8"));
const rp2040 = new RP2040();
rp2040.logger = new ConsoleLogger(LogLevel.Warn, true);
const [pio] = rp2040.pio;
pio.stopped = false; // else it would run by timers of its own
for (const [address, value] of writes) rp2040.writeUint32(address, value);
pio.checkChangedPins();

const high = (pin) => rp2040.gpio[pin].value === GPIOPinState.High;
let row = 0, at = -1, heard = [];
const clocks = [];
rp2040.gpio[sclk].addListener((state) => {
  if (high(select)) throw new Error("SCLK while no chip is selected");
  if (state === GPIOPinState.High) at += 1;
  else heard.push(Number(high(din)));
});
const step = () => {
  const before = at;
  for (const machine of pio.machines) if (machine.enabled) machine.step();
  pio.checkChangedPins();
  if (at !== before)
    for (const { dout, frames } of chips) {
      const bit = at - opcodeBits, frame = frames[row];
      rp2040.gpio[dout].setInputValue(bit >= 0 && ((frame[bit >> 3] << (bit & 7)) & 0x80) > 0);
    }
  rp2040.clock.tick(8);
};
for (; row < chips[0].frames.length; row += 1) {
  rp2040.gpio[drdy].setInputValue(true);
  for (let k = 0; k < 4; k += 1) step();
  rp2040.gpio[drdy].setInputValue(false);
  at = -1;
  heard = [];
  for (let k = 0; k < 5000 && (k < 20 || !high(select)); k += 1) step();
  clocks.push(parseInt(heard.slice(0, 8).join(""), 2), heard.slice(8).reduce((a, b) => a + b, 0), heard.length);
}
const memory = dumps.map(([address, length]) =>
  Array.from({ length }, (_, k) => rp2040.readUint8(address + k)));
console.log(JSON.stringify({ memory, clocks }));
process.exit(0);
