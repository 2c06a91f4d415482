"""Raw blocks become rows at their own times; what is missing is told and never filled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.bridges.raw_rows import Missing, RawRows, Rows
from tests.support.raw_blocks import LSB_UV, published, raw_fields

RATE_HZ = 4000.0


def block(first: int, n: int = 4, gaps: tuple[tuple[int, int], ...] = ()) -> Rows | None:
    return take(RawRows(), first, n, gaps)


def take(rows: RawRows, first: int, n: int = 4, gaps: tuple[tuple[int, int], ...] = ()) -> Rows | None:
    counts = np.arange(first, first + n)[:, None] * np.array([1, -1])
    return rows.take(published("raw", 1, raw_fields(first, counts, gaps), t_ns=first * 250_000), RATE_HZ)


@given(st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=50), st.sampled_from((1, 2, 6, 24)))
def test_float32_gives_every_count_back(counts: list[int], gain: int) -> None:
    lsb_uv = 4.5e6 / gain / 2**23
    given = np.array([*counts, -(2**23), 2**23 - 1])[:, None]
    rows = RawRows().take(published("raw", 1, raw_fields(0, given, lsb_uv=lsb_uv)), RATE_HZ)
    assert rows is not None and rows.values.dtype == np.float32
    assert np.array_equal(np.rint(rows.values[:, :-1].astype(float) / lsb_uv), given)


def test_rows_are_microvolts_with_trigger_bits_and_their_own_times() -> None:
    rows = block(7)
    assert rows is not None and rows.missing == ()
    assert np.array_equal(rows.values[:, 0], (np.arange(7, 11) * LSB_UV).astype(np.float32))
    assert rows.values[:, 2].tolist() == [1, 0, 0, 0]
    assert rows.t_ns.tolist() == [1_750_000, 2_000_000, 2_250_000, 2_500_000]


def test_the_offset_of_a_foreign_recording_is_in_the_microvolts() -> None:
    fields = raw_fields(0, np.array([[3], [-3]]), lsb_uv=0.5, offset_uv=10.0)
    rows = RawRows().take(published("raw", 1, fields), RATE_HZ)
    assert rows is not None and rows.values[:, 0].tolist() == [11.5, 8.5]


def test_a_hole_is_told_by_who_lost_it_and_not_filled() -> None:
    rows = RawRows()
    take(rows, 0)
    got = take(rows, 20, gaps=((6, 3), (12, 4)))
    assert got is not None and len(got.values) == 4 and got.t_ns[0] == 20 * 250_000
    told = [(m.first_index, m.samples, m.lost_by) for m in got.missing]
    assert told == [(4, 2, "bus"), (6, 3, "box"), (9, 3, "bus"), (12, 4, "box"), (16, 4, "bus")]
    assert rows.lost == {"box": 7, "bus": 9}


def test_what_nobody_listened_to_is_not_missing_and_nothing_is_told_twice() -> None:
    rows = RawRows()
    take(rows, 0)
    rows.pause()
    assert take(rows, 2, n=2) is None, "stale"
    later = take(rows, 400)
    assert later is not None and later.missing == () and rows.lost == {"box": 0, "bus": 0}
    again = take(rows, 402)
    assert again is not None and len(again.values) == 2 and again.t_ns[0] == 404 * 250_000
    assert take(rows, 406, gaps=()) is not None and Missing(0, 0, "box") not in again.missing


@pytest.mark.parametrize(
    "odd",
    [
        {"first_index": "0"},
        {"gaps": [[1]]},
        {"gaps": 3},
        {"lsb_uv": [1.0]},
        {"trigger_bits": np.zeros(3, np.uint8)},
        {"counts": np.zeros(4, np.int32)},
    ],
)
def test_a_malformed_block_is_refused(odd: dict[str, object]) -> None:
    fields = raw_fields(0, np.zeros((4, 2), np.int32)) | odd
    with pytest.raises(ValueError, match="raw"):
        RawRows().take(published("raw", 1, fields), RATE_HZ)
