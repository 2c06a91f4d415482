"""A train of four: the ratio is the true one within its interval, and the gate allows nothing unsure."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dsp.train_of_four import Control, TrainOfFour, TrainOfFourMeter, gate
from tests.support.responses import m_wave, noise
from tests.support.streams import Floats

RATE_HZ = 4000.0
TIMES_MS = np.arange(-5.0, 60.0, 0.25)
RATIOS = (0.0, 0.2, 0.5, 0.7, 0.9, 1.0)
RMS_UV = 20.0


def meter(rail_uv: float | None = None) -> TrainOfFourMeter:
    return TrainOfFourMeter((2.0, 25.0), -5.0, 0.25, ((-5.0, -0.5), (32.0, 59.5)), 50.0, rail_uv)


def train(ratio: float, snr: float, kind: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sweeps (pulse, time) and the true peak to peaks."""
    fade = np.array([1.0, 1 - 0.5 * (1 - ratio), 1 - 0.8 * (1 - ratio), ratio])
    wave = snr * RMS_UV * m_wave(TIMES_MS, 3.0, rng.uniform(0.8, 1.5))
    noisy = np.array([noise(kind, len(TIMES_MS), RATE_HZ, rng) for _ in range(4)])
    return fade[:, None] * wave + RMS_UV * noisy, snr * RMS_UV * fade


def told(ratio: float, snr: float = 300.0, seed: int = 1) -> TrainOfFour:
    return meter().measure(train(ratio, snr, "white", np.random.default_rng(seed))[0])


@pytest.mark.parametrize(("kind", "snr"), [("white", 30.0), ("emg", 60.0), ("pink", 60.0), ("mains", 60.0)])
def test_the_ratio_is_within_five_hundredths(kind: str, snr: float) -> None:
    """In 95 % of 120 trains, the interval holding it in nine of ten, and the count right."""
    rng = np.random.default_rng([201, int(snr), len(kind)])
    near = held = counted = 0
    for _ in range(120):
        ratio = float(rng.choice(RATIOS))
        uv, sizes = train(ratio, snr, kind, rng)
        got = meter().measure(uv)
        assert got.ratio is not None and got.ratio_ci is not None
        near += abs(got.ratio - ratio) <= 0.05
        held += got.ratio_ci[0] <= ratio <= got.ratio_ci[1]
        counted += got.count == np.count_nonzero(sizes >= 50.0)
    assert near >= 114 and held >= 106 and counted >= 118


@pytest.mark.parametrize(("snr", "high"), [(30.0, 0.06), (100.0, 0.015)])
def test_amplitudes_are_peak_to_peak_all_read_alike(snr: float, high: float) -> None:
    """The shape's extremes hold noise of the four: a little high in much noise, all alike."""
    rng = np.random.default_rng([202, int(snr)])
    off = []
    for _ in range(60):
        uv, sizes = train(0.5, snr, "white", rng)
        got = meter().measure(uv)
        off.append([(a or math.nan) / true - 1 for a, true in zip(got.amplitudes_uv, sizes, strict=True)])
    mean = np.mean(off, axis=0)
    assert np.abs(mean).max() < high and np.ptp(mean) < 0.02


def test_the_interval_is_honest_in_much_noise() -> None:
    rng = np.random.default_rng(203)
    held = n = 0
    for _ in range(120):
        ratio = float(rng.choice(RATIOS))
        got = meter().measure(train(ratio, 10.0, "emg", rng)[0])
        if got.ratio_ci is not None:
            n += 1
            held += got.ratio_ci[0] <= ratio <= got.ratio_ci[1]
    assert n >= 110 and held >= 0.92 * n


def test_fade_is_monotone_or_told_not_to_be() -> None:
    rng = np.random.default_rng(204)
    for ratio in RATIOS:
        uv, _ = train(ratio, 60.0, "emg", rng)
        assert meter().measure(uv).monotone
    uv, _ = train(0.3, 60.0, "emg", rng)
    assert not meter().measure(uv[[0, 3, 1, 2]]).monotone


def test_nothing_is_counted_in_noise() -> None:
    """At most 2 of 100 trains."""
    rng = np.random.default_rng(205)
    counted = 0
    for _ in range(100):
        got = meter().measure(train(0.0, 0.0, "emg", rng)[0])
        counted += got.count != 0
        assert got.noise_uv == pytest.approx(RMS_UV, rel=0.3) and (got.limit_uv or 0) >= 8 * RMS_UV * 0.6
    assert counted <= 2


def test_a_response_behind_an_absent_one_is_not_counted() -> None:
    got = meter().measure(
        train(0.5, 100.0, "white", np.random.default_rng(9))[0][[3, 0, 1, 2]] * [[0], [1], [1], [1]]
    )
    assert got.count == 0 and got.ratio is None and got.why == "T1 absent"


def test_one_response_of_four() -> None:
    rng = np.random.default_rng(206)
    uv, _ = train(1.0, 100.0, "emg", rng)
    uv[1:] = RMS_UV * np.array([noise("emg", len(TIMES_MS), RATE_HZ, rng) for _ in range(3)])
    got = meter().measure(uv)
    assert got.count == 1 and got.present == (True, False, False, False)
    assert got.ratio is not None and got.ratio < 0.05


def test_a_missing_pulse_and_bad_rows_are_told() -> None:
    uv, _ = train(0.8, 100.0, "white", np.random.default_rng(2))
    got = meter().measure(uv, delivered=(True, True, False, True))
    assert (got.missing, got.count, got.ratio) == ((3,), None, None) and got.amplitudes_uv[2] is None
    assert not gate(got, "mep").allowed and "3" in gate(got, "mep").why
    uv[3, 50] = math.nan
    got = meter().measure(uv)
    assert got.count is None and got.ratio is None and got.amplitudes_uv[3] is None and got.why
    assert not gate(got, "emg").allowed
    assert meter().measure(uv[:3]).why == "not four sweeps"
    assert meter().measure(np.full_like(uv, math.nan)).count is None
    assert meter().measure(np.zeros_like(uv)).count == 0


def test_saturation_is_flagged_and_gives_no_ratio() -> None:
    uv, _ = train(0.5, 300.0, "white", np.random.default_rng(3))
    for rail_uv in (2000.0, None):
        got = meter(rail_uv).measure(np.clip(uv, -2000.0, 2000.0), control=Control(6000.0, 50.0))
        assert got.share is None
        assert got.clipped[0] and got.ratio is None and got.why == "clipped" and got.count == 4
        assert not gate(got, "mep").allowed and not gate(got, "emg").allowed


def test_the_control() -> None:
    uv, sizes = train(0.5, 100.0, "white", np.random.default_rng(4))
    got = meter().measure(uv, control=Control(2.0 * sizes[0], 50.0))
    assert got.share == pytest.approx(0.5, abs=0.02) and got.share_ci is not None
    assert got.share_ci[0] < 0.5 < got.share_ci[1]
    assert meter().measure(uv, control=Control(0.0, 1.0)).share is None
    assert meter().measure(uv, control=Control(10.0, 10.0)).share_ci is None


def test_the_gate_for_mep() -> None:
    assert gate(told(0.3), "mep").allowed
    weak = replace(told(0.0), share=0.4, share_ci=(0.35, 0.45))
    assert weak.count == 3 and not gate(weak, "mep").allowed  # steady is not known yet
    first = weak.amplitudes_uv[0] or 0.0
    wild = replace(weak, amplitudes_uv=(1.8 * first, *weak.amplitudes_uv[1:]))
    assert gate(weak, "mep", (weak, weak)).allowed
    assert not gate(weak, "mep", (wild, weak)).allowed
    assert not gate(replace(weak, share=0.22, share_ci=(0.15, 0.3)), "mep", (weak, weak)).allowed
    assert not gate(replace(weak, share=None, share_ci=None), "mep", (weak, weak)).allowed


def test_the_gate_for_emg() -> None:
    assert gate(told(0.9), "emg").allowed
    assert not gate(told(0.5), "emg").allowed
    unsure = replace(told(0.9), ratio=0.75, ratio_ci=(0.66, 0.84))
    assert not gate(unsure, "emg").allowed and "0.66" in gate(unsure, "emg").why
    with pytest.raises(ValueError, match="no gate"):
        gate(unsure, "bis")  # type: ignore[arg-type]


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError):
        TrainOfFourMeter((25.0, 2.0), -5.0, 0.25, ((32.0, 59.5),), 50.0)
