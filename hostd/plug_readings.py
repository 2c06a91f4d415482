"""What a plug check has seen of a response, in its place and in others, and how two places compare. Pure.

Owns the records and the comparison of two readings; what follows for plugs is `hostd.plug_judge`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hostd.plug_exchanges import Exchange

TIMES_LARGER, EARLIER_MS, SHOULDER_SHARE = 2.0, 2.0, 0.75
"""A response that is seen in two places is where it is so many times larger; of two signs it has the one that
comes so much earlier, if that wave is not a shoulder of less than so much of the other."""
CLEAR_SHARE, MISSED_SHARE = 0.5, 0.75
"""Shares of the limit by which a response must stand: to be clear, the right way up or upside down, since it
cannot be both; and to say that it would not have been missed in its own place."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is seen of a response in one derivation: 95 % of its amplitude; `limit_uv`: what would have been
    seen (None: nothing can be said)."""

    seen: bool
    latency_ms: float | None
    low_uv: float
    high_uv: float
    limit_uv: float | None


@dataclass(frozen=True, slots=True)
class There:
    """The same in the derivation where an exchange would have the response; `upside_down`: it is the
    response's own one with the other sign."""

    derivation: str
    reading: Reading
    upside_down: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One response where it should be, and where exchanges would have it. `sided`: an electrode of one side
    shows it, so that it tells the sides apart. `matters`: it does, or is what the test is followed by."""

    response: str
    derivation: str
    electrodes: frozenset[str]
    active: frozenset[str]
    own: Reading
    under: Mapping[Exchange, There]
    usual_uv: float = 0.0
    sided: bool = False
    matters: bool = False
    muscle: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a test shows after so many sweeps; `last`: no more are waited for."""

    test: str
    site: str
    sweeps: int
    last: bool
    found: tuple[Found, ...]


def stands(reading: Reading, share: float) -> bool:
    """Seen, and so far from nothing at 95 % as `share` of what would have been seen."""
    return reading.seen and reading.limit_uv is not None and reading.low_uv > share * reading.limit_uv


def _gains(own: Reading, there: Reading, upside_down: bool) -> bool:
    """The response is there, and it would have been seen in its own place. Where the one is the other
    `upside_down`, what is there is not here: the first wave tells, since another sign follows it."""
    if not there.seen:
        return False
    if upside_down:
        clear = stands(there, CLEAR_SHARE)
        return clear and (not stands(own, CLEAR_SHARE) or _first_wave(there, own))
    if not own.seen:
        return own.limit_uv is not None and there.low_uv > MISSED_SHARE * own.limit_uv
    return there.low_uv > own.high_uv * TIMES_LARGER


def _earlier(one: Reading, other: Reading) -> bool:
    known = one.latency_ms is not None and other.latency_ms is not None
    return known and (other.latency_ms or 0.0) - (one.latency_ms or 0.0) >= EARLIER_MS


def _first_wave(one: Reading, other: Reading) -> bool:
    """Of two signs of one trace, whether `one` is the response: the earlier, unless the later is much larger
    and what comes before it is its shoulder."""
    size, other_size = one.low_uv + one.high_uv, other.low_uv + other.high_uv
    if _earlier(one, other) and size > SHOULDER_SHARE * other_size:
        return True
    shoulder = not _earlier(other, one) or other_size <= SHOULDER_SHARE * size
    return shoulder and one.low_uv > other.high_uv


def in_place(f: Found, last: bool) -> bool:
    """The response is seen where it should be, the right way up, and clearly so unless this is the `last`
    look."""
    over = (there.reading for there in f.under.values() if there.upside_down)
    doubted = any(reading.seen and _first_wave(reading, f.own) for reading in over)
    return f.own.seen and not doubted and (last or stands(f.own, CLEAR_SHARE))


def tells(f: Found, h: Exchange) -> bool:
    """Whether `h` moves what is active: another reference loses no response."""
    return f.sided if h.what == "lines" else bool(f.active & {name for pair in h.pairs for name in pair})


def moves(f: Found, h: Exchange) -> bool:
    """Whether `h` brings the response back."""
    there = f.under[h]
    return _gains(f.own, there.reading, there.upside_down)


def contradicts(f: Found, h: Exchange) -> bool:
    """Whether the response is in its place, and would not be where `h` has it."""
    there = f.under[h]
    return _gains(there.reading, f.own, there.upside_down)
