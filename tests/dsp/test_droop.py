"""The droop of the converter's filter is given back as far as said, without delay or boost beyond."""

import numpy as np
import pytest

from dsp import reference_sharpen as slow
from dsp.average import Averager
from dsp.droop import compensate, compensate_average, design, gain, noise_gain
from dsp.nouns import Sweep, Trigger
from hw.model.sinc3 import magnitude, step_response


def test_the_filter_is_3_db_down_at_0_262_of_the_rate() -> None:
    assert slow.sinc3(0.262) == pytest.approx(2**-0.5, abs=6e-4)
    for f in (0.0, 0.1, 0.262, 0.4):
        assert slow.sinc3(f) == pytest.approx(magnitude(f * 250.0, 250.0), rel=1e-12)


@pytest.mark.parametrize("corner", [0.1, 0.2, 0.3, 0.35])
def test_what_is_left_of_the_droop_and_no_boost_beyond(corner: float) -> None:
    f = np.linspace(0.0, 0.5, 3001)
    made = gain(design(corner), f)
    droop = np.array([slow.sinc3(v) for v in f])
    error = np.abs(made * droop - 1.0)
    assert error[f <= corner * 0.25 / 0.35].max() < 1e-3
    assert error[f <= corner].max() < 1e-2
    assert made.max() < 1.01 / slow.sinc3(corner)
    assert error[0] < 1e-12


def test_symmetric_without_delay_and_its_noise_is_told() -> None:
    taps = design()
    assert np.array_equal(taps, taps[::-1])
    noise = np.random.default_rng(4).normal(size=(200_000, 1))
    assert np.std(compensate(noise, taps)) == pytest.approx(noise_gain(taps), rel=0.01)
    assert noise_gain(taps) == pytest.approx(1.37, abs=0.01)
    assert noise_gain(design(0.1)) < 1.02


@pytest.mark.parametrize("f", [0.05, 0.2, 0.25, 0.34])
def test_a_sine_seen_through_the_model_of_the_chip_has_its_size_again(f: float) -> None:
    """The sine through three running means over 64 modulator samples each, one value a sample kept."""
    over, n = 64, 600
    sine = np.sin(2 * np.pi * f * np.arange(n * over) / over)
    for _ in range(3):
        sine = np.convolve(sine, np.full(over, 1 / over))[: n * over]
    seen = sine[over - 1 :: over][:, None]
    at = np.arange(200, 400)
    turn = np.exp(-2j * np.pi * f * at)
    before, after = (2 * np.mean(x[at, 0] * turn) for x in (seen, compensate(seen, design())))
    assert abs(after) == pytest.approx(1.0, abs=1.2e-3 if f <= 0.25 else 1.1e-2)
    assert np.angle(after / before) == pytest.approx(0.0, abs=1e-9)


def test_a_step_of_the_chip_rises_steeper() -> None:
    step = np.array([step_response(k - 40.0) for k in range(80)])[:, None]
    sharper = compensate(step, design())
    assert np.diff(sharper[:, 0]).max() > 1.2 * np.diff(step[:, 0]).max()
    assert sharper[[0, 20, -20, -1], 0] == pytest.approx([0, 0, 1, 1], abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 5, 13, 80])
def test_like_its_twin(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(3, n, 2)) + 1e4
    taps = design()
    got = compensate(x, taps)
    want = np.array([[slow.compensate(x[k, :, d], taps) for d in range(2)] for k in range(3)])
    assert got == pytest.approx(np.moveaxis(want, 1, 2), rel=1e-12)


def test_what_is_no_number_stays_in_its_trace() -> None:
    x = np.zeros((50, 2))
    x[25, 0] = np.nan
    with np.errstate(all="raise"):
        got = compensate(x, design())
        assert compensate(np.empty((0, 2)), design()).shape == (0, 2)
    assert np.isnan(got[25, 0])
    assert not got[:, 1].any()


@pytest.mark.parametrize(("corner", "half"), [(0.01, 12), (0.36, 12), (0.3, 0), (0.3, 33), (np.nan, 12)])
def test_what_cannot_be_is_refused(corner: float, half: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        design(corner, half)


def test_a_finished_average_is_compensated_whole_and_its_noise_is_that_of_its_null_averages() -> None:
    rng, one = np.random.default_rng(6), np.ones(2)
    made = Averager(120, 2, 32)
    for k in range(40):
        made.add(Sweep(Trigger(100 * k, 1), rng.normal(size=(120, 2)).astype(np.float32), 0, one))
        if k == 7:
            few = compensate_average(made.average(), design())
    assert np.isnan(few.noise_uv).all() and np.isfinite(few.mean_uv).all(), "of 8 sweeps no noise is known"
    before, taps = made.average(), design()
    got = compensate_average(before, taps)
    assert got.mean_uv == pytest.approx(compensate(before.mean_uv, taps), abs=1e-12)
    assert before.halves_uv is not None and got.halves_uv is not None
    assert got.halves_uv == pytest.approx(compensate(before.halves_uv, taps), abs=1e-6)
    assert got.noise_uv == pytest.approx(before.noise_uv * noise_gain(taps), rel=0.1)
    assert got.noise_uv == pytest.approx(np.sqrt(np.mean(got.null_uv**2, axis=(0, 1))), rel=1e-5)
    assert (got.n_sweeps, got.final) == (before.n_sweeps, before.final)
