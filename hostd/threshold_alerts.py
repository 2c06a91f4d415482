"""A threshold that lies in a dangerous band (a screw at a nerve, a knife near the tract), as an alert.

Owns which bands are alerts and when one ends: a search of the same test that comes out well. The bands are
`dsp.threshold`'s. Fed in order of sample index.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hostd.alerts import Alerts, Priority
from hostd.case import TestPlan
from hostd.outgoing import Outgoing

THRESHOLD = "threshold"
PRIORITIES: Mapping[str, Priority] = {"red": "high", "yellow": "medium"}
SOURCES = {
    "lumbar": "Raynor et al. 2007, 4,857 screws",
    "tract": "Tate et al., Stereotact Funct Neurosurg 2013",
}
CHECKLISTS: Mapping[str, Sequence[str]] = {
    "tract": (
        "Surgeon: this far and no further here; the tract is about as many millimetres away as milliamperes",
        "Repeat at the same place, at the same current",
        "Look at the motor responses from the cortex",
    ),
    "": (
        "Surgeon: palpate the hole, look at the screw; redirect or take it out",
        "Repeat with a dry field: fluid around the probe takes current away",
        "Train of four: relaxed muscles answer late",
    ),
}


class ThresholdAlerts:
    """What it finds goes through `alerts`."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    def note(self, plan: TestPlan, message: Outgoing) -> list[Outgoing]:
        """An answer of `plan`, with its search so far: a dangerous band is an alert, a safe one its end."""
        found: Mapping[str, Any] | None = message.fields["threshold"]
        if found is None or found["colour"] is None:
            return []
        if found["colour"] not in PRIORITIES:
            return self._alerts.clear(message.index, THRESHOLD, plan.name)
        region = found["region"]
        sure = ", inconsistent" if found["inconsistent"] else ""
        text = f"{plan.site}: {found['muscle']} answers from {found['ma']:g} mA{sure}: {found['verdict']}"
        evidence = {"rule": f"bands of {region}", "index": message.index, "muscle": found["muscle"]}
        evidence |= {"bracket_ma": list(found["bracket_ma"]), "verdict": found["verdict"]}
        evidence |= {"source": SOURCES[region], "checklist": list(CHECKLISTS.get(region, CHECKLISTS[""]))}
        priority = PRIORITIES[found["colour"]]
        return self._alerts.raise_(
            message.index, plan.name, THRESHOLD, priority, text, evidence, "focal", anew=True
        )
