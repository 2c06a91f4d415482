"""One to four converters brought up over the registers' bus: the datasheet's order and waits, all read back.

The tables are the box's own (evokd/registers.py, generated). Sources: facts/hardware.md 1.2, 1.6. Frames are
not read here: from START on the pins belong to the state machines.
"""

import time

import machine

from evokd import pins, settings
from evokd import registers as table
from evokd.faults import Refused

TRIES = 3
WAKEUP, SDATAC, RESET, RDATAC = (table.OPCODES[name] for name in ("WAKEUP", "SDATAC", "RESET", "RDATAC"))
RREG, WREG = table.OPCODES["RREG"], table.OPCODES["WREG"]


class Converter:
    """Chip number `k` on its own select; `part` is what its ID says once it was reset."""

    def __init__(self, k):
        self._k = k
        self.attach()
        self._where = "chip %d: " % (k + 1)
        self.part = None
        self._held = b""

    def attach(self):
        """Take the pins for the registers' bus; no frame may be under way. No edge shows at a pin by that."""
        k = self._k
        self._select = machine.Pin(pins.SELECT + k, machine.Pin.OUT, value=1)
        self._bus = machine.SoftSPI(
            baudrate=table.REGISTER_HZ,
            polarity=0,
            phase=1,
            bits=8,
            firstbit=machine.SoftSPI.MSB,
            sck=machine.Pin(pins.SCLK),
            mosi=machine.Pin(pins.DIN),
            miso=machine.Pin(pins.DOUT + k),
        )

    def _exchange(self, mosi):
        """One chip-select window; it stays low for 4 tCLK after the last byte."""
        reply = bytearray(len(mosi))
        self._select(0)
        self._bus.write_readinto(mosi, reply)
        time.sleep_us(table.DECODE_US)
        self._select(1)
        time.sleep_us(table.DECODE_US)
        return reply

    def command(self, opcode, wait_us=table.DECODE_US):
        """Send one command and give the chip time to take it in."""
        self._exchange(bytes([opcode]))
        time.sleep_us(wait_us)

    def read(self, first, count):
        """Bytes of `count` registers from `first` on."""
        return self._exchange(bytes([RREG | first, count - 1]) + bytes(count))[2:]

    def reset(self):
        """From any state to reset values, registers open. Refused when the ID or a reset value is wrong."""
        self.command(WAKEUP)
        self.command(SDATAC)
        self.command(RESET, table.RESET_US)
        for _ in range(TRIES):
            self.command(SDATAC)
            got = self.read(0, 1)[0]
            found = settings.part_of(got)
            if found is not None:
                break
        else:
            self._refuse("ID", table.LIKELY_ID, got, table.diagnose(table.LIKELY_ID, got, None))
        self.name, self.part = found, table.PARTS[found]
        self._held = self.read(0, self.part["registers"])
        for address, expected in enumerate(self.part["reset"]):
            watched = self.part["writable"][address] & ~self.part["live"][address]
            if (self._held[address] ^ expected) & watched:
                name = settings.names(self.name)[address] + " after RESET"
                self._refuse(name, expected, self._held[address], table.NOT_RESET)

    def configure(self, rate_hz, gain, in_use):
        """Registers for recording `in_use` channels, each read back, then all once more."""
        for address, byte in settings.recording(self.name, rate_hz, gain, in_use):
            self.write(address, byte)
            if address == table.CONFIG3:
                time.sleep_us(table.REFERENCE_US)
        got = self.read(0, self.part["registers"])
        for address, byte in enumerate(got):
            if (byte ^ self._held[address]) & ~self.part["live"][address]:
                cause = table.diagnose(self._held[address], byte, self.part["reset"][address])
                self._refuse(settings.names(self.name)[address], self._held[address], byte, cause)

    def held(self, addresses):
        """What stands in registers, as far as it was written."""
        return [self._held[address] for address in addresses]

    def write(self, address, byte):
        """One register, read back; bits that the part does not let write keep their value."""
        writable = self.part["writable"][address]
        sent = self._held[address] & ~writable & 0xFF | byte & writable
        self._exchange(bytes([WREG | address, 0, sent]))
        got = self.read(address, 1)[0]
        if (got ^ sent) & ~self.part["live"][address]:
            before = self._held[address] if self._held[address] != sent else None
            self._refuse(settings.names(self.name)[address], sent, got, table.diagnose(sent, got, before))
        self._held[address] = got

    def _refuse(self, name, expected, got, cause):
        raise Refused("fault", self._where + table.complaint(name, expected, got, cause))


def bring_up(rate_hz, gain, channels, least, continuous):
    """Converters for `channels` in all, `least` chips: a list of them, all of one part. Refused if not.

    START is low meanwhile, so that all begin together with `begin`.
    """
    machine.Pin(pins.START, machine.Pin.OUT, value=0)
    machine.Pin(pins.RESET, machine.Pin.OUT, value=1)
    every = [Converter(k) for k in range(pins.MOST_CHIPS)]  # no select may float
    time.sleep_us(table.POWER_UP_US)
    chips, left = [], channels
    while left > 0 or len(chips) < least:
        if len(chips) == pins.MOST_CHIPS:
            raise Refused(
                "config",
                "%d channels wanted, %d chips have %d; remove some" % (channels, len(chips), channels - left),
            )
        chip = every[len(chips)]
        chip.reset()
        if chips and chip.name != chips[0].name:
            raise Refused(
                "fault",
                "chip %d: expected %s, got %s: frames are read from all chips at once; fit one kind"
                % (len(chips) + 1, chips[0].name, chip.name),
            )
        chip.configure(rate_hz, gain, max(0, min(left, chip.part["channels"])))
        left -= chip.part["channels"]
        chips.append(chip)
    if continuous:
        for chip in chips:
            chip.command(RDATAC)
    return chips


def begin(on):
    """START: conversions run, of all chips together."""
    machine.Pin(pins.START, machine.Pin.OUT, value=int(on))


def silence():
    """RESET, of all chips, once they have power: a board that starts anew leaves no current in anybody's
    electrodes."""
    time.sleep_us(table.POWER_UP_US)
    pin = machine.Pin(pins.RESET, machine.Pin.OUT, value=0)
    time.sleep_us(table.RESET_US)
    pin(1)
