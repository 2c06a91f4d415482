"""Which plugs could be exchanged in a case, and where each response would be found then. Pure.

Owns the reading of electrodes' names (which lie on the other side, which sit on the same kind of place) and
the list of exchanges that a plug check asks about; what is seen there is `hostd.plug_collector`'s, what
follows from it `hostd.plug_judge`'s. Refuses exchanges that no response of the case could show.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dsp.nouns import Derivation, Peak
from hostd.case import Case, TestPlan
from hostd.places import place_of

Verdict = Literal["reversed", "swapped sides", "wrong jack"]
_LETTERED = re.compile(r"([A-Z][A-Za-z]*?)([LR])(\d?|[dp])")
_NUMBERED = re.compile(r"(Fp|AF|FC|FT|CP|TP|PO|F|C|T|P|O|A|M)(\d{1,2})")
_SCALP = re.compile(r"(Fp|AF|FC|FT|CP|TP|PO|F|C|T|P|O|A|M|I)(\d{1,2}|z)")
_MUSCLE = re.compile(r"([A-Z]+[LR])\d?(?=-|$)")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Plugs that may be exchanged: pairs of electrodes, or the outputs of a stimulator for two tests (`lines`
    with the tests' names; the second "" where the other side has no test)."""

    what: Literal["electrodes", "lines"]
    pairs: tuple[tuple[str, str], ...]
    verdict: Verdict
    text: str

    def swap(self, weights: tuple[float, ...], channels: tuple[str, ...]) -> tuple[float, ...]:
        """The derivation that shows what `weights` should, if these electrodes are exchanged."""
        place = {name: k for k, name in enumerate(channels)}
        moved = list(weights)
        for a, b in self.pairs:
            moved[place[a]], moved[place[b]] = weights[place[b]], weights[place[a]]
        return tuple(moved)


@dataclass(frozen=True, slots=True)
class Asked:
    """One response of a test (`peak` None: of a muscle), the derivation where it should be, and for every
    exchange that would move it the one where it would be. `usual_uv`: how large it is as a rule; `leads`:
    trends show it."""

    response: str
    peak: Peak | None
    own: Derivation
    electrodes: frozenset[str]
    active: frozenset[str]
    under: tuple[tuple[Exchange, Derivation], ...]
    usual_uv: float
    leads: bool

    @property
    def sided(self) -> bool:
        """Its active electrode lies on one side."""
        return any(_LETTERED.fullmatch(name) or _lateral_scalp(name) for name in self.active)


def mirrored(name: str, channels: tuple[str, ...]) -> str:
    """The electrode of the other side; `name` itself on the midline, "" where the other is not recorded."""
    if one := _NUMBERED.fullmatch(name):
        number = int(one[2])
        there = f"{one[1]}{number + 1 if number % 2 else number - 1}"
    elif one := _LETTERED.fullmatch(name):
        there = f"{one[1]}{'R' if one[2] == 'L' else 'L'}{one[3]}"
    else:
        return name
    return there if there in channels else ""


def judged_tests(case: Case) -> list[TestPlan]:
    """The tests whose plugs can be checked: averages with peaks, muscles that a train over the head moves."""
    return [plan for plan in case.tests if _has_peaks(plan) or _has_muscles(plan)]


def asked_of(case: Case) -> dict[str, tuple[Asked, ...]]:
    """What is looked for, by test; tests without anything that can be judged are left out."""
    tests = judged_tests(case)
    wanted = {plan.name: _responses(plan, case.channels) for plan in tests}
    every = {h: None for plan in tests for h in _exchanges(plan, case, tests, wanted[plan.name])}
    found = {
        plan.name: tuple(
            Asked(
                name,
                peak,
                own,
                used,
                _active(own, case.channels),
                _under(plan, used, own, every, case.channels),
                usual,
                plan.leading is not None and plan.peaks[plan.leading] == peak,
            )
            for name, peak, own, used, usual in wanted[plan.name]
        )
        for plan in tests
    }
    return {name: asked for name, asked in found.items() if asked}


_Wanted = tuple[str, Peak | None, Derivation, frozenset[str], float]


def _has_peaks(plan: TestPlan) -> bool:
    return plan.kind == "average" and bool(plan.peaks) and plan.analysis == "peaks"


def _has_muscles(plan: TestPlan) -> bool:
    return plan.kind == "response" and plan.stimulus.kind == "transcranial" and plan.modality != "d_wave"


def _used(derivation: Derivation, channels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, w in zip(channels, derivation.weights, strict=True) if w)


def _active(derivation: Derivation, channels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, w in zip(channels, derivation.weights, strict=True) if w > 0.0)


def _responses(plan: TestPlan, channels: tuple[str, ...]) -> list[_Wanted]:
    """The responses of a test that tell where plugs are. P37 lies over the stimulated side or the other one,
    as the patient has it: what is lateral of the leg's cortex tells nothing of sides."""
    if _has_muscles(plan):
        muscles = [(d, _used(d, channels)) for d in plan.derivations]
        return [
            (muscle_of(d.name), None, d, used, plan.smallest_uv)
            for d, used in muscles
            if all(map(_MUSCLE.fullmatch, used))
        ]
    found: list[_Wanted] = []
    for k, peak in enumerate(plan.peaks):
        own = plan.derivations[peak.derivation]
        used = _used(own, channels)
        if _of_a_leg(plan) and any(_lateral_scalp(name) for name in used):
            continue
        normal = plan.normals[k].amplitude_uv if plan.normals else None
        usual = (normal[0] * normal[1]) ** 0.5 if normal else plan.smallest_uv
        found.append((peak.name, peak, own, used, usual))
    return found


def muscle_of(derivation: str) -> str:
    """ "TAR1-TAR2" is the muscle TAR."""
    told = _MUSCLE.match(derivation)
    return told[1] if told else derivation


def _of_a_leg(plan: TestPlan) -> bool:
    return place_of(plan, "").limb == "leg"


def on_scalp(name: str) -> bool:
    """Whether an electrode has a place of the 10-20 system."""
    return _SCALP.fullmatch(name) is not None


def _lateral_scalp(name: str) -> bool:
    return on_scalp(name) and not name.endswith("z")


def _exchanges(
    plan: TestPlan, case: Case, tests: list[TestPlan], wanted: list[_Wanted]
) -> Iterator[Exchange]:
    yield from _lines(plan, tests)
    for _, peak, _, used, _ in wanted:
        across = sorted(
            {_ordered(e, there) for e in used if (there := mirrored(e, case.channels)) not in ("", e)}
        )
        if across:
            yield Exchange("electrodes", tuple(across), "swapped sides", _plugs(across, peak is None))
        if peak is None:
            continue
        if len(used) == 2 and (pair := _ordered(*used)) not in across:
            yield Exchange("electrodes", (pair,), "reversed", _plugs([pair]))
        for here in sorted(used):
            for there in sorted(_same_kind(here, plan, tests, case.channels) - used):
                if mirrored(here, case.channels) != there:
                    pair = _ordered(here, there)
                    yield Exchange("electrodes", (pair,), "wrong jack", _plugs([pair]))


def _lines(plan: TestPlan, tests: list[TestPlan]) -> Iterator[Exchange]:
    side, _, rest = plan.site.partition(" ")
    over = {"left": "right", "right": "left"}.get(side)
    if over is None:
        return
    others = [t for t in tests if t.site == f"{over} {rest}" and t.modality == plan.modality]
    if not others:
        text = f"the stimulator of {plan.site}, which reaches the {over} side"
        yield Exchange("lines", ((plan.name, ""),), "swapped sides", text)
        return
    first, second = sorted((plan, others[0]), key=lambda t: t.name)
    text = f"the stimulators of {first.site} and {second.site} (lines {first.line} and {second.line})"
    yield Exchange("lines", ((first.name, second.name),), "swapped sides", text)


def _same_kind(name: str, plan: TestPlan, tests: list[TestPlan], channels: tuple[str, ...]) -> set[str]:
    """The electrodes whose plugs may be mistaken for that of `name`: on the scalp those of the same test; on
    neck, back and limbs those of all tests that are averaged."""
    of = [plan] if on_scalp(name) else [t for t in tests if _has_peaks(t)]
    every = {e for t in of for d in t.derivations for e in _used(d, channels)}
    return {e for e in every if on_scalp(e) == on_scalp(name) and not _is_muscle(e)} - {name}


def _is_muscle(name: str) -> bool:
    return name[-1].isdigit() and _LETTERED.fullmatch(name) is not None


def _ordered(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _plugs(pairs: list[tuple[str, str]], muscle: bool = False) -> str:
    told = [tuple(muscle_of(e) for e in pair) if muscle else pair for pair in pairs]
    return "the plugs of " + ", of ".join(dict.fromkeys(f"{a} and {b}" for a, b in told))


def _under(
    plan: TestPlan,
    used: frozenset[str],
    own: Derivation,
    every: dict[Exchange, None],
    channels: tuple[str, ...],
) -> tuple[tuple[Exchange, Derivation], ...]:
    """Where the response of `own` would be under each exchange that moves it, as far as that is recorded."""
    found = []
    for h in every:
        if h.what == "lines":
            if plan.name not in h.pairs[0]:
                continue
            there = {e: mirrored(e, channels) for e in used}
            if not all(there.values()):
                continue
            pairs = tuple({_ordered(a, b) for a, b in there.items() if a != b})
            weights = Exchange("electrodes", pairs, h.verdict, "").swap(own.weights, channels)
        else:
            weights = h.swap(own.weights, channels)
        made = Derivation(_name(weights, channels), weights)
        lost = _of_a_leg(plan) and plan.kind == "average" and any(map(_lateral_scalp, _used(made, channels)))
        if weights != own.weights and not lost:
            found.append((h, made))
    return tuple(found)


def _name(weights: tuple[float, ...], channels: tuple[str, ...]) -> str:
    plus = [name for name, w in zip(channels, weights, strict=True) if w > 0.0]
    minus = [name for name, w in zip(channels, weights, strict=True) if w < 0.0]
    return "-".join(filter(None, (_link(plus), _link(minus))))


def _link(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"({'+'.join(names)})/{len(names)}" if names else ""
