"""Every averaging mode is its slow twin, tells its own noise, and says "present" as seldom as it promises."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from dsp import kernels, modes
from dsp import kernels_sums as places
from dsp import reference_average as twin
from dsp.kernels_sums import NEIGHBOURS
from dsp.limits import BLOCK, SUB_AVERAGES
from dsp.measure import measure
from dsp.mode_sums import FALSE_POSITIVE, ModeAverage
from dsp.nouns import Peak
from tests.evoked import noise
from tests.support.streams import Floats

NAMES: tuple[modes.Name, ...] = ("weighted", "plain", "reject", "blocks", "exponential", "moving")
LIMIT_UV = 22.0
SHARE = 0.02
WINDOW = 60
SPAN = (3, 28)
RATE_HZ = 1000.0
PERIOD_ROWS = 110
FREE_ROWS = 70
ROWS = 30
BAND_HZ = (30.0, 400.0)


def run(name: modes.Name, uv: Floats, weights: Floats, span: modes.Span | None = None) -> ModeAverage:
    """Sweeps (sweep, time, derivation), weights (sweep, derivation)."""
    mode = modes.make(name, *uv.shape[1:], span, limit_uv=LIMIT_UV, share=SHARE, sweeps=WINDOW)
    with np.errstate(all="raise"):
        for rows, weight in zip(uv, weights, strict=True):
            mode.add(rows, weight)
        return mode.result()


def counted(name: modes.Name, uv: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """What the twin averages of one derivation (sweep, time): its sweeps (or blocks) and their weights."""
    fit = weights > 0.0
    if name == "reject":
        fit &= twin.reject_weights(uv, LIMIT_UV) > 0.0
    uv, weights = uv[fit], weights[fit]
    if name == "blocks":
        return twin.blocks(uv, BLOCK)
    if name == "exponential":
        return uv, twin.exponential_weights(weights, SHARE)
    return uv, weights if name in ("weighted", "moving") else np.ones(len(uv))


def sweeps_in_noise(seed: int, n: int, offset_uv: float = 0.0) -> tuple[Floats, Floats]:
    """Of three derivations, unequal noise, some weights 0; and their weights."""
    rng = np.random.default_rng(seed)
    level = np.exp(0.5 * rng.standard_normal((n, 3)))
    white = rng.standard_normal((n, 32, 3)) * 5.0 * level[:, None]
    uv = white + 0.7 * np.roll(white, 1, axis=1) + np.sin(np.arange(32) / 4.0)[:, None] + offset_uv
    weights = 1.0 / level**2
    weights[rng.random((n, 3)) < 0.1] = 0.0
    return uv, weights


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(180, 230))
def test_a_mode_is_its_twin(name: modes.Name, seed: int, n: int) -> None:
    uv, weights = sweeps_in_noise(seed, n)
    got = run(name, uv, weights, SPAN)
    if name == "moving":  # the last ones of which any derivation can be used
        usable = weights.any(axis=1)
        uv, weights = uv[usable][-WINDOW:], weights[usable][-WINDOW:]
    for d in range(3):
        of, w = counted(name, uv[:, :, d], weights[:, d])
        span = of[:, SPAN[0] : SPAN[1]]
        each = BLOCK if name == "blocks" else 1
        variance = twin.residual_variance(of, w)
        odd, even = twin.odd_even(of, w)
        pairs = [
            (got.mean_uv, twin.weighted_mean(of, w)),
            (got.residual_uv, np.sqrt(variance)),
            (got.plus_minus_uv, twin.plus_minus(of, w)),
            (got.odd_uv, odd),
            (got.even_uv, even),
            (got.fmp_freedom, np.array(twin.fmp_freedom(span, w))),
        ]
        for ours, expected in pairs:
            assert np.max(np.abs(ours[:, d] - expected)) <= 1e-12 * np.max(np.abs(expected)) * 10
        assert got.noise_uv[d] == pytest.approx(np.sqrt(variance.mean()), rel=1e-12)
        assert got.n_effective[d] == pytest.approx(each * twin.effective(w), rel=1e-12)
        assert got.fmp[d] == pytest.approx(twin.fmp(span, w), rel=1e-11)
        assert got.n_sweeps[d] == each * len(of) or name == "moving"
        if len(of) >= twin.SUB_AVERAGES:
            assert got.null_uv[:, :, d] == pytest.approx(twin.null_averages(of, w), abs=1e-12)
    assert twin.NEIGHBOURS == NEIGHBOURS


@pytest.mark.parametrize("keep", [1.0, 0.97])
@pytest.mark.parametrize(("rows", "first", "length"), [(32, 3, 25), (7, 0, 7), (2, 0, 2)])
def test_the_running_sums_are_their_twin(keep: float, rows: int, first: int, length: int) -> None:
    rng = np.random.default_rng(rows)
    n = 3
    told = []
    for _ in range(2):
        state = np.zeros((n, places.ROWS, rows + 1)), np.zeros((n, places.SPAN_ROWS, length))
        told.append((*state, np.zeros((n, places.COLUMNS)), np.zeros(n, np.int64)))
    for _ in range(137):
        uv, weights = 5.0 * rng.standard_normal((rows, n)) + 1.0, np.exp(rng.standard_normal(n))
        weights[rng.random(n) < 0.2] = 0.0
        uv.flags.writeable = weights.flags.writeable = False
        before = [part.copy() for part in told[0]]
        kernels.running_sums(uv, weights, first, keep, *told[0])
        twin.running_sums(uv, weights, first, keep, *told[1])
        for was, part in zip(before, told[0], strict=True):
            assert np.array_equal(was[weights == 0.0], part[weights == 0.0])
    scratch = places.SWEEP, places.DIFFERENCE, places.COLUMNS, n
    for got, expected, end in zip(*told, scratch, strict=True):
        got, expected = (part[:, :end] if part.ndim > 1 else part for part in (got, expected))
        assert np.max(np.abs(got - expected)) <= 1e-12 * np.max(np.abs(expected))
    assert told[0][3].min() > 90


def test_everybody_has_as_many_sub_averages() -> None:
    assert twin.SUB_AVERAGES == SUB_AVERAGES


@pytest.mark.parametrize("name", NAMES)
def test_an_electrode_offset_costs_no_digits(name: modes.Name) -> None:
    uv, weights = sweeps_in_noise(3, 200)
    with_it, without = run(name, uv + 3e5, weights), run(name, uv, weights)
    if name == "reject":
        assert not with_it.n_sweeps.any()
        return
    assert with_it.residual_uv == pytest.approx(without.residual_uv, rel=1e-6)
    assert with_it.plus_minus_uv == pytest.approx(without.plus_minus_uv, abs=1e-8)
    assert with_it.fmp == pytest.approx(without.fmp, rel=1e-6)


@functools.cache
def without_response(kind: str, n_runs: int, n: int, seed: int) -> tuple[Floats, Floats]:
    """Independent runs side by side as derivations: sweeps (n, time, run) of OR noise in a band, and weights
    (n, run) 1/variance of the rows before each."""
    rng = np.random.default_rng(seed)
    sos = butter(2, BAND_HZ, "band", fs=RATE_HZ, output="sos")
    size = n_runs * n * PERIOD_ROWS
    size += -size % 2**14
    body = noise.body(size, RATE_HZ, 7.0, BAND_HZ, rng)
    uv = sosfilt(sos, noise.level(kind, size, RATE_HZ, rng) * body)[: n_runs * n * PERIOD_ROWS]
    periods = uv.reshape(n_runs, n, PERIOD_ROWS)
    free, window = periods[:, :, :FREE_ROWS], periods[:, :, FREE_ROWS + 5 : FREE_ROWS + 5 + ROWS]
    return np.ascontiguousarray(window.transpose(1, 2, 0)), 1.0 / np.mean(free**2, axis=2).T


@pytest.mark.parametrize("kind", ["quiet", "typical"])
def test_noise_alone_is_called_present_as_seldom_as_stated(kind: str) -> None:
    n_runs = 1000
    uv, weights = without_response(kind, n_runs, 48, seed=20)
    for name in ("weighted", "exponential"):
        got = run(name, uv, weights)
        # At most what 1 % gives once in a thousand such tests, of 1,000 runs.
        assert np.count_nonzero(got.present) <= 10 + 3.1 * np.sqrt(10.0)
        assert np.count_nonzero(got.fmp > 0.85 * got.fmp_bound) > 20
        assert np.mean(got.fmp) == pytest.approx(1.0, abs=0.05)
    assert FALSE_POSITIVE == 0.01


@pytest.mark.parametrize("kind", ["quiet", "typical"])
@pytest.mark.parametrize("name", ["weighted", "blocks", "exponential", "moving"])
def test_the_residual_noise_is_the_noise_of_the_mean(kind: str, name: modes.Name) -> None:
    """Without response the mean is nothing but noise: its power over many runs is what each one tells."""
    uv, weights = without_response(kind, 120, 136, seed=21)
    got = run(name, uv, weights)
    truth = np.mean(got.mean_uv**2 / got.noise_uv**2)
    assert truth == pytest.approx(1.0, abs=0.08)
    assert np.mean(got.plus_minus_uv**2 / got.noise_uv**2) == pytest.approx(1.0, abs=0.08)
    if name != "blocks":
        assert np.mean(got.null_uv**2 / got.noise_uv[None, None] ** 2) == pytest.approx(1.0, abs=0.04)


def test_a_response_is_present_and_leaves_no_trace_in_the_noise() -> None:
    uv, weights = without_response("typical", 40, 96, seed=22)
    response = 12.0 * np.sin(np.arange(ROWS) / 3.0)[None, :, None]
    for name in NAMES:
        mode_limit = uv if name != "reject" else np.clip(uv, -5.0, 5.0)
        bare, with_it = run(name, mode_limit, weights), run(name, mode_limit + response, weights)
        assert with_it.present.mean() > 0.9
        assert with_it.plus_minus_uv == pytest.approx(bare.plus_minus_uv, abs=1e-9)
        assert with_it.null_uv == pytest.approx(bare.null_uv, abs=1e-9, nan_ok=True)
        assert with_it.mean_uv - bare.mean_uv == pytest.approx(
            np.broadcast_to(response[0], with_it.mean_uv.shape), abs=1e-9
        )
        assert with_it.noise_uv == pytest.approx(bare.noise_uv, rel=1e-9)
        assert with_it.fmp_bound == pytest.approx(bare.fmp_bound, rel=1e-9)


def test_weights_and_blocks_outlive_a_burst_that_ruins_the_plain_mean() -> None:
    rng = np.random.default_rng(23)
    uv = rng.standard_normal((160, 40, 30))
    uv[64:80] *= 20.0
    weights = np.ones((160, 30))
    weights[64:80] = 1.0 / 400.0
    rms = {name: np.sqrt(np.mean(run(name, uv, weights).mean_uv ** 2)) for name in NAMES}
    assert rms["plain"] > 5.0 * rms["weighted"]
    assert rms["weighted"] == pytest.approx(1.0 / 12.0, rel=0.05)
    assert rms["blocks"] < 1.05 * rms["weighted"]
    assert rms["reject"] < 1.05 * rms["weighted"]


def test_effective_sweeps_are_those_of_the_textbook() -> None:
    uv = np.random.default_rng(24).standard_normal((600, 4, 1))
    ones = np.ones((600, 1))
    assert run("plain", uv, ones).n_effective == pytest.approx([600.0])
    assert run("exponential", uv, ones).n_effective == pytest.approx([(2.0 - SHARE) / SHARE], rel=1e-4)
    assert run("moving", uv, ones).n_effective == pytest.approx([WINDOW])
    assert run("blocks", uv, ones).n_effective[0] < 600.0


def test_moving_and_exponential_forget_and_plain_does_not() -> None:
    uv = np.concatenate([np.full((400, 5, 1), 100.0), np.zeros((200, 5, 1))])
    uv += np.random.default_rng(25).standard_normal(uv.shape)
    ends = {name: float(run(name, uv, np.ones((600, 1))).mean_uv.mean()) for name in NAMES}
    assert abs(ends["moving"]) < 0.5
    assert ends["exponential"] == pytest.approx(100.0 * (1.0 - SHARE) ** 200, abs=0.5)
    assert ends["plain"] == pytest.approx(66.7, abs=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_used_is_rejected_per_derivation_and_nothing_warns(name: modes.Name) -> None:
    rng = np.random.default_rng(26)
    uv = rng.standard_normal((80, 6, 7))
    weights = np.ones((80, 7))
    uv[::2, 3, 0] = np.nan
    uv[::2, 3, 1] = -np.inf
    uv[::2, 3, 2] = 1e300
    weights[::2, 3] = [np.nan, np.inf, -1.0, 0.0] * 10
    uv[:, :, 4] = 0.0
    uv[:, :, 5] = np.nan
    uv[:, :, 6] = 1e-200 * uv[:, :, 3]
    got = run(name, uv, weights)
    assert got.n_rejected[:6].tolist() == [40, 40, 40, 40, 0, 80]
    clean = run(name, uv[1::2, :, :4], weights[1::2, :4])
    if name != "moving":  # its window counts the other derivations' sweeps too
        assert np.array_equal(got.mean_uv[:, :4], clean.mean_uv)
        assert np.array_equal(got.residual_uv[:, :4], clean.residual_uv)
    assert np.isfinite(got.mean_uv[:, :5]).all() and np.isfinite(got.noise_uv[:5]).all()
    assert not got.mean_uv[:, 4].any() and got.noise_uv[4] == 0.0
    assert np.isnan(got.fmp[4:6]).all() and np.isinf(got.fmp_bound[4:6]).all()
    assert not got.present[4:].any()
    assert np.isnan(got.mean_uv[:, 5]).all() and np.isnan(got.noise_uv[5])
    assert got.n_effective[5] == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_sweeps_say_little_and_never_warn(name: modes.Name, n: int) -> None:
    uv = np.random.default_rng(27).standard_normal((n, 6, 2)).astype(np.float32)
    got = run(name, uv.reshape(n, 6, 2), np.ones((n, 2), np.float32))
    units = 0 if name == "blocks" else n
    assert got.n_sweeps.tolist() == [units, units]
    assert np.isnan(got.mean_uv).all() == (units == 0)
    assert np.isnan(got.noise_uv).all() == (units < 2)
    assert np.isnan(got.null_uv).all()
    assert not got.present.any()
    assert not np.isfinite(got.average().noise_uv).any()


def test_an_average_of_any_mode_can_be_measured() -> None:
    uv, weights = without_response("quiet", 1, 256, seed=28)
    uv = uv + 8.0 * np.exp(-0.5 * ((np.arange(ROWS) - 20.0) / 2.0) ** 2)[None, :, None]
    for name in NAMES:
        got = run(name, np.clip(uv, -LIMIT_UV, LIMIT_UV), weights).average()
        (found,) = measure(got, (Peak("P", 0, 1, (15.0, 25.0)),), ("D",), 0.0, 1.0)
        assert found.present
        assert found.latency_ms == pytest.approx(20.0, abs=1.0)


def test_parameters_without_meaning_are_refused() -> None:
    for name, options in (
        ("reject", {"limit_uv": 0.0}),
        ("reject", {"limit_uv": float("nan")}),
        ("exponential", {"share": 0.0}),
        ("exponential", {"share": 1.0}),
        ("moving", {"sweeps": 1}),
        ("median", {}),
    ):
        with pytest.raises(ValueError):
            modes.make(name, 10, 2, **options)  # type: ignore[arg-type]
    for shape in ((1, 2), (10, 0)):
        with pytest.raises(ValueError):
            modes.make("plain", *shape)
    with pytest.raises(ValueError):
        modes.make("plain", 10, 2, (5, 11))
