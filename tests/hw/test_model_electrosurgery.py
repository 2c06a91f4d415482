"""The model's electrosurgery is as loud as asked, when it was asked, and nothing else moves for it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.scenario import Electrosurgery, NoiseChange
from hw.model.sources import Background

Floats = NDArray[np.float64]
ELECTRODES = ("CP3", "CP4", "Fpz", "EPL")


def made(
    knives: tuple[Electrosurgery, ...],
    rate_hz: float = 1000.0,
    seconds: float = 8.192,
    seed: int = 1,
    chunk_samples: int = 256,
    electrodes: tuple[str, ...] = ELECTRODES,
    **noise: float,
) -> Floats:
    """(electrode, time); row k at (k - 1.5) / rate."""
    source = Background(
        electrodes,
        rate_hz,
        seed,
        delay_samples=1.5,
        mains_hz=50.0,
        noise=(NoiseChange(0.0, **noise),) if noise else (),
        electrosurgery=knives,
        chunk_samples=chunk_samples,
    )
    return np.hstack([source.next_uv() for _ in range(int(seconds * rate_hz) // chunk_samples)])


def pickup(knives: tuple[Electrosurgery, ...], **options: object) -> Floats:
    """What the knives alone add."""
    added: Floats = made(knives, **options) - made((), **options)  # type: ignore[arg-type]
    return added


@pytest.mark.parametrize("mode", ["cut", "coag"])
@pytest.mark.parametrize("rate_hz", [1000.0, 16000.0])
def test_it_is_broadband_as_loud_as_asked_by_electrode(mode: str, rate_hz: float) -> None:
    knife = Electrosurgery(1.0, 6.0, 2000.0, mode)  # type: ignore[arg-type]
    uv = pickup((knife,), rate_hz=rate_hz)[:, int(2 * rate_hz) : int(7 * rate_hz)]
    rms = np.sqrt(np.mean(uv**2, axis=1))
    assert np.all((rms > 0.45 * 2000) & (rms < 1.65 * 2000)) and np.ptp(rms) > 200
    power = np.mean(np.abs(np.fft.rfft(uv, axis=1)) ** 2, axis=0)
    quarters = [part.mean() for part in np.array_split(power[1:], 4)]
    assert max(quarters) < 1.2 * min(quarters)
    shared = np.corrcoef(uv)[np.triu_indices(4, 1)]
    assert np.all((shared > 0.35) & (shared < 0.65))


def test_coagulation_is_more_uneven_than_cutting() -> None:
    cut, coag = (pickup((Electrosurgery(0.0, 8.0, mode=mode),))[0] for mode in ("cut", "coag"))  # type: ignore[arg-type]
    crest = [np.mean(uv[600:] ** 4) / np.mean(uv[600:] ** 2) ** 2 for uv in (cut, coag)]
    assert crest[0] < 3.6 < 4.0 < crest[1]


def test_its_amplitude_wanders_slowly() -> None:
    uv = pickup((Electrosurgery(0.0, 8.0),), rate_hz=16000.0)[0, 16000:]
    pieces = np.sqrt(np.mean(uv[: 16000 * 7 // 800 * 800].reshape(-1, 800) ** 2, axis=1))
    assert 1.3 < pieces.max() / pieces.min() < 3.5


def test_it_begins_and_ends_at_its_times_with_steps_that_fade() -> None:
    uv = pickup((Electrosurgery(2.0, 1.0, 3000.0),))
    touched = np.flatnonzero(np.any(uv != 0, axis=0))
    assert touched[0] == 2002 and 3550 < touched[-1] <= 3602
    behind = uv[:, 3002:]
    assert np.all((np.abs(behind[:, 0]) > 1400) & (np.abs(behind[:, 0]) < 9100))
    assert behind[:, 50] == pytest.approx(behind[:, 0] / np.e, rel=0.02)
    many = np.mean([uv[:, 2002:2012].mean(axis=1) ** 2, uv[:, 2500:2510].mean(axis=1) ** 2], axis=1)
    assert many[0] > many[1]


def test_chunks_leave_no_trace() -> None:
    knives = (Electrosurgery(1.003, 1.7), Electrosurgery(2.5, 2.2, mode="coag"))
    for electrode_uv in (made(knives, chunk_samples=32), made(knives, chunk_samples=1024)):
        assert np.allclose(electrode_uv, made(knives), rtol=0, atol=1e-6)


def test_each_activation_and_each_electrode_has_its_own_seed() -> None:
    first, second = Electrosurgery(1.0, 1.0), Electrosurgery(4.0, 1.0, mode="coag")
    both = pickup((first, second))
    assert np.array_equal(both[:, :3000], pickup((first,))[:, :3000])
    assert not np.allclose(both[:, 1100:1900], both[:, 4100:4900])
    assert np.allclose(both[1:2], pickup((first, second), electrodes=("CP4",)), rtol=0, atol=1e-6)
    assert np.allclose(pickup((first, Electrosurgery(1.0, 1.0, 0.0))), pickup((first,)), rtol=0, atol=1e-9)
    assert not np.allclose(both, pickup((first, second), seed=2))


def test_nothing_else_moves_and_noise_factors_leave_it_alone() -> None:
    knife = (Electrosurgery(3.0, 1.0),)
    assert np.array_equal(made(knife)[:, :3000], made(())[:, :3000])
    assert np.array_equal(made(knife)[:, 4700:], made(())[:, 4700:])
    quiet = pickup(knife, emg=0.0, mains=0.0, eeg=0.0)
    assert np.allclose(quiet, pickup(knife), rtol=0, atol=1e-6)
