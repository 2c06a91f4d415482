"""The word on the recording's disk: slow, failing, well again, as commands of the pipeline and as alerts.

Owns when a change is told and in which words. A change is noted with the sample index at which it was seen,
so that replay repeats the alert; refuses to look at a clock. Acquisition goes on whatever is said here.
"""

from typing import Any

from hostd.alerts import Alerts, Priority
from hostd.outgoing import Outgoing, event
from hostd.record_writer import SLOW_S, State, Storage

COMMAND = "storage"
CALM_S = 5.0
"""A disk is well again when it was so for this long: one that stalls every few seconds is told once."""
_PRIORITY: dict[str, Priority] = {"slow": "low", "failing": "medium"}
_RANK: dict[State, int] = {"off": 0, "ok": 0, "slow": 1, "failing": 2}


class StorageWatch:
    """What was told of the disk so far, and what is to be told next. `rate_hz` of the samples."""

    def __init__(self, rate_hz: float) -> None:
        self._calm_samples = round(CALM_S * rate_hz)
        self._told: State = "ok"
        self._bad_at = 0
        self._lost = self._lost_before = 0

    def look(self, storage: Storage, index: int) -> dict[str, Any] | None:
        """The arguments of the command that tells a change seen when sample `index` was reached, or None."""
        losing, self._lost = storage.lost_samples > self._lost, storage.lost_samples
        state: State = "failing" if losing else storage.state
        if _RANK[state]:
            self._bad_at = index
        worse = _RANK[state] > _RANK[self._told]
        calm = _RANK[self._told] > 0 and _RANK[state] == 0 and index - self._bad_at >= self._calm_samples
        if not worse and not calm:
            return None
        lost, self._told = self._lost - self._lost_before, state
        if calm:
            self._lost_before = self._lost
        return {
            "state": state,
            "index": index,
            "waiting_s": round(storage.waiting_s, 3),
            "lost_samples": lost,
            "text": _text(state, storage.why, lost),
        }


def _text(state: State, why: str, lost: int) -> str:
    missing = f"; {lost} samples are missing in the file" if lost else ""
    if state == "slow":
        return f"the recording's disk is slow: a record has waited for more than {SLOW_S:g} s"
    if state == "failing":
        reason = why or "it takes nothing any more"
        return f"the recording's disk fails: {reason}; free or replace it, monitoring goes on{missing}"
    return f"the recording's disk works again{missing}"


def told(alerts: Alerts, index: int, args: dict[str, Any]) -> list[Outgoing]:
    """The alert that a change of the disk raises or clears, and when it is well again, what is missing."""
    state = args["state"]
    if state in _PRIORITY:
        evidence = {"rule": f"storage {state}"} | {k: args[k] for k in ("index", "waiting_s", "lost_samples")}
        return alerts.raise_(index, "", "storage", _PRIORITY[state], args["text"], evidence)
    return [*alerts.clear(index, "storage", ""), event(index, args["text"], "storage", "auto")]
