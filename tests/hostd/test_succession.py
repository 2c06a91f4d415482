"""Edges that serve one case, one after the other: index and time go on, whatever the edges count and show."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.blocks import Reassembler
from hostd.standing import Standing
from hostd.succession import MOST_HELD, RETELL_NS, Clock, Succession, clock_of
from hostd.timebase import Timebase
from hw.link import NOT_SEEN, Block, Ended, Excited, Fault, Leads, Message, Reply, StimState, Stimulus
from hw.link import Timebase as Report
from hw.samples import Gap, SampleBlock
from tests.support.links import tiles
from tests.support.usb_delays import HOST_NS, Wire

RATE_HZ, BLOCK = 4000, 40
PERIOD_NS = 250_000
MS, S = 1_000_000, 1_000_000_000


def block(first: int, t_ns: int, n: int = BLOCK, gaps: tuple[Gap, ...] = ()) -> Block:
    return Block(first, t_ns, 1, bytes(3 * n), bytes(n), gaps)


def report(index: int, t_ns: int, ns_per_sample: float = PERIOD_NS, ppm: float = 0.0) -> Report:
    return Report(index, t_ns, ns_per_sample, ppm, 0.5, 100.0, 0, 1)


@dataclass(frozen=True, slots=True)
class Life:
    """One edge from start to loss: how long it was away before, what its count and clock begin with."""

    away_s: float
    blocks: int
    first: int
    clock_ns: int


CLOCKS = st.sampled_from(get_args(Clock))
LIVES = st.lists(
    st.builds(Life, st.floats(0, 90), st.integers(1, 30), st.integers(0, 5000), st.integers(0, 10**15)),
    min_size=1,
    max_size=4,
)


@given(LIVES, CLOCKS, st.randoms())
def test_index_and_time_go_on_over_any_number_of_edges(lives: list[Life], clock: Clock, luck: object) -> None:
    """Nothing overlaps, every hole is a gap, time never turns back, and both agree with the host's clock."""
    whole, reassembler = Succession(RATE_HZ, clock, Standing()), Reassembler()
    blocks: list[SampleBlock] = []
    now_ns, places = HOST_NS, []
    for n, life in enumerate(lives):
        now_ns += round(life.away_s * 1e9)
        if n:
            whole.anew()
        for k in range(life.blocks):
            now_ns += BLOCK * PERIOD_NS
            edge_ns = life.clock_ns + (k + 1) * BLOCK * PERIOD_NS
            late_ns = luck.randrange(3 * MS)  # type: ignore[attr-defined]
            for m in whole.heard(block(life.first + k * BLOCK, edge_ns), now_ns + late_ns):
                if isinstance(m, Block):
                    blocks.append(reassembler.take(m))  # type: ignore[arg-type]
                    places.append((blocks[-1].end_index, now_ns))
    assert tiles(blocks, lives[0].first) and sum(len(b.counts) for b in blocks) == BLOCK * sum(
        life.blocks for life in lives
    )
    stamps = [b.t_ns for b in blocks]
    assert stamps == sorted(stamps)
    holes = [b for b in blocks if b.gaps]
    assert len(holes) == len(lives) - 1 and all(g.reason == "link" for b in holes for g in b.gaps)
    for (a, at), (b, bt) in pairwise(places):
        assert abs((b - a) - (bt - at) / PERIOD_NS) < 4 * MS / PERIOD_NS + 2


def begun(clock: Clock, blocks: int = 200, wire: Wire | None = None) -> tuple[Succession, int, int]:
    """A case under way: its succession, the index reached and the host's time of it."""
    whole = Succession(RATE_HZ, clock, Standing())
    rows = (wire or Wire(drift=0.0)).blocks(blocks / 100, 1)
    for k, (t_ns, _, arrival_ns) in enumerate(rows):
        whole.heard(block(k * BLOCK, t_ns), arrival_ns)
    return whole, blocks * BLOCK, rows[-1][1]


@pytest.mark.parametrize(
    ("source", "same_machine", "clock"),
    [
        ("pi", True, "shared"),
        ("pi", False, "fitted"),
        ("pico rp2040", False, "fitted"),
        ("simulated", False, "own"),
        ("file", True, "own"),
    ],
)
def test_whose_clock_it_is_follows_from_what_it_is_and_where(
    source: str, same_machine: bool, clock: Clock
) -> None:
    assert clock_of(source, same_machine) == clock


def test_an_edge_on_this_machine_is_left_as_it_is() -> None:
    whole = Succession(RATE_HZ, "shared", Standing())
    for message in (
        block(7, HOST_NS, gaps=(Gap(3, 4, "torn"),)),
        report(9, HOST_NS + 5),
        Stimulus(1, 2, 3, 1, 10, NOT_SEEN),
        Fault("missing", "x", 0, 11, 1),
        Reply(4, ""),
        Ended(47),
    ):
        (same,) = whole.heard(message, HOST_NS)
        assert same is message
    assert whole.shift == 0 and not whole.awaited


def test_one_that_comes_back_is_placed_by_the_clock_and_what_it_says_waits_for_its_place() -> None:
    whole, index, _ = begun("shared")
    whole.anew()
    assert whole.awaited
    came_ns = HOST_NS + 2 * S + 5 * S
    early = [StimState(0, 0, 0xFFFF, 0, (), (), (), (), (), (0.0,), (0.0,), (0.0,)), Reply(3, "not yet")]
    assert [whole.heard(m, came_ns - MS) for m in early] == [[], []]
    fault, *rest = whole.heard(block(0, 12345), came_ns)
    assert not whole.awaited
    last_came_ns = Wire(drift=0.0).blocks(2.0, 1)[-1][2]
    missing = round((came_ns - last_came_ns) / PERIOD_NS) - BLOCK
    assert fault == Fault(
        "link",
        f"the edge was started anew; {missing} samples ({missing / RATE_HZ:.1f} s) are missing; "
        "stimulation was stopped",
        0,
    )
    state, reply, placed = rest
    assert isinstance(state, StimState) and state.index == whole.shift == index + missing
    assert reply == early[1]
    assert isinstance(placed, Block) and placed.first_index == index + missing
    assert whole.heard(Stimulus(1, 2, 3, 1, 50, 51), came_ns) == [
        Stimulus(1, 2, 3, 1, 50 + whole.shift, 51 + whole.shift)
    ]


@pytest.mark.parametrize("clock", get_args(Clock))
def test_one_that_is_back_before_its_time_is_one_sample_later_all_the_same(clock: Clock) -> None:
    """A hole that nobody could see would let a sweep cross from one edge to the next."""
    whole, index, _ = begun(clock, 1)
    whole.anew()
    _, placed = whole.heard(block(500, 1 * S), HOST_NS)
    assert isinstance(placed, Block) and placed.first_index == index + 1


def test_a_clock_that_is_ours_before_and_after_is_believed_rather_than_the_arrival() -> None:
    whole = Succession(RATE_HZ, "shared", Standing())
    whole.heard(block(0, HOST_NS), HOST_NS + MS)
    whole.anew()
    _, placed = whole.heard(block(0, HOST_NS + 3 * S), HOST_NS + 3 * S + 400 * MS)
    assert isinstance(placed, Block)
    assert (placed.t_ns, placed.first_index) == (HOST_NS + 3 * S, 3 * RATE_HZ)


def test_a_time_that_is_no_clocks_goes_on_with_the_hosts() -> None:
    """A simulation at several times the speed of time may show what our clock does, by chance."""
    whole = Succession(RATE_HZ, "own", Standing())
    whole.heard(block(0, HOST_NS + 8 * S), HOST_NS + S)
    whole.anew()
    _, placed = whole.heard(block(0, HOST_NS + 2 * S), HOST_NS + 3 * S)
    assert isinstance(placed, Block)
    assert (placed.t_ns, placed.first_index) == (HOST_NS + 10 * S, 2 * RATE_HZ)


def test_a_clock_elsewhere_is_the_hosts_on_the_bus_and_goes_on_over_a_restart() -> None:
    wire = Wire()
    whole = Succession(RATE_HZ, "fitted", Standing())
    off_ns = []
    for life, start_ns in enumerate((0, 40 * S)):
        if life:
            whole.anew()
        for k, (t_ns, true_ns, arrival_ns) in enumerate(wire.blocks(20.0, life)):
            *_, placed = whole.heard(block(k * BLOCK, t_ns), arrival_ns + start_ns)
            assert isinstance(placed, Block)
            off_ns.append(placed.t_ns - true_ns - start_ns)
            ahead = (placed.first_index + BLOCK) * PERIOD_NS - (true_ns + start_ns - HOST_NS)
            assert abs(ahead) < 25 * MS, "the first block may have come late"
    assert np.median(off_ns) == pytest.approx(300_000, abs=5000)
    assert np.percentile(np.abs(off_ns), 99) < 600_000
    assert np.abs(np.array(off_ns[2100:]) - 300_000).max() < 30_000, "the crystal is known from before"


def test_a_first_block_that_comes_late_turns_no_time_back() -> None:
    whole = Succession(RATE_HZ, "fitted", Standing())
    stamps = []
    for k, late_ns in enumerate((25 * MS, MS, MS, MS, MS)):
        (placed,) = whole.heard(block(k * BLOCK, 10 * MS * k), HOST_NS + 10 * MS * k + late_ns)
        assert isinstance(placed, Block)
        stamps.append((placed.t_ns - HOST_NS) // MS)
    assert stamps == [25, 25, 25, 31, 41]


@pytest.mark.parametrize("clock", get_args(Clock))
def test_a_first_block_that_waited_with_others_for_a_host_that_stood_still_is_placed_by_the_last(
    clock: Clock,
) -> None:
    whole, last, now_ns = begun(clock)
    whole.anew()
    its_ns = now_ns + 3 * S if clock == "shared" else 77 * S
    first = block(0, its_ns)
    newest = block(8000, its_ns + 2 * S)
    told = whole.heard(first, now_ns + 5 * S, newest)
    placed = next(m for m in told if isinstance(m, Block))
    assert placed.first_index + BLOCK - 1 - last == pytest.approx(3 * RATE_HZ, abs=20)


def test_a_newest_block_of_no_sensible_time_places_nothing() -> None:
    for odd_ns in (-S, 11 * S):
        whole, last, now_ns = begun("own")
        whole.anew()
        told = whole.heard(block(0, 77 * S), now_ns + 5 * S, block(8000, 77 * S + odd_ns))
        placed = next(m for m in told if isinstance(m, Block))
        assert placed.first_index + BLOCK - 1 - last == pytest.approx(5 * RATE_HZ, abs=20)


def test_what_comes_again_does_not_mislead_the_clock() -> None:
    """The same edge after a broken link: what it held comes late, what came before comes again."""
    wire = Wire(burst_s=0.0, tail_s=0.2e-3)
    whole = Succession(RATE_HZ, "fitted", Standing())
    rows = wire.blocks(60.0, 1)
    back_ns = rows[3999][1]
    for k, (t_ns, _, arrival_ns) in enumerate(rows[:3000]):
        whole.heard(block(k * BLOCK, t_ns), arrival_ns)
    for k in range(2000, len(rows)):  # from 20 s on again, from 30 s to 40 s late
        t_ns, true_ns, arrival_ns = rows[k]
        (placed,) = whole.heard(block(k * BLOCK, t_ns), max(arrival_ns, back_ns + 100_000 * (k - 2000)))
        if k >= 3000:
            assert abs(placed.t_ns - true_ns - 300_000) < 20_000  # type: ignore[union-attr]


def test_the_edges_line_is_told_on_the_hosts_clock_and_anew_when_that_is_known_better() -> None:
    wire = Wire()
    whole, base = Succession(RATE_HZ, "fitted", Standing()), Timebase(RATE_HZ, 0.0, (0, HOST_NS), 0)
    told: list[Report] = []
    off_ns = []
    for k, (t_ns, true_ns, arrival_ns) in enumerate(wire.blocks(30.0, 1)):
        heard: list[Message] = whole.heard(block(k * BLOCK, t_ns), arrival_ns)
        index = (k + 1) * BLOCK - 1
        if k == 100:  # one report, as of an edge that is steady: true to its own crystal
            heard += whole.heard(report(index, t_ns, PERIOD_NS * (1 - 50e-6), ppm=50.0), arrival_ns)
        for m in heard:
            if isinstance(m, Report):
                assert base.learn(m), "each is newer than the one before"
                told.append(m)
            elif isinstance(m, Block):
                base.follow(index, m.t_ns)
        off_ns.append(base.at(index)[0] - true_ns)
    assert 2 <= len(told) < 60
    assert np.percentile(np.abs(off_ns[500:]), 99) < 300_000 + 2 * RETELL_NS
    assert told[-1].ns_per_sample == pytest.approx(PERIOD_NS, rel=2e-6)
    assert told[-1].ppm == pytest.approx(0.0, abs=2.0), "the samples' rate by the host's clock"
    assert (told[-1].wander_ppm, told[-1].residual_ns, told[-1].settled) == (0.5, 100.0, 1)


def test_a_report_of_a_sample_that_was_told_of_already_is_told_with_the_next_block() -> None:
    whole, index, _ = begun("fitted", 300)
    rows = Wire(drift=0.0).blocks(4.0, 1)
    t_ns, _, arrival_ns = rows[299]
    (first,) = whole.heard(report(index - 1, t_ns), arrival_ns)
    assert isinstance(first, Report) and first.index == index - 1
    assert whole.heard(report(index - 1, t_ns, ppm=7.0), arrival_ns) == []
    t_ns, _, arrival_ns = rows[300]
    _, second = whole.heard(block(300 * BLOCK, t_ns), arrival_ns)
    assert isinstance(second, Report) and (second.index, round(second.ppm)) == (301 * BLOCK - 1, 7)


def test_a_report_that_makes_no_sense_moves_nothing() -> None:
    for clock in get_args(Clock):
        whole, index, _ = begun(clock, 10)
        for wrong in (report(1, 5, float("nan")), report(1, 5, 1.0), report(1, 5, ppm=float("inf"))):
            (same,) = whole.heard(wrong, HOST_NS)
            assert same is wrong
        whole.anew()
        _, placed = whole.heard(block(0, 7), HOST_NS + 2 * S)
        assert isinstance(placed, Block) and index < placed.first_index < index + 2 * RATE_HZ


def test_the_rate_that_the_edge_has_fitted_places_the_next_one() -> None:
    whole, index, host_ns = begun("shared")
    whole.heard(report(index - 1, host_ns, PERIOD_NS * 1.01), host_ns)
    whole.anew()
    last_came_ns = Wire(drift=0.0).blocks(2.0, 1)[-1][2]
    _, placed = whole.heard(block(0, 0), last_came_ns + 101 * S)
    assert isinstance(placed, Block) and placed.first_index == index + 100 * RATE_HZ - BLOCK


def test_reports_of_an_edge_whose_time_begins_anew_go_on_with_its_blocks() -> None:
    whole, _, _ = begun("shared", 10)
    whole.anew()
    *_, placed = whole.heard(block(0, 7 * MS), HOST_NS + 9 * S)
    (told,) = whole.heard(report(BLOCK - 1, 7 * MS), HOST_NS + 9 * S)
    assert isinstance(placed, Block) and isinstance(told, Report)
    assert (told.index, told.t_ns) == (placed.first_index + BLOCK - 1, placed.t_ns)


def test_what_the_old_edge_left_open_ends_where_the_new_one_begins() -> None:
    whole, index, _ = begun("shared")
    for left in (
        StimState(5, 1, 2, 900, (), (), (), (2.0,), (9.0,), (7.0,), (0.5,), (0.1,)),
        Excited(8, 100, NOT_SEEN),
        Leads(50, 1, 0, 2, 1),
    ):
        whole.heard(left, HOST_NS)
    whole.anew()
    state, excited, leads, fault, placed = whole.heard(block(0, 0), HOST_NS + 9 * S)
    assert isinstance(placed, Block)
    at = placed.first_index
    assert state == StimState(at, 0, 0xFFFF, 0, (), (), (), (), (), (7.0,), (0.5,), (0.1,))
    assert excited == Excited(8, 100, at) and leads == Leads(at, 0, 0, 0, 0)
    assert isinstance(fault, Fault) and at > index


def test_a_fatal_fault_and_the_end_wait_for_nothing() -> None:
    whole, _, _ = begun("shared", 10)
    whole.anew()
    fatal = Fault("acquisition", "no chip", 1)
    assert whole.heard(fatal, HOST_NS) == [fatal] and whole.heard(Ended(0), HOST_NS) == [Ended(0)]
    assert whole.awaited
    assert whole.heard(replace(fatal, fatal=0), HOST_NS) == []


def test_what_waits_is_bounded_and_forgotten_when_that_edge_is_gone_again() -> None:
    whole, _, _ = begun("shared", 10)
    whole.anew()
    for k in range(MOST_HELD + 5):
        whole.heard(Reply(k, ""), HOST_NS)
    assert len(whole.heard(block(0, 0), HOST_NS + S)) == MOST_HELD + 2
    whole.anew()
    whole.heard(Reply(1, ""), HOST_NS + 2 * S)
    whole.anew()
    assert [type(m) for m in whole.heard(block(0, 0), HOST_NS + 3 * S)] == [Fault, Block]


def test_an_edge_that_is_lost_before_its_first_block_leaves_nothing_missing() -> None:
    whole = Succession(RATE_HZ, "fitted", Standing())
    whole.anew()
    fault, placed = whole.heard(block(40, 7), HOST_NS)
    assert "0 samples (0.0 s) are missing" in fault.text and whole.shift == 0  # type: ignore[union-attr]
    assert isinstance(placed, Block) and placed.first_index == 40
