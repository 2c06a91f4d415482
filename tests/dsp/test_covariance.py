"""The covariance of noise from its rows: right, and always positive definite."""

import math

import numpy as np
import pytest

from dsp.covariance import toeplitz


def test_the_covariance_is_that_of_the_noise() -> None:
    rng = np.random.default_rng(5)
    white = rng.standard_normal((400, 101))
    smooth = (white[:, 1:] + white[:, :-1]) / math.sqrt(2.0)
    got = toeplitz(smooth, 4)
    assert got[0] == pytest.approx([1.02, 0.5, 0.0, 0.0], abs=0.03)
    np.linalg.cholesky(toeplitz(np.zeros((2, 20)), 50))
