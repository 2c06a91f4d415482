"""Blocks put together again: every sample at its index or in a named gap, whatever the link did to them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.session import block_message
from hostd.blocks import Reassembler
from hw.link import Block, Heartbeat, Receiver, Sender
from hw.samples import Gap, SampleBlock
from tests.support.links import chopped, damaged, is_true, tiles, true_block


def take_all(reassembler: Reassembler, *sent: SampleBlock) -> list[SampleBlock]:
    """What comes out for blocks that arrive as `sent`."""
    taken = [reassembler.take(block_message(block)) for block in sent]
    return [block for block in taken if block is not None]


def test_blocks_that_follow_one_another_come_out_as_they_went_in() -> None:
    reassembler = Reassembler()
    sent = [true_block(100, 40), true_block(140, 1), true_block(141, 40)]
    got = take_all(reassembler, *sent)
    assert all(map(is_true, got))
    assert [(b.first_index, b.end_index, b.t_ns, b.gaps) for b in got] == [
        (100, 140, 140_000, ()),
        (140, 141, 141_000, ()),
        (141, 181, 181_000, ()),
    ]
    assert (reassembler.repeated, reassembler.malformed) == (0, 0)
    assert got[0].counts.dtype == np.int32
    assert got[0].counts.flags.c_contiguous


def test_what_comes_out_cannot_be_changed() -> None:
    (block, cut) = take_all(Reassembler(), true_block(0, 10), true_block(5, 10))
    for array in (block.counts, block.trigger_bits, cut.counts, cut.trigger_bits):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_stream_begins_with_its_first_block_whatever_was_before() -> None:
    (block,) = take_all(Reassembler(), true_block(50, 10, gaps=(Gap(20, 30, "torn"),)))
    assert (block.first_index, block.gaps) == (50, ())


def test_a_hole_that_nobody_explains_is_the_links() -> None:
    got = take_all(Reassembler(), true_block(0, 10), true_block(25, 5))
    assert got[1].gaps == (Gap(10, 15, "link"),)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((Gap(10, 10, "missed"),), (Gap(10, 10, "missed"),)),
        ((Gap(10, 4, "missed"),), (Gap(10, 4, "missed"), Gap(14, 6, "link"))),
        ((Gap(14, 6, "torn"),), (Gap(10, 4, "link"), Gap(14, 6, "torn"))),
        ((Gap(13, 2, "torn"),), (Gap(10, 3, "link"), Gap(13, 2, "torn"), Gap(15, 5, "link"))),
        ((Gap(16, 4, "torn"), Gap(10, 6, "missed")), (Gap(10, 6, "missed"), Gap(16, 4, "torn"))),
        ((Gap(5, 8, "overflow"),), (Gap(10, 3, "overflow"), Gap(13, 7, "link"))),
        ((Gap(18, 9, "overflow"),), (Gap(10, 8, "link"), Gap(18, 2, "overflow"))),
        ((Gap(10, 8, "missed"), Gap(15, 5, "torn")), (Gap(10, 8, "missed"), Gap(18, 2, "torn"))),
        ((Gap(0, 3, "torn"), Gap(40, 3, "torn"), Gap(12, 0, "torn")), (Gap(10, 10, "link"),)),
        ((Gap(0, 1000, "file"),), (Gap(10, 10, "file"),)),
    ],
)
def test_named_gaps_are_completed_and_held_to_the_hole(
    named: tuple[Gap, ...], expected: tuple[Gap, ...]
) -> None:
    got = take_all(Reassembler(), true_block(0, 10), true_block(20, 5, gaps=named))
    assert got[1].gaps == expected
    assert tiles(got, 0)


def test_gaps_where_nothing_is_missing_are_not_believed() -> None:
    got = take_all(Reassembler(), true_block(0, 10), true_block(10, 5, gaps=(Gap(2, 8, "torn"),)))
    assert got[1].gaps == ()


def test_blocks_that_come_twice_are_dropped_and_counted() -> None:
    reassembler = Reassembler()
    got = take_all(reassembler, true_block(0, 10), true_block(0, 10), true_block(3, 4), true_block(10, 10))
    assert [(b.first_index, b.end_index) for b in got] == [(0, 10), (10, 20)]
    assert reassembler.repeated == 14
    assert tiles(got, 0)


def test_of_a_block_that_overlaps_only_what_is_new_comes_out() -> None:
    reassembler = Reassembler()
    got = take_all(reassembler, true_block(0, 10), true_block(6, 10, gaps=(Gap(2, 4, "torn"),)))
    assert [(b.first_index, b.end_index, b.gaps) for b in got] == [(0, 10, ()), (10, 16, ())]
    assert all(map(is_true, got))
    assert reassembler.repeated == 4


GOOD = block_message(true_block(0, 10, channels=3))


@pytest.mark.parametrize(
    "broken",
    [
        replace(GOOD, channels=0),
        replace(GOOD, channels=4),
        replace(GOOD, samples=GOOD.samples[:-1]),
        replace(GOOD, samples=GOOD.samples + b"\0"),
        replace(GOOD, bits=GOOD.bits[:-1]),
        replace(GOOD, bits=b"", samples=b""),
        replace(GOOD, bits=b""),
        replace(GOOD, samples=b"", channels=0),
    ],
)
def test_malformed_blocks_are_counted_and_leave_a_gap(broken: Block) -> None:
    reassembler = Reassembler()
    first = take_all(reassembler, true_block(0, 10))
    assert reassembler.take(replace(broken, first_index=10)) is None
    assert (reassembler.malformed, reassembler.repeated) == (1, 0)
    got = first + take_all(reassembler, true_block(20, 10))
    assert got[1].gaps == (Gap(10, 10, "link"),)


def test_a_block_of_another_number_of_channels_is_malformed() -> None:
    reassembler = Reassembler()
    got = take_all(reassembler, true_block(0, 10), true_block(10, 10, channels=4), true_block(20, 10))
    assert [(b.first_index, b.gaps) for b in got] == [(0, ()), (20, (Gap(10, 10, "link"),))]
    assert reassembler.malformed == 1


ARRIVALS = st.lists(
    st.tuples(
        st.integers(-25, 25),  # where a block begins, after the end of the furthest one before
        st.integers(1, 20),
        st.lists(st.builds(Gap, st.integers(0, 400), st.integers(0, 30), st.just("missed")), max_size=3),
    ),
    max_size=30,
)


@pytest.mark.control("H9.2")
@given(ARRIVALS)
def test_whatever_arrives_gaps_and_samples_tile_the_time_line(arrivals: list) -> None:
    reassembler, sent, end = Reassembler(), 30, 30
    got = take_all(reassembler, true_block(0, 30))
    for ahead, n, gaps in arrivals:
        first = max(0, end + ahead)
        got += take_all(reassembler, true_block(first, n, gaps=tuple(gaps)))
        end = max(end, first + n)
        sent += n
    assert all(map(is_true, got))
    assert tiles(got, 0)
    assert got[-1].end_index == end
    assert sum(len(b.counts) for b in got) + reassembler.repeated == sent


def stream_of(rng: np.random.Generator, n_blocks: int) -> tuple[list[SampleBlock], bytes]:
    """Blocks of any length, some with gaps of the edge's own, and their frames with others between."""
    sender, at, blocks, frames = Sender(), 0, [], []
    for _ in range(n_blocks):
        lost = int(rng.integers(0, 4)) if rng.random() < 0.2 else 0
        gaps = (Gap(at, lost, "missed"),) if lost else ()
        blocks.append(true_block(at + lost, int(rng.integers(1, 60)), gaps=gaps))
        at = blocks[-1].end_index
        frames.append(sender.frame(block_message(blocks[-1])))
        if rng.random() < 0.3:
            frames.append(sender.frame(Heartbeat(at)))
    return blocks, b"".join(frames)


@pytest.mark.control("H9.2")
@pytest.mark.parametrize("seed", range(25))
def test_flipped_bits_become_gaps_and_never_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks, stream = stream_of(rng, 120)
    flips = int(rng.integers(1, 60))
    receiver, reassembler, got = Receiver(), Reassembler(), []
    for piece in chopped(damaged(stream, rng, flips), rng):
        for message in receiver.feed(piece):
            if isinstance(message, Block) and (block := reassembler.take(message)) is not None:
                got.append(block)
    assert receiver.bad_frames > 0
    assert 0 < len(got) < len(blocks)
    assert all(map(is_true, got))
    assert tiles(got, got[0].first_index)
    assert {b.first_index for b in got} <= {b.first_index for b in blocks}
    assert reassembler.malformed == reassembler.repeated == 0
    kept = {b.first_index: b for b in got}
    for before, block in pairwise(blocks):
        if before.first_index in kept and block.first_index in kept:
            assert kept[block.first_index].gaps == block.gaps  # the edge's own reasons stay
    assert receiver.frames + receiver.lost_frames <= stream.count(0)


def test_an_undamaged_stream_comes_out_whole() -> None:
    rng = np.random.default_rng(5)
    blocks, stream = stream_of(rng, 50)
    receiver, reassembler = Receiver(), Reassembler()
    messages = [m for piece in chopped(stream, rng) for m in receiver.feed(piece) if isinstance(m, Block)]
    got = [reassembler.take(m) for m in messages]
    assert tiles(got, blocks[0].first_index)
    assert [(b.first_index, b.end_index) for b in got] == [(b.first_index, b.end_index) for b in blocks]
    assert [b.gaps for b in got[1:]] == [b.gaps for b in blocks[1:]]
    assert receiver.bad_frames == receiver.lost_frames == 0
