"""Spectra tell the density there is with intervals that hold it, through mains; artifacts get no number."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq

from dsp.decimate import Decimator
from dsp.spectra import EegSpectra, EegSpectrum
from dsp.trends import BANDS_HZ, BINS_HZ, Estimates
from tests.support.eeg import RATE_HZ, anaesthetised, mains, of_density
from tests.support.streams import blocks

Floats = NDArray[np.float64]


def records(uv: Floats, **options: float) -> list[EegSpectrum]:
    names = tuple(f"D{k}" for k in range(uv.shape[1]))
    pairs = (("D0", "D1"),) if uv.shape[1] > 1 else ()
    return EegSpectra(names, RATE_HZ, pairs, **options).append(uv, 0)


def power(low_hz: float, high_hz: float) -> float:
    return float(quad(lambda f: float(anaesthetised(np.array(f))), low_hz, high_hz, limit=200)[0])


def inside(estimates: Estimates, truth: float | Floats) -> Floats:
    held: Floats = ((estimates.low <= truth) & (truth <= estimates.high)).astype(np.float64)
    return held


def test_density_is_in_uv2_per_hz_and_a_sine_in_its_band() -> None:
    rng = np.random.default_rng(1)
    white = 10.0 * rng.standard_normal((100_000, 1))  # 100 uV^2 over 125 Hz
    mean = np.mean([10 ** (r.density_db / 10) for r in records(white)], axis=(0, 1))
    assert (
        mean[1:] == pytest.approx(np.full(59, 0.8), rel=0.25) and mean[0] > 0.6
    )  # the trend taken out is in it
    periodogram = 2.0 * np.abs(np.fft.rfft(white[:, 0])) ** 2 / (RATE_HZ * len(white))
    assert mean.mean() == pytest.approx(periodogram[200:12_000].mean(), rel=0.015)
    t_s = np.arange(2000) / RATE_HZ
    for at_hz, band in ((2.3, 0), (6.1, 1), (10.2, 2), (20.7, 3)):
        sine = 20.0 * np.sin(2 * np.pi * at_hz * t_s)[:, None]
        told = records(sine)[0]
        assert told.bands_uv2.value[band, 0] == pytest.approx(200.0, rel=0.04)
        assert told.median_hz.value[0] == pytest.approx(at_hz, abs=0.3)
        assert told.rms_uv[0] == pytest.approx(np.sqrt(200.0), rel=0.02)


def test_bands_share_no_power_and_leave_none_out() -> None:
    (told,) = records(10.0 * np.random.default_rng(2).standard_normal((1000, 2)))
    assert told.bands_uv2.value.sum(axis=0) == pytest.approx(told.rms_uv**2)


def test_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(20_250)
    uv = np.array([of_density(anaesthetised, 1200.0, rng) for _ in range(2)]).T
    told = records(uv)[::4]  # windows that share no samples
    whole = power(0.5, 30.0)
    edges = {
        share: brentq(lambda f, s=share: power(0.5, f) / whole - s, 0.6, 29.9) for share in (0.5, 0.9, 0.95)
    }
    truth_db = 10 * np.log10(anaesthetised(BINS_HZ[2:]))
    low, high = told[0].interval_db
    spectrum = np.mean(
        [(r.density_db[:, 2:] + low <= truth_db) & (truth_db <= r.density_db[:, 2:] + high) for r in told]
    )
    assert 0.93 < spectrum < 0.97
    bands = np.array([power(*edges_hz) for edges_hz in BANDS_HZ.values()])
    ratios = {
        "alpha_delta": np.log(bands[2] / bands[0]),
        "fast_slow": np.log((bands[2] + bands[3]) / (bands[0] + bands[1])),
        "asymmetry": 0.0,
        "sef95_hz": edges[0.95],
        "sef90_hz": edges[0.9],
        "median_hz": edges[0.5],
    }
    held = {name: np.mean([inside(getattr(r, name), value) for r in told]) for name, value in ratios.items()}
    held["bands"] = np.mean([inside(r.bands_uv2, bands[:, None]) for r in told])
    assert {name: share for name, share in held.items() if not 0.91 < share < 0.985} == {}


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
@pytest.mark.parametrize("level_uv", [10.0, 50.0])
def test_mains_do_not_leak_into_the_band(mains_hz: float, level_uv: float) -> None:
    rng = np.random.default_rng(3)
    uv = of_density(anaesthetised, 60.0, rng)[:, None]
    noise = 0.7 * np.sqrt(RATE_HZ / 60.0) * rng.standard_normal(uv.shape)  # an amplifier's, nothing else
    wave = mains(level_uv, mains_hz + 0.07, len(uv), rng)[:, None]
    for clean, most_db in ((uv, 0.1), (noise, 0.6)):
        without, with_mains = records(clean, floor_uv=0.1), records(clean + wave, floor_uv=0.1)
        shift = [b.density_db.mean() - a.density_db.mean() for a, b in zip(without, with_mains, strict=True)]
        assert abs(np.mean(shift)) < most_db / 4 and np.max(np.abs(shift)) < most_db
        edges = [
            abs(b.sef95_hz.value[0] - a.sef95_hz.value[0]) for a, b in zip(without, with_mains, strict=True)
        ]
        assert np.max(edges) < 0.5


def test_an_electrodes_offset_and_drift_stay_out() -> None:
    uv = of_density(anaesthetised, 60.0, np.random.default_rng(4))[:, None]
    drift = 30_000.0 + 20.0 * np.arange(len(uv))[:, None] / RATE_HZ
    for one, other in zip(records(uv), records(uv + drift), strict=True):
        assert np.allclose(one.density_db, other.density_db, atol=1e-6)


def test_the_chain_from_sixteen_thousand_samples_a_second() -> None:
    rng = np.random.default_rng(5)
    t_s = np.arange(16_000 * 6) / 16_000.0
    uv = 14.0 * np.sin(2 * np.pi * 10.0 * t_s) + 100.0 * np.sin(2 * np.pi * 253.0 * t_s)
    uv += 5.0 * rng.standard_normal(len(t_s)) + 20_000.0
    decimator, spectra = Decimator(1, 16_000.0, 250.0), EegSpectra(("Fz",), 250.0)
    told = []
    for first in range(0, len(uv), 160):
        made = decimator.append(uv[first : first + 160, None], first)
        told += spectra.append(made.uv, made.first_index)
    assert [r.first_index for r in told] == [250]  # its first second is not whole: the filter settles in it
    assert told[0].bands_uv2.value[2, 0] == pytest.approx(98.0, rel=0.05)
    assert told[0].bands_uv2.value[[0, 1, 3], 0].max() < 0.5


def broken(uv: Floats, kind: str) -> Floats:
    out = uv.copy()
    if kind == "amplitude":
        out[1100:1120, 0] += 3000.0
    elif kind == "flat":
        out[1100:1140, 0] = out[1100, 0]
    elif kind == "not finite":
        out[1100, 0] = np.inf
    return out


@pytest.mark.parametrize("kind", ["amplitude", "flat", "not finite", "excluded"])
def test_an_artifact_gets_no_number_and_touches_no_other_window(kind: str) -> None:
    uv = np.array([of_density(anaesthetised, 16.0, np.random.default_rng(k)) for k in (6, 7)]).T
    clean = records(uv)
    spectra = EegSpectra(("D0", "D1"), RATE_HZ, (("D0", "D1"),))
    if kind == "excluded":
        spectra.exclude(1100, 1120)
    told = spectra.append(broken(uv, kind), 0)
    hit = [r.first_index <= 1100 < r.end_index for r in told]
    assert [r.artifact[0] for r in told] == [kind if one else "" for one in hit] and sum(hit) == 4
    for one, other, touched in zip(told, clean, hit, strict=True):
        if not touched:
            assert same(one, other)
            continue
        for name in ("sef95_hz", "sef90_hz", "median_hz", "alpha_delta", "fast_slow", "bands_uv2"):
            assert np.all(np.isnan(getattr(one, name).value[..., 0])), name
        assert np.all(np.isnan(one.density_db[0])) and np.all(np.isnan(one.asymmetry.value))
        if kind != "excluded":
            assert one.artifact[1] == "" and np.array_equal(one.density_db[1], other.density_db[1])


def test_a_silent_brain_gets_a_spectrum_but_no_edges() -> None:
    rng = np.random.default_rng(8)
    uv = np.column_stack([0.7 * rng.standard_normal(1000), 20.0 * rng.standard_normal(1000)])
    (told,) = records(uv)
    assert told.quiet.tolist() == [True, False] and told.artifact == ("", "")
    assert np.isnan(told.sef95_hz.value[0]) and told.sef95_hz.value[1] > 20.0
    assert (
        np.isfinite(told.density_db).all() and told.rms_uv[0] < 0.5 and np.isnan(told.asymmetry.value).all()
    )


def same(one: EegSpectrum, other: EegSpectrum) -> bool:
    """Bit for bit."""
    for field in dataclasses.fields(EegSpectrum):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Estimates):
            if not all(
                np.array_equal(getattr(a, part), getattr(b, part), equal_nan=True)
                for part in ("value", "low", "high")
            ):
                return False
        elif isinstance(a, np.ndarray):
            if not np.array_equal(a, b, equal_nan=a.dtype == np.float64):
                return False
        elif a != b:
            return False
    return True


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 2499), max_size=8), st.integers(0, 10_000), st.sampled_from((1, 2, 5)))
def test_blocks_leave_no_trace(cuts: list[int], first_index: int, derivations: int) -> None:
    rng = np.random.default_rng(9)
    uv = 40_000.0 + 30.0 * rng.standard_normal((2500, derivations))
    uv[1700] += 9000.0
    names = tuple(f"D{k}" for k in range(derivations))
    whole, parts = EegSpectra(names, RATE_HZ), EegSpectra(names, RATE_HZ)
    expected = whole.append(uv, first_index)
    found = []
    for start, end in blocks(len(uv), cuts):
        found += parts.append(uv[start:end], first_index + start)
    assert len(found) == len(expected) >= 6
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    assert all(r.end_index % 250 == 0 for r in found)


def test_no_window_crosses_a_gap() -> None:
    uv = 20.0 * np.random.default_rng(10).standard_normal((1600, 1))
    spectra = EegSpectra(("Fz",), RATE_HZ)
    assert [r.first_index for r in spectra.append(uv, 10)] == [250, 500]
    assert [r.first_index for r in spectra.append(uv, 5001)] == [5250, 5500]


def test_what_cannot_be_built() -> None:
    for names, rate_hz, pairs in (
        (("Fz",), 80.0, ()),
        (("Fz",), 250.5, ()),
        ((), 250.0, ()),
        (("Fz", "Fz"), 250.0, ()),
        (("F3", "F4"), 250.0, (("F3", "F8"),)),
    ):
        with pytest.raises(ValueError, match=r"rate|derivations"):
            EegSpectra(names, rate_hz, pairs)
    with pytest.raises(ValueError, match="impossible"):
        EegSpectra(("Fz",), 250.0, limit_uv=0.0)
