"""Vitals and drugs as clients post them with `mark`, and what of them explains a change of responses.

Owns the names that are known, their units, and which change of each speaks for a systemic cause; the figures
are round ones (facts/clinical.md 3.C). Refuses nothing that has a number: unknown names are kept and shown.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

BEFORE_S, SETTLED_S, RECENT_S = 1200.0, 20.0, 600.0
"""What was before a change: the 20 minutes up to 20 s before it. A dose explains for ten minutes."""
STEADY_ODDS = -1.5
"""What speaks against a systemic cause: vitals are posted, and none of them has moved."""
MOST_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Vital:
    """A number that anaesthesia knows. It counts when it moves by `change` (of itself where `relative`) in
    `direction`, or is below `floor`; a `dose` counts for having been given. `odds` for a systemic cause."""

    text: str
    unit: str
    direction: Literal[-1, 0, 1]
    change: float
    odds: float
    relative: bool = False
    floor: float = -math.inf
    dose: bool = False


VITALS: Mapping[str, Vital] = {
    "map_mmhg": Vital("mean arterial pressure", "mmHg", -1, 0.2, 2.5, True, 60.0),
    "temperature_c": Vital("temperature", "°C", -1, 0.7, 1.0),
    "mac": Vital("MAC", "", 1, 0.2, 2.5),
    "propofol_ug_ml": Vital("propofol", "ug/ml", 1, 0.2, 2.5, True),
    "remifentanil_ng_ml": Vital("remifentanil", "ng/ml", 1, 0.5, 0.5, True),
    "spo2_pct": Vital("oxygen saturation", "%", -1, 5.0, 1.0, False, 90.0),
    "etco2_mmhg": Vital("end-tidal carbon dioxide", "mmHg", -1, 0.25, 0.5, True),
    "haemoglobin_g_dl": Vital("haemoglobin", "g/dl", -1, 0.2, 0.5, True),
    "bolus_mg": Vital("bolus of anaesthetic", "mg", 0, 0.0, 2.5, dose=True),
    "relaxant_mg": Vital("muscle relaxant", "mg", 0, 0.0, 2.0, dose=True),
}


@dataclass(frozen=True, slots=True)
class Confounder:
    """Something beside the patient's pathways that has moved: in words, from what to what, since when, and
    the log odds that it lends a systemic cause."""

    name: str
    text: str
    before: float | None
    now: float
    index: int
    odds: float


class Vitals:
    """The numbers of a case by name, each with its sample index."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._posted: dict[str, list[tuple[int, float]]] = {}

    def post(self, index: int, values: Mapping[str, float]) -> None:
        """Take what was measured or given at sample `index`."""
        for name, value in values.items():
            kept = self._posted.setdefault(name, [])
            kept.append((index, float(value)))
            del kept[:-MOST_KEPT]

    def moved(self, since: int, index: int) -> list[Confounder]:
        """What explains a change that began at sample `since`, as far as was known at `index`."""
        found = (self._one(name, since, index) for name in self._posted if name in VITALS)
        return [one for one in found if one is not None]

    def odds(self, since: int, index: int) -> float:
        """The log odds of a systemic cause: what has moved, or that nothing has."""
        moved = self.moved(since, index)
        if moved:
            return min(sum(one.odds for one in moved), 5.0)
        steady = any(self._is_followed(name, since, index) for name in self._posted if name in VITALS)
        return STEADY_ODDS if steady else 0.0

    def _is_followed(self, name: str, since: int, index: int) -> bool:
        """Whether it was posted lately, and before: a dose that was not given is not posted."""
        if VITALS[name].dose:
            return False
        late = [at for at, _ in self._posted[name] if since - 180 * self._rate_hz <= at <= index]
        return bool(late) and _before(self._posted[name], since, self._rate_hz) is not None

    def _one(self, name: str, since: int, index: int) -> Confounder | None:
        vital, posted = VITALS[name], [one for one in self._posted[name] if one[0] <= index]
        if not posted:
            return None
        at, now = posted[-1]
        if vital.dose:
            recent = [one for one in posted if one[0] >= since - RECENT_S * self._rate_hz]
            given = sum(value for _, value in recent)
            text = f"{vital.text}: {given:g} {vital.unit}"
            return Confounder(name, text, None, given, recent[-1][0], vital.odds) if recent else None
        before = _before(posted, since, self._rate_hz)
        if not (now < vital.floor or (before is not None and _far(vital, before, now))):
            return None
        was = "" if before is None else f" from {before:.3g}"
        return Confounder(
            name, f"{vital.text}{was} to {now:.3g} {vital.unit}".rstrip(), before, now, at, vital.odds
        )


def _before(posted: Iterable[tuple[int, float]], since: int, rate_hz: float) -> float | None:
    first, end = since - BEFORE_S * rate_hz, since - SETTLED_S * rate_hz
    values = [value for at, value in posted if first <= at <= end]
    return fmean(values) if values else None


def _far(vital: Vital, before: float, now: float) -> bool:
    moved = vital.direction * (now - before)
    return moved >= (vital.change * abs(before) if vital.relative else vital.change)
