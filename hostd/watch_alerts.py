"""What free-running EMG and EEG show of an injury, as alerts: trains that last, a hemisphere without blood.

Owns the fixed limits (facts/clinical.md 1.D) and when such an alert ends. A muscle's trains add up over a
case: half a second of A-trains is told, ten are told as grave. Fed in order of sample index.
"""

from typing import Any

from hostd.alerts import Alerts, Priority
from hostd.outgoing import Outgoing

EMG, EEG = "emg", "eeg"
A_TRAIN_S, GRAVE_S = 0.5, 10.0
"""Seconds of A-trains: 0.5 preceded paresis of the face, 10 a profound one (Prell et al. 2007). Later work
finds rigid limits doubtful (Prell et al. 2014): they are told, with the seconds."""
QUIET_S = 300.0
"""A muscle without another train for so long is quiet again; its seconds stay counted."""
LEVELS: dict[str, Priority] = {"moderate": "medium", "severe": "high"}
SOURCE = {EMG: "Prell et al., J Neurosurg 2007;106:826", EEG: "ASNM EEG position statement 2009"}


class WatchAlerts:
    """Of a case at `rate_hz`; what it finds goes through `alerts`."""

    def __init__(self, rate_hz: float, alerts: Alerts) -> None:
        self._rate_hz, self._alerts = rate_hz, alerts
        self._last: dict[str, int] = {}

    def note(self, message: Outgoing) -> list[Outgoing]:
        """An event of EMG, or a second of EEG: with it time passes for both."""
        f = message.fields
        if message.topic == EMG:
            return self._emg(message.index, f) if f["kind"] == "train" and f["train"] == "A" else []
        told = self._eeg(message.index, f) if message.topic == EEG else []
        return told + self._quiet(message.index)

    def _emg(self, index: int, f: Any) -> list[Outgoing]:
        seconds = f["a_train_s"]
        if seconds < A_TRAIN_S:
            return []
        self._last[f["test"]] = index
        priority: Priority = "high" if seconds >= GRAVE_S else "medium"
        text = (
            f"{f['test']}: {f['derivation']} has had {seconds:.1f} s of A-trains: stop and look at the nerve"
        )
        evidence = {"rule": f"A-trains for {A_TRAIN_S:g} s, grave from {GRAVE_S:g} s", "index": index}
        evidence |= {"derivation": f["derivation"], "a_train_s": seconds, "muted_s": f["muted_s"]}
        evidence["source"] = SOURCE[EMG]
        return self._alerts.raise_(index, f["test"], EMG, priority, text, evidence, "focal")

    def _eeg(self, index: int, f: Any) -> list[Outgoing]:
        found = f["ischaemia"]
        if found is None or not found["told"] or found["level"] not in LEVELS:
            well = found is not None and found["level"] == "none"
            return self._alerts.clear(index, EEG, f["test"]) if well else []
        side = found["side"] or "both"
        cause = "systemic" if side == "both" else "focal"
        where = "both sides" if side == "both" else f"the {side} side"
        text = f"{f['test']}: {found['level']} loss of fast activity of {where} for {found['seconds']} s"
        rule = "alpha and beta halved (moderate), three quarters lost or delta doubled (severe)"
        evidence: dict[str, Any] = {"rule": rule, "index": index, "side": side}
        evidence |= {"seconds": found["seconds"], "source": SOURCE[EEG]}
        return self._alerts.raise_(index, f["test"], EEG, LEVELS[found["level"]], text, evidence, cause)

    def _quiet(self, index: int) -> list[Outgoing]:
        """Muscles that had no train for long."""
        over = [test for test, at in self._last.items() if index - at > QUIET_S * self._rate_hz]
        for test in over:
            del self._last[test]
        return [message for test in over for message in self._alerts.clear(index, EMG, test)]
