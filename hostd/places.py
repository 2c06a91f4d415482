"""Where the responses of a case run: which tract, which limb, which side of the body. Pure.

Owns the reading of modality, site and derivation; the names are the library's (`hostd/protocols/`).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dsp.attribution import Limb, Tract
from hostd.case import TestPlan
from hostd.seen import Seen

ARMS = ("median", "ulnar", "C5", "C6", "C7", "C8", "T1")
LEGS = ("tibial", "peroneal", "L2", "L3", "L4", "L5", "S1")
ARM_MUSCLES = ("APB", "ADM", "DEL", "BIC", "TRI")
LEG_MUSCLES = ("TA", "AH", "VL", "GAS", "AS", "ADD", "SOL")
LIMBS: tuple[Limb, ...] = ("arm", "leg", "head")
MOTOR_MODALITIES = ("tcmep", "comep", "d_wave", "cortical_mapping", "subcortical_mapping")
ALIKE = 0.3
"""Correlation of the scatter of muscles that one train moves: what they share is not averaged away."""
_MUSCLE = re.compile(r"([A-Z]+?)([LR])\d?(?:-|$)")
_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True, slots=True)
class Place:
    """Of one response; `side` "" is of both or of none."""

    tract: Tract
    limb: Limb
    side: str


def place_of(plan: TestPlan, derivation: str) -> Place:
    """Where the response of `plan` in `derivation` runs."""
    tract: Tract = "motor" if plan.modality in MOTOR_MODALITIES else "sensory"
    words = plan.site.split()
    side = words[0] if words and words[0] in ("left", "right") else ""
    if plan.modality == "d_wave":
        return Place(tract, "leg", "")
    if plan.kind == "response" and (muscle := _MUSCLE.match(derivation)):
        stem, letter = muscle.groups()
        if stem in ARM_MUSCLES or stem in LEG_MUSCLES:
            return Place(tract, "arm" if stem in ARM_MUSCLES else "leg", _SIDES[letter])
        return Place(tract, "head", _SIDES[letter])
    if any(word in ARMS for word in words):
        return Place(tract, "arm", side)
    if any(word in LEGS for word in words):
        return Place(tract, "leg", side)
    return Place(tract, "head", side)


def limb_of(plan: TestPlan, response: str) -> tuple[str, str]:
    """Side and limb of a response: of one derivation, or of a whole limb's mean (`pooled`)."""
    side, _, limb = response.partition(" ")
    if limb in LIMBS:
        return side, limb
    place = place_of(plan, response)
    return place.side, place.limb


def pooled(plan: TestPlan, seen: Sequence[Seen]) -> list[Seen]:
    """The mean of the answers of each limb that has several, beside the mean of their baselines."""
    limbs: dict[str, list[Seen]] = {}
    for one in seen:
        limbs.setdefault(" ".join(limb_of(plan, one.name)), []).append(one)
    return [_mean(name, of) for name, of in limbs.items() if len(of) > 1]


def _mean(name: str, of: Sequence[Seen]) -> Seen:
    k, first = len(of), of[0]
    scatter = math.sqrt(sum(one.error**2 for one in of) / k * (ALIKE + (1.0 - ALIKE) / k))
    return Seen(
        first.index,
        first.test,
        name,
        "pooled",
        sum(one.value for one in of) / k,
        absent=all(one.absent for one in of),
        version=first.version,
        error=scatter,
        count=min(one.count for one in of),
        muscles=k,
    )
