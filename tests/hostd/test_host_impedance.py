"""Impedance and leads at the host: asked for, refused, said, kept out of averages, and the same in replay."""

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.ports import Command, LeadCommand, Put
from hostd import casefile, daemon, leads
from hostd.cli import main
from hostd.outgoing import Outgoing
from hostd.outgoing import event as said_event
from hostd.pipeline import Pipeline
from hostd.replay import Replay
from hostd.store import read_rows
from hw.link import (
    NOT_SEEN,
    Configure,
    Description,
    Excited,
    Impedance,
    ImpedanceStart,
    ImpedanceStop,
    Leads,
    LeadWatch,
    Message,
    Reply,
)
from hw.samples import SampleBlock
from tests.hostd.test_schema import check
from tests.support.leads import OFF, LeadRig, resistor
from tests.support.session import DEADLINE_S, Ear, LiveHost, until

BASE = casefile.procedure("median_ssep")
CASE = replace(BASE, tests=(replace(BASE.tests[0], baseline_sweeps=64),))
(LEFT,) = (t.name for t in CASE.tests)
OHMS = (1_000.0, 5_000.0, 20_000.0, 50_000.0)
NAN = float("nan")
RESULT = Impedance(
    7,
    100,
    2400,
    31.25,
    6,
    "",
    ("CP3+", "REF"),
    (5e3, NAN),
    (4e3, NAN),
    (6e3, NAN),
    (-2.0, NAN),
    (0.1, NAN),
    ("u", "r"),
)


class ElectrodeSource:
    """Modelled chips as a source that runs as fast as it is taken from; after a command that it accepted it
    goes on when `free` is set. `asked` are the commands, `rig` has the electrodes."""

    patient = True

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[LeadCommand] = queue.SimpleQueue()
        self._stimuli: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.free = threading.Event()
        self.free.set()
        self.rig: LeadRig | None = None

    def configure(self, wanted: Configure) -> Description:
        n = len(wanted.channels)
        rig = LeadRig(wanted.rate_hz, gain=wanted.gain, channels=n)
        rig.electrodes(*(resistor(OHMS[k % len(OHMS)]) for k in range(n)))
        rig.rename(wanted.channels)
        self.rig = rig
        return Description("bench", wanted.rate_hz, wanted.channels, rig.info.lsb_uv[:n], (0.0,) * n, -0.5, 4)

    def command(self, command: Command) -> None:
        """Nothing is fired, and that is no refusal."""
        self._stimuli.put(command)

    def heard(self, t_ns: int) -> None:
        """It has no stimuli to stop."""

    def lead_command(self, command: LeadCommand) -> None:
        self.asked.put(command)
        assert self.rig is not None
        self.rig.monitor.command(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        assert self.rig is not None
        replied = False

        def noted(item: SampleBlock | Message) -> None:
            nonlocal replied
            replied = replied or (isinstance(item, Reply) and item.command > 0)
            put(item)

        with self.rig.monitor.tapped(noted) as tapped:
            while not stop.is_set():
                tapped(self.rig.block(40))
                while not self._stimuli.empty():
                    put(Reply(self._stimuli.get().command, ""))
                if replied:
                    replied = False
                    self.free.wait(DEADLINE_S)


Bench = tuple[LiveHost, ElectrodeSource, Ear]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(daemon, "STATUS_NS", 50_000_000)
    source = ElectrodeSource()
    with (
        LiveHost(CASE, source, data=tmp_path) as host,
        Ear(host.bus, ("impedance", "event", "status")) as ear,
    ):
        try:
            yield host, source, ear
        finally:
            source.free.set()


def test_measured_on_request_and_no_test_runs_meanwhile(bench: Bench, tmp_path: Path) -> None:
    host, source, ear = bench
    source.free.clear()
    assert host.ok("impedance.start", current_na=24, frequency_hz=31.25, sides="p") == {}
    assert source.asked.get(timeout=DEADLINE_S) == ImpedanceStart(1, 24, 31.25, 1, 0)
    ear.until(lambda m: m.topic == "status" and m.header["leads"]["measuring"], "status: measuring")
    assert host.error("stim.arm", test=LEFT)[0] == "refused", "not measured yet"
    for command in ("stim.fire", "impedance.start", "test.start"):
        args = {} if command == "impedance.start" else {"test": LEFT}
        code, text = host.error(command, **args)
        assert code == "bad_state" and "impedance is being measured" in text
    source.free.set()
    said = ear.until(lambda m: m.topic == "impedance", "the result")
    check(said)
    for k, lead in enumerate(said.header["leads"][:-1]):
        assert lead["ohm"] == pytest.approx(OHMS[k % len(OHMS)], rel=0.02)
        assert lead["low_ohm"] < lead["ohm"] < lead["high_ohm"] and "uncalibrated" in lead["note"]
    assert said.header["leads"][-1]["lead"] == "REF" and said.header["leads"][-1]["ohm"] is None
    assert (said.header["board"], said.header["current_na"]) == (None, 24)
    ear.until(lambda m: m.topic == "status" and not m.header["leads"]["measuring"], "not measuring", True)
    span = f"in samples {said.header['first_index']} to {said.header['last_index']}"
    ear.until(lambda m: m.topic == "event" and span in m.header["text"], "the event of the span")
    until(lambda: host.ask("stim.arm", test=LEFT)["ok"], "armed: the electrodes were measured")
    checked = ear.until(
        lambda m: m.topic == "status" and m.header["stimulation"]["armed_s"], "status: armed", True
    ).header["stimulation"]
    assert checked["electrodes_checked_s"] >= 0 and 0 < checked["armed_s"][LEFT] <= 30
    host.ok("test.start", test=LEFT)
    assert host.error("impedance.start") == (
        "bad_state",
        f"test {LEFT} is running; stop it first, or the impedance current is in its sweeps",
    )


def test_what_must_not_be_done_is_refused_with_the_reason(
    bench: Bench,
) -> None:
    host, source, ear = bench
    for args in ({"current_na": 24_000}, {"current_na": 6_000}):
        code, text = host.error("impedance.start", **args)
        assert code == "refused" and "not for people" in text
    assert host.error("leads.watch", current_na=24_000)[0] == "refused"
    for args in (
        {"current_na": -1},
        {"sides": "left"},
        {"frequency_hz": -1.0},
        {"ohm": 3},
        {"phantom": "so"},
    ):
        assert host.error("impedance.start", **args)[0] == "bad_request"
    assert source.asked.empty(), "the edge was not asked"
    code, text = host.error("impedance.start", frequency_hz=50.0)
    assert code == "refused" and "31.25" in text, "the edge's refusal"
    ear.until(lambda m: m.topic == "status" and not m.header["leads"]["measuring"], "not measuring", True)
    assert host.error("impedance.stop") == ("bad_state", "no impedance is being measured")


def test_the_command_line_sends_numbers_as_text(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    host, source, _ = bench
    words = ["current_na=24000", "frequency_hz=7.8125", "sides=both", "phantom=true"]
    assert main(["ctl", "--bus", host.bus, "impedance.start", *words]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert source.asked.get(timeout=DEADLINE_S) == ImpedanceStart(1, 24_000, 7.8125, 3, 1)


def test_stopping_everything_stops_the_current_too(bench: Bench) -> None:
    host, source, ear = bench
    source.free.clear()
    host.ok("impedance.start")
    assert isinstance(source.asked.get(timeout=DEADLINE_S), ImpedanceStart)
    host.ok("stim.stop")
    assert isinstance(source.asked.get(timeout=DEADLINE_S), ImpedanceStop)
    source.free.set()
    said = ear.until(lambda m: m.topic == "impedance", "the result")
    assert all(lead["ohm"] is None for lead in said.header["leads"])


def test_leads_are_watched_on_request_and_rails_always(bench: Bench) -> None:
    host, source, ear = bench
    host.ok("leads.watch", current_na=6)
    assert source.asked.get(timeout=DEADLINE_S) == LeadWatch(1, 6)
    ear.until(lambda m: m.topic == "status" and m.header["leads"]["watched"], "status: watched")
    assert source.rig is not None
    first = CASE.channels[0]
    source.rig.electrodes(OFF)
    railed = ear.until(
        lambda m: m.topic == "status" and m.header["leads"]["railed"] == [first], "status: railed", True
    )
    check(railed)
    ear.until(lambda m: m.topic == "event" and f"railed: {first}" in m.header["text"], "the event")
    source.rig.electrodes(resistor(1_000.0))
    host.ok("leads.watch", current_na=0)
    ear.until(
        lambda m: (
            m.topic == "status"
            and m.header["leads"] == {"off": [], "railed": [], "watched": False, "measuring": False}
        ),
        "all well",
        True,
    )


def test_a_recording_has_no_electrodes_and_a_source_without_any_says_so() -> None:
    class NoElectrodes(ElectrodeSource):
        lead_command = None  # type: ignore[assignment]

        def configure(self, wanted: Configure) -> Description:
            return replace(super().configure(wanted), source="file")

    with LiveHost(replace(CASE, tests=()), NoElectrodes()) as host:
        for command in ("impedance.start", "impedance.stop", "leads.watch"):
            assert host.error(command) == ("bad_state", "a recording has no electrodes to measure")


def test_replay_says_the_same(bench: Bench, tmp_path: Path) -> None:
    host, _, ear = bench
    host.ok("impedance.start")
    live = ear.until(lambda m: m.topic == "impedance", "the result")
    host.ok("case.close")
    host.join()
    (case,) = (p for p in tmp_path.iterdir() if (p / "case.sqlite").exists())
    rows = read_rows(case / "case.sqlite", "SELECT name FROM commands ORDER BY n")
    names = [name for (name,) in rows]
    assert [n for n in names if n != "test.start"] == ["impedance.span", "impedance.span", "impedance.result"]
    with Replay(case) as replay:
        said = list(replay.messages())
    (again,) = [m for m in said if m.topic == "impedance"]
    assert again.index == live.header["index"]
    assert json.loads(json.dumps(again.fields)) == {k: live.header[k] for k in again.fields}
    texts = [m.fields["text"] for m in said if m.topic == "event" and m.fields["kind"] == "impedance"]
    assert texts == [m.header["text"] for m in ear.of("event") if m.header["kind"] == "impedance"]


def blocks(rows: int, seconds: float = 6.0) -> Iterator[SampleBlock]:
    """Noise with a stimulus on the first test's line every 0.25 s."""
    n, rate = round(seconds * CASE.rate_hz), CASE.rate_hz
    counts = np.random.default_rng(3).integers(-400, 400, (n, len(CASE.channels))).astype(np.int32)
    bits = np.zeros(n, np.uint8)
    for start in range(round(rate), n, round(rate / 4)):
        bits[start : start + 4] = 1 << CASE.tests[0].line - 1
    for first in range(0, n, rows):
        part = slice(first, first + rows)
        yield SampleBlock(first, counts[part], bits[part])


def play(rows: int, commands: Sequence[tuple[int, str, dict[str, Any]]]) -> list[Outgoing]:
    n = len(CASE.channels)
    description = Description("bench", CASE.rate_hz, CASE.channels, (0.1,) * n, (0.0,) * n, -0.5, 4)
    pipeline, due, said = Pipeline(CASE, description), list(commands), []
    for block in blocks(rows):
        while due and due[0][0] <= block.first_index:
            said += pipeline.command(*due.pop(0)[1:])
        said += pipeline.feed(block)
    return said + pipeline.finish()


def test_sweeps_of_the_span_are_kept_out_of_the_average_and_say_why() -> None:
    begin, end = 8_000, 14_000
    start = (0, "test.start", {"test": LEFT, "author": ""})
    span = [
        (begin, "impedance.span", leads.span_args(Excited(1, begin, NOT_SEEN))),
        (12_000, "impedance.span", leads.span_args(Excited(1, begin, end))),
    ]
    found = play(400, [start, *span])
    sweeps = [m for m in found if m.topic == f"sweep.{LEFT}"]
    rejected = [m.fields["trigger_index"] for m in sweeps if m.fields["reason"] == "impedance"]
    assert rejected and min(rejected) <= begin + 1_000 and max(rejected) >= end - 1_000
    assert all(m.fields["accepted"] == (m.fields["trigger_index"] not in rejected) for m in sweeps)
    assert any(m.fields["trigger_index"] > end for m in sweeps if m.fields["accepted"])
    average = [m for m in found if m.topic == f"average.{LEFT}"][-1]
    assert average.fields["n_rejected"] == len(rejected)
    again = [m for m in play(100, [start, *span]) if m.topic == f"sweep.{LEFT}"]
    assert [m.fields["reason"] for m in again] == [m.fields["reason"] for m in sweeps]
    events = [m.fields for m in found if m.topic == "event" and m.fields["kind"] == "impedance"]
    assert [e["text"] for e in events] == [
        "impedance current in the electrodes from sample 8000 on",
        "impedance current in samples 8000 to 13999: no average uses them",
    ]


def test_what_is_not_known_is_null_in_the_result() -> None:
    args = leads.result_args(RESULT)
    assert (args["last_index"], args["board"]) == (2399, None)
    assert args["leads"][1] == {
        "lead": "REF",
        "ohm": None,
        "low_ohm": None,
        "high_ohm": None,
        "phase_deg": None,
        "drift_deg": None,
        "note": "r",
    }
    assert leads.result_args(replace(RESULT, end_index=NOT_SEEN, board="SN7"))["last_index"] is None
    assert json.loads(json.dumps(args, allow_nan=False)) == args


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (Leads(9, 0, 0, 0, 1), "leads: nothing wrong"),
        (Leads(9, 0, 0, 0, 0), "leads: nothing wrong (only railed channels are watched)"),
        (Leads(9, 0b001, 0b100, 0b010, 1), "leads: off: A+, C-; railed: B"),
        (
            Leads(9, 0b111, 0, 0b010, 1),
            "leads: all electrodes seem off: check reference and bias, a loose one makes all look so; "
            "railed: B",
        ),
    ],
)
def test_flags_in_words(said: Leads, text: str) -> None:
    known = leads.Leads(3)
    (event,) = known.told("leads", leads.flag_args(said, ("A", "B", "C")), 9)
    assert event == said_event(9, text, "leads", "edge")


def test_the_simulated_box_is_measured_on_a_living_patient_with_its_tests_stopped() -> None:
    with LiveHost(CASE, speed=None) as host, Ear(host.bus, ("impedance",)) as ear:
        assert host.error("impedance.start")[0] == "bad_state"
        host.ok("test.stop", test=LEFT)
        host.ok("impedance.start")
        said = ear.until(lambda m: m.topic == "impedance", "the result")
        check(said)
        *leads_of_patient, reference = said.header["leads"]
        assert [lead["lead"] for lead in leads_of_patient] == [f"{name}+" for name in CASE.channels]
        for lead in leads_of_patient:  # the board model's good electrodes, under the patient's own activity
            assert lead["ohm"] == pytest.approx(4_995, rel=0.1)
        assert reference["lead"] == "REF" and "SRB1" in reference["note"]
