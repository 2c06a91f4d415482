"""Derivations and peaks of one test, resolved against the case's channels.

What is written must fit, else it is a fault; what the modality brings is dropped where electrodes lack.
"""

from dataclasses import dataclass, replace
from typing import Any

from dsp.nouns import Derivation, Peak
from hostd.case import Normal
from hostd.casefile_faults import Faults, choose, read, show, show_key
from hostd.casefile_schema import PeakTable, TestTable
from hostd.casefile_setup import Setup
from hostd.derivations import UnknownElectrodeError, derive
from hostd.modalities import Modality, PeakDefault, fill
from hostd.toml_lines import Path

_SIGNS = {"negative": -1, "positive": 1}


@dataclass(frozen=True, slots=True)
class TestScope:
    """One test while it is resolved: its table, its modality's defaults, and where its faults go."""

    path: tuple[str, str]
    table: TestTable
    modality: Modality
    setup: Setup
    faults: Faults

    def fine(self, *keys: str) -> bool:
        """True when none of the test's `keys` is at fault."""
        return not any(self.faults.at((*self.path, key)) for key in keys)

    def value(self, key: str) -> Any:
        """What is written, else what the modality's protocol has; None where neither says."""
        written = getattr(self.table, key)
        return getattr(self.modality.defaults, key) if written is None else written

    def fault(self, key: str, what: str, cure: str) -> None:
        """A fault at one of the test's keys."""
        self.faults.add((*self.path, key), what, cure)


def resolve_derivations(scope: TestScope) -> tuple[Derivation, ...]:
    """The test's derivations in order; empty when the channels or the derivations are at fault."""
    found = _derivations(scope)
    monitor = scope.setup.monitor
    shown = {monitor.current, monitor.voltage} if monitor is not None else set()
    for number, derivation in enumerate(found):
        parts = zip(scope.setup.channels or (), derivation.weights, strict=True)
        if used := sorted(channel for channel, weight in parts if weight and channel in shown):
            what = f"{show(derivation.name)} is made of {', '.join(map(show_key, used))}, a monitor channel"
            place = (*scope.path, "derivations", number)
            scope.faults.add(place, what, "name channels of electrodes, or take it out of monitor")
    return found


def _derivations(scope: TestScope) -> tuple[Derivation, ...]:
    written, channels = scope.table.derivations, scope.setup.channels
    if not scope.fine("derivations"):
        return ()
    if written is None:
        return _default_derivations(scope, channels)
    if not written:
        scope.fault("derivations", "none is named", 'write at least one, as derivations = ["CP4-CP3"]')
    if channels is None:
        return ()
    found: list[Derivation] = []
    for number, name in enumerate(written):
        place = (*scope.path, "derivations", number)
        derivation = _derive(scope, place, name, channels)
        if derivation is None:
            continue
        if any(other.weights == derivation.weights for other in found):
            scope.faults.add(place, f"{show(name)} is there already", "name every derivation once")
        found.append(derivation)
    return tuple(found)


def _derive(scope: TestScope, place: Path, name: str, channels: tuple[str, ...]) -> Derivation | None:
    """`name` resolved; what is wrong with it becomes a fault at `place`."""
    try:
        return derive(name, channels)
    except UnknownElectrodeError as error:
        unknown = next(iter(error.names), "")
        cure = choose(unknown, channels)
        if unknown and unknown == scope.setup.reference:
            cure = (
                f"{show_key(unknown)} is the reference already, so name the active electrode alone, or {cure}"
            )
        missing = ", ".join(show_key(electrode) for electrode in error.names)
        scope.faults.add(place, f"{show(name)} needs the channel {missing}, which is not there", cure)
    except ValueError as error:
        cure = "write CHANNEL, ACTIVE-REFERENCE or ACTIVE-(A+B)/2, of channels with plain labels"
        scope.faults.add(place, f"{show(name)} {error}", cure)
    return None


def _filled(scope: TestScope, template: str) -> str | None:
    """A modality's derivation for this test's side; None when the side is not known."""
    if "{" not in template:
        return template
    return None if scope.table.side is None else fill(template, scope.table.side)


def _default_derivations(scope: TestScope, channels: tuple[str, ...] | None) -> tuple[Derivation, ...]:
    modality = scope.modality
    if not modality.derivations:
        cure = 'write them, as derivations = ["CP4-CP3"]'
        scope.fault("derivations", f"missing, and {modality.name} brings none", cure)
        return ()
    if _side_missing(scope, modality.derivations) or channels is None:
        return ()
    names = [name for name in (_filled(scope, each) for each in modality.derivations) if name is not None]
    found: list[Derivation] = []
    missing: dict[str, None] = {}
    for name in names:
        lacking: tuple[str, ...] = ()
        for one in name.split("|"):
            try:
                found.append(derive(one, channels))
                break
            except UnknownElectrodeError as error:
                lacking = lacking or error.names
        else:
            missing |= dict.fromkeys(lacking)
    if not found:
        first = ", ".join(name.split("|")[0] for name in names)
        what = f"none of {first} can be had without {', '.join(sorted(missing))}"
        cure = f"add electrodes to [acquisition] channels, or write derivations of {', '.join(channels)}"
        scope.fault("derivations", what, cure)
    return tuple(found)


def _side_missing(scope: TestScope, templates: tuple[str, ...]) -> bool:
    """True, with a fault told once, when `templates` depend on a side that is not known."""
    if scope.table.side is not None or not any("{" in template for template in templates):
        return False
    if scope.fine("side"):
        what = f"missing, and {scope.modality.name} places electrodes by it"
        scope.fault("side", what, 'write side = "left" or side = "right"')
    return True


def resolve_peaks(
    scope: TestScope,
    derivations: tuple[Derivation, ...],
    window_ms: tuple[float, float],
    blank_ms: float,
    later_ms: float,
) -> tuple[tuple[Peak, ...], tuple[Normal, ...]]:
    """The test's peaks and their normal ranges: those written, else the modality's on the derivations that
    there are, moved by `later_ms`."""
    if not scope.fine("peak"):
        return (), ()
    fits = scope.fine("window_ms", "blank_ms")
    if scope.table.peak is None:
        found = _default_peaks(scope, derivations, later_ms)
        places: list[Path] = [scope.path] * len(found)
    else:
        found, places = _written_peaks(scope, derivations)
    for (peak, _), place in zip(found, places, strict=True):
        if fits:
            _check_peak(scope, peak, place, window_ms, blank_ms)
    return tuple(peak for peak, _ in found), tuple(normal for _, normal in found)


def _default_peaks(
    scope: TestScope, derivations: tuple[Derivation, ...], later_ms: float
) -> list[tuple[Peak, Normal]]:
    peaks = scope.modality.peaks
    if _side_missing(scope, tuple(name for peak in peaks for name in peak.derivations)):
        return []
    placed = ((_later(peak, later_ms), _row(scope, peak, derivations)) for peak in peaks)
    return [
        (Peak(peak.name, row, _SIGNS[peak.polarity], peak.window_ms, peak.to_ms), peak.normal)
        for peak, row in placed
        if row is not None
    ]


def _later(peak: PeakDefault, by_ms: float) -> PeakDefault:
    """`peak` with its windows and its normal latency `by_ms` later."""

    def moved(span: tuple[float, float]) -> tuple[float, float]:
        return span[0] + by_ms, span[1] + by_ms

    if not by_ms:
        return peak
    to_ms, normal_ms = peak.to_ms, peak.normal.latency_ms
    return replace(
        peak,
        window_ms=moved(peak.window_ms),
        to_ms=None if to_ms is None else moved(to_ms),
        normal=replace(peak.normal, latency_ms=None if normal_ms is None else moved(normal_ms)),
    )


def _row(scope: TestScope, peak: PeakDefault, derivations: tuple[Derivation, ...]) -> int | None:
    names = [derivation.name for derivation in derivations]
    wanted = (_filled(scope, template) for template in peak.derivations)
    return next((names.index(name) for name in wanted if name in names), None)


def _written_peaks(
    scope: TestScope, derivations: tuple[Derivation, ...]
) -> tuple[list[tuple[Peak, Normal]], list[Path]]:
    found: list[tuple[Peak, Normal]] = []
    places: list[Path] = []
    names: set[str] = set()
    for number, raw in enumerate(scope.table.peak or ()):
        place = (*scope.path, "peak", number)
        table = read(PeakTable, raw, place, scope.faults)
        for key, example in (("name", '"N20"'), ("polarity", '"negative"'), ("window_ms", "[17, 24]")):
            if getattr(table, key) is None and not scope.faults.at((*place, key)):
                scope.faults.add((*place, key), "missing", f"write {key} = {example}")
        if table.name is not None and (not table.name.strip() or table.name in names):
            scope.faults.add(
                (*place, "name"), f"{show(table.name)} does not tell peaks apart", "name each once"
            )
        names.add(table.name or "")
        row = _written_row(scope, table, place, derivations)
        if table.window_ms is not None:
            sign = _SIGNS[table.polarity or "positive"]
            peak = Peak(table.name or "", row, sign, table.window_ms, table.to_ms)
            found.append((peak, _normal(scope, table, place)))
            places.append(place)
    return found, places


def _normal(scope: TestScope, table: PeakTable, place: Path) -> Normal:
    for key in ("normal_ms", "normal_uv"):
        span = getattr(table, key)
        if span is not None and not 0 <= span[0] < span[1]:
            cure = f"write [least, most], as {key} = [0.5, 5]"
            scope.faults.add((*place, key), f"{span[0]:g}..{span[1]:g} is no range", cure)
    return Normal(table.normal_ms, table.normal_uv)


def _written_row(scope: TestScope, table: PeakTable, place: Path, derivations: tuple[Derivation, ...]) -> int:
    channels = scope.setup.channels
    if table.derivation is None or channels is None or not scope.fine("derivations", "side"):
        return 0
    place = (*place, "derivation")
    derivation = _derive(scope, place, table.derivation, channels)
    if derivation is None:
        return 0
    for row, other in enumerate(derivations):
        if other.weights == derivation.weights:
            return row
    cure = f"add it to derivations, or {choose(table.derivation, [other.name for other in derivations])}"
    scope.faults.add(place, f"{show(table.derivation)} is not measured by this test", cure)
    return 0


def _check_peak(
    scope: TestScope, peak: Peak, place: Path, window_ms: tuple[float, float], blank_ms: float
) -> None:
    """Window and `to_ms` within the test's window, behind the blanking, and wide enough to be searched.

    `place` is the peak's table; for a default peak it is the test, whose window is then what does not fit.
    """
    default = scope.table.peak is None
    who = f"peak {show_key(peak.name)}" + (f" of {scope.modality.name}" if default else "")
    own = ", or write peaks of your own" if default else ", or move the peak"
    for key, span in (("window_ms", peak.window_ms), ("to_ms", peak.to_ms)):
        if span is None or (not default and scope.faults.at((*place, key))):
            continue
        low, high = span
        shown = f"{who} in {low:g}..{high:g} ms"
        at = (*place, "window_ms" if default else key)
        if low >= high:
            scope.faults.add(at, f"{shown} ends before it starts", f"write [from, to], as {key} = [17, 24]")
        elif low < window_ms[0] or high > window_ms[1]:
            what = f"{shown} is outside the test's window, {window_ms[0]:g}..{window_ms[1]:g} ms"
            scope.faults.add(at, what, f"widen the test's window_ms{own}")
        elif blank_ms > 0 and low < blank_ms:
            what = f"{shown} reaches into the {blank_ms:g} ms that are blanked"
            scope.faults.add((*place, "blank_ms") if default else at, what, f"lower blank_ms{own}")
        elif scope.setup.rate_hz is not None and (high - low) * scope.setup.rate_hz < 2000:
            scope.faults.add(at, f"{shown} holds fewer than two samples", f"sample faster{own}")
    if peak.to_ms is None and window_ms[0] >= 0 and not scope.faults.at((*place, "to_ms")):
        what = f"{who} has no to_ms, and its amplitude no pre-stimulus part to be measured from"
        scope.faults.add(
            (*place, "window_ms"), what, "start the test's window_ms before 0, or give the peak to_ms"
        )
