"""Seeded stories of the scoreboard: what happens to a patient, when, and which tests must see it.

Owns the draw: kinds in fixed shares, severity, speed, onset, the room's noise, vitals as a monitor posts
them.
A story is a scenario of `hw/SCENARIO.md` with its stimuli and marks, so that any system can be played it
(`evokd score --write`). Numbers are drawn before any detector sees a sample, and never changed to suit one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np

from dsp.attribution import Cause
from hostd import casefile
from hostd.case import Case
from hostd.score.bedside import Mark, Shot
from hw.model.anatomy import Lesion, passed
from hw.model.contacts import ElectrodeChange
from hw.model.interference import Interference
from hw.model.muscles import MOTOR
from hw.model.pathways import WAYS
from hw.model.scenario import Electrosurgery, NoiseChange, Scenario, StimulatorChange
from hw.model.sites import find
from hw.model.state import Anaesthesia, state_at
from hw.model.stochastic import child

Kind = Literal["focal", "peripheral", "systemic", "technical", "nothing"]
SHARES: Mapping[Kind, int] = {"focal": 8, "peripheral": 2, "systemic": 4, "technical": 3, "nothing": 3}
"""Of each 20 stories, so many of a kind."""
SECONDS = 540.0
ONSET_S = (240.0, 300.0)
LOUD = (0.4, 1.0)
"""Noise of EEG and muscle, as a share of the model patient's (log uniform)."""
VITALS_EVERY_S = 60.0
MEP_FIRST_S, MEP_EVERY_S, PAIR_S, OTHER_SIDE_S = 20.0, 120.0, 3.0, 9.0
HURT = 0.35
"""A test is hurt where a response of it loses more than this share."""
MAC_PER_DEPTH = 0.9


@dataclass(frozen=True, slots=True)
class Story:
    """One case: its scenario, stimuli and marks; `cause` and `onset_s` are the truth (None: nothing happens),
    `hurt` the tests whose responses an injury reaches."""

    number: int
    kind: Kind
    title: str
    scenario: Scenario
    shots: tuple[Shot, ...]
    marks: tuple[Mark, ...]
    cause: Cause | None
    onset_s: float | None
    hurt: frozenset[str]
    seed: int

    @property
    def injury(self) -> bool:
        """Whether the patient is being hurt."""
        return self.kind in ("focal", "peripheral")


@lru_cache
def score_case() -> Case:
    """The case that all stories are monitored with."""
    text = resources.files("hostd.score").joinpath("case.toml").read_text("utf-8")
    return casefile.parse(text, "hostd/score/case.toml")


def story(number: int, seed: int = 1) -> Story:
    """Story `number` (from 0) of a seed: the same one every time."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    round_, place = divmod(number, len(kinds))
    order = child(seed, "score", f"order {round_}").permutation(len(kinds))
    kind: Kind = kinds[int(order[place])]
    rng = child(seed, "score", f"story {number}")
    onset_s = float(rng.uniform(*ONSET_S))
    title, happens, cause = _MAKERS[kind](rng, onset_s)
    loud = math.exp(float(rng.uniform(*np.log(LOUD))))
    scenario = replace(happens, noise=(NoiseChange(0.0, emg=loud, eeg=loud), *happens.noise))
    scenario = replace(scenario, electrosurgery=_knife(rng))
    begun = onset_s if kind != "nothing" else None
    hurt = _hurt(scenario) if kind in ("focal", "peripheral") else frozenset()
    marks = _vitals(scenario, rng, happens)
    return Story(number, kind, title, scenario, _shots(), marks, cause, begun, hurt, seed * 100_000 + number)


_Made = tuple[str, Scenario, Cause | None]


def _focal(rng: np.random.Generator, onset_s: float) -> _Made:
    """A lesion of cord or cortex: how bad, how quickly, which side and tract."""
    place = str(rng.choice(["cord T8", "cord T8", "cord T10", "cord C5", "cortex"]))
    side = str(rng.choice(["left", "right", "both"])) if place.startswith("cord T") else ""
    side = side or str(rng.choice(["left", "right"]))
    tract = str(rng.choice(["all", "all", "dorsal", "motor"])) if place.startswith("cord") else "all"
    severity, ramp_s = float(rng.uniform(0.6, 1.0)), float(rng.choice([2.0, 15.0, 45.0, 90.0]))
    delay_ms = float(rng.uniform(0.0, 2.0))
    lesion = Lesion(onset_s, place, side, severity, tract, delay_ms, ramp_s)  # type: ignore[arg-type]
    title = f"{place}, {side}, {tract}: {severity:.0%} lost in {ramp_s:g} s"
    return title, Scenario(lesion=(lesion,)), "focal"


def _peripheral(rng: np.random.Generator, onset_s: float) -> _Made:
    """An arm or a leg lies badly."""
    limb, side = str(rng.choice(["arm", "leg"])), str(rng.choice(["left", "right"]))
    severity, ramp_s = float(rng.uniform(0.65, 1.0)), float(rng.choice([30.0, 60.0, 120.0]))
    lesion = Lesion(onset_s, limb, side, severity, delay_ms=float(rng.uniform(0.5, 2.0)), ramp_s=ramp_s)  # type: ignore[arg-type]
    return f"{side} {limb}: {severity:.0%} lost in {ramp_s:g} s", Scenario(lesion=(lesion,)), "peripheral"


def _systemic(rng: np.random.Generator, onset_s: float) -> _Made:
    """The whole patient: a bolus, a fall of pressure, a relaxant, hours of anaesthesia in a hurry."""
    what = str(rng.choice(["bolus", "pressure", "relaxant", "fade"]))
    sound = Anaesthesia(0.0)
    if what == "bolus":
        depth, ramp_s = float(rng.uniform(1.7, 2.4)), float(rng.uniform(30.0, 120.0))
        then = Anaesthesia(onset_s, depth=depth, ramp_s=ramp_s)
        return f"bolus: depth {depth:.1f} in {ramp_s:.0f} s", Scenario(anaesthesia=(sound, then)), "systemic"
    if what == "pressure":
        mmhg, ramp_s = float(rng.uniform(42.0, 52.0)), float(rng.uniform(30.0, 120.0))
        then = Anaesthesia(onset_s, pressure_mmhg=mmhg, ramp_s=ramp_s)
        return f"pressure {mmhg:.0f} mmHg in {ramp_s:.0f} s", Scenario(anaesthesia=(sound, then)), "systemic"
    if what == "relaxant":
        block = float(rng.uniform(0.5, 0.9))
        then = Anaesthesia(onset_s, block=block, ramp_s=90.0)
        return f"relaxant: {block:.0%} of fibres", Scenario(anaesthesia=(sound, then)), "systemic"
    left = float(rng.uniform(0.25, 0.5))
    then = Anaesthesia(onset_s, fade=left, ramp_s=240.0)
    return f"fade of motor responses to {left:.0%} in 4 min", Scenario(anaesthesia=(sound, then)), "systemic"


def _technical(rng: np.random.Generator, onset_s: float) -> _Made:
    """A lead of a stimulator or an electrode comes off."""
    what = str(rng.choice(["stimulator", "off", "loose"]))
    if what == "stimulator":
        line = int(rng.integers(1, 7))
        broken = StimulatorChange(onset_s, "open", line=line)
        return f"stimulator lead of line {line} off", Scenario(stimulator=(broken,)), "technical"
    name = str(rng.choice(["CPz", "CP3", "CP4", "Fpz", "EPL", "PFR", "TAL1", "APBR1", "reference"]))
    change = ElectrodeChange(onset_s, name, what)  # type: ignore[arg-type]
    return f"electrode {name} {what}", Scenario(electrode=(change,)), "technical"


def _nothing(rng: np.random.Generator, onset_s: float) -> _Made:
    """Nothing that matters: machines, a patient who is moved, more noise for a while."""
    what = str(rng.choice(["quiet", "warmer", "drill", "louder"]))
    if what == "quiet":
        return "nothing", Scenario(), None
    if what == "louder":
        noise = (NoiseChange(onset_s, emg=1.2, eeg=1.2, mains=3.0),)
        return "more noise", Scenario(noise=noise), None
    kind: Literal["warmer", "drill"] = "warmer" if what == "warmer" else "drill"
    machine = Interference(onset_s, float(rng.uniform(20.0, 90.0)), kind)
    return f"a {what}", Scenario(interference=(machine,)), None


_MAKERS: Mapping[Kind, Callable[[np.random.Generator, float], _Made]] = {
    "focal": _focal,
    "peripheral": _peripheral,
    "systemic": _systemic,
    "technical": _technical,
    "nothing": _nothing,
}


def _knife(rng: np.random.Generator) -> tuple[Electrosurgery, ...]:
    """Electrosurgery now and then, as in every case."""
    return tuple(
        Electrosurgery(float(rng.uniform(60.0, SECONDS)), float(rng.uniform(1.0, 6.0))) for _ in range(4)
    )


def _shots() -> tuple[Shot, ...]:
    """Motor responses: two trains a side, at once for the baseline, then every MEP_EVERY_S."""
    starts = [MEP_FIRST_S + 20.0 * k for k in range(4)]
    while starts[-1] + MEP_EVERY_S + OTHER_SIDE_S + PAIR_S < SECONDS - 2.0:
        starts.append(starts[-1] + MEP_EVERY_S)
    shots = [
        Shot(at + late + more, test)
        for at in starts
        for test, late in (("left_mep", 0.0), ("right_mep", OTHER_SIDE_S))
        for more in (0.0, PAIR_S)
    ]
    return tuple(sorted(shots, key=lambda shot: shot.at_s))


def _vitals(scenario: Scenario, rng: np.random.Generator, happens: Scenario) -> tuple[Mark, ...]:
    """What an anaesthesia monitor posts every minute, with its own unrest; depth is seen as MAC."""
    marks = []
    for k in range(int(SECONDS / VITALS_EVERY_S)):
        at_s = 15.0 + k * VITALS_EVERY_S
        state = state_at(scenario.anaesthesia, at_s)
        values = {
            "map_mmhg": round(state.pressure_mmhg + float(rng.normal(0.0, 3.0)), 1),
            "temperature_c": round(state.temperature_c + float(rng.normal(0.0, 0.05)), 2),
            "mac": round(max(0.0, MAC_PER_DEPTH * state.depth + float(rng.normal(0.0, 0.03))), 2),
        }
        marks.append(Mark(at_s, values))
    return tuple(marks)


def _hurt(scenario: Scenario) -> frozenset[str]:
    """The tests of which a response that is judged loses more than HURT, as the model has it."""
    hurt = set()
    late_s = SECONDS
    for plan in score_case().tests:
        side, nerve, _ = find(plan.site)
        other = "right" if side == "left" else "left"
        lost = [0.0]
        if plan.kind == "average":
            way = WAYS[nerve]
            ways = passed(way.stations, side, scenario.lesion, late_s)
            leading = plan.peaks[plan.leading or 0].name
            lost += [1.0 - ways[part.passes - 1][0] for part in way.components if part.name == leading]
        elif plan.kind == "response":
            for target in MOTOR[nerve]:
                if any(d.name.startswith(target.stem) for d in plan.derivations) and not target.spread:
                    own = {"i": side, "c": other, "": side}[target.side]
                    lost.append(1.0 - passed(target.stations, own, scenario.lesion, late_s)[-1][0])
        if max(lost) > HURT:
            hurt.add(plan.name)
    return frozenset(hurt)
