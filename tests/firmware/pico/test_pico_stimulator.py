"""What is given to the coprocessor's two state machines, when, and what happens when it comes too late."""

from types import SimpleNamespace
from typing import Any

import pytest

from hw.link import Unfired
from tests.support.looped import plan, shot
from tests.support.pico_looped import PicoLooped, board_modules

board = board_modules()
RATE_HZ = 4000


class FakeMachine:
    """A state machine that keeps what it is given; nothing leaves its FIFO unless the test says so."""

    def __init__(self, number: int, program: object, **bases: object) -> None:
        self.words: list[int] = []
        self.said: list[str] = []

    def put(self, word: int) -> None:
        self.words.append(word)

    def exec(self, instruction: str) -> None:
        self.said.append(instruction)
        if instruction == "pull(noblock)" and self.words:
            self.words.pop(0)

    def tx_fifo(self) -> int:
        return len(self.words)

    def active(self, on: int) -> None:
        self.said.append(f"active {on}")

    def restart(self) -> None:
        self.said.append("restart")


class Bench:
    """A stimulator over fake machines; `edges` is the edge count."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board.stimulator, "rp2", SimpleNamespace(StateMachine=FakeMachine))
        self.edges = 100
        numbers = board.programs.machines(1, 2)
        count = lambda: self.edges  # noqa: E731
        self.it = board.stimulator.Stimulator(numbers, 4, RATE_HZ, 125_000_000, count)
        self.orders, self.targets = self.it._pulse.words, self.it._schedule.words


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_an_order_is_given_only_when_all_pulses_before_it_are_proven(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200])
    bench.it.hand_over(0b10, 4, [260, 280])
    assert bench.it.feed(200) is None
    assert (len(bench.orders), bench.targets) == (1, [board.programs.target_word(200)])
    bench.it.feed(200)  # not proven yet
    assert len(bench.orders) == 1
    bench.it.feed(260)
    assert [word >> 5 & 0xFF for word in bench.orders] == [1, 2]
    assert bench.targets[1:] == [board.programs.target_word(260), board.programs.target_word(280)]


def test_a_stimulus_whose_time_has_come_is_not_given_at_all(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200])
    bench.edges = 199  # the next edge but one is its own
    assert bench.it.feed(200) == 200
    assert bench.orders == bench.targets == []


def test_a_train_that_falls_behind_is_told_once_and_not_gone_on_with(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200 + 8 * k for k in range(12)])
    bench.it.feed(200)
    assert len(bench.targets) == board.stimulator.TARGETS  # the FIFO is full
    bench.targets.clear()
    bench.edges = 300
    bench.it.feed(200)
    assert bench.targets == []
    assert (bench.it.late(), bench.it.late()) == (True, False)


def test_an_edge_that_comes_while_a_target_is_given_puts_it_in_doubt(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200])
    real = bench.it._schedule.put

    def slowly(word: int) -> None:
        real(word)
        bench.edges = 201

    bench.it._schedule.put = slowly
    bench.it.feed(200)
    assert bench.it.late()


def test_a_cancel_empties_the_machines_and_leads_into_the_rest(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200, 220])
    bench.it.feed(200)
    assert bench.it.cancel() == 220
    assert bench.orders == bench.targets == []
    said = [word for word in bench.it._pulse.said if word != "pull(noblock)"]
    assert said == ["active 0", "mov(pins, null)", "restart", "active 1"]
    assert "restart" not in bench.it._schedule.said  # its count goes on


def test_a_pulse_is_as_wide_as_it_is_to_be_held_and_never_wider_than_an_order_can_say(bench: Bench) -> None:
    bench.it.hand_over(0b1, 4, [200])
    bench.it.hand_over(0b1, 1 << 20, [400])
    bench.it.feed(200)
    bench.it.feed(400)
    cycles = [((word >> 14) + 2) * board.programs.WIDTH_CYCLES for word in bench.orders]
    assert cycles[0] == 4 * 125_000_000 // RATE_HZ // 8 * 8
    assert cycles[1] == board.programs.LONGEST_CYCLES


def test_what_came_too_late_is_told_as_not_fired_and_is_no_fault() -> None:
    box = PicoLooped().run(1)
    box.sequencer.start(plan(period=400, phase=160))
    real = box.sequencer.machines.feed
    box.sequencer.machines.feed = lambda earliest: _late(box, earliest)
    box.run(170)
    box.sequencer.machines.feed = real
    box.run(900)
    assert box.faults == []
    assert [(u.index, u.reason) for u in box.unfired] == [
        (160, "the edge was too busy to hand it over in time")
    ]
    assert box.rises() == [560]


def _late(box: PicoLooped, earliest: int) -> int | None:
    waiting: list[Any] = box.sequencer.machines._waiting
    return waiting.pop(0)[2][0] if waiting and waiting[0][2][0] == earliest else None


def test_a_single_stimulus_that_came_too_late_is_refused() -> None:
    box = PicoLooped().run(1)
    box.sequencer.start(shot())
    box.sequencer.machines.feed = lambda earliest: _late(box, earliest)
    box.run(300)
    assert [r.refusal for r in box.replies] == [
        "other tests or the rest of its line left no room for it within 2 s"
    ]
    assert not [m for m in box.sequencer.said if isinstance(m, Unfired)]


def test_the_edge_count_goes_on_when_the_counter_begins_anew() -> None:
    lap = board.reader.LAP
    times = SimpleNamespace(count=lap)
    reader = SimpleNamespace(_times_in=times, _edges=0)
    seen = []
    for total in (0, 5, lap - 1, lap, lap + 7, 2 * lap + 1, 2 * lap + 1):
        times.count = lap - total % lap
        seen.append(board.reader.Reader.edges(reader))
    assert seen == [0, 5, lap - 1, lap, lap + 7, 2 * lap + 1, 2 * lap + 1]
