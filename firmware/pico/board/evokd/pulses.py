"""The pulses of the coprocessor: stimuli handed to state machines ahead of their sample, proven after.

The arbiter is the box's own (evokd/arbiter.py, generated). It acts on samples that are still to come: `ahead`
of them, because from there on the state machines keep the time and not this interpreter. Owns what was
handed over and not proven yet. Rules: a pulse that does not come back, an edge that nobody ordered or a line
that stays high ends everything; who stops one stimulus ends the pulses of all that were handed over, and
nothing new fires before the last of their samples has passed.
"""

from evokd import arbiter
from evokd.arbiter import (
    ACCEPTED,
    ALTERNATE,
    ARMED_SAMPLES,
    ARMED_UNTIL,
    BLIND,
    BURST,
    BY_LATE,
    BY_LINE,
    BY_LOCK,
    BY_LOSS,
    BY_PLAN,
    BY_REST,
    BY_SPACING,
    CEILING_ROWS,
    COMMAND,
    COUNT,
    DUE,
    FAULT,
    FAULTED,
    FIRED,
    GAP,
    GUARD,
    HOLD,
    INDEX,
    INTERVAL,
    LAST,
    LAST_FIRED,
    LINE,
    LINES,
    LOCK_UNTIL,
    LOCKS,
    MISSING,
    MOST_EVENTS,
    MOST_LINES,
    MOST_PLANS,
    N_EVENT,
    N_PLAN,
    N_SCALARS,
    NEVER,
    NEXT,
    NOT_FIRED,
    OUTPUTS,
    OWNER,
    PERIOD,
    PHASE,
    PLAN,
    PROOF,
    PULSES,
    RAISED_BY,
    RATE_MHZ,
    REFUSED_STOPPED,
    REFUSED_WAITED,
    REPEATED,
    REPLY,
    RESTS,
    SEEN,
    SHOT_WAIT,
    SPACING,
    STUCK,
    TRAINS,
    UNEXPECTED,
    UNFIRED,
    UNKNOWN,
    UNTIL,
)
from evokd.limits import LOW_SAMPLES, MIN_SPACING_S, RETURN_WITHIN_SAMPLES, SHOT_WAIT_S
from evokd.messages import ALL_PLANS

MARGIN = 2
"""Samples between a rest of the state machine and the next stimulus."""
WIDE = 5
"""A pulse lasts as long on the crystal as it should on the converter's clock, which is off by 2.5 %: 1/32."""
PROOF_MS = 9
"""So long after a pulse it has been seen: stimuli of all tests are so far apart, 111 a second."""


class Train:
    """The pulses of one stimulus; `told`: that it did not fire, or not whole."""

    def __init__(self):
        self.told = False


class Flight:
    """One pulse that was handed over, of the stimulus `of`; `reply`: its command awaits one."""

    def __init__(self, index, line, plan, number, pulse, until, of, reply):
        self.index, self.line, self.pulse, self.until = index, line, pulse, until
        self.plan, self.command, self.number = plan[PLAN], plan[COMMAND], number
        self.of, self.reply, self.asked_on = of, reply, plan[LINE]
        self.cancelled = False


class Pulses:
    """The arbiter's memory and what was handed over. `stimulator` drives the state machines; `ahead`: by how
    many samples stimuli are handed over; `rest`: how many the state machine rests after each."""

    def __init__(self, lines, rate_hz, stimulator, ahead, rest):
        s = self.scalars = [0] * N_SCALARS
        self.plans = [[-1] * N_PLAN for _ in range(MOST_PLANS)]
        self.arms = [[-1] * 3 for _ in range(MOST_PLANS)]
        self.lines = [[-1] * (RESTS + 1) for _ in range(MOST_LINES)]
        self.doses = [[0] * 64 for _ in range(MOST_LINES)]
        self.ceilings = [list(row) for row in CEILING_ROWS]
        self.events = [[0] * N_EVENT for _ in range(MOST_EVENTS)]
        self.flights = []
        self.shown = [None] * MOST_LINES
        self.stimulator, self.ahead, self.rest = stimulator, ahead, rest
        self.held_until = self.free_at = -1
        self.proof = (PROOF_MS * rate_hz + 999) // 1000
        s[LINES], s[RATE_MHZ] = lines, rate_hz * 1000
        s[SPACING] = (int(MIN_SPACING_S * 1000 + 0.5) * rate_hz + 999) // 1000
        s[SHOT_WAIT] = int(SHOT_WAIT_S * rate_hz)
        s[NEXT], s[LAST_FIRED], s[LOCK_UNTIL] = NEVER, -NEVER, -NEVER
        s[OWNER] = s[BURST] = -1
        s[INDEX] = ahead - 1

    def pause(self, hold):
        """Samples from a stimulus' last pulse to the next stimulus, whosever: the machine rests, and what
        fired must have been seen, since the machine would give a strobe to whatever order it has left."""
        return max(hold + (hold >> WIDE) + self.rest + MARGIN, self.proof)

    def plan(self, now):
        """Hand over what fires until `ahead` of edge `now`, the newest that there was."""
        s = self.scalars
        target = now + self.ahead
        while s[NEXT] <= target:
            s[INDEX] = max(s[NEXT], s[INDEX] + 1)
            if s[INDEX] > target:
                s[INDEX] = target
                break
            act(self, s[INDEX])
        s[INDEX] = max(s[INDEX], target)

    def see(self, index, bits):
        """The trigger bits of sample `index` are not those of the one before."""
        s = self.scalars
        rising = bits & ~s[SEEN]
        s[SEEN] = bits
        for line in range(s[LINES]):
            if rising >> line & 1:
                self._rose(line, index)

    def _rose(self, line, index):
        for flight in self.flights:
            if flight.line == line and flight.index < index <= flight.index + RETURN_WITHIN_SAMPLES:
                self._tell(flight, index)
                self._over(flight)
                self.shown[line] = flight
                return
        last = self.shown[line]
        within = last is not None and index <= last.until + RETURN_WITHIN_SAMPLES
        number, pulse = (last.number, last.pulse) if last is not None else (0, 0)
        arbiter.fail(self, REPEATED if within else UNEXPECTED, line + 1, index, number, pulse)

    def seen_until(self, end):
        """All samples before `end` have been looked at: pulses that are overdue, lines that stick."""
        s = self.scalars
        for flight in [f for f in self.flights if f.reply and f.index < end]:
            self._answer(flight, ACCEPTED)
        for flight in [f for f in self.flights if end > f.index + RETURN_WITHIN_SAMPLES + 1]:
            if flight not in self.flights:
                continue
            self._tell(flight, -1)
            self._over(flight)
            if not flight.cancelled:
                arbiter.fail(self, MISSING, flight.line + 1, end - 1, flight.number, flight.pulse)
        for line in range(s[LINES]):
            last = self.shown[line]
            high = s[SEEN] >> line & 1 and s[SEEN] != UNKNOWN
            if high and last is not None and end > last.until + RETURN_WITHIN_SAMPLES + 1:
                self.shown[line] = None
                arbiter.fail(self, STUCK, line + 1, end - 1, last.number, last.pulse)

    def lost(self, end):
        """Samples before `end` were lost: what was awaited in them cannot be proven or refuted."""
        self.scalars[SEEN] = UNKNOWN
        for flight in [f for f in self.flights if f.index < end]:
            if flight.reply:
                self._answer(flight, ACCEPTED)
            self._tell(flight, -1)
            self._over(flight)
            self.shown[flight.line] = flight  # it may be high when samples come again

    def go_blind(self, code, index):
        """Nothing can be proven any more: end all plans; said once until a sample comes in."""
        s = self.scalars
        arbiter.stop(self, ALL_PLANS)
        if not s[BLIND]:
            s[BLIND] = 1
            arbiter.tell(self, FAULT, code, 0, index, 0, 0, 0)

    def feed(self):
        """The machines get the next stimulus, once all before it are proven."""
        if not self.flights:
            return
        missed = self.stimulator.feed(self.flights[0].index)
        if missed is not None:
            whole = self.flights[0].of
            for flight in [f for f in self.flights if f.of is whole]:
                self._unbegun(flight, BY_LATE, 0)
        if self.stimulator.late():
            self.cancel(-1, BY_LATE)
            self.stimulator.in_step()

    def quiet(self):
        """Whether nothing is in flight, nor can be soon: what was cancelled has had its time."""
        return not self.flights and self.stimulator.idle()

    def cancel(self, line, reason=-1, other=0):
        """What was handed over for `line` (-1: any) ends now: what has not begun is told with `reason`."""
        hit = [f for f in self.flights if not f.cancelled and line in (-1, f.line)]
        now = self.stimulator.now()
        # One that was proven is in flight no more and may be high yet: a stop and a fault end it too.
        high = reason < 0 and [f for f in self.shown if f and line in (-1, f.line) and now < f.until]
        if not hit and not high:
            return
        last = self.stimulator.cancel()
        for flight in list(self.flights):  # the machines know one queue: all that it holds is ended
            flight.cancelled = True
            if flight.index > now + 1:
                self._unbegun(flight, reason, other)
        # The scheduler goes on to strobe for what it was given: no other order may lie ready until then.
        self.held_until = max(now, last) + MARGIN + self.ahead
        arbiter.schedule(self)

    def _unbegun(self, flight, reason, other):
        """A pulse that was handed over will not be; of a stimulus that is told once."""
        self._over(flight)
        if flight.reply:
            self._answer(flight, REFUSED_WAITED if reason == BY_LATE else REFUSED_STOPPED)
        elif reason >= 0 and not flight.of.told:
            flight.of.told = True
            arbiter.tell(self, NOT_FIRED, flight.plan, flight.command, flight.index, reason, other, 1)

    def _answer(self, flight, code):
        flight.reply = False
        arbiter.tell(self, REPLY, flight.command, code, flight.asked_on, 0, 0, 0)

    def _tell(self, flight, seen):
        if flight.reply:
            self._answer(flight, ACCEPTED)
        slot = arbiter.tell(
            self, PROOF, flight.plan, flight.command, flight.number, flight.line + 1, flight.index, seen
        )
        if slot >= 0:
            self.events[slot][7] = flight.pulse

    def _over(self, flight):
        self.flights.remove(flight)
        bits = 0
        for other in self.flights:
            bits |= 1 << other.line
        self.scalars[OUTPUTS] = bits


def offsets(plan):
    """Samples from the first pulse of a stimulus to each of its pulses."""
    found, at = [], 0
    for _ in range(plan[TRAINS]):
        for pulse in range(plan[PULSES]):
            found.append(at)
            at += plan[INTERVAL] if pulse < plan[PULSES] - 1 else plan[GAP]
    return found


def window_of(st, plan):
    """Samples from a stimulus during which no other plan fires: the state machine rests after each."""
    least = max(plan[GUARD], st.scalars[SPACING], st.pause(plan[HOLD]))
    return arbiter.span(plan) + least


def ready(st, line, index):
    """A line has been low, and will have been seen low: only then will the next pulse show as an edge."""
    return index >= max(st.lines[line][UNTIL] + LOW_SAMPLES, st.free_at)


def lower(st, line, index):
    """A line is taken low, with all that was handed over for it."""
    st.cancel(line)


def cut_train(st, reason, other):
    """Trains are handed over whole; see `lock`."""


def lock(st, reason, on):
    """Lock the box for a reason, or unlock it: what was handed over and has not begun is not fired."""
    _lock(st, reason, on)
    if on:
        st.cancel(-1, BY_LOCK, st.scalars[LOCKS])


def fire(st, k, index):
    """The plan in row `k` stimulates at `index`: all its pulses are handed over, its window begins."""
    s, plan = st.scalars, st.plans[k]
    line = arbiter.line_of(plan, plan[FIRED] + 1)
    whole = offsets(plan)
    if arbiter.dose_excess(st, plan, line, len(whole)) != -1:
        arbiter.too_much(st, k, index)
        return
    plan[FIRED] += 1
    plan[LAST] = index
    stimulus, train = [], Train()
    for pulse, offset in enumerate(whole):
        at = index + offset
        asked = plan[PERIOD] == 0 and pulse == 0
        stimulus.append(Flight(at, line, plan, plan[FIRED], pulse + 1, at + plan[HOLD], train, asked))
        arbiter.dose_count(st, plan, line)
    st.flights += stimulus
    st.stimulator.hand_over(1 << line, plan[HOLD], [f.index for f in stimulus])
    s[OUTPUTS] |= 1 << line
    st.free_at = stimulus[-1].index + st.pause(plan[HOLD])
    row = st.lines[line]
    row[UNTIL], row[RAISED_BY] = stimulus[-1].until, plan[PLAN]
    s[LAST_FIRED] = stimulus[-1].index
    arbiter.let_rest(st, plan, index)
    s[OWNER], s[LOCK_UNTIL] = plan[PLAN], max(s[LOCK_UNTIL], index + window_of(st, plan))
    a = arbiter.armed(st, plan[PLAN])
    if a >= 0:
        st.arms[a][ARMED_UNTIL] = index + st.arms[a][ARMED_SAMPLES]
    done = 0 < plan[COUNT] <= plan[FIRED]
    plan[DUE] = NEVER if done else arbiter.due(plan[PHASE], plan[PERIOD], index + 1)
    if done:
        plan[PLAN] = -1


def act(st, index):
    """Whoever may fire at `index` does; what is due besides is left out, or waits."""
    best = arbiter.choose(st, index)
    for k in range(MOST_PLANS):
        plan = st.plans[k]
        if plan[PLAN] >= 0 and plan[DUE] <= index and k != best:
            arbiter.leave_out(st, k, index, best)
    if best >= 0:
        fire(st, best, index)
        if st.scalars[FAULTED]:
            return
    schedule(st)


def schedule(st):
    """The next index at which `act` has anything to do: what waits is looked at when it could fire."""
    s = st.scalars
    if st.held_until > s[INDEX]:  # whoever stops does not shorten this
        s[OWNER], s[LOCK_UNTIL] = ALL_PLANS, max(s[LOCK_UNTIL], st.held_until)
    upcoming = NEVER
    for k in range(MOST_PLANS):
        plan = st.plans[k]
        if plan[PLAN] < 0:
            continue
        at = plan[DUE]
        if plan[PERIOD] == 0 and at <= s[INDEX]:
            at = min(_could(st, k), at + s[SHOT_WAIT] + 1)
        upcoming = min(upcoming, at)
    s[NEXT] = upcoming


def _could(st, k):
    """When the single stimulus in row `k`, which is due, may be free to fire."""
    s, plan = st.scalars, st.plans[k]
    at = s[INDEX] + 1
    why = arbiter.blocked(st, k, at)
    line = arbiter.line_of(plan, plan[FIRED] + 1)
    if why == BY_LOCK:
        return NEVER
    if why == BY_PLAN:
        return max(at, s[LOCK_UNTIL])
    if why == BY_SPACING:
        return max(at, s[LAST_FIRED] + s[SPACING])
    if why == BY_REST:
        return max(at, st.lines[line][RESTS])
    if why == BY_LINE:
        return max(at, st.lines[line][UNTIL] + LOW_SAMPLES, st.free_at)
    return at


_lock = arbiter.lock
arbiter.lower, arbiter.schedule, arbiter.ready = lower, schedule, ready
arbiter.window_of, arbiter.cut_train, arbiter.lock = window_of, cut_train, lock

__all__ = ("ALTERNATE", "BY_LOSS", "UNFIRED", "Flight", "Pulses")
