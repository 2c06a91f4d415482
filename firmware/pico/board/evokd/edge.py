"""The coprocessor's edge: one host at a time on the USB port, commands in, blocks out.

The same talk as the box's edge (firmware/session.py). Owns the order of things in one round: what must not
wait (pulses, silence), what the host said, what there is to say, then a block. Acquisition outlives every
host; what nobody takes for 250 ms is a gap. Outputs idle low from the start.
"""

import sys
import time

import machine

from evokd import converter, limits, pins, programs, status, who
from evokd.acquisition import Acquisition
from evokd.arbiter import LOCKS, hush
from evokd.faults import Refused
from evokd.leads import Leads
from evokd.messages import (
    ALL_PLANS,
    LEADS_HOST_OWN,
    LEADS_HOST_SHARED,
    LOCK_IMPEDANCE,
    TABLE,
    VERSION,
    Configure,
    Description,
    Excite,
    Fault,
    Heartbeat,
    Hello,
    ImpedanceStart,
    ImpedanceStop,
    LeadWatch,
    Lockout,
    Reply,
    Start,
    StimArm,
    StimLimits,
    StimPlan,
    StimStop,
)
from evokd.orders import Orders
from evokd.pulses import Pulses
from evokd.reader import Reader
from evokd.registers import SINC3_DELAY
from evokd.serial import Port
from evokd.stimulator import Stimulator
from evokd.telling import events
from evokd.wire import Receiver, Sender, why_not

SILENCE_MS = int(limits.HEARTBEAT_TIMEOUT_S * 1000)
STALE = "the host was silent until just now, and nobody knows how old this is; ask again"
AHEAD_MS = 20
"""Stimuli are handed to the state machines so early: longer than this interpreter is ever busy."""
STATE_MS = 250
WATCHDOG_MS = 2000
IDLE_MS = 1
COMMANDS = (StimPlan, StimStop, StimArm, StimLimits, Lockout)
MEASURES = (ImpedanceStart, ImpedanceStop, LeadWatch)
HOST_LOCKS = (2, 4)
LEAVE_MS = 100
"""The last words need so long to the host."""
STAY = "/stay"
"""A file by which `main.py` knows that the prompt is wanted."""


class Edge:
    """What the board is to its host. `identity`: the image's name, in the Description's source."""

    def __init__(self, port, identity):
        self._port, self._identity = port, identity
        self._sender, self._receiver = Sender(), Receiver()
        self._boot = who.boot()
        self._wanted = self._description = self._acquisition = None
        self._reader = self._pulses = self._orders = self._leads = None
        self._greeted = self._started = self._running = False
        self._said = []
        self._heard_ms = time.ticks_ms()
        self._listening = False
        self._doubted_ms = None
        self._state_ms, self._told = self._heard_ms, None

    def round(self):
        """One round; False when there was nothing to do."""
        self._listen()
        if self._running:
            self._watch()
        self._port.send()
        if self._running:
            self._change()
        if not self._port.idle():
            return True
        if self._said:
            self._port.begin(self._sender.frame(self._said.pop(0)))
            return True
        return self._started and self._deliver()

    def _listen(self):
        data = self._port.read()
        if not data:
            return
        messages = self._receiver.feed(data)
        # Not by the ticks alone: they come round, and after 6 to 12 days of silence it would seem none.
        silent = not self._listening or time.ticks_diff(time.ticks_ms(), self._heard_ms) > SILENCE_MS
        if messages and self._started and silent:
            self._doubted_ms = time.ticks_ms()
        for message in messages:
            self._heard_ms, self._listening = time.ticks_ms(), True
            self._hear(message)

    def _stale(self):
        """Whether what comes may have waited on the way: the host was silent, and has not been heard for as
        long again (firmware/session.py)."""
        if self._doubted_ms is not None and time.ticks_diff(time.ticks_ms(), self._doubted_ms) >= SILENCE_MS:
            self._doubted_ms = None
        return self._doubted_ms is not None

    def _watch(self):
        """What cannot wait: pulses, a silent host, what the arbiter holds."""
        now_ms = time.ticks_ms()
        if self._listening and time.ticks_diff(now_ms, self._heard_ms) > SILENCE_MS:
            self._listening = False
            hush(self._pulses)
            self._leads.end()
        self._acquisition.watch()
        self._collect()

    def _collect(self):
        """What the arbiter has to say, in order."""
        for message in events(self._pulses):
            self._say(message)
        now_ms = time.ticks_ms()
        changed = self._told is None or self._pulses.scalars[LOCKS] != self._told.locks
        if changed or time.ticks_diff(now_ms, self._state_ms) >= STATE_MS:
            self._state_ms = now_ms
            said = status.of(self._pulses, min(4 * self._reader.chips, pins.MOST_LINES))
            if not status.alike(said, self._told):
                self._told = said
                self._say(said)

    def _change(self):
        """The current in the electrodes begins, changes or ends, if it is time."""
        if self._leads.due():
            self._acquisition.watch()
            try:
                self._leads.change()
            except Refused as error:
                self._end()
                self._say(Fault("acquisition", "acquisition stopped: " + error.text, 1))
                return
            self._collect()
        self._tell_leads()

    def _tell_leads(self):
        """What has become of a current, once all that was read before has been taken."""
        if self._leads.told and self._acquisition.whole():
            self._said += self._leads.told
            self._leads.told = []

    def _deliver(self):
        """The next block, behind what is to be known before it."""
        acquisition = self._acquisition
        if not acquisition.waiting():
            return False
        whole = acquisition.look()
        self._collect()
        self._tell_leads()
        if not whole:
            return True
        report = acquisition.clock.report()
        if report is not None:
            self._say(report)
        while self._said:
            self._flush(self._sender.frame(self._said.pop(0)))
        frame = acquisition.frame(self._sender.sequence)
        if frame is not None:
            self._sender.next()
            self._port.begin(frame)
        return True

    def _flush(self, frame):
        """A short frame that goes before the block; the arbiter is not forgotten meanwhile."""
        self._port.begin(frame)
        self._port.send()
        while not self._port.idle():
            self._listen()
            self._acquisition.watch()
            self._port.send()

    def _say(self, message):
        self._said.append(message)

    def _hear(self, message):
        kind = type(message)
        if kind is Hello:
            self._greet(message)
        elif not self._greeted or kind is Heartbeat:
            return
        elif kind is Configure:
            self._configure(message)
        elif kind in COMMANDS:
            self._command(message)
        elif kind is Excite or kind in MEASURES:
            self._excite(message)
        elif kind is Start and not self._started:
            self._start()

    def _excite(self, command):
        """What is said of electrodes: a current, which is answered when it flows or has ended."""
        if not self._started:
            answer = "not acquiring"
        elif type(command) is not Excite:
            answer = "this board cannot compute: its host measures"
        else:
            answer = self._leads.ask(command)
        if answer is not None:
            self._say(Reply(command.command, answer))
        if self._running:
            self._collect()

    def _greet(self, peer):
        """Begin anew: a second host follows the first one without any other sign."""
        if peer.role in ("check", "flash"):
            self._tell_who(peer.role == "flash")
            return
        if self._started:
            self._started = False
            self._stop_stimuli()
        refusal = why_not(peer)
        self._greeted = not refusal
        self._say(Hello(VERSION, TABLE, self._boot, "edge"))
        if refusal:
            self._say(Fault("version", refusal, 1))

    def _tell_who(self, leave):
        """Who asks what runs here, or wants to put another image here: not while a case runs."""
        if self._running and self._listening:
            self._say(Fault("busy", "a case is running: it must end first", 0))
            return
        self._say(Hello(VERSION, TABLE, self._boot, "edge"))
        self._say(Description(self._identity, 0, (), (), (), 0, 0))
        if leave:
            self._end()
            self._flush_all()
            time.sleep_ms(LEAVE_MS)
            open(STAY, "w").close()
            machine.reset()

    def _flush_all(self):
        while self._said or not self._port.idle():
            if self._port.idle():
                self._port.begin(self._sender.frame(self._said.pop(0)))
            self._port.send()

    def _stop_stimuli(self):
        """The host is gone: nothing is stimulated for it any more, and what it locked is free."""
        if self._running:
            self._leads.end()
            self._orders.take(StimStop(0, ALL_PLANS))
            for reason in HOST_LOCKS:
                self._orders.take(Lockout(0, reason, 0))

    def _configure(self, wanted):
        if self._description is not None and _same(wanted, self._wanted):
            self._say(self._description)
            return
        if self._running:  # indices begin anew: that is another start, and told before what follows
            self._boot = who.boot()
            self._say(Hello(VERSION, TABLE, self._boot, "edge"))
        self._end()
        try:
            self._description = self._prepare(wanted)
        except Refused as error:
            self._say(Fault(error.code, error.text, 1))
        except MemoryError:
            text = "%d channels at %g Hz need more memory than this board has; lower the rate" % (
                len(wanted.channels),
                wanted.rate_hz,
            )
            self._say(Fault("config", text, 1))
        else:
            self._wanted = wanted
            self._say(self._description)

    def _prepare(self, wanted):
        """Bring the converters up and take the memory; Refused, or MemoryError."""
        rate_hz, channels = int(wanted.rate_hz), len(wanted.channels)
        if not channels or rate_hz != wanted.rate_hz:
            raise Refused("config", "%d channels at %g Hz cannot be" % (channels, wanted.rate_hz))
        if len(wanted.lines) > pins.MOST_LINES:
            raise Refused(
                "config", "%d stimulus lines wanted, the board has %d" % (len(wanted.lines), pins.MOST_LINES)
            )
        found = converter.bring_up(rate_hz, wanted.gain, channels, 1 + (len(wanted.lines) > 4), False)
        part, chips = found[0].part, len(found)
        frame_bytes = 3 + 3 * part["channels"]
        numbers = programs.machines(chips, _blocks())
        if numbers["stamp"] is None:
            raise Refused(
                "config", "%d converters need an RP2350: an RP2040 has too few state machines" % chips
            )
        reader = Reader(numbers, chips, frame_bytes, rate_hz, True)
        lines = min(4 * chips, pins.MOST_LINES)
        dead = programs.dead_edges(rate_hz)
        rest = programs.rest_gaps(rate_hz) * dead
        stimulator = Stimulator(numbers, lines, rate_hz, reader.clock_hz, reader.edges)
        ahead = (AHEAD_MS * rate_hz + 999) // 1000
        self._pulses = Pulses(lines, rate_hz, stimulator, ahead, rest)
        self._orders = Orders(self._pulses, rate_hz, lines, dead)
        self._acquisition = Acquisition(reader, self._pulses, rate_hz, channels)
        self._leads = Leads(
            found, reader, self._acquisition, self._pulses, self._orders, rate_hz, channels, self._say
        )
        self._reader = reader
        lsb = (part["vref_uv"] << 20) // wanted.gain, 43
        read = programs.read_cycles(reader.clock_hz, 8 * frame_bytes, True)
        late = 1 - read * rate_hz / reader.clock_hz
        return Description(
            self._identity,
            wanted.rate_hz,
            wanted.channels,
            [lsb] * channels,
            [0.0] * channels,
            late - SINC3_DELAY,
            lines,
            LEADS_HOST_SHARED if part["shared_negative"] else LEADS_HOST_OWN,
            [chip.name for chip in found],
        )

    def _end(self):
        """Nothing is acquired any more, lines are low."""
        if self._acquisition is None:
            return
        converter.begin(False)
        self._pulses.stimulator.active(0)
        self._reader.close()
        self._leads.abort()
        self._acquisition = self._reader = self._pulses = self._orders = self._leads = None
        self._description = self._wanted = None
        self._started = self._running = False

    def _start(self):
        if self._description is None:
            self._say(Fault("config", "start before configure", 1))
            return
        if not self._running:
            self._reader.active(1)
            self._pulses.stimulator.active(1)
            converter.begin(True)
            self._acquisition.begin()
            self._running = True
        self._heard_ms, self._doubted_ms = time.ticks_ms(), None
        self._started = True

    def _command(self, command):
        if not self._started:
            self._say(Reply(command.command, "not acquiring"))
            return
        if type(command) is Lockout and command.reason == LOCK_IMPEDANCE:
            self._say(Reply(command.command, "the edge itself locks while impedance is measured"))
            return
        if type(command) is StimPlan and self._stale():
            self._say(Reply(command.command, STALE))
            return
        self._acquisition.watch()  # the arbiter acts from the newest edge on
        answer = self._orders.take(command)
        if answer is not None:
            self._say(Reply(command.command, answer))
        self._collect()


def _same(one, other):
    """Whether two configurations are the same; NaN, which stands for "none", is the same as NaN."""
    for name, value in one.__dict__.items():
        held = getattr(other, name)
        if value != held and not (value != value and held != held):
            return False
    return True


def _blocks():
    """PIO blocks of this chip."""
    return 3 if "RP2350" in sys.implementation._machine else 2


def main():
    """Serve hosts for ever; the watchdog resets a board whose rounds do not come round."""
    for pin in range(pins.LINE, pins.LINE + pins.MOST_LINES):
        machine.Pin(pin, machine.Pin.OUT, value=0)
    converter.silence()
    port = Port()
    edge = Edge(port, who.name())
    watchdog = machine.WDT(timeout=WATCHDOG_MS)
    while True:
        watchdog.feed()
        if not edge.round():
            port.wait(IDLE_MS)
