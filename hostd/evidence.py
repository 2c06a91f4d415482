"""The evidence of an alert in one packet, one plain sentence and a checklist. Pure: records in, fields out.

Owns the words. Says what fell, by how much with its interval, since when, what stands beside it, and what to
look at first; a figure that is not known is not said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsp.attribution import Attribution, Cause, Site
from hostd.case_clock import case_clock
from hostd.series import Reading, Series
from hostd.vitals import Confounder

CHECKLISTS: Mapping[Cause, tuple[str, ...]] = {
    "focal": (
        "Surgeon: stop, and say what was done last; undo it (traction, rod, clip, retractor, screw)",
        "Repeat at once; test the other limbs and the level above",
        "Anaesthesia: mean arterial pressure to 85 mmHg or more, haemoglobin, temperature",
        "Irrigate with warm saline; check the field for compression",
        "If it stays: imaging, wake-up test, consider steroids by local rule",
    ),
    "systemic": (
        "Anaesthesia: bolus, rate or concentration changed? Go back to the agreed regimen",
        "Mean arterial pressure, temperature, haemoglobin, carbon dioxide",
        "Train of four, where muscles are read",
        "Wait, repeat all limbs; set a new baseline once it is steady",
    ),
    "peripheral": (
        "Position of the limb: shoulder, elbow, knee, foot; straps, cuff, leaning",
        "Warm and perfused? Pulse oximeter on that limb",
        "Infusion or tourniquet on that limb",
        "Repeat after the limb was moved",
    ),
    "technical": (
        "Is the stimulus delivered? Leads, plug, electrode gel, current readback",
        "Measure impedances; look at the electrode that is named",
        "Electrosurgery, drill, warmer: wait or move cables apart",
        "Repeat before anybody acts on it",
    ),
    "unknown": (
        "Repeat at once",
        "Is the stimulus delivered, are the electrodes good?",
        "Test the other limbs: one alone, or all of them?",
        "Anaesthesia: pressure, temperature, drugs, train of four",
    ),
}
CAUSE_WORDS: Mapping[Cause, str] = {
    "focal": "a focal injury",
    "systemic": "the whole patient (anaesthesia, pressure)",
    "peripheral": "the limb itself (position, cuff, perfusion)",
    "technical": "a technical fault",
    "unknown": "not known",
}


@dataclass(frozen=True, slots=True)
class Fallen:
    """A response that has changed, with what its sweeps since then come to."""

    series: Series
    reading: Reading | None


def sentence(
    site: str, fallen: Sequence[Fallen], found: Attribution, confirmed: bool, since_s: float, steady: str
) -> str:
    """What, how much, since when (a moment of the case: the sentence stays true), how sure, and what it is
    thought to be."""
    parts = " and ".join(_how_much(one) for one in fallen[:3]) + (", and others" if len(fallen) > 3 else "")
    sure = "confirmed by a replicate" if confirmed else "not confirmed yet"
    cause = CAUSE_WORDS[found.cause]
    if found.cause != "unknown":
        cause = f"{cause}, {found.likelihood[found.cause]:.0%}" + (f": {found.where}" if found.where else "")
    beside = f" {steady}." if steady else ""
    return f"{site}: {parts} since {case_clock(since_s)}, {sure}; likely cause: {cause}.{beside}"


def _how_much(one: Fallen) -> str:
    name, reading = one.series.name, one.reading
    if reading is None:
        return f"{name} has changed"
    if reading.at_most:
        return f"{name} gone"
    low, high = reading.interval
    fall = 100.0 * (1.0 - max(reading.ratio, 0.0))
    return f"{name} down {fall:.0f} % ({100 * (1 - high):.0f} to {100 * (1 - max(low, 0.0)):.0f} %)"


def packet(
    index: int,
    since: int,
    fallen: Sequence[Fallen],
    sites: Sequence[Site],
    found: Attribution,
    stimulus: Mapping[str, Any],
    confounders: Sequence[Confounder],
    rules: Sequence[Mapping[str, Any]],
    suspects: Sequence[str],
) -> dict[str, Any]:
    """The evidence as a message carries it; ratios are of what was before, with 95 % intervals."""
    return {
        "rule": "change beyond own variability, against a baseline that follows drift",
        "index": index,
        "since_index": since,
        "responses": [
            {
                "name": one.series.name,
                **_ratio_fields(one.reading),
                "replicates": one.series.replicates(),
                "confirmed": one.series.stand == "confirmed",
                "of_first_baseline": one.series.drift,
                "baseline_version": one.series.version,
            }
            for one in fallen
        ],
        "sites": [
            {
                "name": site.name,
                "tract": site.tract,
                "limb": site.limb,
                "side": site.side,
                "control": site.control,
                "ratio": site.ratio,
                "error": site.error,
                "in_logs": site.in_logs,
                "absent": site.at_most,
            }
            for site in sites
        ],
        "where": found.where,
        "stimulus": dict(stimulus),
        "confounders": [
            {"name": c.name, "text": c.text, "before": c.before, "now": c.now, "index": c.index}
            for c in confounders
        ],
        "suspects": list(suspects),
        "legacy": [dict(rule) for rule in rules],
        "checklist": list(CHECKLISTS[found.cause]),
    }


def _ratio_fields(reading: Reading | None) -> dict[str, Any]:
    if reading is None:
        return {"ratio": None, "ratio_ci": None, "absent": None, "sweeps": 0}
    return {
        "ratio": reading.ratio,
        "ratio_ci": list(reading.interval),
        "absent": reading.at_most,
        "sweeps": reading.n,
    }
