"""The kernel of mains is its twin: the same fit, the same samples left out, the same windows refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp import kernels
from dsp import reference_kernels as twins
from dsp.kernels_mains import ROOM

Floats = NDArray[np.float64]

TOLERANCE = 1e-9
SETTINGS = np.array([6 * 1.4826, 0.4, 1.0, 3.0])
"""Outliers beyond six standard deviations, a sample before and three behind them."""


def problem(n: int, tones: int, probes: int) -> tuple[Floats, Floats, Floats]:
    """Rows, weight and normal matrix: a line and `tones` sines, then `probes` sines of other frequencies."""
    t = (np.arange(n) + 0.5) / n
    weight = np.sin(np.pi * t) ** 2
    sines = [np.cos(2 * np.pi * 3 * k * t + k) for k in range(1, tones + probes + 1)]
    rows = np.array([np.ones(n), 2 * t - 1, *sines])
    design = rows[: 2 + tones]
    return rows, weight, (design * weight) @ design.T


def fitted(
    uv: Floats, rows: Floats, weight: Floats, normal: Floats, limits: Floats = SETTINGS
) -> Floats | None:
    """What the kernel finds; of read-only inputs, whatever stands in its scratch."""
    for array in (uv, rows, weight, normal, limits):
        array.flags.writeable = False
    columns, out = len(normal), np.full(len(rows), np.nan)
    room, factor = np.full((ROOM, len(weight)), np.nan), np.full((columns + 1, columns), np.nan)
    return out if kernels.fit_window(uv, rows, weight, normal, limits, room, factor, out) else None


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([1, 2, 8, 16]),
    st.integers(40, 131),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([0, 0, 1, 3, 8, 14]),
    st.integers(0, 2**32 - 1),
)
def test_a_window_is_fitted_as_by_its_twin(
    each: int, n: int, tones: int, probes: int, spikes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, weight, normal = problem(n, tones, probes)
    x = rng.standard_normal(2 + tones) * 30 @ rows[: 2 + tones] + rng.standard_normal(n)
    x[rng.integers(0, n, spikes)] += 1e4 * (1 + rng.random(spikes))
    uv = x[:, None] + rng.standard_normal((n, each))
    expected = twins.fit_window(uv, rows, weight, normal, SETTINGS)
    got = fitted(uv, rows, weight, normal)
    assert (got is None) == (expected is None)
    if got is not None and expected is not None:
        assert np.all(np.abs(got - expected) <= TOLERANCE * np.abs(weight * x).sum())


def test_what_is_left_out_has_no_say() -> None:
    """Of a sum without noise the coefficients come back, however large what a few samples hold besides."""
    rows, weight, normal = problem(100, 3, 0)
    truth = np.array([5.0, -2.0, 20.0, 3.0, 7.0])
    x = truth @ rows + 1e-3 * np.random.default_rng(1).standard_normal(100)
    for at in (0, 1, 41, 70, 98, 99):
        x[at] += 5e3
    got = fitted(x[:, None], rows, weight, normal)
    assert got is not None and np.max(np.abs(got - truth)) < 2e-3
    everything = np.array([1e9, 0.4, 1.0, 3.0])
    spoilt = fitted(x[:, None], rows, weight, normal, everything)
    assert spoilt is not None and np.max(np.abs(spoilt - truth)) > 10


@pytest.mark.parametrize(("spikes", "said"), [(8, True), (9, False)])
def test_more_than_the_share_is_no_window(spikes: int, said: bool) -> None:
    """Five samples go with every spike: 40 of 100 are no more than 0.4 of them."""
    rows, weight, normal = problem(100, 1, 1)
    x = np.random.default_rng(2).standard_normal(100)
    x[5 : 5 + 10 * spikes : 10] += 1e4
    assert (fitted(x[:, None], rows, weight, normal) is not None) is said


def test_columns_that_are_the_same_have_no_fit() -> None:
    """In numbers whose roots and products are exact."""
    rows, normal = np.vstack([np.ones(60), np.full(60, 2.0)]), np.array([[4.0, 8.0], [8.0, 16.0]])
    uv = np.random.default_rng(3).uniform(-1, 1, (60, 1))
    assert fitted(uv, rows, np.full(60, 1 / 15), normal) is None
    apart = normal + np.diag([0.0, 1.0])
    assert fitted(uv, rows, np.full(60, 1 / 15), apart) is not None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_ends_it_all_the_same(value: float) -> None:
    rows, weight, normal = problem(64, 2, 1)
    rng = np.random.default_rng(4)
    for count in (1, 31, 64):
        uv = rng.standard_normal((64, 1))
        uv[rng.permutation(64)[:count]] = value
        got = fitted(uv, rows, weight, normal)
        assert got is None or got.shape == (len(rows),)
