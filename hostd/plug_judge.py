"""What was found where, and which plugs are exchanged then: the judge of a plug check. Pure.

An exchange is named when it brings back responses that are not where they should be, contradicts none that
is, and no other exchange explains as much; two that the case's electrodes cannot tell apart are both named.
Refuses to guess: what is not explained is nothing or unsure. A response that merely is lost accuses nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from hostd.plug_exchanges import Exchange, Verdict, on_scalp
from hostd.plug_readings import CLEAR_SHARE, Found, Look, contradicts, in_place, moves, stands, tells

State = Literal["waiting", "ok", "reversed", "swapped sides", "wrong jack", "nothing", "unsure"]
FAULTS: tuple[State, ...] = ("swapped sides", "reversed", "wrong jack")
LEAST_SHARE = 0.5
"""A response of which half the usual size would have been seen is nowhere; where all of a test's are missing,
the usual size."""
ONSETS_MS = {
    **{"DEL": 13.0, "BIC": 14.0, "TRI": 15.0, "APB": 22.5, "ADM": 22.5, "ADD": 23.0},
    **{"VL": 24.0, "AS": 28.0, "TA": 31.0, "GAS": 32.0, "AH": 40.0},
}
"""When muscles answer a train over the motor cortex in adults: told by their order alone, since a patient's
size moves all of them."""
APART_MS, CROSSED_MS = 6.0, 2.0
"""Muscles whose usual onsets are so far apart are in that order; crossed: later by so much."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Plugs that are exchanged: one exchange, or several that cannot be told apart; what it explains."""

    exchanges: tuple[Exchange, ...]
    explains: frozenset[tuple[str, str]]
    verdict: Verdict

    @property
    def text(self) -> str:
        """Which plugs, in words."""
        return ", or ".join(h.text for h in self.exchanges)

    def reaches(self, look: Look) -> "Fault":
        """The same, known by other tests' responses, with those of `look` that it would move and that are not
        seen in their place."""
        moved = {
            (look.test, f.response)
            for f in look.found
            if any(h in f.under and tells(f, h) for h in self.exchanges) and not in_place(f, True)
        }
        return Fault(self.exchanges, self.explains | moved, self.verdict)


@dataclass(frozen=True, slots=True)
class Finding:
    """The word on one response."""

    response: str
    derivation: str
    found: str | None
    verdict: State
    text: str
    matters: bool = False


def judge(looks: Iterable[Look]) -> list[Fault]:
    """The exchanges that explain what `looks` show together, as far as nothing else does."""
    every = list(looks)
    cases = [
        c for h in dict.fromkeys(h for k in every for f in k.found for h in f.under) if (c := _case(h, every))
    ]
    faults: list[Fault] = []
    explained: set[tuple[str, str]] = set()
    while cases:
        most = max(len(case.gains) for case in cases)
        best = next(case for case in cases if len(case.gains) == most)
        rivals = [c for c in cases if c.gains & best.gains and not c.gains < best.gains]
        rivals = [c for c in rivals if not any(_beats(other, c, every) for other in rivals)]
        cases = [c for c in cases if not c.gains & best.gains]
        alike = all(c.gains == rivals[0].gains and c.exchange.verdict == "swapped sides" for c in rivals)
        if len(rivals) == 1 or (alike and _all_known(rivals[0].gains, every)):
            exchanges = tuple(c.exchange for c in rivals)
            faults.append(Fault(exchanges, rivals[0].gains, rivals[0].verdict))
            explained |= rivals[0].gains
    return faults + [f for look in every if (f := _crossed(look)) and not f.explains & explained]


def findings(look: Look, faults: Iterable[Fault]) -> tuple[Finding, ...]:
    """The word on every response of `look`."""
    alone = not any(in_place(f, look.last) for f in look.found)
    return tuple(_finding(look, one, faults, alone) for one in look.found)


def state_of(found: tuple[Finding, ...]) -> State:
    """The word on a test: the gravest; what cannot be judged counts where it matters."""
    verdicts = [one.verdict for one in found]
    if any(one.matters and one.verdict == "unsure" for one in found):
        verdicts = [word for word in verdicts if word != "ok"]
    order: tuple[State, ...] = (*FAULTS, "waiting", "nothing", "ok")
    return next((word for word in order if word in verdicts), "unsure")


@dataclass(frozen=True, slots=True)
class _Case:
    """What speaks for one exchange."""

    exchange: Exchange
    gains: frozenset[tuple[str, str]]
    upside_down: bool

    @property
    def verdict(self) -> Verdict:
        if self.exchange.verdict == "swapped sides":
            return "swapped sides"
        return "reversed" if self.upside_down else "wrong jack"


def _case(h: Exchange, looks: list[Look]) -> _Case | None:
    """What `h` brings back; None where it brings nothing, or contradicts a response that is in its place."""
    moved = [(look.test, f) for look in looks for f in look.found if h in f.under and tells(f, h)]
    if any(contradicts(f, h) for _, f in moved):
        return None
    mine = [(test, f) for test, f in moved if moves(f, h)]
    over = any(_turned(f, h) for _, f in mine)
    if not mine or (h.verdict != "swapped sides" and not over and not _both_ways(h, looks)):
        return None
    return _Case(h, frozenset((test, f.response) for test, f in mine), over)


def _turned(f: Found, h: Exchange) -> bool:
    """Upside down and of the usual size: what a reference shows alone, its electrode being off, is small."""
    there = f.under[h]
    return there.upside_down and there.reading.low_uv + there.reading.high_uv >= 2.0 * f.usual_uv


def _both_ways(h: Exchange, looks: list[Look]) -> bool:
    """An electrode that is off loses its response and gives it to nobody: of an exchange each of the two must
    show the other's, where the case expects something of it; on the scalp, where neighbours are alike, both
    always."""
    ((a, b),) = h.pairs
    for one, other in ((a, b), (b, a)):
        mine = [f for k in looks for f in k.found if one in f.active and other not in f.electrodes]
        better = [f for f in mine if h in f.under and _better(f, h)]
        if not better and (mine or on_scalp(a) or on_scalp(b)):
            return False
    return True


def _better(f: Found, h: Exchange) -> bool:
    there = f.under[h].reading
    return stands(there, CLEAR_SHARE) and (not f.own.seen or there.low_uv > f.own.high_uv)


def _beats(one: _Case, other: _Case, looks: list[Look]) -> bool:
    """Whether `one` shows all that `other` explains, and clearly larger."""
    if one is other or not other.gains <= one.gains:
        return False
    if one.gains != other.gains:
        return True
    both = [f for k in looks for f in k.found if (k.test, f.response) in other.gains]
    return all(f.under[one.exchange].reading.low_uv > f.under[other.exchange].reading.high_uv for f in both)


def _all_known(gains: frozenset[tuple[str, str]], looks: list[Look]) -> bool:
    """Nothing more can tell the explanations apart: every response of these tests is seen somewhere, or no
    more sweeps are waited for."""
    tests = {test for test, _ in gains}
    mine = [look for look in looks if look.test in tests]
    return all(
        k.last or all(in_place(f, False) or (k.test, f.response) in gains for f in k.found if f.sided)
        for k in mine
    )


def _crossed(look: Look) -> Fault | None:
    """Two muscles whose exchange puts the onsets of all into the order that they have in everybody."""
    onsets = {f.response: f.own.latency_ms for f in look.found if f.muscle and f.own.seen}
    known = {name: ms for name, ms in onsets.items() if ms is not None and name[:-1] in ONSETS_MS}
    if not _wrong_order(known):
        return None
    cures = [
        (a, b) for a, b in combinations(known, 2) if not _wrong_order(known | {a: known[b], b: known[a]}, 0.0)
    ]
    if len(cures) != 1:
        return None
    (pair,) = cures
    name = f"the plugs of {pair[0]} and {pair[1]}"
    exchange = Exchange("electrodes", (pair,), "wrong jack", name)
    return Fault((exchange,), frozenset((look.test, muscle) for muscle in pair), "wrong jack")


def _wrong_order(onsets: Mapping[str, float], by_ms: float = CROSSED_MS) -> bool:
    """Whether a muscle that answers well before another in everybody does so later here."""
    return any(
        ONSETS_MS[a[:-1]] + APART_MS <= ONSETS_MS[b[:-1]] and onsets[a] > onsets[b] + by_ms
        for a in onsets
        for b in onsets
    )


def _found_at(one: Found, fault: Fault) -> str | None:
    """Where a response that is not in its place is seen; None where it is not."""
    if one.muscle and fault.verdict == "wrong jack":
        return next((b if a == one.response else a for a, b in fault.exchanges[0].pairs), None)
    seen = (one.under[h] for h in fault.exchanges if h in one.under)
    return next((there.derivation for there in seen if there.reading.seen), None)


def _finding(look: Look, one: Found, faults: Iterable[Fault], alone: bool) -> Finding:
    for fault in faults:
        if (look.test, one.response) in fault.explains:
            at = _found_at(one, fault)
            text = f"{one.response} of {look.site} is not in {one.derivation}"
            text += f" but in {at}" if at else ""
            return Finding(one.response, one.derivation, at, fault.verdict, text)
    if in_place(one, look.last):
        text = f"{one.response} of {look.site} is where it should be"
        return Finding(one.response, one.derivation, one.derivation, "ok", text)
    if not look.last:
        text = f"{one.response} of {look.site} is not seen yet"
        return Finding(one.response, one.derivation, None, "waiting", text)
    if any(tells(one, h) and moves(one, h) for h in one.under):
        text = f"{one.response} of {look.site} is not in {one.derivation}; more than one exchange explains it"
        return Finding(one.response, one.derivation, None, "unsure", text, one.matters)
    if one.own.limit_uv is not None and one.own.limit_uv <= one.usual_uv * (1.0 if alone else LEAST_SHARE):
        text = f"{one.response} of {look.site} is found nowhere; look at the stimulator, its leads"
        text += f" and {one.derivation}"
        return Finding(one.response, one.derivation, None, "nothing", text)
    text = f"{one.response} of {look.site} cannot be judged: the noise hides it"
    return Finding(one.response, one.derivation, None, "unsure", text, one.matters)
