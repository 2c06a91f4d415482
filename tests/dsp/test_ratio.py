"""The interval of a ratio holds it, and there is none where the divisor may be nothing."""

import math

import numpy as np
import pytest

from dsp.ratio import fieller


def test_fieller() -> None:
    low, high = fieller(50.0, 1.0, 100.0, 1.0) or (0.0, 0.0)
    se = math.hypot(1.0, 0.5) / 100.0
    assert (low, high) == pytest.approx((0.5 - 1.96 * se, 0.5 + 1.96 * se), abs=1e-3)
    assert fieller(1.0, 1.0, 1.0, 1.0) is None
    assert (fieller(-5.0, 1.0, 100.0, 1.0) or (1.0, 1.0))[0] == 0.0


@pytest.mark.parametrize("clearance", [5.0, 20.0])
def test_the_interval_holds_the_ratio(clearance: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(1000):
        under, over = clearance + rng.standard_normal(), 0.6 * clearance + rng.standard_normal()
        interval = fieller(float(over), 1.0, float(under), 1.0)
        held += interval is not None and interval[0] <= 0.6 <= interval[1]
    assert 930 <= held <= 970
