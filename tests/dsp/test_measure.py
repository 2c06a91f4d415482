"""A peak is measured where it is, with intervals that hold what they promise; noise alone is told absent."""

import math

import numpy as np
import pytest
from scipy import stats

from dsp.measure import measure
from dsp.nouns import Average, Measurement, Peak
from dsp.presence import T_PRESENT, Z_PRESENT, f_quantile
from tests.support.streams import Floats, coloured_noise

RATE_HZ = 2000.0
DT_MS = 1e3 / RATE_HZ
T0_MS = -15.0
TIMES_MS = T0_MS + DT_MS * np.arange(130)
PATTERNS = 15
N20_P25 = ((16.0, 24.0), (21.0, 30.0))
PERIOD = 400
"""Rows in which the synthetic noise repeats: one bin is 5 Hz."""
SPECTRA = {"white above 30 Hz": (0.0, 6), "pink": (1.0, 1), "brown": (2.0, 2)}


def bump(latency_ms: Floats | float, width_ms: float, height_uv: float) -> Floats:
    """A Gaussian bump (time, ...) at each latency."""
    shifted = np.subtract.outer(TIMES_MS, latency_ms)
    return np.asarray(height_uv * np.exp(-0.5 * (shifted / width_ms) ** 2))


def n20_p25(latency_ms: Floats | float) -> Floats:
    """2.9 uV from the N20 (up) to the P25."""
    return bump(latency_ms, 1.6, 1.4) - bump(np.asarray(latency_ms) + 5.2, 2.3, 1.6)


def averages(spectrum: str, n: int, seed: int) -> tuple[Floats, Floats]:
    """n averages of noise of 1 uVrms: means (time, n) and their null averages (pattern, time, n)."""
    slope, low = SPECTRA[spectrum]
    rng = np.random.default_rng(seed)
    noise = coloured_noise(rng, PERIOD, (1 + PATTERNS, n), slope, low)[:, :, : len(TIMES_MS)]
    both = noise.transpose(0, 2, 1)  # a view: each trace stays in one piece, which makes measuring fast
    return both[0], both[1:]


def measured(
    mean: Floats,
    null: Floats,
    window_ms: tuple[float, float] = N20_P25[0],
    to_ms: tuple[float, float] | None = N20_P25[1],
    polarity: int = 1,
) -> list[Measurement]:
    """One measurement per column of mean (time, n), null (pattern, time, n)."""
    n = mean.shape[1]
    average = Average(
        mean, np.sqrt(np.mean(null**2, axis=(0, 1))), null, 100, 0, np.full(n, 100.0), 0, 1, False
    )
    peaks = tuple(Peak("N20", d, polarity, window_ms, to_ms) for d in range(n))
    return measure(average, peaks, tuple(f"D{d}" for d in range(n)), T0_MS, DT_MS)


def noiseless(trace: Floats, **options: object) -> Measurement:
    mean = trace[:, None]
    return measured(mean, np.zeros((PATTERNS, *mean.shape)), **options)[0]  # type: ignore[arg-type]


def summary(found: list[Measurement], true: list[Measurement]) -> dict[str, float]:
    """Shares and means over the measurements that are present, each against its noiseless twin."""
    pairs = [(m, t) for m, t in zip(found, true, strict=True) if m.present]
    inside_ms = [m.latency_ci_ms[0] <= t.latency_ms <= m.latency_ci_ms[1] for m, t in pairs]
    inside_uv = [m.amplitude_ci_uv[0] <= t.amplitude_uv <= m.amplitude_ci_uv[1] for m, t in pairs]
    return {
        "present": len(pairs) / len(found),
        "latency_covered": float(np.mean(inside_ms)),
        "amplitude_covered": float(np.mean(inside_uv)),
        "amplitude": float(np.mean([m.amplitude_uv / t.amplitude_uv for m, t in pairs])),
        "latency_ms": float(np.mean([m.latency_ms - t.latency_ms for m, t in pairs])),
        "half_ms": float(np.median([m.latency_ci_ms[1] - m.latency_ms for m, _ in pairs])),
    }


@pytest.fixture(scope="module")
def studied() -> dict[tuple[str, float, bool], dict[str, float]]:
    """Of responses of slightly different latency; by spectrum, noise in uV, peak to peak or not."""
    latencies = 20.0 + np.random.default_rng(3).uniform(-0.5, 0.5, 400)
    responses = n20_p25(latencies)
    silent = np.zeros((PATTERNS, *responses.shape))
    done = {}
    for peak_to_peak in (True, False):
        to_ms = N20_P25[1] if peak_to_peak else None
        true = measured(responses, silent, to_ms=to_ms)
        for spectrum in SPECTRA:
            mean, null = averages(spectrum, len(latencies), seed=4)
            for noise_uv in (0.1, 0.2, 0.3):
                found = measured(mean * noise_uv + responses, null * noise_uv, to_ms=to_ms)
                done[spectrum, noise_uv, peak_to_peak] = summary(found, true)
    return done


@pytest.mark.parametrize("latency_ms", np.linspace(19.0, 20.0, 9))
@pytest.mark.parametrize("polarity", [1, -1])
def test_a_known_peak_is_measured_to_a_hundredth_of_a_millisecond(latency_ms: float, polarity: int) -> None:
    got = noiseless(polarity * bump(latency_ms, 1.6, 1.4), polarity=polarity, to_ms=None)
    assert got.present
    assert got.latency_ms == pytest.approx(latency_ms, abs=0.01)
    assert got.amplitude_uv == pytest.approx(1.4, rel=0.005)
    assert got.latency_ci_ms == pytest.approx((got.latency_ms, got.latency_ms))
    assert got.amplitude_ci_uv == pytest.approx((got.amplitude_uv, got.amplitude_uv))
    assert (got.name, got.derivation) == ("N20", "D0")


def test_a_sine_is_measured_to_a_hundredth_of_a_millisecond() -> None:
    """250 Hz sampled eight times a period: the peak between two rows is where the sine says."""
    for latency_ms in np.linspace(18.0, 19.0, 11):
        got = noiseless(np.cos(2 * np.pi * 0.1 * (TIMES_MS - latency_ms)), window_ms=(16.0, 22.0), to_ms=None)
        assert got.latency_ms == pytest.approx(latency_ms, abs=0.01)


def test_the_amplitude_to_the_opposite_extreme_is_peak_to_peak() -> None:
    got = noiseless(n20_p25(20.0))
    trace = n20_p25(20.0)
    assert got.amplitude_uv == pytest.approx(trace.max() - trace.min(), rel=0.01)
    lifted = noiseless(trace + 7.0)
    assert lifted.amplitude_uv == pytest.approx(got.amplitude_uv)
    assert noiseless(trace + 7.0, to_ms=None).amplitude_uv == pytest.approx(trace.max(), rel=0.01)


def test_only_the_opposite_extreme_within_its_window_and_behind_the_peak_counts() -> None:
    trace = bump(20.0, 1.6, 1.4) - bump(26.0, 1.0, 1.0) - bump(35.0, 1.0, 9.0) - bump(17.0, 0.5, 9.0)
    got = noiseless(trace, to_ms=(16.0, 30.0))
    assert got.amplitude_uv == pytest.approx(2.4, rel=0.02)


def test_polarity_is_that_of_the_recording() -> None:
    trace = -bump(18.0, 1.0, 1.0) + bump(22.0, 1.0, 1.0)
    assert noiseless(trace, polarity=1, to_ms=None).latency_ms == pytest.approx(22.0, abs=0.01)
    assert noiseless(trace, polarity=-1, to_ms=None).latency_ms == pytest.approx(18.0, abs=0.01)
    assert noiseless(trace, polarity=-1, to_ms=None).amplitude_uv == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("outside_ms", [14.0, 26.0])
def test_the_edge_of_a_window_is_not_a_peak(outside_ms: float) -> None:
    """A slope over the whole window has its largest value at an edge: the true extreme lies outside."""
    assert not noiseless(bump(outside_ms, 3.0, 5.0), to_ms=None).present
    assert noiseless(bump(outside_ms, 3.0, 5.0), to_ms=None, window_ms=(10.0, 30.0)).present


def test_noise_does_not_make_a_peak_of_an_edge() -> None:
    """The average rises up to the edge, whatever its noise-only averages would make of that."""
    _, null = averages("white above 30 Hz", 40, seed=9)
    slopes = np.repeat(bump(26.0, 3.0, 5.0)[:, None], 40, axis=1)
    assert not any(m.present for m in measured(slopes, 0.7 * null, to_ms=None))


def test_what_lies_between_waves_of_the_other_polarity_is_no_peak() -> None:
    """Two downward waves leave a maximum between them, at no height: great energy, and no N20."""
    n = 400
    dips = -bump(np.full(n, 17.0), 1.0, 6.0) - bump(np.full(n, 22.0), 1.0, 6.0)
    noise, null = averages("pink", n, 5)
    told = [one for one in measured(dips + noise, null, to_ms=None) if one.present]
    assert len(told) <= 0.06 * n
    assert all(one.amplitude_uv is not None and one.amplitude_uv > 0.0 for one in told)


@pytest.mark.parametrize("window_ms", [(500.0, 600.0), (-90.0, -50.0)])
def test_a_window_outside_of_the_trace_holds_nothing(window_ms: tuple[float, float]) -> None:
    assert not noiseless(n20_p25(20.0), window_ms=window_ms, to_ms=None).present
    assert not noiseless(n20_p25(20.0), to_ms=window_ms).present


@pytest.mark.parametrize("uv", [0.0, 3.0])
def test_a_flat_trace_has_no_peak(uv: float) -> None:
    got = noiseless(np.full(len(TIMES_MS), uv))
    assert not got.present
    assert got.noise_uv == 0.0


@pytest.mark.control("H14.3")
def test_an_absent_response_is_absent_with_the_noise_that_it_was_judged_against() -> None:
    mean, null = averages("white above 30 Hz", 5, seed=8)
    for d, got in enumerate(measured(0.4 * mean, 0.4 * null)):
        assert got == Measurement("N20", f"D{d}", False, None, None, None, None, got.noise_uv)
        assert got.noise_uv == pytest.approx(0.4 * np.sqrt(np.mean(null[:, :, d] ** 2)))


def test_without_noise_known_nothing_is_said() -> None:
    unknown = np.full((PATTERNS, len(TIMES_MS), 1), np.nan)
    (got,) = measured(n20_p25(20.0)[:, None], unknown)
    assert got == Measurement("N20", "D0", False, None, None, None, None, None)


def test_each_peak_is_measured_in_its_own_derivation() -> None:
    mean = np.stack([bump(18.0, 1.0, 1.0), bump(22.0, 1.0, 2.0)], axis=1)
    null = np.zeros((PATTERNS, *mean.shape))
    average = Average(mean, np.zeros(2), null, 100, 0, np.full(2, 100.0), 0, 1, False)
    peaks = (Peak("b", 1, 1, (15.0, 25.0)), Peak("a", 0, 1, (15.0, 25.0)))
    b, a = measure(average, peaks, ("first", "second"), T0_MS, DT_MS)
    assert (b.name, b.derivation, a.name, a.derivation) == ("b", "second", "a", "first")
    assert (b.latency_ms, a.latency_ms) == pytest.approx((22.0, 18.0), abs=0.01)


def false_positives(spectrum: str, n: int, offset_uv: float = 0.0) -> list[int]:
    """Of n averages without a response, how many are said to have one: peak to peak, from the baseline."""
    mean, null = averages(spectrum, n, seed=21)
    mean = mean + offset_uv
    return [
        sum(m.present for m in measured(mean, null)),
        sum(m.present for m in measured(mean, null, (15.0, 25.0), None, polarity=-1)),
    ]


@pytest.mark.control("H14.3")
def test_noise_alone_is_present_once_in_a_thousand() -> None:
    n = 4000
    counts = {spectrum: false_positives(spectrum, n) for spectrum in SPECTRA}
    for count in counts.values():
        assert sum(count) / (2 * n) < 0.004
        assert max(count) / n < 0.005
    total = sum(map(sum, counts.values())) / (2 * n * len(SPECTRA))
    assert 0.0002 < total < 0.004


def test_an_electrode_offset_is_no_response() -> None:
    """What is not filtered keeps its offset through the average, and the null averages have none."""
    assert max(false_positives("pink", 400, offset_uv=2e4)) <= 4


def test_bursts_do_not_make_a_response() -> None:
    """Weighted sub-averages of unequal noise: the patterns are no longer independent of each other."""
    n = 600
    rng = np.random.default_rng(5)
    parts = coloured_noise(rng, PERIOD, (16, n), 0.0, 6)[:, :, : len(TIMES_MS)] * np.exp(
        rng.standard_normal((16, n, 1))
    )
    signs = np.array([[(-1.0) ** (i & j).bit_count() for j in range(16)] for i in range(16)])
    mixed = np.einsum("ij,jdt->itd", signs, parts) / 16
    assert sum(m.present for m in measured(mixed[0], mixed[1:])) <= 4


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_a_response_of_3_uv_is_seen_in_noise_of_0_41_uv(spectrum: str) -> None:
    mean, null = averages(spectrum, 300, seed=6)
    latencies = 20.0 + np.random.default_rng(6).uniform(-0.5, 0.5, 300)
    found = measured(0.41 * mean + n20_p25(latencies), 0.41 * null)
    assert np.mean([m.present for m in found]) > 0.75


def good(noise_uv: float) -> bool:
    """SNR of 6 dB and above: rms of the response over 12-45 ms against the noise."""
    response = n20_p25(20.0)[(TIMES_MS >= 12.0) & (TIMES_MS <= 45.0)]
    return 20 * math.log10(float(np.sqrt(np.mean(response**2))) / noise_uv) >= 6.0


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("noise_uv", [0.1, 0.2, 0.3])
def test_intervals_hold_the_truth_as_often_as_they_promise(
    studied: dict[tuple[str, float, bool], dict[str, float]], spectrum: str, noise_uv: float
) -> None:
    assert good(noise_uv)
    for peak_to_peak in (True, False):
        found = studied[spectrum, noise_uv, peak_to_peak]
        if found["present"] > 0.95:
            assert 0.88 < found["latency_covered"] < 0.99
            assert 0.88 < found["amplitude_covered"] < 0.99
    assert studied[spectrum, noise_uv, True]["present"] > 0.99


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("noise_uv", [0.1, 0.2, 0.3])
def test_amplitude_and_latency_are_unbiased_at_6_db(
    studied: dict[tuple[str, float, bool], dict[str, float]], spectrum: str, noise_uv: float
) -> None:
    """Picking an extreme alone reads 20 % too much here (white, 0.3 uV)."""
    for peak_to_peak in (True, False):
        found = studied[spectrum, noise_uv, peak_to_peak]
        if found["present"] > 0.95:
            assert found["amplitude"] == pytest.approx(1.0, abs=0.05)
            assert found["latency_ms"] == pytest.approx(0.0, abs=0.15)


def test_intervals_grow_with_the_noise(studied: dict[tuple[str, float, bool], dict[str, float]]) -> None:
    for spectrum in SPECTRA:
        low, high = (studied[spectrum, noise_uv, True]["half_ms"] for noise_uv in (0.1, 0.3))
        # Less than the noise: the more of it, the further down the top is drawn through.
        assert 1.5 < high / low < 6.0


@pytest.mark.parametrize("n1", [2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 45, 60])
@pytest.mark.parametrize("z", [3.09, Z_PRESENT])
def test_f_quantile_is_scipys_within_two_percent(n1: float, z: float) -> None:
    assert f_quantile(n1, 15 * n1, z) == pytest.approx(stats.f.isf(stats.norm.sf(z), n1, 15 * n1), rel=0.02)


def test_f_quantile_without_freedom_is_never_reached() -> None:
    assert f_quantile(1.0, 1.0) == math.inf
    assert f_quantile(10.0, 1e9, 0.0) == pytest.approx(stats.f.ppf(0.5, 10, 1e9), rel=0.02)


def test_the_constants_are_those_of_the_distributions() -> None:
    assert stats.norm.sf(Z_PRESENT) == pytest.approx(0.0005, rel=0.01)
    assert stats.t.sf(T_PRESENT, PATTERNS - 1) < 0.0005
