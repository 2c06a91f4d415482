"""What a change is due to: likelihoods of focal, systemic, peripheral and technical causes, from all sites.

Owns the hypotheses, their priors and what each site's ratio says for each of them (Bayes over a grid of log
changes; facts/clinical.md 3.C, facts/dsp.md 4.6). Knows no test and no clock. Refuses certainty that the
sites do not bear: where chance explains them as well, the cause is unknown.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cause = Literal["focal", "systemic", "peripheral", "technical", "unknown"]
CAUSES: tuple[Cause, ...] = ("focal", "systemic", "peripheral", "technical", "unknown")
Tract = Literal["sensory", "motor"]
Limb = Literal["arm", "leg", "head"]

GRID = np.linspace(math.log(0.03), math.log(1.5), 48)
"""Log changes that are told apart: from 3 % of what it was to half as much again."""
STEADY_SD, COMMON_SD = 0.12, 0.2
"""How far a site wanders that nothing happens to, and how far one strays from what happens to all."""
GRAVEST, MILDEST = math.log(0.04), math.log(0.75)
"""A fall by injury is anywhere between."""
OUTLIER = 0.02
"""The share of readings that mean nothing, spread over the whole grid."""
MOTOR_GAINS = (1.0, 2.0)
"""Anaesthesia takes twice as much of motor responses, in logarithms, as of the cortex's; pressure as much."""
PRIOR: Mapping[Cause, float] = {
    "focal": 0.35,
    "systemic": 0.25,
    "peripheral": 0.1,
    "technical": 0.1,
    "unknown": 0.2,
}
ONE_KIND = 0.15
"""What is common to legs alone, or to one side, with nothing known of the others, may be common to all: it is
held to be so rarely."""
CERTAIN = 0.6
"""A cause below it is not named."""


@dataclass(frozen=True, slots=True)
class Site:
    """One response that is watched: where it runs, and its ratio to what it was before, `error` its standard
    error (of the logarithm where `in_logs`). `at_most`: it is absent, and was no larger than that. `control`:
    it lies before what is watched. ValueError for a ratio or an error that is none."""

    name: str
    tract: Tract
    limb: Limb
    side: str
    ratio: float
    error: float
    in_logs: bool = False
    at_most: bool = False
    control: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and 0.0 < self.error < math.inf):
            raise ValueError(f"site {self.name}: a ratio of {self.ratio} +- {self.error}")
        if (self.in_logs or self.at_most) and self.ratio <= 0.0:
            raise ValueError(f"site {self.name}: a ratio of {self.ratio} has no logarithm")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A technical cause that something speaks for: the sites that it reaches, and the log odds it brings."""

    name: str
    sites: frozenset[str]
    log_odds: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """`likelihood` of every cause (they sum to 1), the likeliest one where it is CERTAIN, and `where`: the
    place of the best hypothesis of that cause ("both legs")."""

    cause: Cause
    likelihood: Mapping[Cause, float]
    where: str


@dataclass(frozen=True, slots=True)
class _Way:
    """One way it may have been: cause, place, the log of its weight, and the sites (site,) that it moves."""

    cause: Cause
    where: str
    log: float
    moves: NDArray[np.bool_]


def attribute(
    sites: Sequence[Site],
    suspects: Sequence[Suspect] = (),
    log_odds: Mapping[Cause, float] | None = None,
    about: Collection[str] | None = None,
) -> Attribution:
    """The causes of what the sites named in `about` show (None: of all of them), by what every site shows;
    `log_odds` is what confounders say for or against a cause. A technical fault may come with something else:
    it is the cause of what it reaches, and neither speaks against the other where they do not meet."""
    asked = np.array([about is None or site.name in about for site in sites], np.bool_)
    found = list(_ways(sites, suspects, asked, log_odds or {}))
    top = max(way.log for way in found)
    share = dict.fromkeys(CAUSES, 0.0)
    for way in found:
        share[way.cause] += math.exp(way.log - top)
    whole = sum(share.values())
    likelihood: dict[Cause, float] = {cause: value / whole for cause, value in share.items()}
    best = max(CAUSES, key=lambda cause: likelihood[cause])
    best = best if likelihood[best] >= CERTAIN else "unknown"
    places = [(way.log, way.where) for way in found if way.cause == best]
    return Attribution(best, likelihood, max(places)[1] if places else "")


def _ways(
    sites: Sequence[Site], suspects: Sequence[Suspect], asked: NDArray[np.bool_], odds: Mapping[Cause, float]
) -> Iterator[_Way]:
    """How what is asked about came to be: by chance, by a cause that moves some of it, by a suspect that
    reaches it while something else may happen elsewhere."""
    reached = [np.array([site.name in one.sites for site in sites], np.bool_) for one in suspects]
    own = [k for k, sites_ in enumerate(reached) if (sites_ & asked).any()]
    foreign = [k for k in range(len(suspects)) if k not in own]
    each = np.array([_likelihood(site) for site in sites]).reshape(len(sites), len(GRID))
    yield from (
        way
        for way in _causes(_Said(sites, each, _excused(reached, suspects, foreign)), odds)
        if way.cause == "unknown" or (way.moves & asked).any()
    )
    for k in own:
        others = [one for one in range(len(suspects)) if one != k]
        excused = np.where(reached[k], 1.0, _excused(reached, suspects, others))
        log = math.log(_odds(suspects[k]))
        for way in _causes(_Said(sites, each, excused), odds):
            if (way.moves & asked & ~reached[k]).any():
                yield replace(way, log=way.log + log)
            elif way.cause == "unknown" or (way.moves & ~reached[k]).any():
                yield _Way("technical", suspects[k].name, way.log + log, reached[k])


def _odds(suspect: Suspect) -> float:
    """That it is so, beside that it is not."""
    return PRIOR["technical"] / PRIOR["unknown"] * math.exp(suspect.log_odds)


def _excused(
    reached: Sequence[NDArray[np.bool_]], suspects: Sequence[Suspect], which: Sequence[int]
) -> Floats:
    """How likely one of these has reached each site (site,)."""
    odds = sum((_odds(suspects[k]) * reached[k] for k in which), np.zeros(1))
    return np.asarray(odds / (1.0 + odds))


def _causes(said: "_Said", odds: Mapping[Cause, float]) -> list[_Way]:
    """What may have happened to the patient, or nothing."""
    nowhere = np.zeros(len(said.sites), np.bool_)
    found = [_Way("unknown", "", _log(PRIOR["unknown"]) + float(said.steady.sum()), nowhere)]
    found += _focal(said) + _systemic(said) + _peripheral(said)
    return [replace(way, log=way.log + odds.get(way.cause, 0.0)) for way in found]


class _Said:
    """What the sites say, of their likelihood at `each` change (site, grid): log likelihoods (site,) of being
    steady or fallen. `excused` (site,): how likely a technical fault has reached each; it may show anything
    then."""

    def __init__(self, sites: Sequence[Site], each: Floats, excused: Floats) -> None:
        self.sites = tuple(sites)
        share = excused.reshape(-1, 1)
        self.each = (1.0 - share) * each + share * each.mean(axis=1, keepdims=True)
        self.steady = np.log(self.each @ _normal(0.0, STEADY_SD))
        fallen = ((GRID >= GRAVEST) & (GRID <= MILDEST)).astype(np.float64)
        self.fallen = np.log(self.each @ (fallen / fallen.sum()))

    def where(self, *conditions: Mapping[str, object]) -> NDArray[np.bool_]:
        """Sites (site,) that have all attributes of one of the conditions."""
        return np.array(
            [
                any(all(getattr(site, k) == v for k, v in c.items()) for c in conditions)
                for site in self.sites
            ],
            np.bool_,
        )

    def only(self, affected: NDArray[np.bool_]) -> float:
        """Log likelihood that these have fallen and all others are steady."""
        return float(np.where(affected, self.fallen, self.steady).sum())


def _likelihood(site: Site) -> Floats:
    """Of the reading, at every change of the grid; never nothing."""
    if site.at_most:
        away = (math.log(site.ratio) - GRID) / site.error
        density = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in away])
    else:
        away = (math.log(site.ratio) - GRID if site.in_logs else site.ratio - np.exp(GRID)) / site.error
        density = np.exp(-0.5 * np.minimum(away**2, 1400.0)) / site.error
    return np.asarray((1.0 - OUTLIER) * density + OUTLIER * 0.5)


def _normal(mean: float, sd: float) -> Floats:
    share = np.exp(-0.5 * ((GRID - mean) / sd) ** 2)
    return np.asarray(share / share.sum())


def _focal(said: _Said) -> list[_Way]:
    """One lesion: a limb, both of a kind, a side, or all below a place; by one tract or both."""
    places: list[tuple[str, float, list[dict[str, object]]]] = []
    for side in ("left", "right"):
        for limb in ("arm", "leg", "head"):
            places.append((f"{side} {limb}", 0.08, [{"limb": limb, "side": side}]))
        places.append((f"{side} side", 0.05, [{"limb": limb, "side": side} for limb in ("arm", "leg")]))
    places += [(f"both {limb}s", 0.15, [{"limb": limb}]) for limb in ("arm", "leg")]
    places.append(("all limbs", 0.04, [{"limb": "arm"}, {"limb": "leg"}]))
    tracts: tuple[tuple[str, ...], ...] = (("sensory", "motor"), ("sensory",), ("motor",))
    found: dict[bytes, _Way] = {}

    def add(named: str, prior: float, moves: NDArray[np.bool_]) -> None:
        log = said.only(moves) + _log(PRIOR["focal"] * prior)
        before = found.get(moves.tobytes(), _Way("focal", named, -math.inf, moves))
        found[moves.tobytes()] = replace(before, log=float(np.logaddexp(before.log, log)))

    for place, prior, conditions in places:
        for tract in tracts:
            moves = said.where(*(c | {"tract": t, "control": False} for c in conditions for t in tract))
            if moves.any():
                add(place if len(tract) == 2 else f"{place}, {tract[0]}", prior / 3.0, moves)
    # A lesion may spare what lies beside it: any one response by itself.
    alone = [k for k, site in enumerate(said.sites) if not site.control]
    for k in alone:
        add(said.sites[k].name, 0.1 / len(alone), np.arange(len(said.sites)) == k)
    return list(found.values())


def _systemic(said: _Said) -> list[_Way]:
    """One change common to all: of cortex and motor cells, or of motor responses alone (fade, relaxant)."""
    sensory = said.where({"tract": "sensory", "control": False})
    motor = said.where({"tract": "motor", "control": False})
    falls = np.linspace(GRAVEST, math.log(0.85), 16)
    kinds: list[tuple[str, float, NDArray[np.bool_], float]] = [
        ("cortex and motor", 0.35, sensory | motor, gain) for gain in MOTOR_GAINS
    ]
    if motor.any():
        kinds.append(("motor responses", 0.3, motor, 1.0))
    found = []
    for name, prior, moves, gain in kinds:
        limbs = {site.limb for site, hit in zip(said.sites, moves, strict=True) if hit}
        if moves.sum() < 2:  # what is common to one alone is not known to be common
            continue
        sides = {site.side for site, hit in zip(said.sites, moves, strict=True) if hit}
        prior *= 1.0 if len(limbs) > 1 and len(sides) > 1 else ONE_KIND
        logs = np.full(len(falls), said.steady[~moves].sum())
        for those, by in ((moves & ~motor, 1.0), (moves & motor, gain)):
            common = np.stack([_normal(fall * by, COMMON_SD) for fall in falls], axis=1)
            logs += np.log(said.each[those] @ common).sum(axis=0)
        whole = float(np.logaddexp.reduce(logs)) - math.log(len(falls))
        found.append(_Way("systemic", name, whole + _log(PRIOR["systemic"] * prior), moves))
    return found


def _peripheral(said: _Said) -> list[_Way]:
    """A limb: what it sends falls with its control; what is sent to its muscles falls too, or does not."""
    limbs = sorted({(site.limb, site.side) for site in said.sites if site.control})
    found = []
    for limb, side in limbs:
        here: dict[str, object] = {"limb": limb, "side": side}
        for moves in (said.where(here | {"tract": "sensory"}), said.where(here)):
            log = said.only(moves) + _log(PRIOR["peripheral"] / len(limbs) / 2.0)
            found.append(_Way("peripheral", f"{side} {limb}", log, moves))
    return found


def _log(share: float) -> float:
    return math.log(share)
