"""Whole sessions of stimulation: another rate while running, observers, floods, steps, and their record."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zmq

from firmware.simulated import SimulatedSource
from hostd import casefile, wire
from hostd.audit_check import check
from hostd.case import StimulusPlan
from hostd.cli import main
from hostd.edge_link import EdgeLink
from hostd.endpoints import parse_bus
from hostd.store import read_rows
from hw.limits import CEILINGS, tightened
from hw.link import Configure, Description, Message, Reply, StimPlan
from tests.hostd.test_replay import identical, replayed
from tests.support.session import Bench, Ear, LiveHost, until

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = (t.name for t in CASE.tests)
RATE_HZ = 4000


class Client:
    """One connection to the control endpoint that stays open, as a display has it."""

    def __init__(self, host: LiveHost) -> None:
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(parse_bus(host.bus).control)

    def send(self, command: str, **args: Any) -> None:
        self._socket.send(wire.encode_map({"id": command, "command": command, "args": args}))

    def hear(self) -> dict[str, Any]:
        assert self._socket.poll(10_000), "no answer"
        return wire.decode_map(self._socket.recv())

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        self.send(command, **args)
        return self.hear()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


def closed(host: LiveHost, ear: Ear) -> None:
    """Close the case and hear the last of it."""
    host.ok("case.close")
    host.join()
    until(lambda: ear.listen(50) == [], "the last messages")
    assert host.failure is None


def one_to_one(data: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The case's directory, its record found whole by the check and by `evokd audit`."""
    (case,) = data.iterdir()
    report = check(case)
    assert report.why == "" and report.head_matches and report.closed and report.remarks == ()
    assert report.edges == report.pulses - report.never_seen > 0 and report.not_judged == 0
    capsys.readouterr()
    assert main(["audit", str(case)]) == 0
    said = capsys.readouterr().out
    assert "chain whole, head matches, closed" in said
    assert f"pulses: {report.pulses:,} logged" in said and "one to one" in said
    return case


def test_another_rate_while_running_and_a_stop_by_an_observer(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LiveHost(data=data, speed=4.0) as host, Ear(host.bus) as ear, Client(host) as screen:
        ear.until(lambda m: m.topic == f"average.{LEFT}" and m.header["n_sweeps"] >= 4, "4 sweeps")
        code, text = host.error("test.rate", test=LEFT, rate_hz=5.0)
        assert code == "refused" and "5 Hz is locked to mains" in text and "samples) leaves" in text
        code, text = host.error("test.rate", test=LEFT, rate_hz=19.1)
        assert code == "refused" and "the sweep of left_median needs 80 ms" in text
        assert host.error("test.rate", test=LEFT, rate_hz=1e-9)[0] == "refused"
        result = host.ok("test.rate", test=LEFT, rate_hz=4.7)
        assert result["period_samples"] == 851 and result["rate_hz"] == pytest.approx(4000 / 851)
        assert max(result["mains_left_pct"]) < 30 and "4.7" in result["mains_text"]
        marked = ear.until(
            lambda m: m.topic == "event" and m.header["kind"] == "test.rate", "the event"
        ).header
        assert marked["text"] == f"test.rate {LEFT} {4000 / 851:.4f} Hz"
        anew = ear.until(
            lambda m: m.topic == f"average.{LEFT}" and m.header["rate_hz"] == pytest.approx(4000 / 851),
            "an average at that rate",
        ).header
        assert anew["n_sweeps"] <= 2 and anew["first_index"] >= marked["index"]
        ear.until(lambda m: m.topic == f"average.{LEFT}" and m.header["n_sweeps"] >= 18, "18 sweeps", True)
        assert screen.ask("hello", name="screen 2", role="observer")["result"]["role"] == "observer"
        refused = screen.ask("test.start", test=LEFT)
        assert refused["error"]["code"] == "not_allowed"
        assert screen.ask("mark", text="seen from outside")["ok"]
        assert screen.ask("stim.stop")["ok"]
        stopped = {LEFT: "stopped", RIGHT: "stopped"}
        ear.until(lambda m: m.topic == "status" and m.header["tests"] == stopped, "all stopped", True)
        host.ok("test.start", test=LEFT)
        ear.until(
            lambda m: m.topic == f"average.{LEFT}" and m.header["n_sweeps"] == 5, "five sweeps again", True
        )
        closed(host, ear)
    case = one_to_one(data, capsys)
    stims = [m.header["index"] for m in ear.of("stim") if m.header["test"] == LEFT]
    apart = {b - a for a, b in pairwise(stims[-5:])}
    assert apart == {851}, "the rate stays what was chosen"
    audit = read_rows(case / "case.sqlite", "SELECT actor, action FROM audit")
    assert ("screen 2@127.0.0.1", "stim.stop") in audit and ("screen 2@127.0.0.1", "test.start") in audit
    assert {actor for actor, action in audit if action == "pulse"} == {"evokd", "operator@127.0.0.1"}
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 100


def test_the_best_rate_near_may_be_asked_for_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveHost(speed=None) as host, Ear(host.bus, ("mains",)) as ear:
        mains = ear.until(lambda m: m.header["hz"] is not None, "the mains measured").header
        assert mains["tests"][LEFT]["period_samples"] == 1486
        assert main(["ctl", "--bus", host.bus, "test.rate", f"test={LEFT}"]) == 0
        assert '"mains_measured": true' in capsys.readouterr().out
        assert main(["ctl", "--bus", host.bus, "test.rate", f"test={LEFT}", "rate_hz=2.3"]) == 0
        assert '"period_samples": 1739' in capsys.readouterr().out
        ear.until(lambda m: m.header["tests"][LEFT]["period_samples"] == 1739, "mains of the new rate")


def test_what_the_link_swallowed_is_refused_and_nothing_is_armed_that_was_stopped_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: list[EdgeLink] = []
    plans: list[StimPlan] = []
    late: list[Message] = []
    send, receive = EdgeLink.send, EdgeLink.receive

    def swallow(link: EdgeLink, message: Message) -> None:
        links.append(link)
        if isinstance(message, StimPlan):
            plans.append(message)
        else:
            send(link, message)

    def receive_late(link: EdgeLink, timeout_s: float) -> list[Message]:
        said, late[:] = late[:], []
        return said + receive(link, timeout_s)

    shot = replace(CASE.tests[0], stimulus_hz=0.0, stimulus=StimulusPlan(mode="single"))
    with LiveHost(replace(CASE, tests=(shot,))) as host, Ear(host.bus, ("status",)) as ear:
        host.ok("stim.arm", test=LEFT)
        with Client(host) as screen, monkeypatch.context() as cut:
            cut.setattr(EdgeLink, "send", swallow)
            cut.setattr(EdgeLink, "receive", receive_late)
            screen.send("stim.fire", test=LEFT)
            screen.send("stim.stop")
            assert screen.hear()["id"] == "stim.stop", "the other has no answer yet"
            late.append(Reply(plans[0].command, "it was stopped"))
            assert screen.hear()["error"] == {"code": "refused", "message": "it was stopped"}
            screen.send("stim.arm", test=LEFT)
            assert screen.hear()["ok"], "it is not taken for armed, as it was when the shot was asked for"
            screen.send("stim.fire", test=LEFT)
            until(lambda: len(plans) == 2, "the second shot")
            links[-1].close()
            refused = screen.hear()
        assert refused["error"]["code"] == "refused" and "the link broke" in refused["error"]["message"]
        ear.until(
            lambda m: m.header["link"]["connected"] and m.header["tests"] == {LEFT: "stopped"},
            "all stopped and the link again",
            fresh=True,
        )
        host.ok("stim.arm", test=LEFT)


def test_a_test_that_cannot_start_by_itself_says_why_and_starts_at_a_rate_that_may_be() -> None:
    locked = replace(CASE.tests[0], stimulus_hz=5.0, rate_written=True)
    with LiveHost(replace(CASE, tests=(locked, CASE.tests[1]))) as host, Ear(host.bus) as ear:
        status = ear.until(lambda m: m.topic == "status", "status").header
        assert status["tests"] == {LEFT: "stopped", RIGHT: "running"}
        (fault,) = status["faults"]
        assert fault.startswith(f"test {LEFT} was not started: 5 Hz is locked to mains")
        assert host.error("test.start", test=LEFT)[0] == "refused"
        tuned = host.ok("test.rate", test=LEFT)
        assert tuned["rate_hz"] != 5.0 and abs(tuned["rate_hz"] / 5.0 - 1) <= 0.1
        assert host.ok("test.start", test=LEFT)["period_samples"] == tuned["period_samples"]
        ear.until(lambda m: m.topic == f"sweep.{LEFT}" and m.header["accepted"], "a sweep")


class Played(SimulatedSource):
    """The simulated patient as a recording: its stimuli are as they are."""

    def configure(self, wanted: Configure) -> Description:
        return replace(super().configure(wanted), source="file", lines=0)


def test_a_recording_is_averaged_at_whatever_rate_it_was_made() -> None:
    text = CASE.text.replace("rate_hz = 2.692", "rate_hz = 5") + '\n[recording]\ntrigger_channel = "T"\n'
    with LiveHost(casefile.parse(text, "case"), Played(4.0, None, 1)) as host, Ear(host.bus) as ear:
        status = ear.until(lambda m: m.topic == "status", "status").header
        assert status["tests"] == {LEFT: "running", RIGHT: "running"} and status["faults"] == []
        for args in ({}, {"rate_hz": 4.7}):
            assert host.error("test.rate", test=LEFT, **args) == ("refused", "this source cannot stimulate")
        host.ok("test.stop", test=LEFT)
        assert host.ok("test.start", test=LEFT) == {}
        for command in ("stim.arm", "stim.fire"):
            assert host.error(command, test=LEFT)[0] in ("refused", "bad_state")


@pytest.mark.control("H1.7")
def test_a_flood_is_told_that_it_is_too_much_and_its_stop_is_heard() -> None:
    with LiveHost() as host, Client(host) as flood, Ear(host.bus, ("status",)) as ear:
        for k in range(100):
            flood.send("mark", text=f"{k}")
            flood.send("snapshot")
        flood.send("stim.stop")
        replies = [flood.hear() for _ in range(201)]
        stop = [r for r in replies if r["id"] == "stim.stop"]
        assert [r["ok"] for r in stop] == [True]
        codes = [r["error"]["code"] for r in replies if not r["ok"]]
        assert len(codes) >= 50 and set(codes) == {"busy"}
        ear.until(lambda m: set(m.header["tests"].values()) == {"stopped"}, "all stopped")


def test_steps_on_demand_each_go_out_once_and_are_told_with_their_current(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = StimulusPlan("nerve", "single", steps_ma=(2.0, 5.0), width_us=200.0)
    screw = replace(CASE.tests[0], stimulus_hz=0.0, stimulus=steps)
    nerve = [c if c.name != "nerve" else tightened(c, {"current_ma": 6.0}) for c in CEILINGS]
    case = replace(CASE, tests=(screw,), ceilings=tuple(nerve))
    with LiveHost(case, Bench(8.0, None, 1), data) as host, Ear(host.bus) as ear:

        def next_step() -> Any:
            status = ear.until(lambda m: m.topic == "status", "status", True).header["stimulation"]
            return status["tests"][LEFT]["next_step_ma"]

        assert host.error("stim.fire", test=LEFT) == (
            "refused",
            f"test {LEFT} is stopped, not armed; stim.arm it first",
        )
        host.arm(LEFT)
        host.ok("test.start", test=LEFT)
        for k, current_ma in enumerate((2.0, 5.0)):
            host.fire(LEFT)
            until(lambda k=k: ear.listen() is not None and len(ear.of("stim")) > k, "the stimulus")
            assert ear.of("stim")[-1].header["commanded_ma"] == current_ma
        code, text = host.error("stim.fire", test=LEFT)
        assert code == "refused" and "the last step of 5 mA has been fired" in text
        assert next_step() is None
        code, text = host.error("stim.fire", test=LEFT, current_ma=6.5)
        assert code == "refused" and "exceeds the limit of 6 mA for nerve" in text
        host.fire(LEFT, current_ma=6.0)
        until(lambda: ear.listen() is not None and len(ear.of("stim")) == 3, "the third")
        host.ok("stim.stop")
        assert host.error("stim.fire", test=LEFT)[0] == "refused", "disarmed"
        host.arm(LEFT)
        assert next_step() == 2.0, "arming begins anew"
        ear.until(lambda m: m.topic == f"sweep.{LEFT}", "a sweep of a stimulus on demand")
        closed(host, ear)
    folder = one_to_one(data, capsys)
    pulses = read_rows(
        folder / "case.sqlite", "SELECT actor, detail FROM audit WHERE action = 'pulse' ORDER BY n"
    )
    assert [actor for actor, _ in pulses] == ["operator@127.0.0.1"] * 3
    assert [f'"current_ma":{ma:.1f}' in detail for (_, detail), ma in zip(pulses, (2, 5, 6), strict=True)]
