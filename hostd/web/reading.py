"""A reader's own average: the box's pipeline over the raw samples, with his derivations, filter and windows.

Nothing of it reaches the box, so the cart is not disturbed; and nothing of it is another method than the
box's, so that what differs is only what the reader chose. Runs in a thread of the gateway.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from dsp.nouns import Peak
from hostd.case import Case, TestPlan
from hostd.derivations import derive
from hostd.errors import UsageError
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.web.ring import Ring
from hw.link import Description
from hw.samples import Gap

MOST_DERIVATIONS = 16
LOWEST_HZ, WIDEST_MS = 0.1, 1000.0
MOST_SWEEPS = 5000


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader chose; what is null is the case's. `span_s`: seconds of the case (to null: live).

    `reference_s`: another span, whose average is laid beneath.
    """

    test: str
    derivations: list[str] | None = None
    band_hz: tuple[float, float] | None = None
    window_ms: tuple[float, float] | None = None
    reject_uv: float | None = None
    sweeps: int | None = None
    span_s: tuple[float, float | None] | None = None
    reference_s: tuple[float, float] | None = None


def wanted(raw: dict[str, Any]) -> Wanted:
    """What a page says. Raises UsageError, naming the field."""
    try:
        said = msgspec.convert(raw, Wanted)
    except msgspec.ValidationError as error:
        raise UsageError(f"reading: {error}") from None
    for name, span in (("span_s", said.span_s), ("reference_s", said.reference_s)):
        if span is not None and not (span[0] >= 0 and (span[1] is None or span[1] > span[0])):
            raise UsageError(f"reading: {name} {_said(span)} is no span; the first is the earlier, from 0 on")
    return said


def planned(case: Case, said: Wanted, rate_hz: float) -> TestPlan:
    """The case's plan of a test with what the reader chose. Raises UsageError where that is impossible."""
    plan = next((plan for plan in case.tests if plan.name == said.test), None)
    if plan is None or plan.kind == "tof":
        names = ", ".join(plan.name for plan in case.tests if plan.kind != "tof")
        raise UsageError(f"reading: no test {said.test!r} to average; there are {names}")
    chosen: dict[str, Any] = {"baseline": "manual", "choice": "standard", "virtual": "off", "rules": ()}
    if said.derivations is not None:
        chosen |= _montage(plan, said.derivations, case.channels)
    if said.band_hz is not None:
        low, high = said.band_hz
        if not (LOWEST_HZ <= low < high < rate_hz / 2):
            most = f"{rate_hz / 2:g} Hz, half the rate"
            raise UsageError(f"reading: band {low:g} to {high:g} Hz; from {LOWEST_HZ} on, below {most}")
        chosen["band_hz"] = (low, high)
    if said.window_ms is not None:
        chosen["window_ms"] = _window(said.window_ms)
    if said.reject_uv is not None:
        if not said.reject_uv > 0:
            raise UsageError(f"reading: reject_uv {said.reject_uv:g} is not above 0")
        chosen["reject_uv"] = said.reject_uv
    if said.sweeps is not None:
        if not 16 <= said.sweeps <= MOST_SWEEPS:
            raise UsageError(f"reading: {said.sweeps} sweeps; from 16 to {MOST_SWEEPS}")
        chosen["sweeps"] = said.sweeps
    return replace(plan, **chosen)


def _window(window_ms: tuple[float, float]) -> tuple[float, float]:
    low, high = window_ms
    if not (-WIDEST_MS <= low < high <= WIDEST_MS and high > 0 and low <= 0):
        raise UsageError(
            f"reading: window {low:g} to {high:g} ms; it holds the stimulus, within {WIDEST_MS:g} ms"
        )
    return low, high


def _montage(plan: TestPlan, names: Sequence[str], channels: tuple[str, ...]) -> dict[str, Any]:
    """Derivations by name, and the plan's peaks in those that are still among them."""
    if not 1 <= len(names) <= MOST_DERIVATIONS:
        raise UsageError(f"reading: {len(names)} derivations; from 1 to {MOST_DERIVATIONS}")
    found = []
    for name in names:
        try:
            found.append(derive(name, channels))
        except ValueError as error:
            raise UsageError(f"reading: {name[:60]!r}: {error}; there are {', '.join(channels)}") from None
    rows = {derivation.name: row for row, derivation in enumerate(found)}
    if len(rows) < len(found):
        raise UsageError("reading: a derivation is there twice")
    peaks: list[Peak] = []
    places: dict[int, int] = {}
    for place, peak in enumerate(plan.peaks):
        row = rows.get(plan.derivations[peak.derivation].name)
        if row is not None:
            places[place] = len(peaks)
            peaks.append(replace(peak, derivation=row))
    return {
        "derivations": tuple(found),
        "peaks": tuple(peaks),
        "normals": tuple(plan.normals[k] for k in places) if len(plan.normals) == len(plan.peaks) else (),
        "leading": places.get(plan.leading, 0 if peaks else None) if plan.leading is not None else None,
        "control": None if plan.control is None else places.get(plan.control),
        "analysis": "peaks",
    }


class Averaging:
    """One span of the ring through the pipeline, going on where it ended. One thread."""

    def __init__(
        self, case: Case, plan: TestPlan, description: Description, first: int, end: int | None
    ) -> None:
        """`first`, `end`: samples (end None: all that come). Raises UsageError for a bad plan."""
        try:
            self._pipeline = Pipeline(replace(case, tests=(plan,), watches=()), description)
        except ValueError as error:
            raise UsageError(f"reading: {error}") from None
        self._test = plan.name
        self._next, self._end = first, end
        self._pipeline.command("test.start", {"test": plan.name, "author": "reader"})
        self._started = False
        self.newest: dict[str, Outgoing] = {}

    def advance(self, ring: Ring) -> bool:
        """Take what the ring has now; whether anything new was said."""
        said = False
        for block in ring.since(self._next):
            if self._end is not None and block.first_index >= self._end:
                break
            if self._started and block.first_index > self._next and not block.gaps:  # the ring ran past us
                lost = Gap(self._next, block.first_index - self._next, "overflow")
                block = replace(block, gaps=(lost,))
            self._next, self._started = block.end_index, True
            for message in self._pipeline.feed(block):
                family, _, test = message.topic.partition(".")
                if test == self._test and family in ("average", "measure", "response"):
                    self.newest[family] = message
                    said = True
        return said


def _said(span: tuple[float, float | None]) -> str:
    return f"{span[0]:g} to {'now' if span[1] is None else format(span[1], 'g')} s"
