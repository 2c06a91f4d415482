"""A case whose edge is lost while it stimulates and started anew: alarm, hole, doses, and its replay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile, daemon, intake
from hostd.audit_check import check
from hostd.cli import main
from hostd.store import read_rows
from tests.hostd.test_replay import identical, replayed
from tests.support.edge import poll_fast
from tests.support.session import Bench, Ear, LiveHost, until

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = (t.name for t in CASE.tests)
MOST_PULSES = 12
FEW = tuple(replace(c, case_pulses=MOST_PULSES) for c in CASE.ceilings)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)
    monkeypatch.setattr(daemon, "STATUS_NS", 50_000_000)
    monkeypatch.setattr(intake, "AGAIN_S", 0.005)


@pytest.mark.control("H9.6")
def test_a_case_goes_on_with_an_edge_that_was_started_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def status(what: str, wanted: Any) -> dict[str, Any]:
        return dict(ear.until(lambda m: m.topic == "status" and wanted(m.header), what, True).header)

    case = replace(CASE, ceilings=FEW)
    with LiveHost(case, source=Bench(16.0, None, 1), data=data) as host, Ear(host.bus) as ear:
        host.arm(LEFT, RIGHT)
        host.ok("test.start", test=LEFT)
        ear.until(lambda m: m.topic == f"sweep.{LEFT}" and m.header["accepted"], "a sweep")
        before = status("its doses", lambda h: h["stimulation"]["lines"][0]["pulses"] > 2)
        host.lose_edge()
        alert = ear.until(lambda m: m.topic == "alert", "the alarm").header
        assert (alert["priority"], alert["text"]) == ("high", "the link broke; stimulation was stopped")
        lost = status("the loss", lambda h: not h["link"]["connected"] and h["link"]["lost_s"] > 0.05)
        assert set(lost["tests"].values()) == {"stopped"} and lost["state"] == "running"
        assert host.error("stim.arm", test=LEFT)[0] == "internal"
        host.new_edge(Bench(16.0, None, 2))
        told = ear.until(
            lambda m: m.topic == "event" and "was started anew" in m.header["text"], "its return"
        ).header
        back = status("samples again", lambda h: h["index"] > told["index"] + 4000)
        assert back["link"]["connected"] and back["link"]["lost_s"] is None
        missing = back["lost_samples"]
        assert back["gaps"] == 1 and f"; {missing} samples (" in told["text"]
        assert set(back["tests"].values()) == {"stopped"}, "nothing stimulates by itself"
        lines = back["stimulation"]["lines"]
        assert lines[0]["pulses"] >= before["stimulation"]["lines"][0]["pulses"], "what the patient has had"
        assert host.error("test.start", test=LEFT)[0] == "refused", "it is not armed any more"
        host.arm(LEFT)
        host.ok("test.start", test=LEFT)
        swept = ear.until(
            lambda m: m.topic == f"sweep.{LEFT}" and m.header["accepted"], "a sweep", True
        ).header
        assert swept["trigger_index"] > told["index"] + missing
        spent = status("the case's pulses used up", lambda h: h["tests"][LEFT] == "stopped")
        assert spent["stimulation"]["tests"][LEFT]["fired"] >= MOST_PULSES, "of both edges together"
        host.ok("case.close")
        host.join()
        until(lambda: ear.listen(50) == [], "the last messages")
        assert host.failure is None
        times = [(m.header["index"], m.header["t_ns"]) for m in ear.of("beat") if m.header["index"]]
        assert times == sorted(times) and len(times) > 10
        pulses = [m.header["index"] for m in ear.of("stim")]
    (case,) = data.iterdir()
    report = check(case)
    assert report.why == "" and report.closed and report.edges == report.pulses - report.never_seen > 3
    (gap,) = read_rows(case / "case.sqlite", "SELECT sample, length, reason FROM gaps")
    assert gap[1:] == (missing, "link") and not [p for p in pulses if gap[0] <= p < gap[0] + missing]
    stops = read_rows(case / "case.sqlite", "SELECT detail FROM audit WHERE action = 'stim.stop'")
    assert any("exceeds the limit of 12 pulses" in why for (why,) in stops)
    assert main(["audit", str(case)]) == 0
    assert main(["replay", str(case), "--verify"]) == 0
    assert identical(ear.heard, replayed(case, out=tmp_path / "out")) > 20


def test_an_impedance_under_way_when_the_edge_is_lost_spoils_nothing_after_it(tmp_path: Path) -> None:
    with LiveHost(source=Bench(16.0, None, 1)) as host, Ear(host.bus) as ear:
        host.ok("impedance.start")
        ear.until(lambda m: m.topic == "event" and "impedance current" in m.header["text"], "the current")
        ear.until(
            lambda m: m.topic == "status" and m.header["stimulation"]["locks"], "its lock told in the status"
        )
        host.lose_edge()
        host.new_edge(Bench(16.0, None, 2))
        ear.until(lambda m: m.topic == "event" and "was started anew" in m.header["text"], "its return")
        free = ear.until(
            lambda m: m.topic == "status" and m.header["link"]["connected"], "the lock gone", True
        ).header
        assert free["stimulation"]["locks"] == [] and not free["leads"]["measuring"]
        host.arm(LEFT)
        host.ok("test.start", test=LEFT)
        ear.until(lambda m: m.topic == f"sweep.{LEFT}" and m.header["accepted"], "a sweep that counts")
