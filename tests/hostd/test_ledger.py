"""Ledger and alarm signals: steps timed once, notes kept, pauses that end, acknowledged is silent."""

from typing import Any

import msgspec
import pytest

from hostd import schema
from hostd.alarm_signals import AlarmSignals
from hostd.alerts import Alerts
from hostd.ledger import Ledger
from hostd.outgoing import Outgoing
from hostd.schema_header import Header

RATE_HZ = 100.0


def raised(alerts: Alerts, index: int, confirmed: bool = False, priority: str = "medium") -> list[Outgoing]:
    evidence = {"index": index, "since_index": index - 500}
    return alerts.raise_(
        index,
        "left",
        "change",
        priority,  # type: ignore[arg-type]
        "down",
        evidence,
        "focal",
        {"focal": 0.9},
        confirmed,
        True,
    )


def declared(message: Outgoing) -> None:
    kind = schema.kind_of(message.topic)
    own = set(kind.__struct_fields__) - set(Header.__struct_fields__)
    assert set(message.fields) == own
    head = dict.fromkeys(("boot", "case"), "x") | dict.fromkeys(("v", "seq", "index", "t_ns", "utc_ns"), 1)
    msgspec.convert(head | dict(message.fields), kind, strict=True)


def run(ledger: Ledger, messages: list[Outgoing]) -> list[dict[str, Any]]:
    told = [one for message in messages for one in ledger.after(message)]
    for one in told:
        declared(one)
    return [dict(one.fields) for one in told]


def test_every_step_is_timed_from_the_event_and_told_once() -> None:
    alerts, ledger = Alerts(), Ledger(RATE_HZ)
    (first,) = run(ledger, raised(alerts, 1000))
    assert (first["steps"]["event"], first["steps"]["detected"]) == (500, 1000)
    assert first["seconds"]["detected"] == 5.0 and first["seconds"]["recovered"] is None
    assert run(ledger, raised(alerts, 1100)) == [], "nothing new"
    (second,) = run(ledger, raised(alerts, 1200, True, "high"))
    assert second["seconds"]["confirmed"] == 7.0
    (third,) = run(ledger, alerts.acknowledge(1300, "change-1", "Ann"))
    assert third["author"] == "Ann" and third["steps"]["acknowledged"] == 1300
    (note,) = ledger.note(1400, "change-1", "told", "surgeon", "Ann")
    declared(note)
    ledger.note(1500, "change-1", "acted", "rod released", "Bob")
    (last,) = run(ledger, alerts.clear(2000, "change", "left"))
    assert [last["steps"][s] for s in ("told", "acted", "recovered")] == [1400, 1500, 2000]
    assert [n["text"] for n in last["notes"]] == ["surgeon", "rod released"]


def test_only_alerts_about_the_patient_are_in_the_ledger_and_strangers_are_refused() -> None:
    alerts, ledger = Alerts(), Ledger(RATE_HZ)
    technical = alerts.raise_(10, "left", "delivery", "high", "open", {"index": 10})
    assert run(ledger, technical) == []
    with pytest.raises(ValueError, match="it has none"):
        ledger.note(20, "delivery-1", "told", "", "Ann")
    run(ledger, raised(alerts, 1000))
    with pytest.raises(ValueError, match="told, acted"):
        ledger.note(1100, "change-1", "recovered", "", "Ann")


def signals_after(signals: AlarmSignals, messages: list[Outgoing]) -> dict[str, Any]:
    told = [one for message in messages for one in signals.after(message)]
    for one in told:
        declared(one)
    return dict(told[-1].fields) if told else {}


@pytest.mark.control("H11.2")
def test_the_worst_unseen_alert_sounds_and_an_acknowledged_one_is_silent() -> None:
    alerts, signals = Alerts(), AlarmSignals(RATE_HZ)
    assert signals_after(signals, raised(alerts, 1000))["sounding"] == "medium"
    assert signals_after(signals, raised(alerts, 1100, True, "high"))["sounding"] == "high"
    quiet = signals_after(signals, alerts.acknowledge(1200, "change-1", "Ann"))
    assert (quiet["sounding"], quiet["flashing"]) == (None, None)
    assert [one["state"] for one in quiet["open"]] == ["acknowledged"], "shown all the same"
    assert set(quiet["open"][0]) == {"id", "test", "kind", "priority", "state", "cause", "text"}
    assert quiet["open"][0]["text"], "with its sentence, for who joins late"
    assert signals_after(signals, alerts.clear(1300, "change", "left"))["open"] == []


@pytest.mark.control("H11.1")
def test_paused_and_off_are_different_and_a_pause_ends_by_itself() -> None:
    alerts, signals = Alerts(), AlarmSignals(RATE_HZ)
    signals_after(signals, raised(alerts, 1000, True, "high"))
    until = signals.set_(1100, "audio", "paused", 60.0)
    assert until == 7100
    (told,) = signals.told(1100)
    declared(told)
    assert (told.fields["audio"], told.fields["sounding"], told.fields["flashing"]) == (
        "paused",
        None,
        "high",
    )
    signals.expire(7099)
    assert signals.told(7099) == []
    signals.expire(7100)
    assert signals.told(7100)[0].fields["sounding"] == "high"
    assert signals.set_(7200, "alarm", "off", 0.0) is None
    off = signals.told(7200)[0].fields
    assert (off["alarm"], off["flashing"], off["sounding"]) == ("off", None, None) and len(off["open"]) == 1
    with pytest.raises(ValueError, match="state=off"):
        signals.set_(7300, "audio", "paused", 121.0)


@pytest.mark.control("H11.3")
def test_a_latching_alert_stays_until_somebody_has_seen_it() -> None:
    alerts = Alerts()
    alerts.latching = True
    raised(alerts, 1000)
    (kept,) = alerts.clear(2000, "change", "left")
    assert (kept.fields["state"], kept.fields["evidence"]["ended_index"]) == ("raised", 2000)
    assert alerts.clear(2100, "change", "left") == []
    (gone,) = alerts.acknowledge(2200, "change-1", "Ann")
    assert gone.fields["state"] == "cleared" and alerts.open == ()
    raised(alerts, 3000)
    alerts.acknowledge(3100, "change-2", "Ann")
    assert alerts.clear(3200, "change", "left")[0].fields["state"] == "cleared"


@pytest.mark.control("H11.2")
def test_an_acknowledgement_outlasts_what_is_no_worse() -> None:
    alerts = Alerts()
    raised(alerts, 1000)
    alerts.acknowledge(1100, "change-1", "Ann")
    assert raised(alerts, 1200)[0].fields["state"] == "acknowledged"
    assert raised(alerts, 1300, True, "high")[0].fields["state"] == "confirmed"
