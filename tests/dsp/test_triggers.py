"""Stimuli as the samples show them: every rising edge once, on the right line, none invented behind a gap."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.nouns import Trigger
from dsp.triggers import EdgeFinder
from hw.samples import Gap, SampleBlock
from tests.support.streams import blocks


def block(bits: list[int], first: int = 0, gaps: tuple[Gap, ...] = ()) -> SampleBlock:
    return SampleBlock(first, np.zeros((len(bits), 1), np.int32), np.array(bits, np.uint8), gaps=gaps)


def edges(bits: list[int], first: int, high: int) -> list[Trigger]:
    """The oracle: bit by bit, `high` being the bits before the first row."""
    found = []
    for row, now in enumerate(bits):
        for line in range(1, 9):
            mask = 1 << (line - 1)
            if now & mask and not high & mask:
                found.append(Trigger(first + row, line))
        high = now
    return found


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 255), max_size=40),
    st.lists(st.integers(0, 40), max_size=10),
    st.integers(0, 2**40),
)
def test_every_edge_on_any_of_eight_lines_over_any_blocks(
    bits: list[int], cuts: list[int], first: int
) -> None:
    finder = EdgeFinder()
    found = []
    for start, end in blocks(len(bits), cuts):
        found += finder.find(block(bits[start:end], first + start))
        found += finder.find(block([], first + end))
    assert found == edges(bits, first, 0)


def test_a_pulse_is_one_edge_however_long() -> None:
    finder = EdgeFinder()
    assert finder.find(block([0, 4, 4])) == [Trigger(1, 3)]
    assert finder.find(block([4, 4, 4], 3)) == []
    assert finder.find(block([0, 4], 6)) == [Trigger(7, 3)]


def test_a_bit_high_at_the_first_sample_of_a_recording_is_an_edge() -> None:
    assert EdgeFinder().find(block([0x81, 0x81], 500)) == [Trigger(500, 1), Trigger(500, 8)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=10), st.lists(st.integers(0, 255), max_size=10))
def test_a_bit_high_behind_a_gap_is_none(before: list[int], after: list[int]) -> None:
    finder = EdgeFinder()
    assert finder.find(block(before)) == edges(before, 0, 0)
    first = len(before) + 5
    lost = (Gap(len(before), 5, "link"),)
    assert finder.find(block(after, first, lost)) == edges(after, first, 0xFF)


def test_a_gap_in_front_of_an_empty_block_is_kept_in_mind() -> None:
    finder = EdgeFinder()
    finder.find(block([0, 0]))
    assert finder.find(block([], 7, (Gap(2, 5, "missed"),))) == []
    assert finder.find(block([1, 0, 1], 7)) == [Trigger(9, 1)]
