"""A host that falls silent: stimulation ends within 0.2 s, in the loop itself, and acquisition goes on."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from firmware.acquisition import Acquisition
from hw.link import Ended, Fault, Lockout, Reply, StimArm, StimStop
from tests.support.board import PERIOD_NS, Board
from tests.support.links import tiles
from tests.support.looped import armed, plan, shot

TEXT = "no heartbeat from the host for 0.2 s; all stimuli were stopped"
SAMPLES_OF_SILENCE = 800  # 0.2 s


class Watched(Board):
    """A board whose monotonic clock follows its edges, and an acquisition that can be told of the host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        super().__init__(range(n))
        clock = SimpleNamespace(monotonic_ns=self.now_ns)
        monkeypatch.setattr("firmware.acquisition.time", clock)
        self.acquisition = Acquisition(self.read_frame, self, self, 4000.0, 4, 8)

    def now_ns(self) -> int:
        return 10**9 + self.edges * PERIOD_NS

    def at(self, *whens: int, do: Callable[[], None]) -> None:
        for when in whens:
            self.hooks[when] = do

    def hear(self) -> None:
        self.acquisition.heard(self.now_ns())

    def go(self, *commands: object) -> "Watched":
        for command in commands:
            self.acquisition.command(command)  # type: ignore[arg-type]
        self.acquisition.run(self.put, SimpleNamespace(is_set=lambda: False))  # type: ignore[arg-type]
        return self

    def rises(self) -> list[int]:
        return [at - 1 for at, bits in self.written if bits]

    def faults(self) -> list[tuple[str, str, int]]:
        return [(f.code, f.text, f.index) for f in self.said(Fault)]


@pytest.mark.control("H1.4")
def test_silence_ends_all_stimuli_and_disarms_and_the_samples_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 4000)
    board.at(100, do=board.hear)
    board.at(2000, do=lambda: board.acquisition.command(plan(1)))
    board.go(*armed(plan(1, period=400), samples=40_000))
    assert board.rises() == [0, 400, 800]
    (fault,) = board.faults()
    assert fault[:2] == ("host_silent", TEXT)
    assert 100 + SAMPLES_OF_SILENCE - 2 <= fault[2] <= 100 + SAMPLES_OF_SILENCE + 1
    assert board.said(Reply)[-1] == Reply(101, "it is not armed; arm it first")
    assert tiles(board.blocks, 0)
    assert board.items[-1] == Ended(4000)
    assert not any(b.gaps for b in board.blocks)


@pytest.mark.control("H2.6")
def test_a_line_that_is_high_goes_low_with_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 2000)
    board.at(110, do=board.hear)
    board.go(*armed(plan(1, period=1800, phase=900, hold=40)))
    assert [w for w in board.written if w[0] < 2000] == [(901, 1), (911, 0)]
    assert [code for code, _, _ in board.faults()] == ["host_silent"]


def test_heartbeats_keep_the_stimuli_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 8000)
    board.at(*range(0, 8000, 780), do=board.hear)
    board.go(*armed(plan(1, period=400)))
    assert board.rises() == list(range(0, 8000, 400))
    assert board.faults() == []


def test_a_host_that_speaks_again_starts_anew_after_arming(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 4000)
    board.at(0, *range(1600, 4000, 160), do=board.hear)
    board.hooks[2000] = lambda: [board.acquisition.command(c) for c in armed(plan(2, period=400))]  # type: ignore[assignment]
    board.hooks[2001] = board.hear
    board.go(*armed(plan(1, period=400)))
    assert board.rises() == [0, 400, 2000, 2400, 2800, 3200, 3600]
    assert [code for code, _, _ in board.faults()] == ["host_silent"]


def test_each_silence_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 6000)

    def again() -> None:
        board.hear()
        for command in armed(plan(1, period=400)):
            board.acquisition.command(command)

    board.at(10, 2010, 4010, do=again)
    board.go()
    assert [code for code, _, _ in board.faults()] == ["host_silent"] * 3


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        ((), False),
        ((Lockout(1, 4, 1),), False),
        ((StimArm(1, 1, 8000),), True),  # armed
        ((StimArm(1, 1, 100),), False),  # expired by then
        ((StimArm(1, 1, 8000), StimStop(2, 1)), False),
        (armed(plan(1, period=400, count=1), samples=100), False),  # ran, has ended and expired
        (armed(plan(1, period=4000, phase=3000), samples=100), True),  # runs
        (armed(plan(2, period=9000, guard=8000), shot(1, line=2), samples=100), True),  # waits
    ],
)
def test_silence_is_a_fault_only_when_something_ran_or_was_armed(
    monkeypatch: pytest.MonkeyPatch, commands: tuple[object, ...], told: bool
) -> None:
    board = Watched(monkeypatch, 2000)
    board.at(5, do=board.hear)
    board.go(*commands)
    assert [code for code, _, _ in board.faults()] == ["host_silent"] * told


def test_nobody_is_missed_who_was_never_heard_or_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 4000)
    board.go(*armed(plan(1, period=400)))
    assert len(board.rises()) == 10
    board = Watched(monkeypatch, 4000)
    board.at(10, do=board.hear)
    board.at(500, do=lambda: board.acquisition.heard(0))
    board.go(*armed(plan(1, period=400)))
    assert (len(board.rises()), board.faults()) == (10, [])


def test_the_pulse_of_the_last_moment_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Watched(monkeypatch, 2000)
    board.at(100, do=board.hear)
    board.go(*armed(plan(1, period=1800, phase=899)))
    bits = np.concatenate([b.trigger_bits for b in board.blocks])
    assert np.flatnonzero(bits)[0] == 900
    assert [f[0] for f in board.faults()] == ["host_silent"]
