"""EMG and EEG as alerts: seconds of A-trains, a hemisphere without blood; ended when it is over."""

from typing import Any

import pytest

from hostd.alerts import Alerts
from hostd.outgoing import Outgoing
from hostd.watch_alerts import QUIET_S, WatchAlerts

RATE_HZ = 2000.0


def train(at_s: float, a_train_s: float, train: str = "A", kind: str = "train") -> Outgoing:
    fields = {"test": "emg", "derivation": "TAL1-TAL2", "kind": kind, "train": train}
    fields |= {"a_train_s": a_train_s, "muted_s": 3.0}
    return Outgoing("emg", round(at_s * RATE_HZ), fields)


def eeg(at_s: float, level: str | None, side: str = "left", told: bool = True) -> Outgoing:
    found = None if level is None else {"level": level, "side": side, "seconds": 40, "told": told}
    return Outgoing("eeg", round(at_s * RATE_HZ), {"test": "eeg", "ischaemia": found})


def states(watch: WatchAlerts, *messages: Outgoing) -> list[tuple[str, str, str]]:
    told = [m.fields for message in messages for m in watch.note(message)]
    return [(f["kind"], f["priority"], f["state"]) for f in told]


def test_half_a_second_of_a_trains_is_told_and_ten_are_grave() -> None:
    watch = WatchAlerts(RATE_HZ, Alerts())
    assert states(watch, train(1, 0.4), train(2, 0.0, "C"), train(3, 0.0, "", "burst")) == []
    assert states(watch, train(4, 0.6), train(5, 2.0), train(20, 10.5)) == [
        ("emg", "medium", "raised"),
        ("emg", "high", "raised"),
    ]
    quiet = 20 + QUIET_S
    assert states(watch, eeg(quiet - 1, None)) == []
    assert states(watch, eeg(quiet + 1, None)) == [("emg", "high", "cleared")]


@pytest.mark.parametrize(("side", "cause"), [("left", "focal"), ("both", "systemic")])
def test_a_hemisphere_without_blood_is_told_by_its_level(side: str, cause: str) -> None:
    watch = WatchAlerts(RATE_HZ, Alerts())
    assert states(watch, eeg(1, "none"), eeg(2, "moderate", side, told=False), eeg(3, "unknown")) == []
    (message,) = watch.note(eeg(40, "moderate", side))
    assert (message.fields["priority"], message.fields["cause"]) == ("medium", cause)
    assert states(watch, eeg(41, "moderate", side), eeg(60, "severe", side)) == [("eeg", "high", "raised")]
    assert states(watch, eeg(61, "unknown"), eeg(62, None)) == [], "nothing known clears nothing"
    assert states(watch, eeg(70, "none")) == [("eeg", "high", "cleared")]


def test_who_has_nothing_to_do_with_it_is_left_alone() -> None:
    watch = WatchAlerts(RATE_HZ, Alerts())
    other: dict[str, Any] = {"test": "x"}
    assert watch.note(Outgoing("tof", 1, other)) == []
