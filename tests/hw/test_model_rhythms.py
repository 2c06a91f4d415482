"""The model's EEG rhythms have the spectra of depth, places and sides of the facts and a true gate."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import welch

from hw.model.rhythms import BrainState, Rhythms, State, SuppressionGate

Floats = NDArray[np.float64]
RATE_HZ = 512.0
ELECTRODES = ("Fz", "F3", "F4", "Cz", "C3", "C4", "O1", "O2", "A1", "EPL", "C5S", "Pz")


def steady(depth: float = 0.5, suppression: float = 0.0, left: float = 1.0, right: float = 1.0) -> State:
    return lambda times_s: BrainState(
        *(np.full(len(times_s), value) for value in (depth, suppression, left, right))
    )


def made(
    state: State,
    seconds: float = 64.0,
    seed: int = 1,
    electrodes: tuple[str, ...] = ELECTRODES,
    chunk_samples: int = 256,
) -> Floats:
    source = Rhythms(electrodes, RATE_HZ, seed, chunk_samples, state)
    steps = np.arange(chunk_samples)
    chunks = int(seconds * RATE_HZ) // chunk_samples
    return np.hstack([source.next_uv((k * chunk_samples + steps) / RATE_HZ) for k in range(chunks)])


def band_uv(uv: Floats, low_hz: float, high_hz: float) -> Floats:
    """Rms of each row between two frequencies."""
    at_hz, density = welch(uv, RATE_HZ, nperseg=1024)
    inside = (at_hz >= low_hz) & (at_hz < high_hz)
    rms: Floats = np.sqrt(density[..., inside].sum(axis=-1) * at_hz[1])
    return rms


def sef95_hz(uv: Floats) -> float:
    at_hz, density = welch(uv, RATE_HZ, nperseg=1024)
    inside = (at_hz >= 0.5) & (at_hz <= 30.0)
    below = np.cumsum(density[inside])
    return float(at_hz[inside][np.searchsorted(below, 0.95 * below[-1])])


@pytest.mark.parametrize(
    ("depth", "low_hz", "high_hz"), [(0.1, 18.0, 24.0), (0.5, 9.5, 12.5), (1.0, 4.5, 8.0)]
)
def test_the_spectral_edge_falls_with_depth(depth: float, low_hz: float, high_hz: float) -> None:
    for seed in (1, 2):
        assert low_hz < sef95_hz(made(steady(depth), seed=seed)[0]) < high_hz


def test_surgical_depth_is_frontal_alpha_and_slow_waves() -> None:
    uv = made(steady(0.5))
    at_hz, density = welch(uv[0], RATE_HZ, nperseg=1024)
    alpha = density[(at_hz >= 8) & (at_hz <= 12)].max()
    assert alpha > 5 * density[(at_hz >= 14) & (at_hz <= 16)].max()
    assert 8.5 < at_hz[at_hz > 7][np.argmax(density[at_hz > 7])] < 11.5
    by_place = dict(zip(ELECTRODES, band_uv(uv, 8.0, 13.0), strict=True))
    assert by_place["Fz"] > by_place["Cz"] > by_place["Pz"] > by_place["O1"] > by_place["A1"] > 0.0
    assert 1.5 < by_place["Fz"] / by_place["O1"] < 3.0
    assert by_place["F3"] == pytest.approx(by_place["F4"], rel=0.15)
    assert 8.0 < band_uv(uv, 0.5, 4.0)[0] < 20.0


def test_light_depth_has_beta_and_deep_has_neither_beta_nor_alpha() -> None:
    light, deep = made(steady(0.1))[0], made(steady(1.0))[0]
    assert band_uv(light, 13.0, 30.0) > 3.0 > 1.0 > band_uv(deep, 13.0, 30.0)
    assert band_uv(deep, 8.0, 13.0) < 0.1 * band_uv(deep, 0.5, 4.0)


def test_alpha_waxes_and_wanes() -> None:
    uv = made(steady(0.5), seconds=128.0)[0]
    seconds = np.fft.rfft(uv[: 128 * 512].reshape(-1, 512) * np.hanning(512))
    alpha = np.sqrt((np.abs(seconds[:, 8:14]) ** 2).sum(axis=1))
    assert np.percentile(alpha, 90) > 2.0 * np.percentile(alpha, 10)


def test_hemispheres_share_most_and_not_all() -> None:
    uv = made(steady(0.5))
    shared = np.corrcoef(uv[1], uv[2])[0, 1]
    assert 0.5 < shared < 0.9 and np.corrcoef(uv[0], uv[1])[0, 1] > shared


def test_what_is_not_on_the_head_has_none_and_changes_nothing() -> None:
    uv = made(steady(), seconds=2.0)
    assert np.all(uv[[9, 10]] == 0.0) and np.all(uv[[0, 1, 2, 8]].std(axis=1) > 1.0)
    alone = made(steady(), seconds=2.0, electrodes=("EPL", "F4"))
    assert np.array_equal(alone[1], uv[2]) and not np.array_equal(alone[1], uv[1])
    assert made(steady(), seconds=1.0, electrodes=("EPL",)).std() == 0.0
    assert not np.allclose(made(steady(), seconds=2.0, seed=2), uv)


def ramp(times_s: Floats) -> BrainState:
    share = np.clip(times_s / 16.0, 0.0, 1.0)
    return BrainState(share, 0.5 * share, 1.0 - share, np.ones(len(times_s)))


@pytest.mark.parametrize("state", [steady(), ramp])
def test_chunks_leave_no_trace(state: State) -> None:
    whole = made(state, seconds=16.0, chunk_samples=1024)
    for chunk_samples in (32, 256):
        assert np.allclose(made(state, seconds=16.0, chunk_samples=chunk_samples), whole, rtol=0, atol=1e-9)


def test_ischaemia_takes_the_fast_first_then_delta_rises_and_then_all_is_gone() -> None:
    whole = made(steady())
    left, right = [1, 4, 6], [2, 5, 7]

    def shares(perfusion: float) -> tuple[float, float]:
        uv = made(steady(left=perfusion))
        assert np.array_equal(uv[right], whole[right])
        fast = (band_uv(uv[left], 8.0, 30.0) / band_uv(whole[left], 8.0, 30.0)).mean()
        slow = (band_uv(uv[left], 0.5, 4.0) / band_uv(whole[left], 0.5, 4.0)).mean()
        return float(fast), float(slow)

    mild, severe, gone = shares(0.5), shares(0.25), shares(0.0)
    assert mild[0] == pytest.approx(0.6, abs=0.05) and mild[1] == pytest.approx(1.0, abs=0.05)
    assert severe[0] < 0.35 and 1.5 < severe[1] < 2.0
    assert max(gone) < 0.1


def gated(
    probability: float | Callable[[Floats], Floats], seconds: float, seed: int = 1, rate_hz: float = 100.0
) -> tuple[Floats, Floats, SuppressionGate]:
    def state(times_s: Floats) -> BrainState:
        p = probability(times_s) if callable(probability) else np.full(len(times_s), probability)
        return BrainState(p, p, p, p)

    gate = SuppressionGate(seed, state)
    times_s = np.arange(0.0, seconds, 1 / rate_hz)
    return times_s, gate.gain(times_s), gate


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_share_of_suppression_is_its_probability(probability: float) -> None:
    shares = [np.mean(gated(probability, 1500.0, seed)[1] < 0.5) for seed in (1, 2, 3)]
    assert np.mean(shares) == pytest.approx(probability, abs=0.025)
    assert np.mean(shares) == probability or probability not in (0.0, 1.0)


def test_the_share_follows_a_probability_that_changes() -> None:
    times_s, gain, _ = gated(lambda t: np.where(t < 600.0, 0.0, np.where(t < 1200.0, 0.6, 1.0)), 1800.0)
    assert np.all(gain[times_s < 600.0] == 1.0)
    assert np.mean(gain[(times_s > 600.0) & (times_s < 1200.0)] < 0.5) == pytest.approx(0.6, abs=0.06)
    assert np.all(gain[times_s > 1202.0] == SuppressionGate.GAIN)


def test_spans_are_the_truth_and_edges_last_80_ms() -> None:
    times_s, gain, gate = gated(0.5, 120.0, rate_hz=1000.0)
    spans = gate.suppressed_s
    inside = np.zeros(len(times_s), bool)
    for start_s, end_s in spans:
        inside |= (times_s >= start_s) & (times_s < end_s)
        assert end_s - start_s > 0.59 or end_s > 119.9
    edges_s = np.array([edge for span in spans for edge in span])
    since_s = times_s[:, None] - edges_s
    moving = np.any((since_s >= -1e-9) & (since_s < 0.08), axis=1)
    assert np.all(gain[~moving & inside] == SuppressionGate.GAIN) and np.all(gain[~moving & ~inside] == 1.0)
    assert np.abs(np.diff(gain)).max() < 0.03
    assert 20 < len(spans) < 60


def test_the_gate_knows_no_chunks_and_is_the_rhythms_own() -> None:
    state = steady(suppression=0.4)
    times_s = np.arange(-3, 61 * 512) / RATE_HZ
    whole = SuppressionGate(1, state).gain(times_s)
    for size in (32, 77, 1024):
        parts, source = SuppressionGate(1, state), Rhythms(("Fz",), RATE_HZ, 1, 256, state)
        for gain in (parts.gain, source.gate):
            cut = [gain(times_s[k : k + size]) for k in range(0, len(times_s), size)]
            assert np.array_equal(np.concatenate(cut), whole)
        assert source.suppressed_s == parts.suppressed_s
    assert not np.array_equal(SuppressionGate(2, state).gain(times_s), whole)
