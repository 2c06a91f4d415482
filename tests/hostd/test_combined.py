"""What the judge reads of an averaged response: derivations combined so that their common noise goes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp.nouns import Average, Measurement, Peak, Sweep, Trigger
from dsp.projection import template
from hostd import casefile
from hostd.combined import Combined, combined
from hostd.comparison import Comparison

ROWS, T0_MS, DT_MS = 320, -20.0, 0.25
TIMES_MS = T0_MS + DT_MS * np.arange(ROWS)
RESPONSE = 3.0 * np.exp(-0.5 * ((TIMES_MS - 20.0) / 1.5) ** 2)
SPAN = slice(148, 200)
BASE = casefile.procedure("median_ssep").tests[0]
PLAN = replace(
    BASE,
    derivations=BASE.derivations[:3],
    peaks=(Peak("N20", 0, 1, (17.0, 24.0)), Peak("N13", 2, 1, (11.0, 16.0))),
    leading=0,
    control=1,
)
SIZES = np.array([1.0, 0.4, 0.0])
COMMON = np.array([1.0, 1.0, 1.0])
OWN_UV, SHARED_UV = 1.0, 4.0
"""Noise of each derivation, and what all of them have in common (Fpz)."""


def noise(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    shared = SHARED_UV * rng.standard_normal((*shape, ROWS, 1))
    return OWN_UV * rng.standard_normal((*shape, ROWS, 3)) + shared * COMMON


def baseline(n: int = 100, seed: int = 1) -> Average:
    rng = np.random.default_rng(seed)
    mean = RESPONSE[:, None] * SIZES + noise(rng) / np.sqrt(n)
    null = (noise(rng, 15) / np.sqrt(n)).astype(np.float32)
    level = np.sqrt(np.mean(null * null, axis=(0, 1)))
    return Average(mean, level, null, n, 0, np.full(3, float(n)), 0, n, False)


def followed(average: Average, row: int = 0) -> Comparison:
    made = template(average.mean_uv[:, 0], average.null_uv[:, :, 0], SPAN)
    assert made is not None
    peak = Measurement("N20", "CP4-CP3", True, 20.0, (19.5, 20.5), 3.0, (2.5, 3.5), 0.2)
    return Comparison(made, peak, row, 3.0)


def both(average: Average) -> tuple[Comparison, Combined]:
    alone = followed(average)
    made = combined(average, PLAN, SPAN, alone)
    assert made is not None
    return alone, made


def read(alone: Comparison, made: Combined, sweeps: list[Sweep]) -> NDArray[np.float64]:
    """Ratio and variance (sweep, 2) by the combination, of those that tell."""
    told = []
    for one in sweeps:
        alone.add(one)
        made.add(one)
        told.append(made.last)
    return np.array(told)[40:]


def sweeps(n: int, left: float = 1.0, seed: int = 2) -> list[Sweep]:
    uv = RESPONSE[:, None] * SIZES * left + noise(np.random.default_rng(seed), n)
    weights = np.full(3, 1.0 / (OWN_UV**2 + SHARED_UV**2))
    return [Sweep(Trigger(k, 1), one.astype(np.float32), 80, weights) for k, one in enumerate(uv)]


def test_noise_that_derivations_share_goes_and_the_response_stays() -> None:
    alone, made = both(baseline())
    best = np.sqrt(2.0 * OWN_UV**2 / 0.6**2 / (OWN_UV**2 + SHARED_UV**2))
    assert best < made.error / alone.error < 1.2 * best, "of what their difference can"
    told = read(alone, made, sweeps(400))
    assert told[:, 0].mean() == pytest.approx(1.0, abs=0.1)
    assert np.median(told[:, 1]) < 1.4 * best**2 * alone.last[1]
    assert np.var(told[:, 0]) == pytest.approx(np.median(told[:, 1]), rel=0.3), "as sure as it says"


def test_a_loss_is_read_as_large_as_it_is() -> None:
    alone, made = both(baseline())
    told = read(alone, made, [*sweeps(60), *sweeps(300, 0.3, 5)])[60:]
    assert told[:, 0].mean() == pytest.approx(0.3, abs=0.1)


def test_the_control_has_no_part_in_it() -> None:
    """What arrives stays when what is watched is lost: it must not stand in for it."""
    alone, made = both(baseline())
    wild = [replace(one, uv=one.uv + np.float32([0.0, 0.0, 1e4])) for one in sweeps(60)]
    assert np.array_equal(read(alone, made, sweeps(60)), read(*both(baseline()), wild))


@pytest.mark.parametrize("weight", [0.0, 1e-3])
def test_with_a_derivation_that_says_nothing_any_more_the_one_that_is_followed_goes_on(weight: float) -> None:
    alone, made = both(baseline())
    good = sweeps(100)
    broken = [replace(one, weights=one.weights * np.array([1.0, weight, 1.0])) for one in sweeps(50, 1.0, 3)]
    for one in [*good, *broken]:
        alone.add(one)
        made.add(one)
    assert made.last == alone.last and np.isfinite(made.last).all()


def test_no_combination_where_there_is_nothing_to_combine_or_nothing_to_gain() -> None:
    average = baseline()
    alone = followed(average)
    single = replace(average, mean_uv=average.mean_uv * [1.0, np.nan, 1.0])
    assert combined(single, PLAN, SPAN, alone) is None
    assert combined(average, PLAN, SPAN, followed(average, 2)) is None, "followed where the control is"
    made = template(average.mean_uv[:, 0], average.null_uv[:, :, 0], SPAN)
    assert made is not None
    sure = Comparison(replace(made, variance=1e-9), alone.baseline, 0, 3.0)
    assert combined(average, PLAN, SPAN, sure) is None
