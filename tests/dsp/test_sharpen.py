"""The sharpened trace has less noise, tells what it takes, and makes no response where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from dsp import reference_sharpen as slow
from dsp import sharpen
from dsp.average import hadamard
from dsp.filters import butterworth, settle_samples
from dsp.measure import measure
from dsp.nouns import Average, Peak
from dsp.sharpen import Sharpened, low_pass, sharpen_low_pass, sharpen_wiener, wiener_gain
from tests.evoked import noise

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
RATE_HZ, ROWS, T0_MS = 4000.0, 400, -20.0
DT_MS = 1e3 / RATE_HZ
N20 = Peak("N20", 0, -1, (16.0, 24.0), (21.0, 30.0))
NOISE_UV = 7.5


def response() -> Floats:
    t = T0_MS + np.arange(ROWS) * DT_MS
    parts = ((0.4, 14, 1.2), (-1.0, 20, 1.6), (1.1, 25, 2.3), (-0.6, 32, 3.5))
    return np.asarray(1.5 * sum(a * np.exp(-0.5 * ((t - m) / s) ** 2) for a, m, s in parts))


def averages(seed: int, sweeps: int, cases: int, of: Floats | float = 0.0) -> Average:
    """Averages of `cases` derivations, 30 to 1000 Hz, as 16 sub-averages give them."""
    rng = np.random.default_rng(seed)
    n = 16 * cases * ROWS
    x = noise.body(n, RATE_HZ, NOISE_UV / np.sqrt(sweeps / 16), (30.0, 1000.0), rng)
    x = np.fft.irfft(np.fft.rfft(x) * (np.fft.rfftfreq(n, 1 / RATE_HZ) >= 30.0), n)
    subs = x.reshape(16, cases, ROWS).transpose(0, 2, 1) + np.reshape(of, (-1, 1))
    sums = hadamard(np.ascontiguousarray(subs)) / 16
    null = sums[1:].astype(np.float32)
    rms = np.sqrt(np.mean(sums[1:] ** 2, axis=(0, 1)))
    return Average(sums[0], rms, null, sweeps, 0, np.full(cases, float(sweeps)), 0, 1, True)


def present(average: Average) -> float:
    """Share of derivations whose N20 is present."""
    count = average.mean_uv.shape[1]
    peaks = tuple(Peak("N20", d, -1, N20.window_ms, N20.to_ms) for d in range(count))
    found = measure(average, peaks, tuple(map(str, range(count))), T0_MS, DT_MS)
    return float(np.mean([m.present for m in found]))


def error(average: Average) -> float:
    return float(np.mean((average.mean_uv - response()[:, None]) ** 2))


@pytest.mark.parametrize("f", [50.0, 300.0, 600.0])
def test_the_corner_is_3_db_down_and_nothing_is_late(f: float) -> None:
    t = np.arange(2000) / RATE_HZ
    x = np.cos(2 * np.pi * f * t)[:, None]
    y = low_pass(x, RATE_HZ)[500:1500, 0]
    turned = np.exp(-2j * np.pi * f * t[500:1500])
    phasor = 2 * np.mean(y * turned)
    warped = np.tan(np.pi * f / RATE_HZ) / np.tan(np.pi * 300.0 / RATE_HZ)
    assert abs(phasor) == pytest.approx(1 / (1 + (np.sqrt(2) - 1) * warped**4), rel=1e-3)
    assert np.angle(phasor) == pytest.approx(0.0, abs=1e-3)


def test_ends_stay_where_they_are() -> None:
    ramp = np.linspace(1e3, 1.2e3, 80)[:, None]
    assert low_pass(ramp, RATE_HZ) == pytest.approx(ramp, rel=5e-5)


@pytest.mark.parametrize("n", [1, 2, 9, 200])
def test_the_low_pass_is_like_its_twin(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, 2))
    shift = (np.sqrt(2) - 1) ** 0.25
    sos = butterworth(2, np.arctan(np.tan(np.pi * 300 / RATE_HZ) / shift) * RATE_HZ / np.pi, "low", RATE_HZ)
    want = np.column_stack([slow.low_pass(x[:, d], sos, settle_samples(sos)) for d in range(2)])
    assert low_pass(x, RATE_HZ) == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_wiener_is_like_its_twin() -> None:
    a = averages(1, 300, 2, response())
    got = sharpen_wiener(a).average.mean_uv
    for d in range(2):
        want = slow.wiener(a.mean_uv[:, d], a.null_uv[:, :, d].astype(np.float64))
        assert got[:, d] == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_a_gain_is_within_0_and_1() -> None:
    rng = np.random.default_rng(3)
    gain = wiener_gain(rng.exponential(size=(16, 100, 5)) * rng.choice([0, 1e-30, 1, 1e6], (1, 100, 5)), 3)
    assert gain.min() >= 0.0
    assert gain.max() <= 1.0


def test_no_response_is_made() -> None:
    """1,000 averages without a response through Wiener's, 100 through the low-pass: 2.5 % at most."""
    a = averages(11, 300, 1000)
    assert present(some(sharpen_low_pass(a, RATE_HZ).average, np.arange(100))) <= 0.025
    result = sharpen_wiener(a).average
    flat = ~result.mean_uv.any(axis=0)
    # What is flat is absent: of those a sample will do.
    assert 0.9 < flat.mean() < 1.0
    assert present(some(result, np.flatnonzero(flat)[:20])) == 0.0
    assert present(some(result, np.flatnonzero(~flat))) * (~flat).mean() <= 0.025


def some(a: Average, which: Floats) -> Average:
    """The derivations `which` of an average."""
    columns = {"mean_uv": a.mean_uv[:, which], "null_uv": a.null_uv[:, :, which]}
    return replace(a, noise_uv=a.noise_uv[which], n_effective=a.n_effective[which], **columns)


def test_a_low_pass_halves_the_noise_power_and_costs_two_percent_at_most() -> None:
    a = averages(12, 300, 100, response())
    result = sharpen_low_pass(a, RATE_HZ)
    assert error(a) / error(result.average) > 1.3
    assert np.mean((result.average.noise_uv / a.noise_uv) ** 2) < 1 / 1.3
    # What the record calls its noise is its noise.
    assert np.median(result.average.noise_uv) == pytest.approx(np.sqrt(error(result.average)), rel=0.1)
    pure = low_pass(response()[:, None], RATE_HZ)[:, 0]
    assert 0.97 < np.ptp(pure) / np.ptp(response()) < 1.0
    assert result.original is a


@pytest.mark.parametrize(("sweeps", "least"), [(30, 2.0), (100, 2.0), (300, 2.0), (1000, 1.5)])
def test_wiener_has_a_fraction_of_the_squared_error(sweeps: int, least: float) -> None:
    a = averages(13, sweeps, 100, response())
    assert error(a) / error(sharpen_wiener(a).average) > least


def test_the_loss_and_its_bound() -> None:
    """The share of amplitude that is taken, by projection, is under the bound as often as it says."""
    s = response()
    a = averages(14, 1000, 200, s)
    for result in (sharpen_low_pass(a, RATE_HZ), sharpen_wiener(a)):
        told = np.isfinite(result.loss)
        assert told.mean() > 0.95
        assert np.all(result.loss[told] <= result.loss_bound[told])
        noiseless = filtered_response(result, a)
        true = 1 - (noiseless * (s - s.mean())[:, None]).sum(axis=0) / ((s - s.mean()) ** 2).sum()
        assert np.mean(true[told] <= result.loss_bound[told]) >= 0.93
        # Wiener's favours the noise that the mean has, and tells a third less than it takes.
        off = 0.02 if result.kind.startswith("low-pass") else 0.07
        assert np.median(result.loss[told]) == pytest.approx(np.median(true[told]), abs=off)


def filtered_response(result: Sharpened, a: Average) -> Floats:
    """What the result's filter makes of the response alone (time, derivation)."""
    s = np.repeat(response()[:, None], a.mean_uv.shape[1], axis=1)
    if result.kind.startswith("low-pass"):
        return low_pass(s, RATE_HZ)
    traces = np.concatenate([a.mean_uv[None], a.null_uv])
    apart = np.concatenate([a.mean_uv[None] - s[None], a.null_uv])
    # The filter is linear once its gain is fixed: of the mean minus of the mean without the response.
    original = sharpen.wiener_gain
    kept = []

    def fixed(power: Floats, half: int) -> Floats:
        kept.append(original(power, half) if not kept else kept[0])
        return kept[0].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharpen, "wiener_gain", fixed)
        patch.setattr(sharpen, "_evident", lambda x: np.ones(x.shape[2], dtype=np.bool_))
        both = sharpen._wiener(traces)[0]
        return np.asarray(both - sharpen._wiener(apart)[0])


def test_no_numbers_stay_in_their_derivation_and_nothing_is_defined() -> None:
    a = averages(15, 300, 3, response())
    a.mean_uv[:, 0] = np.nan
    a.null_uv[:, :, 1] = 0.0
    a.mean_uv[:, 1] = 0.0
    few = Average(
        a.mean_uv, np.full(3, np.nan), np.full_like(a.null_uv, np.nan), 5, 0, np.zeros(3), 0, 1, False
    )
    with np.errstate(all="raise"):
        for result in (sharpen_low_pass(a, RATE_HZ), sharpen_wiener(a)):
            assert np.isnan(result.average.mean_uv[:, 0]).all()
            assert not result.average.mean_uv[:, 1].any()
            assert np.isnan(result.loss[:2]).all()
            assert np.isfinite(result.average.mean_uv[:, 2]).all()
        assert np.isfinite(sharpen_low_pass(few, RATE_HZ).average.mean_uv[:, 2]).all()
        assert np.isnan(sharpen_wiener(few).average.mean_uv).all()
        assert low_pass(np.empty((0, 2)), RATE_HZ).shape == (0, 2)


def test_a_corner_that_cannot_be_is_refused() -> None:
    for corner in (0.0, 2000.0, float("nan")):
        with pytest.raises(ValueError, match="outside"):
            low_pass(np.zeros((5, 1)), RATE_HZ, corner)
