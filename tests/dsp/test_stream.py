"""A test's stream: the same bits for any blocks, straight lines where blanked, no memory across a gap."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from dsp.filters import band_pass, settle_samples, step_state
from dsp.nouns import Derivation
from dsp.stream import Scale, Stream
from tests.support.streams import LSB_UV, Counts, Floats, blocks, stream

SOS = band_pass(30.0, 400.0, 1000.0)
NO_FILTER = np.empty((0, 6))
RAIL = 8388607
SINGLE = 1e-4  # of a thousand microvolts in float32
N_ROWS = 240


def random_counts(seed: int, n: int, channels: int = 2) -> Counts:
    return np.random.default_rng(seed).integers(-50_000, 50_000, (n, channels), dtype=np.int32)


def feed(
    made: Stream, counts: Counts, triggers: list[int], cuts: list[int], first: int = 0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Every row the stream gives, and whether each is railed, read as they come."""
    rows: list[Floats] = []
    railed: list[bool] = []
    for start, stop in blocks(len(counts), cuts):
        begun = made.end
        made.append(counts[start:stop], [t for t in triggers if first + start <= t < first + stop])
        rows.append(made.rows(begun, made.end).copy())
        railed += [made.railed(k, k + 1) for k in range(begun, made.end)]
    return np.concatenate(rows).astype(np.float64), np.array(railed)


def blanked_spans(triggers: list[int], blank: int) -> list[tuple[int, int]]:
    """Spans start..end-1 without signal: overlapping and adjoining ones are one."""
    spans: list[tuple[int, int]] = []
    for trigger in sorted(triggers):
        if spans and trigger <= spans[-1][1]:
            spans[-1] = (spans[-1][0], trigger + blank)
        else:
            spans.append((trigger, trigger + blank))
    return spans


def with_lines(uv: Floats, triggers: list[int], blank: int) -> Floats:
    """The oracle: `uv` with each span as the line through its neighbours, up to an unfinished span."""
    out = uv.copy()
    for start, stop in blanked_spans(triggers, blank):
        if stop >= len(uv):
            return out[:start]
        left = uv[stop] if start == 0 else uv[start - 1]
        for c in range(uv.shape[1]):
            out[start:stop, c] = np.interp(range(start, stop), [start - 1, stop], [left[c], uv[stop, c]])
    return out


TRIGGERS = st.lists(st.integers(0, N_ROWS - 1), max_size=12, unique=True).map(sorted)
CUTS = st.lists(st.integers(1, N_ROWS - 1), max_size=20)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), TRIGGERS, CUTS, st.integers(0, 30))
@example(1, [0, 100], [1, 5, 102, 104], 6)  # the first row, and a border within a span
@example(2, [50, 53, 59, 65], [51, 54, 60], 6)  # stimuli within a blanked span, at its end and behind it
@example(3, [N_ROWS - 2], [], 10)  # a span that the samples do not finish
@example(4, list(range(0, N_ROWS, 5)), list(range(3, N_ROWS, 3)), 8)  # stimuli without end
def test_any_blocks_give_the_same_bits(seed: int, triggers: list[int], cuts: list[int], blank: int) -> None:
    counts = random_counts(seed, N_ROWS)
    counts[N_ROWS // 3, 0] = RAIL
    whole, whole_railed = feed(stream(SOS, 2, blank, 2 * N_ROWS), counts, triggers, [])
    split, split_railed = feed(stream(SOS, 2, blank, 2 * N_ROWS), counts, triggers, cuts)
    assert np.array_equal(split, whole)
    assert np.array_equal(split_railed, whole_railed)
    uv = with_lines(counts * LSB_UV, triggers, blank) if blank else counts * LSB_UV
    assert len(whole) == len(uv)
    if len(uv):
        expected, _ = signal.sosfilt(SOS, uv, axis=0, zi=step_state(SOS)[:, :, None] * uv[0])
        assert whole == pytest.approx(expected, rel=1e-6, abs=SINGLE)
        blanked = any(a <= N_ROWS // 3 < b for a, b in blanked_spans(triggers, blank)) if blank else False
        told = len(uv) > N_ROWS // 3 and not blanked
        assert np.array_equal(np.flatnonzero(whole_railed), [N_ROWS // 3] if told else [])


@pytest.mark.parametrize("triggers", [[100], [100, 103], [100, 106], [0], [0, 4, 200]])
def test_a_blanked_span_is_the_straight_line_between_its_neighbours(triggers: list[int]) -> None:
    counts = random_counts(5, N_ROWS)
    got, _ = feed(stream(NO_FILTER, 2, 6, N_ROWS), counts, triggers, [7, 102, 104])
    uv = counts * LSB_UV - counts[0] * LSB_UV
    assert got == pytest.approx(with_lines(uv, triggers, 6), abs=SINGLE)
    inside = np.zeros(N_ROWS, bool)
    for start, stop in blanked_spans(triggers, 6):
        inside[start:stop] = True
    assert np.array_equal(got[~inside], uv[~inside].astype(np.float32))
    assert np.abs(got[inside] - uv[inside]).max() > 100.0


@pytest.mark.parametrize("block", [1, 3, 7, 30])
def test_stimuli_without_end_hold_the_level_in_bounded_memory(block: int) -> None:
    """A train faster than the blanking leaves nothing to see, for ever; the level before it is held."""
    counts = random_counts(6, 5000, 1)
    triggers = list(range(50, 4900, 5))
    got, _ = feed(stream(NO_FILTER, 1, blank=8, history=30), counts, triggers, list(range(0, 5000, block)))
    uv = (counts * LSB_UV - counts[0] * LSB_UV).astype(np.float32)
    assert len(got) == 5000
    assert np.array_equal(got[:50], uv[:50])
    assert np.all(got[50:4870] == uv[49])
    assert np.array_equal(got[4903:], uv[4903:])


@pytest.mark.parametrize("block", [31, 100, 1000])
def test_blocks_longer_than_the_history_lose_history_and_nothing_else(block: int) -> None:
    counts = random_counts(7, 1000, 2)
    counts[985, 0] = RAIL
    triggers = list(range(13, 1000, 40))
    reference, _ = feed(stream(SOS, 2, 8, 1000), counts, triggers, [])
    made = stream(SOS, 2, blank=8, history=30)
    for start in range(0, 1000, block):
        end = min(start + block, 1000)
        made.append(counts[start:end], [t for t in triggers if start <= t < end])
    assert made.end == 1000
    assert made.begin <= 1000 - 30
    assert np.array_equal(made.rows(made.begin, made.end), reference[made.begin :])
    assert [k for k in range(made.begin, made.end) if made.railed(k, k + 1)] == [985]


def test_a_blanked_span_longer_than_the_history_is_kept_whole() -> None:
    counts = random_counts(8, 200, 1)
    got, _ = feed(stream(NO_FILTER, 1, blank=50, history=10), counts, [60], list(range(0, 200, 9)))
    assert got == pytest.approx(with_lines((counts - counts[0]) * LSB_UV, [60], 50), abs=SINGLE)


def test_rows_behind_an_unfinished_span_wait_for_its_end() -> None:
    made = stream(NO_FILTER, 1, blank=5, history=20)
    counts = random_counts(9, 20, 1)
    made.append(counts[:12], [8])
    assert made.end == 8
    made.append(counts[12:13], [])
    assert made.end == 8
    made.append(counts[13:14], [])
    assert made.end == 14


def test_after_a_gap_nothing_is_remembered() -> None:
    before, after = random_counts(10, 100), random_counts(11, 150)
    used = stream(SOS, 2, 6, 200)
    used.append(before, [40, 98])  # the last span is still open
    used.restart(1_000)
    assert (used.begin, used.end, used.settled) == (1_000, 1_000, 1_000 + settle_samples(SOS))
    got, _ = feed(used, after, [1_000, 1_050], [], first=1_000)
    fresh = stream(SOS, 2, 6, 200)
    expected, _ = feed(fresh, after, [0, 50], [])
    assert np.array_equal(got, expected)
    assert (used.begin, used.end) == (1_000, 1_150)


def test_after_a_gap_old_rails_are_forgotten() -> None:
    made = stream(NO_FILTER, 1, history=50)
    made.append(np.full((20, 1), RAIL, np.int32), [])
    assert made.railed(19, 20)
    made.restart(500)
    made.append(np.zeros((20, 1), np.int32), [])
    assert not made.railed(500, 520)


@pytest.mark.parametrize("rail", [RAIL, -8388608])
@pytest.mark.parametrize("blank", [0, 6])
def test_a_rail_is_told_at_its_row_and_only_where_the_channel_is_used(rail: int, blank: int) -> None:
    made = Stream((Derivation("A-B", (1.0, -1.0, 0.0)),), Scale((1.0,) * 3, (0.0,) * 3), SOS, blank, 100)
    made.restart(0)
    counts = np.zeros((60, 3), np.int32)
    counts[20, 1] = rail
    counts[40, 2] = rail
    for start in range(0, 60, 7):
        made.append(counts[start : start + 7], [25] if start == 21 else [])
    assert made.railed(20, 21)
    assert made.railed(0, 60)
    assert not made.railed(0, 20)
    assert not made.railed(21, 60)


def test_microvolts_are_the_scale_and_the_montage() -> None:
    scale = Scale((0.5, 2.0), (10.0, -4.0))
    made = Stream((Derivation("A-B", (1.0, -1.0)), Derivation("mean", (0.5, 0.5))), scale, NO_FILTER, 0, 8)
    made.restart(0)
    made.append(np.array([[6, 3], [-2, 0]], np.int32), [])
    assert made.origin_uv is not None
    assert made.origin_uv.tolist() == [(3 + 10) - (6 - 4), (13 + 2) / 2]
    assert (made.rows(0, 2) + made.origin_uv).tolist() == [[11, 7.5], [(9) - (-4), (9 - 4) / 2]]


def test_an_electrode_offset_costs_no_digits_without_a_filter() -> None:
    """A fifth of a volt in float32 is good to 0.016 uV; what differs from the first sample is not."""
    counts = random_counts(15, 100, 1)
    offset = Scale((0.022,), (200_000.0,))
    made = Stream((Derivation("A", (1.0,)),), offset, NO_FILTER, 0, 100)
    made.restart(0)
    made.append(counts, [])
    made.restart(500)  # behind a gap it is the same origin: averages go on
    made.append(counts + 7, [])
    assert made.origin_uv is not None
    got = made.rows(500, 600) + (made.origin_uv - 200_000.0)
    assert got == pytest.approx((counts + 7) * 0.022, abs=2e-4)


@pytest.mark.parametrize("block", [1, 5, 32, 100, 1000])
@pytest.mark.parametrize("blank", [0, 7])
def test_a_long_run_keeps_its_history(block: int, blank: int) -> None:
    history, n = 32, 1000
    counts = random_counts(12, n)
    counts[970, 1] = RAIL
    triggers = list(range(13, n, 90))
    made = stream(SOS, 2, blank, history)
    reference, railed = feed(stream(SOS, 2, blank, n), counts, triggers, [])
    for start in range(0, n, block):
        end = min(start + block, n)
        made.append(counts[start:end], [t for t in triggers if start <= t < end])
        assert made.begin <= max(0, made.end - history)
        assert np.array_equal(made.rows(made.begin, made.end), reference[made.begin : made.end])
        for k in range(max(made.begin, made.end - 3), made.end):
            assert made.railed(k, k + 1) == railed[k]
    assert made.end == n
    assert made.begin > 0


def test_a_block_of_the_largest_size_costs_no_history() -> None:
    made = stream(NO_FILTER, 1, history=32)
    counts = random_counts(13, 320, 1)
    for start in range(0, 320, made.max_block):
        unread = made.end
        made.append(counts[start : start + made.max_block], [])
        assert made.begin <= max(0, unread - 32)


@pytest.mark.parametrize("weights", [[(1.0,)], [(1.0, 0.0, 0.0)], []])
def test_derivations_that_do_not_fit_the_channels_are_refused(weights: list[tuple[float, ...]]) -> None:
    derivations = tuple(Derivation("X", w) for w in weights)
    with pytest.raises(ValueError, match="do not fit 2 channels"):
        Stream(derivations, Scale((1.0, 1.0), (0.0, 0.0)), SOS, 0, 10)


@pytest.mark.parametrize("block", [3, 7, 60])
def test_a_rail_under_the_blanked_artifact_rejects_nothing(block: int) -> None:
    counts = random_counts(12, 60)
    counts[20:24] = RAIL
    made = stream(NO_FILTER, 2, blank=6, history=60)
    for start in range(0, 60, block):
        end = min(start + block, 60)
        made.append(counts[start:end], [t for t in (20,) if start <= t < end])
    assert not made.railed(0, 60)
    counts[27] = RAIL  # behind the span it counts
    again = stream(NO_FILTER, 2, blank=6, history=60)
    again.append(counts, [20])
    assert [k for k in range(60) if again.railed(k, k + 1)] == [27]
