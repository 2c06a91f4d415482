"""The average is the weighted mean, and its null averages carry its noise, all of it, and no response."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from dsp.average import SPANS, Averager, hadamard
from dsp.limits import SUB_AVERAGES
from dsp.nouns import Average, Sweep, Trigger
from tests.support.streams import Floats

RESPONSE_UV = 100.0 * np.sin(np.linspace(0.0, 9.0, 12))[:, None] * np.array([1.0, -0.4])


SINGLE = 1e-5  # of some ten microvolts in float32


def sweep(uv: Floats, weights: Floats | float, at: int = 0, reason: str = "") -> Sweep:
    return Sweep(
        Trigger(at, 1), uv, 0, np.broadcast_to(np.asarray(weights, float), uv.shape[1:]).copy(), reason
    )


def averager(uv: Floats, weights: Floats, target: int | None = None) -> Averager:
    """Of sweeps `uv` (sweep, time, derivation), `weights` (sweep, derivation), all in one average."""
    made = Averager(uv.shape[1], uv.shape[2], target or max(len(uv), SUB_AVERAGES))
    for k, (rows, weight) in enumerate(zip(uv, weights, strict=True)):
        made.add(sweep(rows, weight, at=100 * k))
    return made


def average(uv: Floats, weights: Floats) -> Average:
    return averager(uv, weights).average()


def sweeps_uv(seed: int, n: int, rows: int = 12, derivations: int = 2) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, rows, derivations)) * 10.0


@pytest.mark.parametrize("size", [1, 2, 4, 16, 64])
def test_hadamard_is_scipys(size: int) -> None:
    blocks = np.random.default_rng(size).standard_normal((size, 5, 3))
    expected = np.einsum("ij,jtd->itd", linalg.hadamard(size), blocks)
    kept = blocks.copy()
    assert hadamard(blocks) == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(blocks, kept)
    assert hadamard(blocks[:, 0, 0]) == pytest.approx(expected[:, 0, 0], abs=1e-12)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
def test_with_equal_weights_it_is_the_mean(n: int) -> None:
    uv = sweeps_uv(n, n)
    got = average(uv, np.ones((n, 2)))
    assert got.mean_uv == pytest.approx(np.mean(uv, axis=0), abs=SINGLE)
    assert got.n_effective == pytest.approx([n, n])
    assert got.n_sweeps == n


@settings(deadline=None, max_examples=50)
@given(st.integers(16, 60), st.integers(0, 2**32 - 1))
def test_it_is_the_weighted_mean_of_each_derivation(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    uv, weights = sweeps_uv(seed, n), np.exp(rng.standard_normal((n, 2)))
    weights[rng.random((n, 2)) < 0.1] = 0.0
    weights[0] = 1.0
    got = average(uv, weights)
    for d in range(2):
        expected = np.average(uv[:, :, d], axis=0, weights=weights[:, d])
        assert got.mean_uv[:, d] == pytest.approx(expected, abs=SINGLE)
    assert got.n_effective == pytest.approx(weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0))


def test_the_noise_only_averages_are_the_balanced_patterns_of_the_sub_averages() -> None:
    uv = sweeps_uv(1, 48)
    got = average(uv, np.ones((48, 2)))
    parts = uv.reshape(3, SUB_AVERAGES, 12, 2).mean(axis=0)
    signs = linalg.hadamard(SUB_AVERAGES)[1:]
    assert got.null_uv == pytest.approx(np.einsum("ij,jtd->itd", signs, parts) / SUB_AVERAGES, abs=SINGLE)
    assert got.noise_uv == pytest.approx(np.sqrt(np.mean(got.null_uv**2, axis=(0, 1))))


def largest_share(weights: Floats) -> float:
    """Largest share of the weight that a sign pattern of the sub-averages leaves."""
    parts = np.array([weights[k::SUB_AVERAGES].sum(axis=0) for k in range(SUB_AVERAGES)])
    return float(np.max(np.abs(hadamard(parts)[1:] / parts.sum(axis=0))))


@settings(deadline=None, max_examples=50)
@given(st.integers(16, 70), st.floats(0.0, 3.0), st.integers(0, 2**32 - 1))
def test_no_response_is_left_in_them_however_unequal_the_weights(n: int, spread: float, seed: int) -> None:
    weights = np.exp(spread * np.random.default_rng(seed).standard_normal((n, 2)))
    response = average(np.broadcast_to(RESPONSE_UV, (n, *RESPONSE_UV.shape)), weights)
    # float32: a ten-millionth of the response, by how much weights of one sub-average exceed another's.
    tiny = 2e-6 * 100.0 / np.sqrt(1.0 - largest_share(weights) ** 2)
    assert response.mean_uv == pytest.approx(RESPONSE_UV, abs=tiny)
    assert np.max(np.abs(response.null_uv)) < tiny
    assert np.max(response.noise_uv) < tiny
    noise = sweeps_uv(seed, n)
    with_it, without = average(noise + RESPONSE_UV, weights), average(noise, weights)
    assert np.max(np.abs(with_it.null_uv - without.null_uv)) < tiny


def noise_levels(kind: str, rng: np.random.Generator, n: int, cases: int) -> Floats:
    """Noise level (sweep, case) of a steady, of a typical and of a severe case (facts/dsp 3.1)."""
    if kind == "steady":
        return np.ones((n, cases))
    wander, share, times = {"typical": (0.35, 0.05, (2.0, 12.0)), "severe": (0.60, 0.25, (3.0, 30.0))}[kind]
    burst = np.where(rng.random((n, cases)) < share, np.exp(rng.uniform(*np.log(times), (n, cases))), 1.0)
    return np.asarray(np.exp(wander * rng.standard_normal((n, cases))) * burst)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("n", [16, 24, 200])
@pytest.mark.parametrize("kind", ["steady", "typical", "severe"])
def test_the_noise_is_the_error_that_the_mean_really_has(kind: str, n: int, weighted: bool) -> None:
    """800 cases at once, as derivations; the root mean square over cases of both, within 5 %."""
    cases, rng = 800, np.random.default_rng(n)
    level = noise_levels(kind, rng, n, cases)
    made = Averager(20, cases, n)
    for k in range(n):
        uv = rng.standard_normal((20, cases)) * level[k] + 3.0
        made.add(sweep(uv, level[k] ** -2.0 if weighted else 1.0))
    got = made.average()
    error = np.sqrt(np.mean((got.mean_uv - 3.0) ** 2))
    assert np.sqrt(np.mean(got.noise_uv**2)) == pytest.approx(error, rel=0.05)
    assert np.median(got.noise_uv / np.sqrt(np.mean((got.mean_uv - 3.0) ** 2, axis=0))) == pytest.approx(
        1, abs=0.05
    )


def test_weights_lower_the_noise_in_bursts() -> None:
    cases, n, rng = 200, 200, np.random.default_rng(1)
    level = noise_levels("severe", rng, n, cases)
    uv = rng.standard_normal((n, 20, cases)) * level[:, None]
    weighted, plain = average(uv, level**-2.0), average(uv, np.ones((n, cases)))
    assert np.median(weighted.noise_uv) < 0.4 * np.median(plain.noise_uv)


def test_nothing_is_claimed_below_sixteen_sweeps() -> None:
    uv = sweeps_uv(2, 16)
    few, enough = average(uv[:15], np.ones((15, 2))), average(uv, np.ones((16, 2)))
    assert np.isnan(few.noise_uv).all()
    assert np.isnan(few.null_uv).all()
    assert np.isfinite(few.mean_uv).all()
    assert np.isfinite(enough.noise_uv).all()
    assert np.isfinite(enough.null_uv).all()


def test_nothing_is_claimed_for_a_derivation_that_a_sub_average_lacks() -> None:
    """Amplitude rejection takes single derivations out of accepted sweeps."""
    weights = np.ones((32, 2))
    weights[[3, 3 + SUB_AVERAGES], 1] = 0.0
    got = average(sweeps_uv(3, 32), weights)
    assert np.isfinite(got.noise_uv[0])
    assert np.isnan(got.noise_uv[1])
    assert np.isnan(got.null_uv[:, :, 1]).all()
    assert np.isfinite(got.null_uv[:, :, 0]).all()
    assert got.n_effective == pytest.approx([32.0, 30.0])


@pytest.mark.filterwarnings("error")
def test_no_weight_is_no_mean_and_no_warning() -> None:
    nothing = Averager(3, 2, 16).average()
    assert np.isnan(nothing.mean_uv).all()
    assert nothing.n_effective.tolist() == [0.0, 0.0]
    assert (nothing.n_sweeps, nothing.n_rejected, nothing.first_index, nothing.last_index) == (0, 0, -1, -1)
    weights = np.ones((20, 2)) * [1.0, 0.0]
    one = average(sweeps_uv(4, 20), weights)
    assert np.isfinite(one.mean_uv[:, 0]).all()
    assert np.isnan(one.mean_uv[:, 1]).all()
    assert one.n_effective.tolist() == [20.0, 0.0]


def test_rejected_sweeps_are_counted_and_change_nothing_else() -> None:
    uv = sweeps_uv(5, 20)
    made = Averager(12, 2, 20)
    made.add(sweep(np.empty((0, 2)), 0.0, at=5, reason="settling"))
    for k, rows in enumerate(uv):
        made.add(sweep(rows, 1.0, at=10 + k))
        made.add(sweep(rows + 1e6, 0.0, at=10 + k, reason="saturated"))
    got = made.average()
    assert (got.n_sweeps, got.n_rejected) == (20, 21)
    assert (got.first_index, got.last_index) == (5, 29)
    assert got.mean_uv == pytest.approx(uv.mean(axis=0), abs=SINGLE)
    assert np.isfinite(got.noise_uv).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(SUB_AVERAGES, 60), st.integers(1, 200))
def test_it_runs_it_is_the_mean_of_the_latest_sweeps_and_of_no_more_than_its_target(
    target: int, n: int
) -> None:
    uv = sweeps_uv(6, n, rows=3, derivations=1)
    made = Averager(3, 1, target)
    for k in range(n):
        made.add(sweep(uv[k], 1.0, at=k))
    got = made.average()
    held = got.n_sweeps
    assert min(n, target - -(-target // SPANS)) <= held <= target
    if n <= target:
        assert held == n
    assert got.mean_uv == pytest.approx(uv[n - held : n].mean(axis=0), abs=SINGLE)
    assert got.n_effective == pytest.approx([held])
    assert (got.first_index, got.last_index) == (n - held, n - 1)
    assert got.final == made.complete == (n % target == 0)
    if got.final:
        assert held == target


@pytest.mark.parametrize("target", [16, 17, 18, 24, 100])
def test_once_believable_it_stays_believable(target: int) -> None:
    made = Averager(3, 1, target)
    for k, rows in enumerate(sweeps_uv(11, 3 * target, rows=3, derivations=1)):
        made.add(sweep(rows, 1.0, at=k))
        assert np.isfinite(made.average().noise_uv).all() == (k + 1 >= SUB_AVERAGES)


def test_final_averages_share_no_sweep() -> None:
    made, finals = Averager(12, 2, 24), []
    for k, rows in enumerate(sweeps_uv(7, 100)):
        made.add(sweep(rows, 1.0, at=k))
        if made.complete:
            finals.append(made.average())
    assert [(a.first_index, a.last_index) for a in finals] == [(0, 23), (24, 47), (48, 71), (72, 95)]
    assert all(a.final and a.n_sweeps == 24 for a in finals)


def test_an_average_is_complete_once() -> None:
    made = averager(sweeps_uv(8, 16), np.ones((16, 2)), target=16)
    assert made.complete
    made.add(sweep(np.empty((0, 2)), 0.0, at=9_000, reason="gap"))
    assert not made.complete


def test_restart_forgets_everything() -> None:
    made = averager(sweeps_uv(9, 30), np.ones((30, 2)), target=20)
    made.restart()
    assert made.n_sweeps == 0
    assert np.isnan(made.average().mean_uv).all()
    uv = sweeps_uv(10, 20)
    for k, rows in enumerate(uv):
        made.add(sweep(rows, 2.0, at=500 + k))
    got, fresh = made.average(), average(uv, np.full((20, 2), 2.0))
    assert np.array_equal(got.mean_uv, fresh.mean_uv)
    assert np.array_equal(got.null_uv, fresh.null_uv)
    assert (got.first_index, got.n_sweeps, got.final) == (500, 20, True)


@pytest.mark.parametrize("target", [-1, 0, 15])
def test_a_target_below_sixteen_is_refused(target: int) -> None:
    with pytest.raises(ValueError, match=f"an average of {target} sweeps is under 16"):
        Averager(10, 1, target)
