"""What the rules of the field say of an average, and whether its control lets them: fields of `measure`.

A rule that is met is no alarm: it is told with how sure it is, beside its source. While the control (Erb's
point, the popliteal fossa, wave I, the electroretinogram) is not seen, nothing behind it can be said to be
lost: the stimulus may not have arrived.
"""

from typing import Any

from dsp.nouns import Measurement
from dsp.projection import Projection
from dsp.rules import judge
from hostd.case import TestPlan

LEFT = 0.2
"""A control that is certainly below this share of its baseline is not seen: what a blanked artifact leaves
may have energy where it was."""


def control_fields(
    plan: TestPlan, measured: tuple[Measurement, ...], before: tuple[Measurement, ...]
) -> dict[str, Any] | None:
    """The control of a test and whether it is seen, beside the baseline `before` (empty: none); None where
    the test has no control."""
    if plan.control is None:
        return None
    seen, name = _seen(plan.control, measured, before), measured[plan.control].name
    text = "seen" if seen else "not seen: the stimulus may not have arrived"
    return {"peak": name, "present": seen, "text": f"{name} {text}"}


def _seen(place: int, measured: tuple[Measurement, ...], before: tuple[Measurement, ...]) -> bool:
    now, usual_uv = measured[place], before[place].amplitude_uv if before else None
    if now.amplitude_ci_uv is None or usual_uv is None:
        return now.present
    return now.present and now.amplitude_ci_uv[1] >= LEFT * usual_uv


def rule_fields(
    plan: TestPlan,
    measured: tuple[Measurement, ...],
    before: tuple[Measurement, ...],
    projection: Projection | None,
) -> list[dict[str, Any]]:
    """Every rule of the test beside its baseline `before` (empty: none); `projection` is the leading peak's.

    A rule whose control is not seen is "unknown".
    """
    names = [peak.name for peak in plan.peaks]
    told = []
    for rule in plan.rules:
        place = names.index(rule.peak)
        barred = plan.control not in (None, place) and not _seen(plan.control, measured, before)
        baseline = before[place] if before and not barred else None
        judged = judge(rule, measured[place], baseline, projection if place == plan.leading else None)
        told.append(
            {
                "peak": rule.peak,
                "name": rule.name,
                "level": rule.level,
                "verdict": judged.verdict,
                "confidence": judged.confidence,
                "barred": barred,
                "source": rule.source,
            }
        )
    return told
