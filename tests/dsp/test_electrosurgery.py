"""Electrosurgery is found within 20 ms at any rate, nothing else is taken for it; blocks leave no trace."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.electrosurgery import Change, ElectrosurgeryDetector, floor_uv
from hw.model.scenario import Electrosurgery, Mode, NoiseChange
from hw.model.sources import Background
from tests.support.streams import blocks

Floats = NDArray[np.float64]
RATES_HZ = (1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
ELECTRODES = ("CP3", "CP4", "CPz", "Fpz", "C5S", "EPL", "EPR", "T12S")
RAIL_UV = 187_500.0


def filtered(uv: Floats) -> Floats:
    """Rows (time, channel) as the converter's filter gives them in the model."""
    before, behind = np.vstack([uv[:1], uv[:-1]]), np.vstack([uv[1:], uv[-1:]])
    out: Floats = 0.125 * (before + behind) + 0.75 * uv
    return out


def body(
    rate_hz: float, seconds: float, seed: int, knives: tuple[Electrosurgery, ...] = (), **noise: float
) -> Floats:
    source = Background(
        ELECTRODES,
        rate_hz,
        seed,
        delay_samples=0.5,
        mains_hz=50.0,
        noise=(NoiseChange(0.0, **noise),) if noise else (),
        electrosurgery=knives,
        chunk_samples=1024,
    )
    uv = np.hstack([source.next_uv() for _ in range(math.ceil(seconds * rate_hz / 1024))])
    return filtered(uv[:, : int(seconds * rate_hz)].T)


def artifacts(rate_hz: float, seconds: float, hz: float, rng: np.random.Generator) -> Floats:
    """Pulses of 500 uV for 1 to 2 ms at any phase, (time, channel), seen through the filter."""
    n = int(seconds * rate_hz)
    wave = np.zeros(n)
    for at in np.arange(rng.uniform(0.1, 0.2) * rate_hz, n - 0.1 * rate_hz, rate_hz / hz):
        end = at + rng.uniform(1e-3, 2e-3) * rate_hz
        first, last = int(at), math.ceil(end)
        rows = np.arange(first, last)
        wave[first:last] += 500.0 * (np.minimum(rows + 1, end) - np.maximum(rows, at))
    return filtered(np.outer(wave, rng.uniform(0.6, 1.4, len(ELECTRODES))))


def muscle(
    rate_hz: float, seconds: float, rng: np.random.Generator, common: bool, rms_uv: float = 200.0
) -> Floats:
    """A burst of muscle activity, 25 to 300 Hz, in all channels: each its own, or all the reference's."""
    n = int(seconds * rate_hz)
    white = rng.standard_normal((n, 1 if common else len(ELECTRODES)))
    at_hz = np.fft.rfftfreq(n, 1 / rate_hz)[:, None]
    shape = at_hz / np.hypot(25.0, at_hz) / np.hypot(1.0, at_hz / 300.0)
    wave = np.fft.irfft(np.fft.rfft(white, axis=0) * shape, n, axis=0)
    return filtered(np.broadcast_to(rms_uv * wave / wave.std(axis=0), (n, len(ELECTRODES))))


def changes(uv: Floats, rate_hz: float, rail_uv: float | None = RAIL_UV) -> list[tuple[int, bool]]:
    return turns(ElectrosurgeryDetector(rate_hz, uv.shape[1], rail_uv).append(0, uv))


def turns(found: list[Change]) -> list[tuple[int, bool]]:
    """On and off among the changes, without pauses."""
    on = [False, *(change.on for change in found)]
    return [(c.index, c.on) for before, c in zip(on, found, strict=False) if c.on != before]


def onsets(rate_hz: float, mode: Mode, n: int, seed: int, level_uv: float = 3000.0) -> tuple[Floats, Floats]:
    """(rows, times in s) of `n` activations of 0.1 to 0.3 s, one or so a second."""
    rng = np.random.default_rng([seed, round(rate_hz), len(mode)])
    at_s = 2.0 + np.arange(n) * 1.2 + rng.uniform(0.0, 0.1, n)
    knives = tuple(Electrosurgery(float(at), rng.uniform(0.1, 0.3), level_uv, mode) for at in at_s)
    return body(rate_hz, 2.0 + 1.2 * n + 0.5, seed, knives), at_s


def latencies_ms(rate_hz: float, mode: Mode, n: int, seed: int, **options: float) -> tuple[list[float], int]:
    """Onset to decision, in ms of the samples that it needed, for those found; and decisions beyond them."""
    uv, at_s = onsets(rate_hz, mode, n, seed, **options)
    found = changes(uv, rate_hz)
    on_s = np.array([index / rate_hz for index, on in found if on])
    late = [1e3 * float(min(on_s[on_s > at] - at, default=math.inf)) for at in at_s]
    held = [ms for ms in late if ms < 300]
    return held, len(on_s) - len(held)


def nuisances(rate_hz: float, seconds: float, seed: int) -> Floats:
    """Everything that is no electrosurgery, in turn and together: mains x 20, artifacts up to 100 a second,
    muscle of 200 uV rms on all channels or on the reference, an electrode that falls off."""
    rng = np.random.default_rng([seed, round(rate_hz)])
    uv = body(rate_hz, seconds, seed, emg=2.0, mains=20.0 if seed % 2 else 1.0)
    uv += artifacts(rate_hz, seconds, (99.7, 37.0, 4.7)[seed % 3], rng)[: len(uv)]
    for at_s in np.arange(3.0, seconds - 3.0, 4.0):
        burst = muscle(rate_hz, rng.uniform(0.3, 2.0), rng, common=bool(rng.integers(2)))
        at = int(at_s * rate_hz)
        uv[at : at + len(burst)] += burst
    off, channel = int(0.6 * len(uv)), int(rng.integers(len(ELECTRODES)))
    loose = 20_000.0 * rng.standard_normal(len(uv) - off)
    uv[off:, channel] = np.clip(loose + 100_000.0, -RAIL_UV, RAIL_UV) if seed % 4 else RAIL_UV
    return uv


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("mode", ["cut", "coag"])
def test_every_onset_is_found_within_20_ms(rate_hz: float, mode: Mode) -> None:
    """200 onsets over all rates and modes: none missed, none invented."""
    late_ms, invented = latencies_ms(rate_hz, mode, 20, seed=11)
    assert len(late_ms) == 20 and invented == 0
    assert max(late_ms) <= 20.0


@pytest.mark.parametrize("rate_hz", [rate_hz for rate_hz in RATES_HZ if rate_hz >= 4000])
@pytest.mark.parametrize("mode", ["cut", "coag"])
def test_what_is_loud_without_a_pause_is_found_within_10_ms(rate_hz: float, mode: Mode) -> None:
    late_ms, invented = latencies_ms(rate_hz, mode, 8, seed=12)
    assert len(late_ms) == 8 and invented == 0
    assert max(late_ms) <= 10.0


@pytest.mark.parametrize(
    ("rate_hz", "seconds", "spells"),
    [(1000.0, 60.0, 20), (2000.0, 60.0, 8), (4000.0, 60.0, 2), (16000.0, 10.0, 2)],
)
def test_nothing_else_is_taken_for_it(rate_hz: float, seconds: float, spells: int) -> None:
    """30 minutes of everything else."""
    for seed in range(spells):
        assert changes(nuisances(rate_hz, seconds, seed), rate_hz) == [], seed


@pytest.mark.parametrize("rate_hz", [1000.0, 2000.0, 4000.0])
def test_artifacts_may_be_of_any_size(rate_hz: float) -> None:
    """A hundred a second of 10 mV for up to 2 ms, at every phase, leave enough quiet differences between."""
    uv = 20.0 * artifacts(rate_hz, 30.0, 99.7, np.random.default_rng(2)) + body(rate_hz, 30.0, 1)
    assert changes(uv, rate_hz) == []


def test_the_means_of_the_test_would_fool_a_plain_rms() -> None:
    """Artifacts are loud enough on most channels in windows in succession: the order statistic is needed."""
    uv = body(1000.0, 10.0, 1) + artifacts(1000.0, 10.0, 99.7, np.random.default_rng(1))[:10_000]
    squares = (np.diff(uv, axis=0)[: 9995 // 5 * 5] ** 2).reshape(-1, 5, 8).mean(axis=1)
    loud = np.median(np.sqrt(squares), axis=1) > 100.0
    assert np.mean(loud[1:] & loud[:-1]) > 0.1
    assert changes(uv, 1000.0) == []


def test_it_stays_on_while_it_lasts_and_goes_off_half_a_second_later() -> None:
    knives = (Electrosurgery(2.0, 3.0), Electrosurgery(5.3, 1.0, mode="coag"), Electrosurgery(8.0, 0.05))
    uv = body(4000.0, 10.0, 2, knives)
    detector = ElectrosurgeryDetector(4000.0, 8)
    told = detector.append(0, uv)
    found = turns(told)
    # Between two of its bursts it pauses, and that is told 50 ms into the pause.
    pauses_s = [c.index / 4000.0 for c in told if c.on and not c.loud]
    assert pauses_s == pytest.approx([5.06, 6.36, 8.11], abs=0.02)
    assert [on for _, on in found] == [True, False, True, False] and not detector.on
    at_s = np.array([index / 4000.0 for index, _ in found])
    assert np.all(
        (at_s - (2.0, 6.8, 8.0, 8.55) >= (0.0, 0.0, 0.0, -0.01)) & (at_s < (2.02, 6.82, 8.02, 8.57))
    )
    assert 4000 * at_s[0] - detector.reach <= 8000 <= 4000 * at_s[0]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 2600), max_size=12))
def test_blocks_leave_no_trace(cuts: list[int]) -> None:
    uv = body(1000.0, 2.6, 3, (Electrosurgery(1.0, 0.4), Electrosurgery(2.2, 0.2)))
    whole, parts = ElectrosurgeryDetector(1000.0, 8, 8000.0), ElectrosurgeryDetector(1000.0, 8, 8000.0)
    expected = whole.append(0, uv)
    found = []
    for start, end in blocks(len(uv), cuts):
        found += parts.append(start, uv[start:end])
    assert found == expected and [on for _, on in turns(expected)] == [True, False, True]
    for name in ("_limit", "_levels", "_railed_for", "_rows", "_loud", "_railed", "_kept"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_saturation_is_electrosurgery_and_a_lead_at_its_rail_is_not() -> None:
    rng = np.random.default_rng(4)
    uv = rng.standard_normal((8000, 8))
    uv[:, 0] = RAIL_UV  # off from the first
    uv[1000:, 1:5] = -RAIL_UV  # half of the living, one after another
    assert [on for _, on in changes(uv, 1000.0)] == [True, False]
    assert changes(uv, 1000.0, None) == []
    few = rng.standard_normal((8000, 8))
    few[:, :6] = RAIL_UV
    few[2000:2300] += 3000.0 * rng.standard_normal((300, 8))
    assert [on for _, on in changes(np.clip(few, -RAIL_UV, RAIL_UV), 1000.0)] == [True, False]


def test_a_gap_starts_the_windows_anew_and_nothing_is_seen_across_it() -> None:
    rng = np.random.default_rng(4)
    detector = ElectrosurgeryDetector(1000.0, 2)
    assert detector.append(0, rng.standard_normal((1003, 2))) == []
    loud = 3000.0 * rng.standard_normal((20, 2))
    (on,) = turns(detector.append(5003, loud))
    assert on[1] and 5013 <= on[0] <= 5019  # at least 13 loud differences in 20
    assert detector.append(9000, rng.standard_normal((400, 2))) == [Change(9050, True, False)] and detector.on
    assert detector.append(9400, rng.standard_normal((150, 2))) == [Change(9500, False, False)]


def test_the_running_level_decides_in_a_noisy_room() -> None:
    rng = np.random.default_rng(6)
    room = 400.0 * rng.standard_normal((20_000, 4))
    room[:1000] *= 0.01
    room[:, 0] = 0.0
    detector = ElectrosurgeryDetector(16000.0, 4)
    assert detector.append(0, 0.01 * room) == []
    assert detector.append(20_000, 0.2 * room) == []  # ten times a quiet level is not enough below the floor
    noisy = ElectrosurgeryDetector(16000.0, 4)
    slowly = np.concatenate([0.2 * room, 0.2 * room, 0.5 * room])
    assert noisy.append(0, slowly) == []
    assert floor_uv(16000.0) < 0.5 * 400.0 * math.sqrt(2.0)  # it is the level that keeps it quiet


def test_what_cannot_be_built() -> None:
    for rate_hz, channels in ((0.0, 8), (math.nan, 8), (1000.0, 0)):
        with pytest.raises(ValueError, match="impossible"):
            ElectrosurgeryDetector(rate_hz, channels)
