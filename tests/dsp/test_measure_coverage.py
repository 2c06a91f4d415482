"""Intervals hold the truth, noise alone is absent, and the plain twin says the same."""

import math
from functools import cache

import numpy as np
import pytest
from scipy import stats

from dsp import intervals
from dsp import kernels_measure as kernels
from dsp import reference_measure as twin
from dsp.measure import Measurer, measure
from dsp.nouns import Average, Peak
from dsp.picker import best_in_order, picker
from dsp.presence import (
    T_PRESENT,
    Scratch,
    energetic,
    f_deviate,
    f_quantile,
    gathered,
    look,
    margin,
    noise_of,
    t_deviate,
    t_quantile,
)
from tests.evoked.coverage import DT_MS, SHAPES, T0_MS, TIMES_MS, bump, cell, measured, noise_average, scaled

RUNS = 400
KINDS = (("quiet", 16), ("severe", 64))
NOISES = [(spectrum, kind) for spectrum in ("white", "1/f^2") for kind, _ in KINDS]
ERRORS = 3.3
"""Standard errors that a cell may miss its bar by: one cell in 1,000 does so by chance."""


@cache
def noise_like(spectrum: str, kind: str) -> Average:
    """Made once, where it is used: every process of the tests imports this."""
    k, n = next((k, n) for k, (name, n) in enumerate(KINDS) if name == kind)
    return noise_average(77 + k, RUNS, spectrum, kind, n)


def error_of(runs: int) -> float:
    return math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("key", NOISES)
def test_intervals_hold_the_truth_in_93_to_97_percent(key: tuple[str, str]) -> None:
    """Over the shapes and SNRs of one noise; each cell within its binomial margin of that band."""
    inside: list[tuple[int, float, float]] = []
    for name in ("peak to peak", "from baseline", "sharp", "flat top"):
        for snr in (5.0, 20.0):
            c = cell(noise_like(*key), SHAPES[name], snr)
            inside.append((c.present, c.latency, c.amplitude))
            margin = ERRORS * error_of(c.present)
            assert 0.93 - margin < c.latency < 0.97 + margin, (name, snr)
            assert 0.93 - margin < c.amplitude < 0.97 + margin, (name, snr)
            assert c.gain == pytest.approx(1.0, abs={5.0: 0.15, 20.0: 0.02}[snr]), (name, snr)
    total = sum(n for n, _, _ in inside)
    for at in (1, 2):
        assert 0.935 < sum(x[0] * x[at] for x in inside) / total < 0.97


@pytest.mark.parametrize("key", NOISES)
def test_near_the_limit_of_presence_the_amplitude_is_not_the_winners(
    key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amplitude / noise of 4, peak to peak: the noise helped whatever is present. Without the correction the
    interval fails and the amplitude is read too large; few are absent because nothing stays of them."""
    told = cell(noise_like(*key), SHAPES["peak to peak"], 4.0)
    assert told.amplitude > 0.93 - ERRORS * error_of(told.present)
    monkeypatch.setattr(intervals, "FAR", 0.0)
    picked = cell(noise_like(*key), SHAPES["peak to peak"], 4.0)
    assert 0 <= picked.present - told.present <= 0.02 * RUNS
    assert told.latency == pytest.approx(picked.latency, abs=0.01)
    if told.present < RUNS // 2:
        assert picked.gain > 1.25 and told.gain < 1.25
        assert picked.amplitude < told.amplitude - 0.02
    assert abs(told.gain - 1.0) < abs(picked.gain - 1.0) + 0.03


def test_where_presence_is_certain_it_corrects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    average = scaled(noise_like("1/f^2", "quiet"), bump(np.full(RUNS, 20.0), 1.6, 1.4), 0.03)
    peak = SHAPES["from baseline"]
    told = measured(average, peak)
    monkeypatch.setattr(intervals, "FAR", 0.0)
    assert told == measured(average, peak)


@pytest.mark.parametrize("beyond", [0.05, 0.3, 1.0, 1.7, 2.5, 4.0])
def test_ends_are_those_of_the_truncated_normal_distribution(beyond: float) -> None:
    """The chance to exceed what was read, given that it is beyond the least, is 2.5 % at the lower end of the
    interval and 97.5 % at the upper; the middle is the mean of that likelihood over its amplitudes."""
    for z, knots in ((1.96, intervals.LOW_END), (-1.96, intervals.HIGH_END)):
        end = beyond - intervals.between(beyond, knots)
        if beyond >= knots[0][0]:  # below, it is left where it was: beneath any amplitude of zero
            chance = stats.norm.logsf(beyond, end) - stats.norm.logsf(0.0, end)
            assert math.exp(chance) == pytest.approx(stats.norm.sf(z), rel=0.01)
    means = np.linspace(intervals.LEAST, beyond + 12.0, 20001)
    likely = np.exp(stats.norm.logpdf(beyond, means) - stats.norm.logsf(0.0, means))
    mean = np.trapezoid(likely * means, means) / np.trapezoid(likely, means)
    assert beyond - intervals.between(beyond, intervals.MIDDLE) == pytest.approx(mean, abs=0.005)


def test_the_amplitude_is_within_its_interval_and_leaves_it_smoothly() -> None:
    for amplitude in (0.5, 3.0, 9.0):
        for spread, below, above in ((1.0, 1.1, 1.3), (0.2, 1.5, 1.5), (0.0, 0.1, 0.1)):
            before = None
            for beyond in np.linspace(0.0, 8.0, 801):
                told, (low, high) = intervals.given_present(amplitude, float(beyond), spread, below, above)
                assert low <= told <= high
                assert low >= min(0.0, amplitude - 1.96 * below)
                if before is not None:
                    assert abs(told - before) < 0.03 * max(spread, below)
                before = told
            assert (told, low, high) == pytest.approx(
                (amplitude, amplitude - 1.96 * below, amplitude + 1.96 * above), abs=0.002
            )


def test_the_margin_is_where_presence_ends() -> None:
    """Less of what goes with the amplitude, by a thousandth more or less than the margin: absent, present."""
    shape, tried = SHAPES["from baseline"], 0
    average = scaled(noise_like("1/f^2", "quiet"), shape.trace(np.full(RUNS, 20.0)), shape.height_uv / 6.0)
    where = picker(Peak("N20", 0, 1, shape.window_ms), len(TIMES_MS), T0_MS, DT_MS)
    scratch, traces = Scratch(len(TIMES_MS)), np.zeros((1, 16, len(TIMES_MS)))
    for d in range(60):
        gathered(average, np.array([d]), traces)
        noise = noise_of(average, d, traces[0], scratch)
        assert noise is not None
        seen = look(where, noise, scratch)
        above = float(seen.picks[0, kernels.AMPLITUDE]) - seen.centre_uv
        told = above - T_PRESENT * seen.spread_uv
        beyond = margin(seen, noise, math.inf, scratch)
        if beyond in (told, above):
            continue
        tried += 1
        first, end = where.span
        along, mean = scratch.up[first:end].copy(), traces[0, 0, first:end].copy()
        for share in (0.999, 1.001):
            traces[0, 0, first:end] = mean - share * beyond * along
            assert energetic(look(where, noise, scratch), noise) == (share < 1.0)
    assert tried > 5


@pytest.mark.parametrize(
    ("name", "most_ms", "largest_value_ms"), [("from baseline", 0.26, 0.33), ("flat top", 0.62, 0.90)]
)
def test_a_latency_is_that_of_the_top_not_of_its_largest_value(
    name: str, most_ms: float, largest_value_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rms errors at amplitude / noise 12 in white noise, and what the largest value alone would give."""
    shape = SHAPES[name]
    runs = noise_like("white", "quiet").mean_uv.shape[1]
    latencies_ms = np.linspace(19.5, 20.5, runs)
    average = scaled(noise_like("white", "quiet"), shape.trace(latencies_ms), shape.height_uv / 12.0)
    silent = average_of(shape.trace(latencies_ms)[:, 0])
    (truth,) = measure(silent, (Peak("N20", 0, 1, shape.window_ms, shape.to_ms),), ("",), T0_MS, DT_MS)
    for top_sds, bar_ms in ((intervals.TOP_SDS, most_ms), (0.0, 1.1 * largest_value_ms)):
        monkeypatch.setattr(intervals, "TOP_SDS", top_sds)
        late = np.array([one.latency_ms or np.nan for one in measured(average, shape)]) - latencies_ms
        late -= (truth.latency_ms or np.nan) - latencies_ms[0]
        rms = float(np.sqrt(np.nanmean(late**2)))
        assert rms <= bar_ms
    assert rms > 0.9 * largest_value_ms


@pytest.mark.parametrize("key", NOISES)
def test_noise_alone_is_absent(key: tuple[str, str]) -> None:
    assert sum(m.present for s in SHAPES.values() for m in measured(noise_like(*key), s)) <= 12  # of 2,400


@pytest.mark.parametrize("key", NOISES)
@pytest.mark.parametrize("to_ms", [None, (21.0, 30.0)])
@pytest.mark.parametrize("noise_uv", [0.12, 0.3])
def test_the_twin_says_the_same(
    key: tuple[str, str], to_ms: tuple[float, float] | None, noise_uv: float
) -> None:
    runs = 4
    response = bump(np.linspace(19.0, 21.0, runs), 1.6, 1.4)
    noise = noise_like(*key)
    one = Average(
        noise.mean_uv[:, :runs],
        noise.noise_uv[:runs],
        noise.null_uv[:, :, :runs],
        64,
        0,
        np.ones(runs),
        0,
        1,
        False,
    )
    average = scaled(one, response, noise_uv)
    peak = Peak("N20", 0, 1, (16.0, 24.0), to_ms)
    for d in range(runs):
        mean, nulls = average.mean_uv[:, d].tolist(), average.null_uv[:, :, d].tolist()
        got = measure(average, (Peak("N20", d, 1, (16.0, 24.0), to_ms),), ("",) * runs, T0_MS, DT_MS)[0]
        quantile = t_quantile(twin.freedoms(nulls)[1])
        want = twin.interval(mean, nulls, peak, T0_MS, DT_MS, quantile)
        assert got.present == (twin.present(mean, nulls, peak, T0_MS, DT_MS) and want[3] > 0.0)
        if got.present:
            told = (got.latency_ms, *got.latency_ci_ms, got.amplitude_uv, *got.amplitude_ci_uv)  # type: ignore
            assert told == pytest.approx(want, rel=1e-10, abs=1e-12)


def average_of(trace: np.ndarray, null: np.ndarray | None = None) -> Average:
    null = np.zeros((15, len(trace), 1)) if null is None else null
    noise = np.sqrt(np.mean(null**2, axis=(0, 1)))
    return Average(trace[:, None], noise, null, 64, 0, np.ones(1), 0, 1, False)


def quiet_null(uv: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    return uv * rng.standard_normal((15, len(TIMES_MS), 1))


P14_N20 = (Peak("P14", 0, 1, (11.0, 21.0)), Peak("N20", 0, 1, (15.0, 25.0)))


def found(trace: np.ndarray, peaks: tuple[Peak, ...], noise_uv: float = 0.01) -> list[float | None]:
    return [
        m.latency_ms for m in measure(average_of(trace, quiet_null(noise_uv)), peaks, ("",), T0_MS, DT_MS)
    ]


def test_peaks_of_one_derivation_come_in_the_order_of_the_list() -> None:
    """Both windows hold both; the larger one is the second's alone."""
    at = np.array(14.0), np.array(19.0)
    first, second = found(bump(at[0], 0.8, 1.0) + bump(at[1], 0.8, 2.0), P14_N20)
    assert (first, second) == pytest.approx((14.0, 19.0), abs=0.2)
    first, second = found(bump(np.array(16.0), 0.8, 2.0) + bump(np.array(20.0), 0.8, 1.0), P14_N20)
    assert (first, second) == pytest.approx((16.0, 20.0), abs=0.2)


def test_one_extreme_is_not_two_peaks() -> None:
    assert sum(x is not None for x in found(bump(np.array(18.0), 0.8, 2.0), P14_N20)) == 1


def test_of_two_alike_the_one_in_the_middle_of_the_window_is_meant() -> None:
    peak = (Peak("N20", 0, 1, (15.0, 25.0)),)
    (at,) = found(bump(np.array(16.5), 0.5, 1.1) + bump(np.array(20.0), 0.5, 1.0), peak, noise_uv=0.08)
    assert at == pytest.approx(20.0, abs=0.3)
    (at,) = found(bump(np.array(16.5), 0.5, 2.0) + bump(np.array(20.0), 0.5, 1.0), peak, noise_uv=0.02)
    assert at == pytest.approx(16.5, abs=0.3)


def test_the_best_order_is_that_of_all_orders() -> None:
    rng = np.random.default_rng(9)
    for _ in range(100):
        lists = [
            [(int(r), float(rng.uniform(0, 9))) for r in rng.choice(12, 3, replace=False)] for _ in range(3)
        ]
        best = max(
            sum(s for _, s in taken)
            for a in [None, *lists[0]]
            for b in [None, *lists[1]]
            for c in [None, *lists[2]]
            if (taken := [x for x in (a, b, c) if x]) == sorted(set(taken))
            and len({r for r, _ in taken}) == len(taken)
        )
        rows = best_in_order(lists)
        assert [r for r in rows if r is not None] == sorted({r for r in rows if r is not None})
        assert sum(dict(x)[r] for x, r in zip(lists, rows, strict=True) if r is not None) == pytest.approx(
            best
        )


@pytest.mark.parametrize("kind", ["nan", "inf", "rail", "zeros", "few"])
def test_what_is_no_number_is_absent_without_a_warning(kind: str) -> None:
    mean, null = bump(np.array(20.0), 1.0, 1.0), quiet_null(0.1)
    if kind == "nan":
        mean[100] = np.nan
        null[:, 100] = np.nan
    if kind == "inf":
        mean[100] = np.inf
    if kind == "rail":
        mean[:], null[:] = 5e5, 0.0
    if kind == "zeros":
        mean[:], null[:] = 0.0, 0.0
    average = average_of(mean, null)
    if kind == "few":
        average = Average(mean[:, None], np.full(1, np.nan), null * np.nan, 3, 0, np.ones(1), 0, 1, False)
    with np.errstate(all="raise"):
        measurer = Measurer((Peak("N20", 0, 1, (15.0, 25.0), (20.0, 30.0)),), ("",), len(mean), T0_MS, DT_MS)
        (got,) = measurer.measure(average)
        (evidence,) = measurer.evidence(average)
    assert not got.present and got.latency_ms is None and got.amplitude_ci_uv is None
    assert evidence.deviate is None or evidence.deviate < 2.0


@pytest.mark.parametrize(
    ("peak", "dt_ms"),
    [(Peak("x", 1, 1, (1, 2)), 0.1), (Peak("x", 0, 2, (1, 2)), 0.1), (Peak("x", 0, 1, (1, 2)), 0.0)],
)
def test_impossible_parameters_are_refused(peak: Peak, dt_ms: float) -> None:
    with pytest.raises(ValueError, match=r"x|rows"):
        Measurer((peak,), ("a",), 100, 0.0, dt_ms)


def test_quantiles_are_scipys() -> None:
    for n in (3.0, 5.0, 9.3, 15.0):
        assert t_quantile(n) == pytest.approx(stats.t.isf(stats.norm.sf(1.96), n), rel=0.01)
        assert t_deviate(3.0, n) == pytest.approx(stats.norm.isf(stats.t.sf(3.0, n)), rel=0.02)
    assert f_deviate(7.0, 90.0, f_quantile(7.0, 90.0, 2.5)) == pytest.approx(2.5)
