"""A case on the coprocessor's firmware in MicroPython over a serial port: its electrodes are measured by the
host, then it may stimulate; a replay says the same; and no current outlives its cable or its board."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.client import request
from hostd.daemon import Daemon, HostOptions
from hostd.errors import EvokdError
from hostd.intake import End, Intake
from hostd.lead_meter import LeadMeter
from hostd.replay import Replay
from hostd.timebase import Timebase
from hw.lead_off import EXCITATION
from hw.link import NOT_SEEN, Excited, Fault, Impedance, ImpedanceStart, StimState
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.samples import SampleBlock
from tests.support.edges import configure, files
from tests.support.leads import true_ohm
from tests.support.networks import NETWORKS
from tests.support.pico_edge import PicoProcess, pico
from tests.support.pico_model import PicoModel
from tests.support.ports import free_bus
from tests.support.session import DEADLINE_S, Ear, until

BASE = casefile.procedure("median_ssep")
CASE = replace(BASE, gain=12, tests=BASE.tests[:1])
(TEST,) = (t.name for t in CASE.tests)


def board_with_electrodes() -> PicoModel:
    options = ChipOptions(noise=True, seed=11)
    board = BoardModel(BoardSetup(around=Surroundings(ground="bias"), options=options))
    for channel, network in enumerate(NETWORKS):
        board.set_electrode(channel, "p", network)
    model = PicoModel(model=board)
    model.ticks_ms = lambda: 0  # a busy machine is no silent host
    return model


@contextmanager
def host(board: PicoProcess, bus: str, data: Path) -> Iterator[threading.Thread]:
    stop, ready = threading.Event(), threading.Event()
    daemon = Daemon(HostOptions(CASE, "case", f"serial:{board.path}", bus, data, None), stop)
    failed: list[EvokdError] = []

    def run() -> None:
        try:
            daemon.run(ready.set)
        except EvokdError as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="test-host", daemon=True)
    thread.start()
    assert ready.wait(DEADLINE_S) and not failed, failed
    try:
        yield thread
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        assert not thread.is_alive() and not failed, failed


def excitation(board: BoardModel) -> list[int]:
    return [board.chips[0].register(a) for a in EXCITATION]


def test_electrodes_are_measured_then_a_test_stimulates_and_a_replay_says_the_same(tmp_path: Path) -> None:
    bus, model = free_bus(), board_with_electrodes()
    with pico(model, files()) as board, host(board, bus, tmp_path) as thread:

        def ok(command: str, **args: object) -> None:
            reply = request(bus, command, args)
            assert reply["ok"], reply

        with Ear(bus, ("impedance", "event", "status")) as ear:
            model.grant(1e7)
            before = excitation(model.board)
            assert not request(bus, "stim.arm", {"test": TEST})["ok"], "nobody measured the electrodes"
            ok("impedance.start")
            said = ear.until(lambda m: m.topic == "impedance", "the result")
            *leads, reference = said.header["leads"]
            assert [lead["lead"] for lead in leads] == [f"{name}+" for name in CASE.channels]
            for lead, network in zip(leads, NETWORKS, strict=False):
                truth = abs(true_ohm(network, 31.25))
                assert lead["ohm"] == pytest.approx(truth, rel=0.02)
                assert lead["low_ohm"] < truth < lead["high_ohm"]
                assert "phase unknown" not in lead["note"]
            assert "SRB1" in reference["note"]
            assert excitation(model.board) == before
            assert len(model.pauses) == 2 and model.pulses == []
            until(lambda: request(bus, "stim.arm", {"test": TEST})["ok"], "armed: they were measured")
            ok("test.start", test=TEST)
            until(lambda: len(model.pulses) > 3, "pulses on the line")
            ok("case.close")
            thread.join(DEADLINE_S)
            ear.listen()
    (case,) = (p for p in tmp_path.iterdir() if (p / "case.sqlite").exists())
    with Replay(case) as replay:
        again = list(replay.messages())
    (result,) = [m for m in again if m.topic == "impedance"]
    assert result.index == said.header["index"]
    assert json.loads(json.dumps(result.fields)) == {k: said.header[k] for k in result.fields}
    texts = [m.fields["text"] for m in again if m.topic == "event" and m.fields["kind"] == "impedance"]
    assert texts == [m.header["text"] for m in ear.of("event") if m.header["kind"] == "impedance"]
    assert len(texts) == 2


class Recorded:
    """Stands where the case's folder does."""

    def append(self, block: SampleBlock) -> None:
        """Nothing is kept."""

    def edge(self, boot: int, shift: int, offset_ns: int) -> None:
        """Nothing is kept."""

    def close_raw(self) -> None:
        """Nothing was."""


@pytest.mark.control("H18.2")
@pytest.mark.parametrize("power", [False, True])
def test_a_cable_that_is_pulled_ends_the_measurement_and_leaves_no_current(
    tmp_path: Path, power: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does a board that was started anew while the converters went on."""
    anew, told_anew = LeadMeter.anew, []

    def counted(meter: LeadMeter) -> None:
        told_anew.append(meter)
        anew(meter)

    monkeypatch.setattr(LeadMeter, "anew", counted)
    model = board_with_electrodes()
    before, port = excitation(model.board), tmp_path / "port"
    boards = [PicoProcess(model, files())]
    port.symlink_to(boards[0].path)
    intake = Intake(f"serial:{port}", threading.Event())
    heard: list[Any] = []

    def until_item(wanted: Callable[[Any], bool]) -> Any:
        while not (heard and wanted(heard[-1])):
            heard.append(intake.items.get(timeout=DEADLINE_S))
            assert not isinstance(heard[-1], End), intake.failure
        return heard[-1]

    try:
        intake.open(configure({"rate_hz": 1000.0, "gain": 12}))
        intake.begin()
        intake.start(Recorded(), Timebase(1000.0, 1.5), None)  # type: ignore[arg-type]
        model.grant(800)
        until_item(lambda m: isinstance(m, SampleBlock))
        intake.send(ImpedanceStart(7, 6, 0.0, 0, 0))
        until_item(lambda m: isinstance(m, StimState) and m.locks)
        until(lambda: excitation(model.board) != before, "the current")
        port.unlink()
        if power:
            boards[0].end()
            model = PicoModel(model=model.board)
            model.ticks_ms = lambda: 0
            boards.append(PicoProcess(model, files()))
            until(lambda: excitation(model.board) == before, "the board's own start: no current, no host")
        else:
            boards[0].cable.unplug()
            boards[0].plug()
        port.symlink_to(boards[-1].path)
        model.grant(1e7)
        result = until_item(lambda m: isinstance(m, Impedance))
        assert set(result.notes[:8]) == {"not measured: the link broke"}
        assert [e.end_index == NOT_SEEN for e in heard if isinstance(e, Excited)] == [True, False]
        assert excitation(model.board) == before
        assert len([f for f in heard if isinstance(f, Fault)]) == 2, "gone, and back"
        intake.send(ImpedanceStart(8, 6, 0.0, 0, 0))
        again = until_item(lambda m: isinstance(m, Impedance) and m.command == 8)
        assert again.ohm[:4] == pytest.approx((1_000, 2_200, 10_000, 50_000), rel=0.02), again.notes
        assert ("phase unknown" in again.notes[0]) == power
        assert len(told_anew) == power, (
            "by chance the phase would seem known: one shift in four looks like a lead"
        )
        assert excitation(model.board) == before
    finally:
        intake.end()
        threading.Thread(target=lambda: [None for _ in iter(intake.items.get, None)], daemon=True).start()
        intake.close()
        boards[-1].end()
    assert [board.crash for board in boards] == [""] * len(boards)
