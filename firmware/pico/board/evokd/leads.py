"""The current in the electrodes: written into the converters between two frames, for a host that measures.

Owns the order of things: lock stimulation, wait until nothing is in flight, stop reading, write and read
back, read on. What falls into those milliseconds is a gap "missed". The host computes; when it is silent or
gone the current ends. Registers, currents and who may have them are the box's own (evokd/registers.py).
"""

import gc
import time

from evokd import registers as table
from evokd.faults import Refused
from evokd.messages import LOCK_IMPEDANCE, NOT_SEEN, Excite, Excited, Fault, Lockout, Reply

TRIES = 3
AT_LAST_MS = 100
"""So long a change waits for a pause between two blocks; then it costs what the host has not taken."""
RETRY_MS = 1000
LOFF = table.EXCITATION[0]
BACK = tuple(reversed(table.EXCITATION))
"""Currents end first; only then may the frequency go (ADS1298)."""
OFF = Excite(0, 0, 0.0, 0, 0, 0)


class Leads:
    """Of `chips` (evokd.converter) whose first `channels` inputs are in use; `say` takes an answer.

    `ask` and `end` say what is wanted; `due` says when `change` may do it. `told` is to be told before the
    first block that was read after the change.
    """

    def __init__(self, chips, reader, acquisition, pulses, orders, rate_hz, channels, say):
        self._chips, self._reader, self._acquisition = chips, reader, acquisition
        self._pulses, self._orders, self._say = pulses, orders, say
        self._part, self._name = chips[0].part, chips[0].name
        self._rate_hz, self._channels = rate_hz, channels
        self._before = [chip.held(table.EXCITATION) for chip in chips]
        self._order = self._flows = None
        self._since_ms = 0
        self._apart = False
        self.told = []

    def ask(self, command):
        """The host wants this current, or none: a refusal, "" when that is so, None: told when it is done."""
        if command.current_na:
            refusal = self._refuse(command)
            if refusal:
                return refusal
        if self._order is not None:
            self._say(Reply(self._order.command, "another current was asked for before it began"))
        elif not command.current_na and self._flows is None:
            return ""
        self._lock(1)
        self._want(command, 0)
        return None

    def end(self):
        """The host is silent or gone: no current any more, and nobody waits for an answer."""
        if self._flows is not None:
            self._want(OFF, 0)
        elif self._order is not None:
            self._order = None
            self._lock(0)

    def due(self):
        """Whether a change is to be made now: nothing is in flight, and all that was read before the last one
        was taken, unless the host lets it wait."""
        if self._order is None or not self._pulses.quiet():
            return False
        waited_ms = time.ticks_diff(time.ticks_ms(), self._since_ms)
        return waited_ms > AT_LAST_MS or (waited_ms >= 0 and self._acquisition.whole())

    def change(self):
        """Do what is wanted. Refused when reading does not go on."""
        order, self._order = self._order, None
        gc.collect()  # now, and not between two edges
        try:
            at = self._reader.pause()
        except Refused as error:
            self.told += self._failed(order, error.text)
            return
        self._acquisition.held(at)
        why = self._write(order)
        first = self._reader.resume()
        self._acquisition.resumed(first)
        if order.current_na and not why:
            self.told += self._begun(order, at)
        elif self._apart:
            self._flows = self._flows or (order.command, at)
            self.told += self._failed(order, why)
        else:
            self.told += self._ended(order, first + table.SETTLING, why)

    def abort(self):
        """Nothing is read any more: registers back, whatever the converters answer; they are reset next."""
        if self._flows is not None or self._apart:
            self._attach()
            self._restore()

    def _refuse(self, command):
        """Why this current must not flow, or cannot."""
        tones = self._part["tones"][self._rate_hz]
        if command.current_na not in self._part["lead_off"]:
            known = ", ".join([str(na) for na in sorted(self._part["lead_off"])])
            return "the %s has no lead-off current of %d nA: use one of %s" % (
                self._name,
                command.current_na,
                known,
            )
        if command.frequency_hz not in tones:
            known = ", ".join(["%g" % hz for hz in sorted(tones) if hz])
            return "the %s excites at %s Hz here, not %g; use one of them" % (
                self._name,
                known,
                command.frequency_hz,
            )
        if not command.sense_p | command.sense_n or (command.sense_p | command.sense_n) >> self._channels:
            return "leads %x and %x: bits of %d channels are expected" % (
                command.sense_p,
                command.sense_n,
                self._channels,
            )
        return table.refuse_current(command.current_na, False, bool(command.phantom))

    def _want(self, command, after_ms):
        self._order, self._since_ms = command, time.ticks_ms() + after_ms

    def _lock(self, on):
        self._orders.take(Lockout(0, LOCK_IMPEDANCE, on))

    def _attach(self):
        for chip in self._chips:
            chip.attach()

    def _write(self, order):
        """Registers for `order`; why that failed, or "". Then none is changed, or they stand `_apart`."""
        self._attach()
        if not order.current_na:
            return self._restore()
        try:
            self._excite(order)
        except Refused as error:
            again = self._restore()
            return error.text + ("; and the registers are not back: " + again if again else "")
        return ""

    def _excite(self, order):
        code = self._part["tones"][self._rate_hz][order.frequency_hz]
        loff = self._part["lead_off"][order.current_na][code]
        count = self._part["channels"]
        self._apart = True
        for k, chip in enumerate(self._chips):
            bits = (1 << count) - 1
            values = (loff, 0, order.sense_p >> k * count & bits, order.sense_n >> k * count & bits)
            for address, byte in zip(table.EXCITATION, values):
                chip.write(address, byte)
        self._apart = False

    def _restore(self):
        """Every chip as it was, even when another cannot be; the first failure, or ""."""
        failure = ""
        for chip, before in zip(self._chips, self._before):
            held = dict(zip(table.EXCITATION, before))
            for attempt in range(TRIES):
                try:
                    for address in BACK:
                        chip.write(address, held[address])
                    break
                except Refused as error:
                    if attempt == TRIES - 1:
                        failure = failure or error.text
        self._apart = bool(failure)
        return failure

    def _begun(self, order, at):
        began = [] if self._flows is not None else [Excited(order.command, at, NOT_SEEN)]
        self._flows = self._flows or (order.command, at)
        return began + [Reply(order.command, "")]

    def _ended(self, order, end, why):
        over = [] if self._flows is None else [Excited(self._flows[0], self._flows[1], end)]
        self._flows = None
        self._lock(0)
        return over + [Reply(order.command, why)] * bool(order.command)

    def _failed(self, order, why):
        """It could not be done: while a current may flow, ending it is tried until it works."""
        said = [Reply(order.command, why)] * bool(order.command)
        if self._flows is None:
            self._lock(0)
            return said
        self._want(OFF, RETRY_MS)
        text = "the lead-off registers are not back, currents may flow; tried again: " + why
        return said + [Fault("impedance", text, 0)] * bool(order.command)
