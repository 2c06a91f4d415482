"""Alerts: raised once, worse told anew, acknowledged by a person, cleared by proof that came later."""

import pytest

from hostd import schema
from hostd.alerts import Alerts
from hostd.outgoing import Outgoing
from hostd.schema_header import Header


def raised(alerts: Alerts, index: int = 100, test: str = "left", priority: str = "high") -> list[Outgoing]:
    evidence = {"rule": "edge fault missing", "index": index}
    return alerts.raise_(index, test, "stimulus", priority, f"cause at {index}", evidence)  # type: ignore[arg-type]


def states(messages: list[Outgoing]) -> list[tuple[str, str, str]]:
    return [(m.fields["id"], m.fields["state"], m.fields["text"]) for m in messages]


def test_an_alert_says_all_that_the_schema_wants() -> None:
    (message,) = raised(Alerts())
    assert (message.topic, message.index) == ("alert", 100)
    own = set(schema.kind_of("alert").__struct_fields__) - set(Header.__struct_fields__)
    assert set(message.fields) == own
    assert message.fields["likelihood"] == {"technical": 1.0} and message.fields["state"] == "raised"
    assert message.fields["evidence"] == {"rule": "edge fault missing", "index": 100}


def test_the_first_cause_stands_until_it_is_cleared() -> None:
    alerts = Alerts()
    assert states(raised(alerts)) == [("stimulus-1", "raised", "cause at 100")]
    assert raised(alerts, 200) == []
    assert states(raised(alerts, 300, "right")) == [("stimulus-2", "raised", "cause at 300")]
    assert states(alerts.clear(400, "stimulus", "left")) == [("stimulus-1", "cleared", "cause at 100")]
    assert alerts.clear(500, "stimulus", "left") == [], "cleared once"
    assert states(raised(alerts, 600)) == [("stimulus-3", "raised", "cause at 600")]


def test_what_is_worse_is_told_anew_with_the_first_cause_in_its_evidence() -> None:
    alerts = Alerts()
    raised(alerts, 100, priority="medium")
    assert raised(alerts, 150, priority="medium") == raised(alerts, 160, priority="info") == []
    alerts.acknowledge(170, "stimulus-1", "Ann")
    (worse,) = raised(alerts, 200, priority="high")
    assert (worse.fields["id"], worse.fields["state"], worse.fields["priority"]) == (
        "stimulus-1",
        "raised",
        "high",
    )
    evidence = worse.fields["evidence"]
    assert (evidence["first_cause"], evidence["first_index"]) == ("cause at 100", 100)
    assert raised(alerts, 300, priority="medium") == raised(alerts, 310) == []
    (gone,) = alerts.clear(400, "stimulus", "left")
    assert gone.fields["state"] == "cleared"


def test_proof_from_before_the_cause_clears_nothing() -> None:
    alerts = Alerts()
    raised(alerts, 100)
    assert alerts.clear(99, "stimulus", "left") == alerts.clear(100, "stimulus", "left") == []
    assert len(alerts.clear(101, "stimulus", "left")) == 1


def test_another_test_or_kind_clears_nothing_and_one_of_all_tests_is_cleared_by_any() -> None:
    alerts = Alerts()
    raised(alerts, 100, "left")
    raised(alerts, 100, "")
    assert alerts.clear(200, "delivery", "left") == []
    assert states(alerts.clear(200, "stimulus", "right")) == [("stimulus-2", "cleared", "cause at 100")]
    assert states(alerts.clear(200, "stimulus", "left")) == [("stimulus-1", "cleared", "cause at 100")]


def test_a_person_acknowledges_once_and_it_stays_open() -> None:
    alerts = Alerts()
    raised(alerts)
    (seen,) = alerts.acknowledge(150, "stimulus-1", "Ann@127.0.0.1")
    assert seen.fields["state"] == "acknowledged" and seen.index == 150
    assert seen.fields["evidence"]["acknowledged_by"] == "Ann@127.0.0.1"
    assert alerts.acknowledge(160, "stimulus-1", "Bob@127.0.0.1") == []
    assert raised(alerts, 200) == [], "still open"
    (gone,) = alerts.clear(300, "stimulus", "left")
    assert gone.fields["evidence"]["acknowledged_by"] == "Ann@127.0.0.1"


def test_what_is_not_open_cannot_be_acknowledged() -> None:
    alerts = Alerts()
    with pytest.raises(ValueError, match=r"there is no alert 'x+'; open are none"):
        alerts.acknowledge(1, "x" * 1000, "Ann")
    raised(alerts)
    raised(alerts, 100, "right")
    with pytest.raises(ValueError, match="open are stimulus-1, stimulus-2"):
        alerts.acknowledge(1, "stimulus-7", "Ann")
    alerts.clear(200, "stimulus", "left")
    with pytest.raises(ValueError, match="no alert 'stimulus-1'; open are stimulus-2"):
        alerts.acknowledge(300, "stimulus-1", "Ann")
