"""Where a nervous pathway runs, and what a lesion on its way takes from it.

A pathway is a row of stations between stimulus and generator; what lies behind a lesion is lost by its
severity, what lies before it is not. Cord places are counted by vertebra, as surgeons count: C1 is 1, T1 is
8, L1 is 20, where the cord ends (its lumbosacral segments lie at T11 to L1). Refuses to know of waveforms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hw.model.checks import choice, number

Side = Literal["left", "right", "both"]
Tract = Literal["all", "dorsal", "motor"]

VERTEBRAE = {
    name: number
    for number, name in enumerate(
        [f"C{k}" for k in range(1, 8)] + [f"T{k}" for k in range(1, 13)] + ["L1"], start=1
    )
}
ROOTS = tuple(
    [f"C{k}" for k in range(1, 9)]
    + [f"T{k}" for k in range(1, 13)]
    + [f"L{k}" for k in range(1, 6)]
    + [f"S{k}" for k in range(1, 5)]
)
PLACES = (
    "arm",
    "leg",
    "brainstem",
    "capsule",
    "cortex",
    "cochlea",
    "cochlear nerve",
    "retina",
    "optic nerve",
    "facial nerve",
    "vagus nerve",
)
"""Beside `cord VERTEBRA` and `root ROOT`."""
LIMBS = ("arm", "leg")
_PART = 0.6
"""Of a limb's ramp: the delay moves in such a part at one end, the severity in one at the other."""


@dataclass(frozen=True, slots=True)
class Station:
    """One place that a pathway passes. `side` "i" or "c": on the side of the stimulus (of a muscle: of the
    muscle) or the other one; "" in the middle.

    `place` is one of PLACES, "cord" or "root"; a cord's `span` are the vertebrae passed, both included;
    `tract` is which of the cord's, brainstem's or capsule's; `roots` are the shares of a root's fibres.
    """

    place: str
    side: Literal["i", "c", ""] = "i"
    tract: Literal["dorsal", "motor", ""] = ""
    span: tuple[int, int] = (0, 0)
    roots: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Lesion:
    """From `at_s` on, `severity` (0 to 1) of the fibres that pass `place` on `side` do not conduct, and the
    others are late by `delay_ms`; reached in a straight line over `ramp_s`. In a limb conduction slows
    before it fails and returns before it is quick again: on the way down the delay comes in the first 60 % of
    the ramp and the fibres go in the last 60 %, on the way up the other way round.

    A later lesion of the same place, side and tract takes the place of this one: severity 0 is recovery.
    `place`: "cord T8" (a vertebra, C1 to L1), "root L5", or one of PLACES; "arm" and "leg" are a limb whose
    nerves fail (position, ischaemia). `tract`: of the cord, brainstem or capsule. ValueError (one line) for
    impossible values.
    """

    at_s: float
    place: str
    side: Side = "both"
    severity: float = 1.0
    tract: Tract = "all"
    delay_ms: float = 0.0
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        number("lesion", "at_s", self.at_s, 0.0, 1e6)
        if not isinstance(self.place, str) or not _place(self.place):
            raise ValueError(
                f"lesion: place = {self.place!r} is nowhere; use cord C1 to cord L1, root C1 to root S4, "
                f"{', '.join(PLACES)}"
            )
        choice("lesion", "side", self.side, get_args(Side))
        number("lesion", "severity", self.severity, 0.0, 1.0)
        choice("lesion", "tract", self.tract, get_args(Tract))
        number("lesion", "delay_ms", self.delay_ms, 0.0, 50.0)
        number("lesion", "ramp_s", self.ramp_s, 0.0, 1e6)

    def share(self, station: Station, side: str) -> float:
        """The share of a pathway's fibres at `station` that pass this place; `side` is the pathway's own."""
        where, _, part = self.place.partition(" ")
        if where not in ("cord", "root"):
            where, part = self.place, ""
        if where != station.place or (self.tract != "all" and station.tract not in ("", self.tract)):
            return 0.0
        if self.side != "both" and station.side and self.side != seen_from(side, station.side):
            return 0.0
        if where == "cord":
            return float(station.span[0] <= VERTEBRAE[part] <= station.span[1])
        return 1.0 if station.roots is None else station.roots.get(part, 0.0)


def seen_from(side: str, relative: str) -> str:
    """ "left" or "right" of what is ipsilateral ("i") or contralateral to `side`."""
    return side if relative == "i" else ("right" if side == "left" else "left")


def _place(place: str) -> bool:
    where, _, part = place.partition(" ")
    if where == "cord":
        return part in VERTEBRAE
    return part in ROOTS if where == "root" else place in PLACES


def passed(
    stations: Sequence[Station], side: str, lesions: Sequence[Lesion], at_s: float
) -> list[tuple[float, float]]:
    """For each of `stations`, what has passed it at `at_s`: (share of the fibres, ms late), running on from
    the first: element k of k + 1 stations; the lesions as they stand then."""
    gain, late_ms, found = 1.0, 0.0, []
    standing = _standing(lesions, at_s)
    for station in stations:
        for lesion, severity, delay_ms in standing:
            share = lesion.share(station, side)
            gain *= 1.0 - share * severity
            late_ms += share * delay_ms
        found.append((gain, late_ms))
    return found


def _standing(lesions: Sequence[Lesion], at_s: float) -> list[tuple[Lesion, float, float]]:
    """Every place that is or was hurt by `at_s`, with severity and delay as its ramps have come."""
    state: dict[tuple[str, str, str], tuple[Lesion, tuple[float, float]]] = {}
    for lesion in sorted(lesions, key=lambda one: one.at_s):
        if lesion.at_s > at_s:
            break
        key = (lesion.place, lesion.side, lesion.tract)
        before = state.get(key)
        origin = (0.0, 0.0) if before is None else _reached(*before, lesion.at_s)
        state[key] = lesion, origin
    return [(lesion, *_reached(lesion, origin, at_s)) for lesion, origin in state.values()]


def _reached(lesion: Lesion, origin: tuple[float, float], at_s: float) -> tuple[float, float]:
    share = 1.0 if at_s >= lesion.at_s + lesion.ramp_s else (at_s - lesion.at_s) / lesion.ramp_s
    failed, slowed = share, share
    if lesion.place in LIMBS:
        early, late = min(share / _PART, 1.0), max(0.0, (share - 1.0) / _PART + 1.0)
        failed, slowed = (late, early) if lesion.severity >= origin[0] else (early, late)
    return (
        origin[0] + failed * (lesion.severity - origin[0]),
        origin[1] + slowed * (lesion.delay_ms - origin[1]),
    )
