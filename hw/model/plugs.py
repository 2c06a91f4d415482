"""Plugs in the wrong sockets: electrodes whose channels are exchanged, stimulus lines that reach each other's
site, as a scenario says.

Owns what is where at a time. Refuses to know of signals: an electrode stays the one that it is on the
patient, with its skin, its noise and its bad contact; only the channel that shows it is another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hw.model.body import known
from hw.model.checks import number

MOST_LINES = 8
Pairs = tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Plugs:
    """From `at_s` on, of every pair of `electrodes` each is in the other's socket, and of every pair of
    `lines` each output reaches the other's site. The new state is whole: what a later one does not name is
    where it should be. ValueError (one line) for impossible values.
    """

    at_s: float
    electrodes: tuple[tuple[str, str], ...] = ()
    lines: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        number("plugs", "at_s", self.at_s, 0.0, 1e6)
        object.__setattr__(self, "electrodes", _pairs("electrodes", self.electrodes, '[["EPL", "EPR"]]'))
        object.__setattr__(self, "lines", _pairs("lines", self.lines, "[[1, 2]]"))
        for name in (one for pair in self.electrodes for one in pair):
            try:
                known(name)
            except ValueError as fault:
                raise ValueError(f"plugs: electrodes: {fault}") from None
        for line in (one for pair in self.lines for one in pair):
            number("plugs", "lines", line, 1, MOST_LINES)


def _pairs(key: str, given: Any, right: str) -> Pairs:
    """The pairs of a table. Raises ValueError for what is none, and for one that is in two."""
    wanted = str if key == "electrodes" else int
    told = f"plugs: {key} = {given!r} is no list of pairs; write for example {key} = {right}"
    if not isinstance(given, list | tuple):
        raise ValueError(told)
    for pair in given:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(told)
        if not all(isinstance(one, wanted) and not isinstance(one, bool) for one in pair):
            raise ValueError(told)
    every = [one for pair in given for one in pair]
    twice = next((one for one in every if every.count(one) > 1), None)
    if twice is not None:
        raise ValueError(f"plugs: {key}: {twice!r} stands there twice; a plug is exchanged with one other")
    return tuple((a, b) for a, b in given)


IN_PLACE = Plugs(0.0)


def plugs_at(records: Sequence[Plugs], at_s: float) -> Plugs:
    """What is exchanged at `at_s`: of two at once the later one in the file holds."""
    said = [one for one in records if one.at_s <= at_s]
    return sorted(said, key=lambda one: one.at_s)[-1] if said else IN_PLACE


def other(pairs: Pairs, one: Any) -> Any:
    """What is in the place of `one`."""
    for a, b in pairs:
        if one in (a, b):
            return b if one == a else a
    return one


def on_the_patient(records: Sequence[Plugs], channels: tuple[str, ...]) -> tuple[str, ...]:
    """The electrodes whose signals some channel shows at some time: the channels' own first."""
    named = {other(one.electrodes, name) for one in records for name in channels}
    return (*channels, *sorted(named - set(channels)))


def sources(plugs: Plugs, channels: tuple[str, ...], electrodes: tuple[str, ...]) -> list[int]:
    """For each channel the place among `electrodes` of the one that it shows."""
    return [electrodes.index(other(plugs.electrodes, name)) for name in channels]
