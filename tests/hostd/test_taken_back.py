"""The intake and an edge that is lost: the same one that comes back, one that was started anew, and none."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware.session import block_message
from hostd import edge_link, intake, serial_port
from hostd.errors import LinkError
from hostd.intake import End, Intake
from hostd.succession import Succession
from hostd.timebase import Timebase
from hw.link import (
    ALL_PLANS,
    LOCK_ELECTROSURGERY,
    Block,
    Description,
    Ended,
    Excited,
    Fault,
    LeadWatch,
    Lockout,
    Message,
    StimArm,
    StimLimits,
    StimPlan,
    StimState,
    StimStop,
)
from hw.samples import Gap, SampleBlock
from tests.support.edge import (
    WITHIN_S,
    ScriptedSource,
    Served,
    Wire,
    poll_fast,
    serial_wire,
    unix,
    wanted,
)
from tests.support.links import is_true, true_block
from tests.support.session import until

BROKE = Fault("link", "the link broke; stimulation was stopped", 0)
BACK = Fault("link", "the link broke and came back; stimulation was stopped", 0)
PICO = "2e8a:0005 E6614103E7 1.0"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)
    monkeypatch.setattr(intake, "SILENT_NS", 60_000_000)
    monkeypatch.setattr(intake, "AGAIN_S", 0.005)
    monkeypatch.setattr(intake, "RECEIVE_S", 0.005)
    monkeypatch.setattr(edge_link, "ASK_AGAIN_NS", 10_000_000)
    monkeypatch.setattr(edge_link, "ANSWER_S", 0.5)


class Electrodes(ScriptedSource):
    """A scripted source with electrodes, and blocks of true counts from `first` on."""

    def __init__(self, *firsts: int) -> None:
        super().__init__()
        self.said: list[Message] = []
        self.deliver(*firsts)

    def deliver(self, *firsts: int) -> None:
        for first in firsts:
            self.items.put(true_block(first, 40))

    def command(self, command: Any) -> None:
        self.said.append(command)

    lead_command = command

    def told(self, kind: type[Message]) -> list[Message]:
        """What it was told of one kind, since it was made."""
        return [m for m in list(self.said) if isinstance(m, kind)]


@pytest.fixture
def listens(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Waits until the intake has listened to its link so many times more."""
    times = itertools.count()
    receive, heard = edge_link.EdgeLink.receive, [0]

    def counted(link: edge_link.EdgeLink, timeout_s: float) -> list[Message]:
        heard[0] = next(times)
        return receive(link, timeout_s)

    monkeypatch.setattr(edge_link.EdgeLink, "receive", counted)

    def more(n: int) -> None:
        until_n = heard[0] + n
        until(lambda: heard[0] >= until_n, "the intake to listen")

    return more


class Case:
    """An intake with all that it needs, under way; `heard` is what came out of it."""

    def __init__(self, address: str, before: Callable[[Intake], None] = lambda intake: None) -> None:
        self.stop = threading.Event()
        self.edges: list[int] = []
        self.intake = Intake(address, self.stop)
        self.recorded: list[SampleBlock] = []
        self.closed = threading.Event()
        self.heard: list[Any] = []
        self.intake.open(wanted())
        self.intake.begin()
        self.timebase = Timebase(4000.0, 1.5)
        before(self.intake)
        self.intake.start(self, self.timebase, None)  # type: ignore[arg-type]

    def append(self, block: SampleBlock) -> None:
        self.recorded.append(block)

    def edge(self, boot: int, shift: int, offset_ns: int) -> None:
        self.edges = [boot, shift, offset_ns]

    def close_raw(self) -> None:
        self.closed.set()

    def until(self, kind: type[Any], n: int = 1) -> Any:
        """The nth item of `kind`, all before it heard."""
        while True:
            of = [item for item in self.heard if isinstance(item, kind)]
            if len(of) >= n:
                return of[n - 1]
            self.heard.append(self.intake.items.get(timeout=WITHIN_S))

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.heard if isinstance(item, kind)]

    def end(self) -> None:
        self.intake.end()
        self.intake.close()
        self.stop.set()


@pytest.fixture
def cases() -> Iterator[list[Case]]:
    """Cases to be ended whatever happens."""
    begun: list[Case] = []
    yield begun
    for case in begun:
        case.end()


def begin(cases: list[Case], address: str) -> Case:
    cases.append(Case(address))
    return cases[-1]


def is_placed(block: SampleBlock, at: int) -> bool:
    """Whether `block` holds what its edge counted from `at`, wherever it stands now."""
    return is_true(replace(block, first_index=at, gaps=()))


def test_an_edge_started_anew_over_a_serial_wire_goes_on_behind_a_gap(
    cases: list[Case], listens: Callable[[int], None]
) -> None:
    with serial_wire() as wire:
        old = Served(Electrodes(0, 40), wire.edge)
        case = begin(cases, wire.host)
        assert case.until(SampleBlock, 2).end_index == 80
        limits, lock, watch = StimLimits(1, 0, (0.5,)), Lockout(2, LOCK_ELECTROSURGERY, 1), LeadWatch(3, 6)
        for said in (limits, lock, watch):
            case.intake.send(said)
        old.close()  # no word of it comes over a serial wire
        assert case.until(Fault) == BROKE
        state = case.intake.state
        assert state["connected"] is False and state["lost_s"] >= 0
        assert state["device"] == wire.host.removeprefix("serial:") and state["usb"] is None
        with pytest.raises(LinkError):
            case.intake.send(StimArm(4, 1, 100))
        source = Electrodes()
        source.items.put(StimState(0, 0, ALL_PLANS, 0, *[()] * 5, (1.0,), (0.0,), (0.0,)))
        new = Served(source, wire.edge)
        until(lambda: source.delivered.is_set(), "its start")
        listens(25)
        assert len(source.configured) == 1, "it may take its time to deliver"
        source.deliver(0, 40)
        block = case.until(SampleBlock, 3)
        missing = block.first_index - 80
        assert block.gaps == (Gap(80, missing, "link"),) and is_placed(block, 0)
        assert case.until(SampleBlock, 4).first_index == block.end_index, "and nothing is missing after it"
        text = f"the edge was started anew; {missing} samples ({missing / 4000:.1f} s) are missing; "
        assert case.of(Fault) == [BROKE, Fault("link", text + "stimulation was stopped", 0)]
        assert case.of(StimState)[0].index == block.first_index
        stamps = [b.t_ns for b in case.recorded]
        assert stamps == sorted(stamps)
        t_ns, utc_ns = case.timebase.at(block.end_index)
        assert 0 < time.monotonic_ns() - t_ns < 10**10, (
            "on the host's clock; the edge's shows some microseconds"
        )
        assert 0 < time.time_ns() - utc_ns < 10**10
        until(lambda: not case.intake.state["lost_s"], "the end of the outage")
        assert case.intake.connected
        case.intake.send(StimArm(5, 1, 100))
        case.intake.send(StimPlan(6, 1, 1, 400, 7, 4, 0))
        until(lambda: source.told(StimPlan), "the plan at the edge")
        commands = [m for m in source.said if not isinstance(m, StimStop)]
        assert commands[:3] == [limits, lock, watch], "before anything that may be armed"
        assert commands[3] == StimArm(5, 1, 100)
        shift = block.first_index
        assert commands[4].phase == (7 - shift) % 400, "at the same samples of the case"  # type: ignore[union-attr]
        case.end()
        new.close()
        assert case.intake.failure is None and case.closed.is_set()


def test_the_same_edge_is_heard_again_and_gets_its_locks_back_and_nothing_else(cases: list[Case]) -> None:
    with serial_wire() as wire:
        source = Electrodes(0)
        edge = Served(source, wire.edge)
        case = begin(cases, wire.host)
        case.until(SampleBlock)
        lock = Lockout(2, LOCK_ELECTROSURGERY, 1)
        for said in (StimLimits(1, 0, (0.5,)), lock, LeadWatch(3, 6)):
            case.intake.send(said)
        assert case.until(Fault, 2) == BACK, "it was silent for too long"
        source.deliver(40)
        assert case.until(SampleBlock, 2).gaps == ()
        until(lambda: source.told(Lockout).count(lock) == 2, "the lock once more")
        assert [len(source.told(kind)) for kind in (StimLimits, LeadWatch)] == [1, 1]
        case.end()
        edge.close()


def test_a_board_is_found_under_another_name_by_its_usb_serial_number(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Wire(), Wire()
    where = {PICO: first.host.removeprefix("serial:")}
    monkeypatch.setattr(serial_port, "plugged_in", lambda: dict(where))
    old = Served(Electrodes(0), first.edge)
    case = begin(cases, first.host)
    case.until(SampleBlock)
    where.clear()
    first.close()
    old.close()
    case.until(Fault)
    tried = case.intake.state
    assert tried["usb"] == PICO
    new = Served(Electrodes(0), second.edge)
    where[PICO] = second.host.removeprefix("serial:")
    block = case.until(SampleBlock, 2)
    assert block.gaps and case.intake.state["device"] == where[PICO]
    case.end()
    new.close()
    second.close()


def test_a_process_on_this_machine_is_taken_back_too_and_may_be_silent(
    cases: list[Case],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listens: Callable[[int], None],
) -> None:
    monkeypatch.setattr(intake, "SILENT_NS", 1)
    old = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, old.address)
    case.until(SampleBlock)
    listens(3)
    assert case.intake.items.empty() and case.intake.connected, "the kernel would say when it is gone"
    old.close()
    new = Served(Electrodes(0), unix(tmp_path))
    block = case.until(SampleBlock, 2)
    assert block.gaps[0].index == 40 and is_placed(block, 0)
    assert [f.text.partition(";")[0] for f in case.of(Fault)] == [
        "the link broke",
        "the edge was started anew",
    ]
    case.end()
    new.close()


def test_what_ended_with_the_old_edge_is_told_before_its_loss_is(cases: list[Case], tmp_path: Path) -> None:
    source = Electrodes(0)
    source.items.put(Excited(9, 10, (1 << 64) - 1))
    old = Served(source, unix(tmp_path))
    case = begin(cases, old.address)
    case.until(Excited)
    old.close()
    new = Served(Electrodes(0), unix(tmp_path))
    block = case.until(SampleBlock, 2)
    assert case.of(Excited)[1] == Excited(9, 10, block.first_index), "else nothing after it is ever averaged"
    case.end()
    new.close()


def test_an_edge_that_is_lost_again_before_its_first_block_is_one_outage(
    cases: list[Case], tmp_path: Path
) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    case.until(SampleBlock)
    for _ in range(2):
        edge.close()
        source = Electrodes()
        edge = Served(source, unix(tmp_path))
        until(lambda s=source: s.configured, "the host again")
        assert not case.intake.connected
    source.deliver(0)
    assert case.until(SampleBlock, 2).gaps
    assert len(case.of(Fault)) == 2 and len(case.intake.faults) == 2
    case.end()
    edge.close()


@pytest.mark.control("H13.1")
def test_another_edge_is_not_taken_for_the_old_one(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, old.address)
    case.until(SampleBlock)
    old.close()
    wrong = Electrodes(0)
    wrong.description = Description("other", 4000.0, ("a", "b", "c"), (2.0,) * 3, (0.0,) * 3, 0.0, 4)
    other = Served(wrong, unix(tmp_path))
    until(lambda: wrong.configured, "the host at the wrong edge")
    monkeypatch.setattr(intake, "RECONNECT_S", 0.0)
    case.until(End)
    said = str(case.intake.failure)
    assert "not back within 0 s" in said and "another edge is there now (other)" in said and "\n" not in said
    assert len(case.recorded) == 1 and case.closed.is_set()
    other.close()


def test_an_edge_that_never_comes_back_ends_the_case_with_the_first_cause(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    case.until(SampleBlock)
    monkeypatch.setattr(intake, "RECONNECT_S", 0.02)
    edge.close()
    case.until(End)
    said = str(case.intake.failure)
    assert "link lost: closed by the edge" in said and f"no edge at {edge.address}" in said


def test_one_that_comes_back_and_delivers_nothing_ends_it_too(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, old.address)
    case.until(SampleBlock)
    old.close()
    silent = Electrodes()
    new = Served(silent, unix(tmp_path))
    until(lambda: silent.delivered.is_set(), "its start")
    monkeypatch.setattr(intake, "RECONNECT_S", 0.0)
    case.until(End)
    assert "what came back delivers no samples" in str(case.intake.failure)
    new.close()


@pytest.mark.control("H13.1")
def test_a_recording_that_is_played_anew_has_no_place_in_the_case(cases: list[Case], tmp_path: Path) -> None:
    def recording() -> Electrodes:
        source = Electrodes(0)
        source.description = replace(source.description, source="file")
        return source

    old = Served(recording(), unix(tmp_path))
    case = begin(cases, old.address)
    case.until(SampleBlock)
    old.close()
    new = Served(recording(), unix(tmp_path))
    case.until(End)
    assert "plays its recording from the start; start evokd again for a new case" in str(case.intake.failure)
    new.close()


@pytest.mark.parametrize("how", ["closing", "stop"])
def test_a_case_that_is_closed_while_its_edge_is_lost_ends_well(
    how: str, cases: list[Case], tmp_path: Path
) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    case.until(SampleBlock)
    edge.close()
    case.until(Fault)
    (case.intake.closing if how == "closing" else case.stop).set()
    case.until(End)
    assert case.intake.failure is None and case.closed.is_set()


def test_a_case_that_is_closed_when_its_edge_has_gone_and_nobody_has_noticed_ends_well(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    case.until(SampleBlock)
    send = edge_link.EdgeLink.send

    def gone(link: edge_link.EdgeLink, message: Message) -> None:
        if isinstance(message, StimStop):
            raise LinkError("unix:x: link lost: gone; is the edge running?")
        send(link, message)

    monkeypatch.setattr(edge_link.EdgeLink, "send", gone)
    case.intake.closing.set()
    case.until(End)
    assert case.intake.failure is None and case.closed.is_set()
    edge.close()


def test_where_another_edge_lies_is_on_file_once_it_is_known_and_not_before(
    cases: list[Case], tmp_path: Path, listens: Callable[[int], None]
) -> None:
    """A host that dies in between must not leave it as one whose place is known."""
    source = Electrodes()
    edge = Served(source, unix(tmp_path))
    case = Case(edge.address, lambda i: i._succession.go_on_anew(4000, time.monotonic_ns() - 1_000_000_000))
    cases.append(case)
    listens(3)
    assert case.edges == []
    source.deliver(0)
    first = case.until(SampleBlock)
    assert case.edges[:2] == [case.intake.edge_boot, first.first_index] and first.first_index > 4000
    edge.close()


def test_of_blocks_that_came_together_the_last_one_came_last(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    first = case.until(SampleBlock)
    at = first.end_index, first.end_index + 10
    came = [[block_message(true_block(index, 10)) for index in at]]
    newest: list[int] = []
    receive, heard = edge_link.EdgeLink.receive, Succession.heard

    def together(link: edge_link.EdgeLink, timeout_s: float) -> list[Message]:
        return list(came.pop()) if came else receive(link, timeout_s)

    def noted(whole: Succession, message: Message, at_ns: int, last: Block | None = None) -> list[Message]:
        newest.append(-1 if last is None else last.first_index)
        return heard(whole, message, at_ns, last)

    monkeypatch.setattr(Succession, "heard", noted)
    monkeypatch.setattr(edge_link.EdgeLink, "receive", together)
    case.until(SampleBlock, 3)
    assert newest == [at[1]] * 2
    edge.close()


def test_nobody_waits_for_an_answer_when_the_case_is_closed(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_link, "ANSWER_S", 60.0)
    with serial_wire() as wire:
        edge = Served(Electrodes(0), wire.edge)
        case = begin(cases, wire.host)
        case.until(SampleBlock)
        edge.close()
        case.until(Fault)
        began_ns = time.monotonic_ns()
        case.intake.closing.set()
        case.until(End)
        assert time.monotonic_ns() - began_ns < 5_000_000_000


def test_the_end_of_a_source_that_was_started_anew_is_its_end(cases: list[Case], tmp_path: Path) -> None:
    old = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, old.address)
    case.until(SampleBlock)
    old.close()
    source = Electrodes()
    source.items.put(Ended(0))
    new = Served(source, unix(tmp_path))
    case.until(End)
    assert case.intake.failure is None
    case.end()
    new.close()


def test_no_item_is_left_behind_the_end(cases: list[Case], tmp_path: Path) -> None:
    edge = Served(Electrodes(0), unix(tmp_path))
    case = begin(cases, edge.address)
    case.until(SampleBlock)
    case.intake.closing.set()
    case.until(End)
    with pytest.raises(queue.Empty):
        case.intake.items.get_nowait()
    case.end()
    edge.close()
