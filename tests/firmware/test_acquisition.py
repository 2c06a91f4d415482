"""The sample loop over scripted ports: the index is the edge's count, losses are gaps, outputs end up low."""

import threading
from collections.abc import Iterable

import numpy as np
import pytest

from firmware.errors import PortError
from firmware.ports import Command
from hw.frames import encode_frame
from hw.link import ALL_PLANS, Ended, Fault, Reply, StimStop, Stimulus
from hw.samples import Gap, SampleBlock
from tests.support.board import PERIOD_NS, SILENCE, Board, Step, Torn
from tests.support.links import tiles, true_counts
from tests.support.looped import armed, plan

BLOCK = 40  # 10 ms at 4000 Hz


def acquired(script: Iterable[Step], *commands: Command, channels: int = 8) -> Board:
    """A board whose script was run to its end, `commands` first."""
    return Board(script).run(*commands, channels=channels)


def right(board: Board) -> bool:
    """Whether every delivered sample is the one that was converted at its index."""
    return all(
        np.array_equal(b.counts, true_counts(np.arange(b.first_index, b.end_index), b.counts.shape[1]))
        for b in board.blocks
    )


def test_blocks_hold_ten_milliseconds_of_the_wanted_channels() -> None:
    board = acquired(range(100), channels=4)
    assert [(b.first_index, b.counts.shape) for b in board.blocks] == [
        (0, (40, 4)),
        (40, (40, 4)),
        (80, (20, 4)),
    ]
    assert right(board)
    assert tiles(board.blocks, 0)
    assert [b.t_ns for b in board.blocks] == [39 * PERIOD_NS, 79 * PERIOD_NS, 99 * PERIOD_NS]
    assert board.items[-1] == Ended(100)


def test_missed_edges_are_a_gap_at_their_own_index() -> None:
    board = acquired([*range(10), *range(17, 60)])
    before, after = board.blocks[:2]
    assert (before.first_index, before.end_index, before.t_ns) == (0, 10, 9 * PERIOD_NS)
    assert (after.first_index, after.gaps) == (17, (Gap(10, 7, "missed"),))
    assert after.end_index == 17 + BLOCK
    assert right(board)
    assert tiles(board.blocks, 0)


def test_the_first_edge_need_not_be_number_zero() -> None:
    board = acquired([*range(5, 20)])
    assert [(b.first_index, b.gaps) for b in board.blocks] == [(5, (Gap(0, 5, "missed"),))]


@pytest.mark.control("H14.7")
def test_frames_without_their_header_are_gaps_and_never_samples() -> None:
    board = acquired([*range(10), Torn(10), *range(11, 20), Torn(20), Torn(21), Torn(22), *range(25, 30)])
    assert [(b.first_index, b.end_index, b.gaps) for b in board.blocks] == [
        (0, 10, ()),
        (11, 20, (Gap(10, 1, "torn"),)),
        (25, 30, (Gap(20, 3, "torn"), Gap(23, 2, "missed"))),
    ]
    assert [b.t_ns for b in board.blocks] == [9 * PERIOD_NS, 19 * PERIOD_NS, 29 * PERIOD_NS]
    assert right(board)
    assert tiles(board.blocks, 0)


def test_a_gap_at_the_end_shows_in_where_it_ended() -> None:
    board = acquired([*range(10), Torn(10), Torn(11)])
    assert board.items[-1] == Ended(12)
    assert board.blocks[-1].end_index == 10


def test_gaps_of_any_number_do_not_pile_up() -> None:
    board = acquired([*(Torn(k) for k in range(1500)), *range(1500, 1510)])
    assert board.blocks[0].gaps == (Gap(0, 1500, "torn"),)


def test_an_edge_count_that_goes_back_ends_the_acquisition_with_its_cause() -> None:
    board = Board([*range(10), 4])
    with pytest.raises(PortError, match="from 9 to 4"):
        board.run()
    assert board.written[-1][1] == 0


def test_a_pulse_is_commanded_proven_and_seen_in_the_samples() -> None:
    board = acquired(range(500), *armed(plan(period=400, phase=50, hold=4)))
    assert board.said(Reply) == [Reply(201, ""), Reply(101, "")]
    assert board.said(Stimulus) == [Stimulus(1, 101, 1, 1, 50, 51), Stimulus(1, 101, 2, 1, 450, 451)]
    assert [w for w in board.written if w[0] < 500] == [(51, 1), (55, 0), (451, 1), (455, 0)]
    bits = np.concatenate([b.trigger_bits for b in board.blocks])
    assert np.flatnonzero(bits).tolist() == [51, 52, 53, 54, 451, 452, 453, 454]
    proof = board.items.index(board.said(Stimulus)[1])
    assert board.items.index(board.blocks[451 // BLOCK]) > proof  # the host knows before it sees the edge


def test_a_refused_plan_is_answered_with_its_limit() -> None:
    board = acquired(range(50), plan(period=20), StimStop(9, ALL_PLANS))
    refusal, stopped = board.said(Reply)
    assert refusal.command == 101
    assert "rate limit of 100 Hz" in refusal.refusal
    assert stopped == Reply(9, "")


def test_a_fault_of_the_sequencer_is_told_and_takes_the_outputs_low() -> None:
    board = Board(range(500), loops=False).run(*armed(plan(period=200, phase=50, hold=40)))
    assert [(f.code, f.fatal) for f in board.said(Fault)] == [("missing", 0)]
    assert board.written == [(51, 1), (55, 0), (500, 0)]


@pytest.mark.control("H2.6")
def test_a_pulse_ends_on_time_although_every_frame_is_torn() -> None:
    board = acquired([*range(53), *(Torn(k) for k in range(53, 200))], *armed(plan(phase=50, hold=10)))
    assert [w for w in board.written if w[0] < 200] == [(51, 1), (61, 0)]


def test_commands_are_obeyed_also_while_frames_are_torn() -> None:
    board = Board([*range(60), *(Torn(k) for k in range(60, 65)), *range(65, 1000)])
    board.hooks[60] = lambda: board.command(StimStop(7, ALL_PLANS))
    board.run(*armed(plan(period=400, phase=50, hold=40)))
    assert board.said(Reply)[-1] == Reply(7, "")
    assert board.written == [(51, 1), (61, 0), (1000, 0)]
    assert board.said(Fault) == []


def test_half_a_second_of_torn_frames_is_a_fault_told_once_that_ends_the_plans() -> None:
    torn = [Torn(k) for k in range(60, 60 + 4500)]
    board = acquired([*range(60), *torn, *range(4560, 6000)], *armed(plan(period=400, phase=50)))
    (fault,) = board.said(Fault)
    assert (fault.code, fault.fatal) == ("torn_frames", 0)
    assert "0.5 s" in fault.text
    assert [s.number for s in board.said(Stimulus)] == [1]
    assert tiles(board.blocks, 0)


def test_frames_torn_now_and_then_end_nothing() -> None:
    script = [Torn(k) if k % 100 > 50 else k for k in range(6000)]
    board = acquired(script, *armed(plan(period=4000, phase=0)))
    assert board.said(Fault) == []
    assert [s.number for s in board.said(Stimulus)] == [1, 2]


def test_silence_is_a_fault_told_once_each_time_that_takes_the_outputs_low() -> None:
    script: list[Step] = [*range(52), SILENCE, SILENCE, SILENCE, *range(60, 100), SILENCE, SILENCE]
    board = acquired(script, *armed(plan(period=4000, phase=50, hold=40)))
    assert [(f.code, f.fatal) for f in board.said(Fault)] == [("no_data_ready", 0)] * 2
    assert "no data-ready edge for 0.5 s" in board.said(Fault)[0].text
    assert board.written[:2] == [(51, 1), (52, 0)]
    assert not any(bits for _, bits in board.written[1:])
    assert [b.gaps for b in board.blocks] == [(), (), (Gap(52, 8, "missed"),)]
    assert tiles(board.blocks, 0)


def test_commands_in_silence_are_answered_and_no_plan_begins() -> None:
    board = acquired([SILENCE, *range(500)], plan(phase=50), StimStop(3, ALL_PLANS))
    assert [(r.command, r.refusal) for r in board.said(Reply)] == [
        (101, "no samples are coming in; nothing can be stimulated"),
        (3, ""),
    ]
    assert not any(bits for _, bits in board.written)


@pytest.mark.control("H1.10")
@pytest.mark.parametrize(
    "error", [PortError("SPI is gone"), OSError("i/o"), ValueError("x"), KeyboardInterrupt()]
)
def test_an_error_while_reading_reaches_the_caller_after_the_outputs_are_low(error: BaseException) -> None:
    board = Board(range(100))

    def fail() -> None:
        board.read_error = error

    board.hooks[52] = fail
    with pytest.raises(type(error)) as caught:
        board.run(*armed(plan(phase=50, hold=40)))
    assert caught.value is error
    assert board.written == [(51, 1), (53, 0)]


def test_an_error_of_the_edge_line_leaves_the_outputs_low() -> None:
    def fail() -> None:
        raise PortError("the edge line is gone")

    board = Board(range(100), hooks={52: fail})
    with pytest.raises(PortError, match="the edge line is gone"):
        board.run(*armed(plan(phase=50, hold=40)))
    assert board.written == [(51, 1), (52, 0)]


@pytest.mark.control("H1.10")
def test_an_error_of_the_ring_leaves_the_outputs_low(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(range(100))

    def full(item: object) -> None:
        if isinstance(item, SampleBlock):
            raise RuntimeError("ring")

    monkeypatch.setattr(board, "put", full)
    with pytest.raises(RuntimeError, match="ring"):
        board.run(*armed(plan(phase=30, hold=40)))
    assert board.written == [(31, 1), (40, 0)]


@pytest.mark.control("H1.10")
def test_stop_ends_the_loop_with_low_outputs_and_all_samples_delivered() -> None:
    stop = threading.Event()
    board = Board(range(1000), hooks={60: stop.set}).run(*armed(plan(phase=50, hold=40)), stop=stop)
    assert board.written == [(51, 1), (61, 0)]
    assert board.blocks[-1].end_index == 61
    assert board.said(Ended) == []  # the source could go on


def test_silence_after_stop_is_no_fault() -> None:
    stop = threading.Event()
    assert Board([SILENCE, 0], hooks={0: stop.set}).run(stop=stop).items == []


class Played(Board):
    """A board whose frames are what the test says, one for each index."""

    def __init__(self, rows: list[list[int]]) -> None:
        super().__init__(range(len(rows)), loops=False)
        self._rows = rows

    def read_frame(self) -> bytes:
        return encode_frame(self._rows[self._now])


def noise(n: int, size: int = 5000) -> list[list[int]]:
    """Rows of eight channels that never repeat by chance."""
    return np.random.default_rng(7).integers(-size, size, (n, 8)).tolist()


@pytest.mark.control("H14.7")
def test_a_frame_that_comes_again_is_torn_and_the_next_one_is_right() -> None:
    rows = noise(40)
    rows[20] = rows[19]
    board = Played(rows).run()
    assert [(b.first_index, b.end_index, b.gaps) for b in board.blocks] == [
        (0, 20, ()),
        (21, 40, (Gap(20, 1, "torn"),)),
    ]
    assert board.blocks[1].counts.tolist() == rows[21:]


def test_inputs_that_stand_still_cost_one_sample_at_most() -> None:
    rows = noise(20) + [[5000] * 8] * 60
    board = Played(rows).run()
    assert [gap for b in board.blocks for gap in b.gaps] == [Gap(21, 1, "torn")]


def test_inputs_that_clip_all_at_once_cost_none() -> None:
    rows = noise(20) + [[8388607, -8388608] * 4] * 60 + noise(20)
    board = Played(rows).run()
    assert [gap for b in board.blocks for gap in b.gaps] == []


@pytest.mark.parametrize("size", [1, 2, 4])
def test_quiet_inputs_that_repeat_by_chance_are_believed(size: int) -> None:
    board = Played(noise(4000, size)).run()
    assert [gap for b in board.blocks for gap in b.gaps] == []
