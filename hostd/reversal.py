"""Where a response turns over along a strip: fields of `measure` for tests whose analysis is a reversal.

Owns which rows are quiet; the finding is `dsp.phase_reversal`'s. A gap that nothing tells apart is not told.
"""

from dataclasses import asdict
from typing import Any

from dsp.nouns import Average
from dsp.phase_reversal import PhaseReversal
from hostd.case import TestPlan

WINDOW_MS = (15.0, 30.0)
_BEFORE_MS = 0.5


def finder(
    plan: TestPlan, names: tuple[str, ...], n_rows: int, t0_ms: float, dt_ms: float
) -> PhaseReversal | None:
    """What finds the reversal of a test; None where it is not asked for. Raises ValueError where the window
    leaves no quiet rows."""
    if plan.analysis != "reversal":
        return None
    last_ms = t0_ms + dt_ms * (n_rows - 1)
    quiet = [(t0_ms, -_BEFORE_MS)] if t0_ms < -_BEFORE_MS - dt_ms else []
    if plan.response_ms < last_ms - 2 * dt_ms:
        quiet.append((plan.response_ms, last_ms))
    return PhaseReversal(names, t0_ms, dt_ms, tuple(quiet), WINDOW_MS)


def reversal_fields(find: PhaseReversal | None, average: Average) -> dict[str, Any] | None:
    """Between which contacts the average turns over; None where nobody asks."""
    if find is None:
        return None
    told = find.find(average.mean_uv, average.noise_uv)
    fields = asdict(told)
    fields["gaps"] = [list(gap) for gap in told.gaps]
    fields["between"] = None if told.between is None else list(told.between)
    return fields
