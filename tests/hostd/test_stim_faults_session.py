"""Faults of stimuli in whole sessions: one alert, everything stopped, acknowledged, cleared, replayed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.simulated import SimulatedSource
from hostd import casefile
from hostd.audit_check import check
from hostd.cli import main
from hostd.edge_link import EdgeLink
from hostd.store import read_rows
from hw.link import Heartbeat, Message
from hw.model.scenario import Scenario, StimulatorChange
from tests.hostd.test_replay import identical, replayed
from tests.hostd.test_schema import check as as_declared
from tests.support.session import Bench, Ear, LiveHost, until

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = (t.name for t in CASE.tests)
STOPPED = {LEFT: "stopped", RIGHT: "stopped"}
MONITORED = casefile.parse(
    CASE.text.replace('"APBL"]', '"IMON", "VMON"]\nmonitor = { current = "IMON", voltage = "VMON" }').replace(
        "rate_hz = 2.692", "rate_hz = 2.692\ncurrent_ma = 25"
    ),
    "monitored",
)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


def alert(ear: Ear, state: str, fresh: bool = False) -> dict[str, Any]:
    """The alert that comes to `state`."""
    found = ear.until(lambda m: m.topic == "alert" and m.header["state"] == state, f"alert {state}", fresh)
    as_declared(found)
    return dict(found.header)


def all_stopped(ear: Ear) -> dict[str, Any]:
    return dict(
        ear.until(lambda m: m.topic == "status" and m.header["tests"] == STOPPED, "all stopped", True).header
    )


def closed(host: LiveHost, ear: Ear, data: Path) -> Path:
    """The directory of the case, closed and whole."""
    host.ok("case.close")
    host.join()
    until(lambda: ear.listen(50) == [], "the last messages")
    assert host.failure is None
    (case,) = data.iterdir()
    report = check(case)
    assert report.why == "" and report.closed and report.edges == report.pulses - report.never_seen
    assert main(["audit", str(case)]) == 0
    return case


@pytest.mark.control("H3.1")
def test_a_pulse_that_never_comes_back_is_one_alert_that_a_person_sees_and_a_proven_pulse_clears(
    data: Path, tmp_path: Path
) -> None:
    source = Bench(8.0, None, 1)
    with LiveHost(source=source, data=data) as host, Ear(host.bus) as ear:
        host.arm(LEFT, RIGHT)
        for test in (LEFT, RIGHT):
            host.ok("test.start", test=test)
        ear.until(lambda m: m.topic == f"sweep.{RIGHT}" and m.header["accepted"], "a sweep")
        source.wired = False
        raised = alert(ear, "raised")
        assert (raised["kind"], raised["priority"], raised["cause"]) == ("stimulus", "high", "technical")
        assert "never came back" in raised["text"] and raised["evidence"]["outputs"] == "low"
        assert raised["test"] in (LEFT, RIGHT) and raised["evidence"]["line"] in (1, 2)
        status = all_stopped(ear)["stimulation"]
        assert status["never_seen"] >= 1 and set(status["lag_samples"]) <= {"1", "2"}
        code, text = host.error("alert.acknowledge", id="stimulus-99")
        assert code == "bad_state" and raised["id"] in text
        host.ok("alert.acknowledge", id=raised["id"], author="Ann")
        seen = alert(ear, "acknowledged")
        assert seen["id"] == raised["id"] and seen["evidence"]["acknowledged_by"] == "Ann@127.0.0.1"
        host.ok("alert.acknowledge", id=raised["id"])  # seen already: nothing changes
        source.wired = True
        other = RIGHT if raised["test"] == LEFT else LEFT
        for test in (other, raised["test"]):
            host.arm(test)
            host.ok("test.start", test=test)
            if test == other:
                ear.until(lambda m: m.topic == f"sweep.{other}" and m.header["accepted"], "a sweep", True)
                assert len(ear.of("alert")) == 2, "another test's pulse proves nothing of this one"
        assert alert(ear, "cleared")["id"] == raised["id"]
        assert [m.header["state"] for m in ear.of("alert")] == ["raised", "acknowledged", "cleared"]
        case = closed(host, ear, data)
    rows = read_rows(case / "case.sqlite", "SELECT id, state FROM alerts ORDER BY rowid")
    assert rows == [(raised["id"], state) for state in ("raised", "acknowledged", "cleared")]
    audit = read_rows(case / "case.sqlite", "SELECT actor, action FROM audit")
    assert ("edge", "fault") in audit and ("Ann@127.0.0.1", "alert.acknowledge") in audit
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 15
    assert [s for t, s in said if t == "alert"] == [1, 2, 3]


@pytest.mark.control("H3.3")
def test_a_lead_that_is_off_stops_everything_each_time_though_its_alert_is_open(
    data: Path, tmp_path: Path
) -> None:
    lead_off = Scenario(stimulator=(StimulatorChange(3.0, "open"),))
    with (
        LiveHost(MONITORED, SimulatedSource(4.0, None, 1, lead_off), data) as host,
        Ear(host.bus) as ear,
    ):
        raised = alert(ear, "raised")
        assert (raised["kind"], raised["priority"]) == ("delivery", "high")
        assert raised["evidence"]["rule"] == "delivered current open" and "open: " in raised["text"]
        assert raised["index"] >= 12_000
        stopped = all_stopped(ear)
        good = [m.header for m in ear.of("stim") if 40 < m.header["index"] < 12_000]
        assert {m["delivery"] for m in good} == {"ok"}
        assert all(abs(m["current_ma"] - 25.0) < 0.5 for m in good)
        host.ok("test.start", test=LEFT)
        again = ear.until(
            lambda m: m.topic == "stim" and m.header["index"] > stopped["index"], "a pulse again"
        ).header
        assert again["delivery"] == "open"
        assert all_stopped(ear)["index"] >= again["index"]
        assert len(ear.of("alert")) <= 2, "one a test"
        case = closed(host, ear, data)
    rows = read_rows(case / "case.sqlite", "SELECT detail FROM audit WHERE action = 'stim.stop'")
    assert sum("open: " in detail for (detail,) in rows) >= 2
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 30


@pytest.mark.control("H1.4")
def test_a_host_that_falls_silent_has_its_stimuli_stopped_and_says_so(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, silent = EdgeLink.send, []

    def mute(link: EdgeLink, message: Message) -> None:
        if not (silent and isinstance(message, Heartbeat)):
            send(link, message)

    monkeypatch.setattr(EdgeLink, "send", mute)
    with LiveHost(data=data, patience_s=1.0) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == f"sweep.{LEFT}" and m.header["accepted"], "a sweep")
        silent.append(True)
        raised = alert(ear, "raised")
        assert "no heartbeat from the host" in raised["text"] and raised["test"] == ""
        all_stopped(ear)
        silent.clear()
        until(lambda: host.ask("test.start", test=RIGHT)["ok"], "an edge that believes its host again")
        assert alert(ear, "cleared")["id"] == raised["id"], "any proven pulse shows that it is well again"
        closed(host, ear, data)
