"""Projection reads the response that is there, with intervals that hold, and nothing where there is none."""

import functools
import math

import numpy as np
import pytest
from scipy import stats

from dsp import reference_change as twins
from dsp.projection import (
    Projection,
    Template,
    against,
    project,
    project_sweeps,
    t_probability,
    t_quantile,
    template,
)
from tests.support.streams import Floats, coloured_noise

RATE_HZ = 2000.0
TIMES_MS = -15.0 + np.arange(130) / RATE_HZ * 1e3
PERIOD = 400
"""Rows in which the noise repeats: one bin is 5 Hz."""
SPAN = slice(54, 100)
"""12 to 35 ms."""
COSINES = 18
"""Up to about 400 Hz."""
PATTERNS = 15
SPECTRA = {"pink": (1.0, 6), "brown": (2.0, 4)}
CASES = 1000


def n20_p25(shift_ms: float = 0.0) -> Floats:
    n20 = 1.4 * np.exp(-0.5 * ((TIMES_MS - 20.0 - shift_ms) / 1.6) ** 2)
    return np.asarray(n20 - 1.6 * np.exp(-0.5 * ((TIMES_MS - 25.2 - shift_ms) / 2.3) ** 2))


RESPONSE = n20_p25()


@functools.cache
def noise(spectrum: str, n: int, seed: int) -> Floats:
    """Noise (n, 32, time) whose projection on the true response has a standard deviation of 1."""
    slope, low = SPECTRA[spectrum]
    rng = np.random.default_rng(seed)
    made = coloured_noise(rng, PERIOD, (32, n), slope, low)[:, :, : len(TIMES_MS)].transpose(1, 0, 2)
    weights = RESPONSE[SPAN] - RESPONSE[SPAN].mean()
    read = made[..., SPAN] @ (weights / (weights @ weights))
    return np.ascontiguousarray(made / np.std(read))


def pairs(
    spectrum: str, ratio: float, seed: int, error: tuple[float, float], cosines: int | None
) -> list[Projection]:
    """CASES times a baseline and an average of `ratio`, of these relative errors."""
    found = []
    for n in noise(spectrum, CASES, seed):
        made = template(RESPONSE + error[0] * n[0], error[0] * n[1:16], SPAN, cosines)
        if made is not None:
            told = project(made, ratio * RESPONSE + error[1] * n[16], error[1] * n[17:])
            assert told is not None
            found.append(told)
    return found


@pytest.mark.parametrize("cosines", [None, COSINES])
@pytest.mark.parametrize(
    ("spectrum", "ratio", "errors"),
    [("pink", 1.0, (0.1, 0.1)), ("brown", 0.4, (0.07, 0.1)), ("pink", 0.6, (0.12, 0.06))],
)
def test_ratio_is_unbiased_and_its_interval_holds(
    spectrum: str, ratio: float, errors: tuple[float, float], cosines: int | None
) -> None:
    found = pairs(spectrum, ratio, 11, errors, cosines)
    assert len(found) > 0.99 * CASES
    ratios = np.array([f.ratio for f in found])
    assert abs(ratios.mean() / ratio - 1.0) < 0.02
    inside = np.mean([f.ci[0] <= ratio <= f.ci[1] for f in found])
    assert 0.93 <= inside <= 0.975  # 95 % +- 3 binomial standard deviations at the lower end
    assert np.std(ratios) == pytest.approx(np.median([f.standard_error for f in found]), rel=0.12)


def test_without_the_correction_the_ratio_would_be_low() -> None:
    """What is corrected: a baseline's noise energy counts as response."""
    low = []
    for n in noise("pink", CASES, 11):
        b = RESPONSE + 0.12 * n[0]
        b = b[SPAN] - b[SPAN].mean()
        low.append(RESPONSE[SPAN] @ b / (b @ b))
    assert np.mean(low) < 0.96


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_a_removed_response_is_absent(spectrum: str) -> None:
    found = pairs(spectrum, 0.0, 11, (0.1, 0.19), None)
    absent = np.mean([not f.present for f in found])
    assert absent >= 0.975
    assert absent < 1.0  # 0.5 % is what is promised: a test that never speaks would not be one
    assert np.mean([f.present for f in pairs(spectrum, 1.0, 11, (0.1, 0.19), None)]) > 0.97


def test_a_baseline_of_noise_is_refused() -> None:
    made = [template(n[0], n[1:16], SPAN) for n in noise("pink", CASES, 11)]
    assert np.mean([m is not None for m in made]) < 0.015


def test_half_whitening_saves_sweeps() -> None:
    """In noise that falls with frequency, and never costs any in the pink."""
    share = {}
    for spectrum in SPECTRA:
        plain, white = (
            np.var([f.ratio for f in pairs(spectrum, 1.0, 11, (0.07, 0.07), c)]) for c in (None, COSINES)
        )
        share[spectrum] = white / plain
    assert share["brown"] < 0.95
    assert share["pink"] < 1.03


def test_an_offset_does_not_count() -> None:
    n = 0.1 * noise("pink", 1, 5)[0]
    made = template(RESPONSE + n[0] + 4e3, n[1:16] - 2e3, SPAN)
    same = template(RESPONSE + n[0], n[1:16], SPAN)
    assert made is not None and same is not None
    a, b = project(made, RESPONSE + 7e4, n[1:16]), project(same, RESPONSE, n[1:16] + 10.0)
    assert a is not None and b is not None
    assert a.ratio == pytest.approx(b.ratio, abs=1e-8)
    assert a.standard_error == pytest.approx(b.standard_error, rel=1e-8)


def test_an_artifact_s_tail_does_not_count_where_it_is_said_to_be_one() -> None:
    """What decays from the span's beginning on stays when the response is gone, and must not stand in."""
    n = 0.005 * noise("pink", 1, 5)[0]
    decay = np.exp(-np.arange(len(TIMES_MS)) / 8.0) * math.exp(SPAN.start / 8.0)
    here = RESPONSE + 1.5 * decay
    plain, blind = template(here + n[0], n[1:16], SPAN), template(here + n[0], n[1:16], SPAN, tails=(8.0,))
    assert plain is not None and blind is not None
    for left in (0.0, 0.4, 1.0):
        now = left * RESPONSE + 1.5 * decay + n[16]
        told, wrong = project(blind, now, n[17:]), project(plain, now, n[17:])
        assert told is not None and wrong is not None
        assert told.ratio == pytest.approx(left, abs=0.06)
        assert wrong.ratio > left + 0.1 or left == 1.0
    assert abs(np.ones(46) @ blind.weights) + abs(decay[SPAN] @ blind.weights) < 1e-9
    assert plain.variance < blind.variance < 4.0 * plain.variance, "what is shared with a tail is given up"


def test_single_sweeps_average_to_the_average() -> None:
    n = noise("pink", 1, 6)[0]
    made = template(RESPONSE + 0.1 * n[0], 0.1 * n[1:16], SPAN)
    assert made is not None
    told = project(made, (RESPONSE + n).mean(axis=0), n[:15])
    assert told is not None
    assert project_sweeps(made, RESPONSE + n).mean() == pytest.approx(told.ratio, rel=1e-12)


@pytest.mark.parametrize("cosines", [None, 6])
def test_equals_its_slow_twin(cosines: int | None) -> None:
    n = 0.1 * noise("brown", 1, 7)[0]
    mean, null = RESPONSE + n[0], n[1:16]
    made = template(mean, null, SPAN, cosines)
    weights, gain, variance = twins.template(mean[SPAN], null[:, SPAN], cosines)
    assert made is not None
    np.testing.assert_allclose(made.weights, weights, rtol=1e-12, atol=1e-12 * np.abs(weights).max())
    assert made.gain == pytest.approx(gain, rel=1e-12)
    assert made.variance == pytest.approx(variance, rel=1e-12)
    told = project(made, 0.5 * RESPONSE + n[16], n[17:])
    assert told is not None
    own, shared = told.own_variance, told.ratio**2 * told.reference_variance
    freedom = 15.0 * (own + shared) ** 2 / (own**2 + shared**2)
    ends = twins.interval(told.ratio, gain, own, variance, t_quantile(0.975, freedom))
    assert told.ci == pytest.approx(ends, rel=1e-10)
    assert twins.inner(weights, (0.5 * RESPONSE + n[16])[SPAN]) == pytest.approx(told.ratio, rel=1e-11)


def test_confidence_below_a_limit_is_a_confidence() -> None:
    """Of averages at 0.5, the limit itself, half are called below it, a tenth with 90 %."""
    told = np.array([f.probability_below(0.5) for f in pairs("pink", 0.5, 11, (0.1, 0.1), None)])
    for level in (0.1, 0.5, 0.9):
        assert np.mean(told < level) == pytest.approx(level, abs=0.05)


def test_a_moved_baseline_cancels_the_template_s_own_error() -> None:
    n = 0.1 * noise("pink", 1, 8)[0]
    made = template(RESPONSE + n[0], n[1:16], SPAN)
    assert made is not None
    told = project(made, 0.4 * RESPONSE + n[16], n[17:])
    moved = against(told, made, 0.8, 0.02)
    assert told is not None and moved is not None
    assert moved.ratio == pytest.approx(told.ratio / 0.8)
    assert moved.ci[0] < moved.ratio < moved.ci[1]
    assert against(told, made, 0.1, 0.05) is None
    assert against(None, made, 1.0, 0.05) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_not_finite_has_a_defined_result(bad: float) -> None:
    with np.errstate(all="raise"):
        n = 0.1 * noise("pink", 1, 9)[0]
        mean, null = RESPONSE + n[0], n[1:16]
        made = template(mean, null, SPAN)
        assert made is not None
        spoilt, worse = mean.copy(), null.copy()
        spoilt[60] = worse[3, 60] = bad
        assert template(spoilt, null, SPAN) is None
        assert template(mean, worse, SPAN) is None
        assert project(made, spoilt, null) is None
        assert project(made, mean, worse) is None
        assert np.isnan(project_sweeps(made, np.array([mean, spoilt]))).tolist() == [False, True]


def test_silence_has_a_defined_result() -> None:
    with np.errstate(all="raise"):
        zero, quiet = np.zeros(130), np.zeros((15, 130))
        assert template(zero, quiet, SPAN) is None
        assert template(zero, quiet, SPAN, COSINES) is None
        made = template(RESPONSE, quiet, SPAN, COSINES)
        assert made is not None and made.standard_error == 0.0
        told = project(made, zero, quiet)
        assert told == Projection(0.0, 0.0, (0.0, 0.0), False, 0.0, 0.0, 0.0, 15)
        assert told.probability_below(0.5) == 1.0
        assert told.probability_below(0.0) == 0.5
        full = project(made, RESPONSE, quiet)
        assert full is not None and full.present and full.ratio == pytest.approx(1.0)
        assert project_sweeps(made, np.empty((0, 130))).shape == (0,)


@pytest.mark.parametrize(
    ("mean", "null", "span", "cosines"),
    [
        (np.zeros((130, 1)), np.zeros((15, 130)), SPAN, None),
        (np.zeros(130), np.zeros((15, 129)), SPAN, None),
        (np.zeros(130), np.zeros((1, 130)), SPAN, None),
        (np.zeros(130), np.zeros((15, 130)), slice(50, 52), None),
        (np.zeros(130), np.zeros((15, 130)), slice(100, 140), None),
        (np.zeros(130), np.zeros((15, 130)), slice(-20, -4), None),
        (np.zeros(130), np.zeros((15, 130)), SPAN, 46),
        (np.zeros(130), np.zeros((15, 130)), SPAN, 1),
    ],
)
def test_what_cannot_be_built_is_refused(
    mean: Floats, null: Floats, span: slice, cosines: int | None
) -> None:
    with pytest.raises(ValueError):
        template(mean, null, span, cosines)


@pytest.mark.parametrize(("tails", "cosines"), [((0.0,), None), ((4.0,), 6), (tuple(range(2, 46)), None)])
def test_tails_that_cannot_be_are_refused(tails: tuple[float, ...], cosines: int | None) -> None:
    with pytest.raises(ValueError, match="tails"):
        template(np.zeros(130), np.zeros((15, 130)), SPAN, cosines, tails)


def test_student_s_t() -> None:
    for freedom in (10.0, 14.0, 15.0, 22.5, 30.0):
        for probability in (0.01, 0.5, 0.9, 0.975, 0.99):
            expected = stats.t.ppf(probability, freedom)
            assert t_quantile(probability, freedom) == pytest.approx(expected, abs=1e-3)
        for t in np.linspace(-6.0, 6.0, 49):
            assert t_probability(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-3)


def test_a_template_tells_its_own_error() -> None:
    assert Template(SPAN, np.zeros(46), 1.0, 0.04, 15).standard_error == pytest.approx(0.2)
