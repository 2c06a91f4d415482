"""What the loop has to say, in words: rows of events into messages, codes into one line each.

The only place where Python reads the loop's events; decides nothing.
"""

from collections.abc import Iterator

from firmware.loop.state import (
    BY_LATE,
    BY_LINE,
    BY_LOCK,
    BY_LOSS,
    BY_PLAN,
    BY_REST,
    DOSE,
    EDGE_TIMEOUT_S,
    EVENTS_IN,
    EVENTS_LOST,
    EVENTS_OUT,
    HOST_SILENT,
    MISSING,
    MOST_EVENTS,
    MOST_PLANS,
    NO_DATA_READY,
    NOT_FIRED,
    PROOF,
    REFUSED_BLIND,
    REFUSED_CROWDED,
    REFUSED_DOSE,
    REFUSED_FULL,
    REFUSED_LOCKED,
    REFUSED_STOPPED,
    REFUSED_UNARMED,
    REFUSED_WAITED,
    REPEATED,
    REPLY,
    STUCK,
    TORN_FRAMES,
    UNEXPECTED,
    LoopState,
)
from hw import limits
from hw.link import ALL_PLANS, LOCK_REASONS, NOT_SEEN, Fault, Message, Reply, Stimulus, Unfired

FAULT_CODES = (
    "missing",
    "unexpected",
    "repeated",
    "stuck",
    "dose",
    "host_silent",
    "no_data_ready",
    "torn_frames",
    "spi_error",
)
_DOSES = (("pulses this minute", 1.0), ("pulses", 1.0), ("mC", 1e-6), ("J", 1e-9))


def events(state: LoopState) -> Iterator[Message]:
    """What the loop has to say since the last call, in order."""
    scalars = state.scalars
    end = int(scalars[EVENTS_IN])
    for position in range(int(scalars[EVENTS_OUT]), end):
        kind, *numbers = (int(x) for x in state.events[position % MOST_EVENTS])
        scalars[EVENTS_OUT] = position + 1
        yield _message(kind, numbers)
    if scalars[EVENTS_LOST]:
        lost, scalars[EVENTS_LOST] = int(scalars[EVENTS_LOST]), 0
        yield Fault("events_lost", f"{lost} proofs or faults were lost: nobody took them in time", 0)


def _message(kind: int, numbers: list[int]) -> Message:
    if kind == PROOF:
        plan, command, number, line, commanded, seen, pulse = numbers
        return Stimulus(plan, command, number, line, commanded, NOT_SEEN if seen < 0 else seen, pulse)
    if kind == REPLY:
        command, code, line, *figures = numbers
        return Reply(command, refusal_text(code, line, figures))
    if kind == NOT_FIRED:
        plan, command, index, reason, other, n, _ = numbers
        blocked_by = other if reason == BY_PLAN else ALL_PLANS
        return Unfired(plan, command, index, blocked_by, unfired_text(reason, other, n))
    code, line, index, *figures = numbers
    return Fault(FAULT_CODES[code], fault_text(code, line, index, figures), 0, max(index, 0), line)


def refusal_text(code: int, line: int, figures: list[int]) -> str:
    """Why a plan may not run, in one line; empty when it was accepted."""
    if code == REFUSED_BLIND:
        return "no samples are coming in; nothing can be stimulated"
    if code == REFUSED_FULL:
        return f"{MOST_PLANS} plans are running; stop one first"
    if code == REFUSED_CROWDED:
        rate, limit = f"{figures[0] / 1000:g} pulses a second", f"the rate limit of {limits.MAX_RATE_HZ:g} Hz"
        return f"line {line} would have {rate}, which exceeds {limit}"
    if code == REFUSED_UNARMED:
        return "it is not armed; arm it first"
    if code == REFUSED_LOCKED:
        return f"{locks_text(figures[0])}; wait until that has ended"
    if code == REFUSED_DOSE:
        return dose_text(line, figures)
    if code == REFUSED_WAITED:
        return f"other tests or the rest of its line left no room for it within {limits.SHOT_WAIT_S:g} s"
    if code == REFUSED_STOPPED:
        return "it was stopped before it could fire"
    return ""


def locks_text(locks: int) -> str:
    """What locks stimulation, in words."""
    return " and ".join(text for bit, text in LOCK_REASONS.items() if locks & bit)


def dose_text(line: int, figures: list[int]) -> str:
    """Which sum would exceed which limit: `figures` are which sum, the sum with it, the limit, the kind."""
    which, value, limit, kind = figures[:4]
    what, scale = _DOSES[which]
    most = f"the limit of {limit * scale:g} {what} for {limits.KINDS[kind]}"
    return f"line {line} would have had {value * scale:g} {what}, which exceeds {most}"


def unfired_text(reason: int, other: int, n: int) -> str:
    """Why a stimulus did not fire, in one line."""
    if reason == BY_LOCK:
        return locks_text(other)
    if reason == BY_PLAN:
        return f"the window of plan {other} is not over"
    if reason == BY_LINE:
        return "its line is not low"
    if reason == BY_REST:
        return "its line rests after the last stimulus, as the limits of that one want it"
    if reason == BY_LATE:
        return "the edge was too busy to hand it over in time"
    if reason == BY_LOSS:
        return f"samples were lost, and {n} stimuli with them" if n > 1 else "samples were lost"
    return f"less than {limits.MIN_SPACING_S * 1e3:g} ms after another stimulus"


def fault_text(code: int, line: int, index: int, figures: list[int]) -> str:
    """A fault in one line: what, where, and where to look."""
    number, pulse = figures[0], figures[1]
    which = f"pulse {pulse} of stimulus {number}" if pulse > 1 else f"pulse {number}"
    if code == MISSING:
        return f"{which} on line {line} never came back in the samples"
    if code == UNEXPECTED:
        return f"line {line} rose at sample {index} without a command"
    if code == REPEATED:
        return f"line {line} rose once more at sample {index}, within {which}"
    if code == STUCK:
        return f"line {line} is still high in the samples at {index}"
    if code == DOSE:
        return dose_text(line, figures)
    if code == HOST_SILENT:
        return f"no heartbeat from the host for {limits.HEARTBEAT_TIMEOUT_S:g} s; all stimuli were stopped"
    if code == NO_DATA_READY:
        return f"no data-ready edge for {EDGE_TIMEOUT_S:g} s; check the converter's clock, START and the line"
    if code == TORN_FRAMES:
        return f"no frame with its header for {EDGE_TIMEOUT_S:g} s; check the chip's supply and SPI lines"
    return f"the SPI transfer of sample {index} failed with errno {number}; check the bus and its driver"


__all__ = ["BY_LINE", "events", "fault_text", "refusal_text", "unfired_text"]
