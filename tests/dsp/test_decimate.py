"""Decimated rows speak of the samples they say, nothing aliases, and blocks and gaps leave no trace."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import freqz, upfirdn

from dsp.decimate import Decimated, Decimator, design, whole_factor
from tests.support.streams import blocks

Floats = NDArray[np.float64]


def joined(parts: list[Decimated]) -> tuple[int, Floats]:
    """All rows of parts that follow each other."""
    given_rows = [part for part in parts if len(part.uv)]
    for one, other in itertools.pairwise(given_rows):
        assert other.first_index == one.first_index + len(one.uv)
    return given_rows[0].first_index, np.concatenate([part.uv for part in given_rows])


@pytest.mark.parametrize(
    ("rate_hz", "new_rate_hz"), [(16000.0, 250.0), (8000.0, 250.0), (4000.0, 500.0), (500.0, 250.0)]
)
def test_pass_and_stop_band_hold_their_promise(rate_hz: float, new_rate_hz: float) -> None:
    taps = design(whole_factor(rate_hz, new_rate_hz))
    at_hz, response = freqz(taps, worN=1 << 16, fs=rate_hz)
    level_db = 20 * np.log10(np.maximum(np.abs(response), 1e-12))
    assert np.abs(level_db[at_hz <= 0.4 * new_rate_hz]).max() < 0.01
    assert level_db[at_hz >= 0.6 * new_rate_hz].max() <= -80.0
    assert np.array_equal(taps, taps[::-1]) and taps.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("first_index", [0, 1, 31, 32, 123_456_789])
def test_every_row_speaks_of_its_own_sample(first_index: int) -> None:
    decimator = Decimator(1, 8000.0, 250.0)
    index = first_index + np.arange(12_000)
    wave = np.sin(2 * np.pi * 17.3 * index / 8000.0 + 0.4) + 1e-6 * index
    made = decimator.append(wave[:, None], first_index)
    at = (made.first_index + np.arange(len(made.uv))) * 32
    assert np.allclose(made.uv[:, 0], np.sin(2 * np.pi * 17.3 * at / 8000.0 + 0.4) + 1e-6 * at, atol=2e-5)
    # All of them: the one before would need a sample that is not there, and so would the next.
    assert at[0] - decimator.delay >= first_index > at[0] - 32 - decimator.delay
    assert at[-1] + decimator.delay < first_index + 12_000 <= at[-1] + 32 + decimator.delay


def test_it_is_the_filter_and_every_so_many_th_of_it() -> None:
    uv = np.random.default_rng(1).standard_normal((9000, 3)) + 30_000.0
    decimator = Decimator(3, 4000.0, 500.0)
    first, rows = joined([decimator.append(uv, 0)])
    whole = upfirdn(design(8), uv, axis=0)
    at = (first + np.arange(len(rows))) * 8 + decimator.delay
    assert np.allclose(rows, whole[at], rtol=0, atol=1e-9)


def test_what_lies_above_does_not_fold_into_the_band() -> None:
    for at_hz in (151.0, 240.0, 260.0, 500.0, 1013.0):
        wave = 50.0 * np.sin(2 * np.pi * at_hz * np.arange(16_000) / 8000.0)
        assert np.abs(Decimator(1, 8000.0, 250.0).append(wave[:, None], 0).uv).max() < 50.0 * 10**-4.0, at_hz


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 4999), max_size=8),
    st.sampled_from((1, 2, 5, 8)),
    st.integers(0, 100_000),
    st.sampled_from(((8000.0, 250.0), (4000.0, 500.0), (500.0, 250.0))),
)
def test_blocks_leave_no_trace(
    cuts: list[int], derivations: int, first_index: int, rates: tuple[float, float]
) -> None:
    uv = 40_000.0 + 100.0 * np.random.default_rng(2).standard_normal((5000, derivations))
    whole, parts = Decimator(derivations, *rates), Decimator(derivations, *rates)
    expected = whole.append(uv, first_index)
    first, rows = joined([parts.append(uv[a:b], first_index + a) for a, b in blocks(len(uv), cuts)])
    assert first == expected.first_index and np.array_equal(rows, expected.uv)


@pytest.mark.parametrize("block", [1, 7, 250])
def test_small_blocks_leave_no_trace_either(block: int) -> None:
    uv = np.random.default_rng(3).standard_normal((3000, 2))
    expected = Decimator(2, 4000.0, 500.0).append(uv, 77)
    parts = Decimator(2, 4000.0, 500.0)
    first, rows = joined([parts.append(uv[a : a + block], 77 + a) for a in range(0, 3000, block)])
    assert first == expected.first_index and np.array_equal(rows, expected.uv)


def test_nothing_is_told_across_a_gap() -> None:
    decimator = Decimator(1, 8000.0, 250.0)
    ones = np.ones((3000, 1))
    before = decimator.append(ones, 0)
    assert (before.first_index + len(before.uv) - 1) * 32 + decimator.delay < 3000
    behind = decimator.append(1000.0 * ones, 5000)
    assert behind.first_index * 32 - decimator.delay >= 5000
    assert np.allclose(before.uv, 1.0, atol=1e-9) and np.allclose(behind.uv, 1000.0, atol=1e-9)
    assert len(decimator.append(ones[:1], 9000).uv) == 0


def test_what_is_not_finite_is_told_where_it_reaches_and_no_further() -> None:
    uv = np.zeros((4000, 2))
    uv[2000, 0], uv[2001, 0] = math.nan, math.inf
    decimator = Decimator(2, 8000.0, 250.0)
    made = decimator.append(uv, 0)
    at = (made.first_index + np.arange(len(made.uv))) * 32
    reached = (np.abs(at - 2000) <= decimator.delay) | (np.abs(at - 2001) <= decimator.delay)
    assert np.array_equal(np.isfinite(made.uv[:, 0]), ~reached) and np.all(made.uv[:, 1] == 0.0)


def test_a_factor_of_one_gives_the_rows_back() -> None:
    uv = np.random.default_rng(4).standard_normal((10, 2))
    made = Decimator(2, 250.0, 250.0).append(uv, 3)
    assert made.first_index == 3 and np.array_equal(made.uv, uv)


@pytest.mark.parametrize(
    ("rate_hz", "new_rate_hz", "named"),
    [
        (8000.0, 300.0, "250 Hz and 320 Hz"),
        (4096.0, 250.0, "128 Hz and 256 Hz"),
        (1000.0, 999.0, "500 Hz and 1000 Hz"),
        (333.5, 100.0, "83.375 Hz and 111.167 Hz"),
    ],
)
def test_a_rate_that_cannot_be_had_names_those_that_can(
    rate_hz: float, new_rate_hz: float, named: str
) -> None:
    with pytest.raises(ValueError, match=f"nearest are {named}"):
        Decimator(1, rate_hz, new_rate_hz)


def test_what_cannot_be_built() -> None:
    for rate_hz, new_rate_hz in ((250.0, 500.0), (math.nan, 250.0), (8000.0, 0.0)):
        with pytest.raises(ValueError, match="cannot be decimated"):
            Decimator(1, rate_hz, new_rate_hz)
    with pytest.raises(ValueError, match="0 derivations"):
        Decimator(0, 8000.0, 250.0)
