"""Suppressed is what the rules say: half a second below 5 uV, or little variance; beats are no bursts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.segmentation import (
    FORGETTING,
    VARIANCE_UV2,
    by_amplitude,
    by_variance,
    forgetting,
    local_variance,
    runs,
    without_baseline,
)
from tests.support.eeg import anaesthetised, of_density

Floats = NDArray[np.float64]
RATE_HZ = 250.0


def labels(uv: Floats, rate_hz: float = RATE_HZ) -> NDArray[np.bool_]:
    return by_amplitude((uv[:, None],), uv[:, None], rate_hz)[0][:, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.booleans())
def test_by_amplitude_is_the_definition(lengths: list[int], begins_low: bool) -> None:
    """Stretches of 1 and of 30 uV; the loud ones longer than what a beat may be."""
    low = [begins_low ^ bool(k % 2) for k in range(len(lengths))]
    counts = [n if quiet else n + 51 for n, quiet in zip(lengths, low, strict=True)]
    state = np.repeat(low, counts)
    expected = np.repeat([quiet and n > 125 for n, quiet in zip(counts, low, strict=True)], counts)
    assert np.array_equal(labels(np.where(state, 1.0, 30.0)), expected)


@pytest.mark.parametrize("rate_hz", [200.0, 250.0, 500.0])
def test_half_a_second_is_not_enough_and_a_sample_more_is(rate_hz: float) -> None:
    for extra in (0, 1):
        uv = np.full(round(3 * rate_hz), 20.0)
        half = round(0.5 * rate_hz) + extra
        uv[300 : 300 + half] = 0.0
        assert labels(uv, rate_hz).sum() == extra * half


def test_a_beat_within_suppression_is_no_burst_and_a_burst_is() -> None:
    uv = np.zeros(750)
    uv[300:340] = 20.0  # 160 ms
    found, lone = by_amplitude((uv[:, None],), uv[:, None], RATE_HZ)
    assert found.all() and np.array_equal(np.flatnonzero(lone), np.arange(300, 340))
    uv[300:375] = 20.0  # 300 ms
    assert np.array_equal(np.flatnonzero(~labels(uv)), np.arange(300, 375))


def test_what_is_held_over_an_artifact_makes_no_suppression() -> None:
    uv = np.full((750, 1), 20.0)
    uv[100:400] = 0.0
    held = np.zeros((750, 1), bool)
    held[150:350] = True
    assert not by_amplitude((uv,), uv, RATE_HZ, held=held)[0].any()  # 0.4 s in all
    held[150:180] = False
    assert np.array_equal(np.flatnonzero(by_amplitude((uv,), uv, RATE_HZ, held=held)[0]), np.arange(100, 400))


def test_an_oscillation_that_dips_below_the_limit_is_not_suppressed() -> None:
    t_s = np.arange(2500) / RATE_HZ
    for at_hz, size_uv in ((0.7, 30.0), (1.0, 15.0), (3.0, 10.0), (10.0, 7.0), (20.0, 7.0)):
        assert not labels(size_uv * np.sin(2 * np.pi * at_hz * t_s)).any(), at_hz


def test_what_a_high_pass_answers_to_a_burst_is_still_suppressed() -> None:
    rng = np.random.default_rng(1)
    uv = 1000.0 + 10.0 * np.arange(1500) / RATE_HZ + 0.5 * rng.standard_normal(1500)
    uv[400:600] += 40.0
    banded = uv - 1000.0 - 10.0 * np.arange(1500) / RATE_HZ
    banded[600:] -= 20.0 * np.exp(-np.arange(900) / 80.0)  # below the limit after 0.44 s only
    found = by_amplitude((banded[:, None],), uv[:, None], RATE_HZ)[0][:, 0]
    assert np.array_equal(np.flatnonzero(~found), np.arange(400, 600))
    level = without_baseline(banded[:, None], uv[:, None], found[:, None], np.zeros((1500, 1), bool), RATE_HZ)
    assert np.abs(level[600:]).max() < 3.0 and np.array_equal(level[400:600], banded[400:600, None])
    assert np.mean(by_variance(level, RATE_HZ)[:, 0] != found) < 0.035
    assert np.mean(by_variance(banded[:, None], RATE_HZ)[:, 0] != found) > 0.05


def test_local_variance_is_the_recursion() -> None:
    uv = 3.0 * np.random.default_rng(2).standard_normal((400, 2))
    found = local_variance(uv, 200.0)
    mean, variance = uv[0].copy(), np.zeros(2)
    for k, row in enumerate(uv):
        mean = FORGETTING * mean + (1 - FORGETTING) * row
        variance = FORGETTING * variance + (1 - FORGETTING) * (row - mean) ** 2
        assert found[k] == pytest.approx(variance, abs=1e-12)
    assert forgetting(200.0) == FORGETTING and forgetting(400.0) ** 2 == pytest.approx(FORGETTING)


@pytest.mark.parametrize("rate_hz", [200.0, 250.0, 500.0, 1000.0])
def test_the_rules_do_not_know_the_rate(rate_hz: float) -> None:
    """The same signal at every rate: bursts of 10 Hz between 1.2 and 2.4 s of a microvolt at 7 Hz."""
    t_s = np.arange(round(6 * rate_hz)) / rate_hz
    burst = (t_s % 3.0 >= 1.2) & (t_s % 3.0 < 2.4)
    uv = np.sin(2 * np.pi * 7.0 * t_s) + burst * 25.0 * np.sin(2 * np.pi * 10.0 * (t_s - 0.003))
    for found in (labels(uv, rate_hz), by_variance(uv[:, None], rate_hz)[:, 0]):
        assert np.mean(found != ~burst) < 0.03


def test_a_burst_casts_no_shadow_either_way() -> None:
    rng = np.random.default_rng(3)
    uv = 0.5 * rng.standard_normal((1500, 1))
    uv[500:900] += 30.0 * rng.standard_normal((400, 1))
    one_sided = np.flatnonzero(local_variance(uv, RATE_HZ)[900:, 0] < VARIANCE_UV2)[0]
    found = by_variance(uv, RATE_HZ)[:, 0]
    assert one_sided > 100
    assert not found[505:895].any() and found[:498].all() and found[903:].all()


@pytest.mark.parametrize("rms_uv", [10.0, 40.0])
def test_going_on_eeg_is_not_suppressed(rms_uv: float) -> None:
    for seed in range(4):
        uv = of_density(
            lambda f: anaesthetised(f) * (f > 0.5) * (f < 30.0), 30.0, np.random.default_rng(seed)
        )
        uv *= rms_uv / uv.std()
        assert labels(uv).mean() < 0.002 and by_variance(uv[:, None], RATE_HZ).mean() < 0.002


def test_runs() -> None:
    first, end = runs(np.array([True, False, True, True, False, True]))
    assert first.tolist() == [0, 2, 5] and end.tolist() == [1, 4, 6]
    assert len(runs(np.zeros(3, bool))[0]) == len(runs(np.zeros(0, bool))[0]) == 0


def test_any_of_several_ways_into_the_band_may_find_a_stretch() -> None:
    uv = np.zeros((750, 1))
    loud = np.full((750, 1), 20.0)
    assert (
        by_amplitude((loud, uv), uv, RATE_HZ)[0].all()
        and not by_amplitude((loud, loud), uv, RATE_HZ)[0].any()
    )
