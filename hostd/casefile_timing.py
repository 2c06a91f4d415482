"""When a test stimulates and what of it is a sweep: rate, window, blanking, the end of the response.

Judged in this order, each with what came before; a check is left out when a key that it rests on is at fault.
"""

import math
from dataclasses import dataclass
from typing import Literal

from hostd.casefile_peaks import TestScope
from hw.limits import MAX_RATE_HZ as MAX_STIMULUS_HZ

LEAST_ROWS = 16
MAX_WINDOW_MS = 10_000
_MOST_DELAY_MS = 5.0


@dataclass(frozen=True, slots=True)
class Timing:
    """What of a test's time line is resolved; `window_ms` around the stimulus."""

    stimulus_hz: float
    window_ms: tuple[float, float]
    blank_ms: float
    response_ms: float
    weighting: Literal["noise", "none"]

    @property
    def period_ms(self) -> float:
        """Infinite for single stimuli: nothing follows that a window could reach."""
        return 1000.0 / self.stimulus_hz if self.stimulus_hz else math.inf


def resolve_timing(scope: TestScope) -> Timing:
    """Rate, window, blanking and end of the response; judged in this order, each with what came before."""
    table, modality = scope.table, scope.modality
    stimulus_hz = _stimulus_hz(scope)
    window_ms = table.window_ms or modality.window_ms
    if window_ms is None:
        scope.fault("window_ms", "missing", "write the window around the stimulus, as window_ms = [-10, 80]")
    window_ms = window_ms or (0.0, 1.0)
    response_ms = modality.response_ms if table.response_ms is None else table.response_ms
    timing = Timing(
        stimulus_hz=stimulus_hz,
        window_ms=window_ms,
        blank_ms=_blank_ms(scope) if table.blank_ms is None else table.blank_ms,
        response_ms=window_ms[1] if response_ms is None else response_ms,
        weighting=table.weighting or modality.weighting,
    )
    if scope.fine("window_ms"):
        _check_window(scope, timing)
    _check_blank(scope, timing)
    _check_response(scope, timing)
    return timing


def _blank_ms(scope: TestScope) -> float:
    """Artifacts are blanked for the filter's sake: an average without one shows what was recorded."""
    plain = scope.table.band_hz == "off" and scope.modality.protocol.kind == "average"
    return 0.0 if plain else scope.modality.blank_ms


def resolve_later(scope: TestScope) -> float:
    """How many ms later behind its trigger the stimulus arrives than the modality's peaks assume."""
    written_ms, usual_ms = scope.table.delay_ms, scope.modality.defaults.delay_ms
    if written_ms is None:
        return 0.0
    if usual_ms is None:
        what = f"{scope.modality.name} has no delay between trigger and stimulus"
        scope.fault("delay_ms", what, "leave it out, or write peaks of your own")
    elif not 0 <= written_ms <= _MOST_DELAY_MS:
        scope.fault("delay_ms", f"{written_ms:g} ms is no way to an ear", f"write 0 to {_MOST_DELAY_MS:g}")
    elif scope.table.peak is not None:
        what = "moves the modality's peaks, and the test has its own"
        scope.fault("delay_ms", what, "leave it out, and move the peaks")
    else:
        return written_ms - usual_ms
    return 0.0


def _stimulus_hz(scope: TestScope) -> float:
    """Stimuli per second, 0 for single ones; 1 where it is at fault."""
    written_hz = scope.table.rate_hz
    if scope.value("fire") == "single":
        if written_hz is not None:
            scope.fault("rate_hz", "single stimuli have no rate", "leave rate_hz out")
        return 0.0
    # A recording's triggers say when the stimuli were; the rate only bounds the window there.
    default_hz = 1.0 if scope.setup.recorded else scope.modality.rate_hz
    stimulus_hz = default_hz if written_hz is None else written_hz
    if stimulus_hz is None:
        scope.fault("rate_hz", "missing", "write the stimulus rate, as rate_hz = 2.692")
    elif not 0 < stimulus_hz <= MAX_STIMULUS_HZ:
        cure = f"choose above 0, up to {MAX_STIMULUS_HZ:g}"
        scope.fault("rate_hz", f"{stimulus_hz:g} stimuli/s cannot be fired", cure)
    return stimulus_hz if stimulus_hz and scope.fine("rate_hz") else 1.0


def _check_window(scope: TestScope, timing: Timing) -> None:
    start, end = timing.window_ms
    rate_hz = scope.setup.rate_hz
    shown = f"{start:g}..{end:g} ms"
    if start >= end:
        scope.fault(
            "window_ms", f"{shown} ends before it starts", "write [from, to], as window_ms = [-10, 80]"
        )
    elif not start <= 0 < end:
        cure = "start it at or before 0 and end it after, as window_ms = [-10, 80]"
        scope.fault("window_ms", f"{shown} does not hold the stimulus, which is at 0", cure)
    elif scope.fine("rate_hz") and end >= timing.period_ms:
        what = f"{shown} reaches the next stimulus, {timing.period_ms:g} ms later"
        scope.fault("window_ms", what, f"end it before, or stimulate slower than {timing.stimulus_hz:g}/s")
    elif end - start > MAX_WINDOW_MS:
        scope.fault("window_ms", f"{shown} is longer than {MAX_WINDOW_MS} ms", "shorten it")
    elif rate_hz is not None and (end - start) * rate_hz < 1000 * LEAST_ROWS:
        what = f"{shown} holds fewer than {LEAST_ROWS} samples at {rate_hz:g}/s"
        scope.fault("window_ms", what, "widen it, or sample faster")


def _check_blank(scope: TestScope, timing: Timing) -> None:
    if not scope.fine("blank_ms"):
        return
    if timing.blank_ms < 0:
        scope.fault("blank_ms", f"{timing.blank_ms:g} ms is negative", "write 0 for no blanking")
    elif scope.fine("window_ms") and timing.blank_ms >= timing.window_ms[1]:
        what = f"{timing.blank_ms:g} ms covers the whole window, which ends at {timing.window_ms[1]:g} ms"
        scope.fault("blank_ms", what, "blank the artifact only, as blank_ms = 4, or write 0")


def _check_response(scope: TestScope, timing: Timing) -> None:
    if not scope.fine("response_ms"):
        return
    if scope.table.response_ms is not None and timing.response_ms <= 0:
        cure = "write when the response has ended, as response_ms = 60"
        scope.fault("response_ms", f"{timing.response_ms:g} ms is not after the stimulus", cure)
        return
    judged = timing.weighting == "noise" and scope.fine("window_ms", "rate_hz", "weighting")
    if judged and timing.response_ms >= timing.period_ms:
        what = f"{timing.response_ms:g} ms leaves nothing free of response before the next stimulus"
        cure = f'write less than {timing.period_ms:g}, stimulate slower, or write weighting = "none"'
        scope.fault("response_ms", what, cure)
