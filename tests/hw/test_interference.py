"""The model's machines are as loud as asked, when asked, each with its own spectrum, whatever the chunks."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.interference import LEVELS_UV, Interference, Machine
from hw.model.sources import Background

Floats = NDArray[np.float64]
ELECTRODES = ("CP3", "C5S", "APBL1", "DR1", "EPL")
KINDS = get_args(Machine)


def made(
    records: tuple[Interference, ...],
    rate_hz: float = 4000.0,
    seconds: float = 6.144,
    seed: int = 1,
    chunk_samples: int = 256,
    electrodes: tuple[str, ...] = ELECTRODES,
) -> Floats:
    source = Background(
        electrodes,
        rate_hz,
        seed,
        delay_samples=1.5,
        mains_hz=50.0,
        interference=records,
        chunk_samples=chunk_samples,
    )
    return np.hstack([source.next_uv() for _ in range(int(seconds * rate_hz) // chunk_samples)])


def pickup(records: tuple[Interference, ...], **options: object) -> Floats:
    added: Floats = made(records, **options) - made((), **options)  # type: ignore[arg-type]
    return added


def power(uv: Floats, rate_hz: float = 4000.0) -> tuple[Floats, Floats]:
    spectrum: Floats = np.abs(np.fft.rfft(uv * np.hanning(uv.shape[-1]))) ** 2
    return np.fft.rfftfreq(uv.shape[-1], 1 / rate_hz), spectrum / spectrum.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level_uv", [0.0, 500.0])
def test_it_is_as_loud_as_asked_and_only_when_asked(kind: Machine, level_uv: float) -> None:
    uv = pickup((Interference(1.0, 4.5, kind, level_uv),))
    touched = np.flatnonzero(np.any(np.abs(uv) > 1e-9, axis=0))
    assert 4001 <= touched[0] <= 4010 and 21_990 <= touched[-1] <= 22_002
    rms = uv[:, 6000:20_000].std(axis=1) / (level_uv or LEVELS_UV[kind])
    assert np.all((rms > 0.3) & (rms < 1.9)) and np.ptp(rms) > 0.1


def test_a_drill_is_lines_of_its_motor_and_broadband_on_what_is_shaken() -> None:
    uv = pickup((Interference(0.0, 6.0, "drill"),), rate_hz=4000.0)[:, 4000:20_000]
    at_hz, share = power(uv)
    inside = share[3]  # in the epidural space: no broadband
    top_hz = at_hz[np.argmax(inside)]
    assert 180.0 < top_hz < 520.0
    lines = np.zeros(len(at_hz), bool)
    for harmonic in (1, 2, 3):
        lines |= np.abs(at_hz - harmonic * top_hz) < 0.2 * harmonic * top_hz
    assert inside[lines].sum() > 0.99
    assert inside[np.abs(at_hz - top_hz) < 1.5].sum() < 0.5  # blurred by its jitter
    for row in (0, 1, 2, 4):
        between = at_hz > 4.0 * 1.2 * top_hz if 5 * top_hz < 1800.0 else at_hz < 0.7 * top_hz
        wide = share[row][between].mean() * len(at_hz)
        assert 0.25 < wide < 0.6


def test_a_warmer_is_twice_the_mains_and_keeps_step_with_it() -> None:
    uv = pickup((Interference(0.0, 6.1, "warmer"),))
    at_hz, share = power(uv[:, 2000:22_000])
    assert np.all(share[:, np.abs(at_hz - 100.0) < 1.0].sum(axis=1) > 0.999)
    assert np.std(uv[0] / uv[0].std() - uv[1] / uv[1].std()) > 0.05  # electrodes differ in phase
    assert not pickup((Interference(0.0, 2.0, "warmer"),), rate_hz=200.0, seconds=2.56).any()


def test_movement_is_slow_and_large_and_ultrasound_is_neither() -> None:
    moved, tip = (pickup((Interference(0.0, 6.0, kind),)) for kind in ("movement", "ultrasound"))
    at_hz, share = power(moved[:, 2400:21_600])
    assert np.all(share[:, at_hz < 3.0].sum(axis=1) > 0.99)
    assert np.all(np.ptp(moved, axis=1) > 400.0)
    at_hz, share = power(tip[:, 2400:21_600])
    assert np.all(share[:, at_hz > 100.0].sum(axis=1) > 0.9)
    pieces = tip[0, 2400:21_600].reshape(-1, 400).std(axis=1)
    assert pieces.max() > 1.5 * pieces.min()


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_electrodes_and_other_records_leave_no_trace(kind: Machine) -> None:
    record = Interference(0.503, 2.2, kind)
    whole = pickup((record,), seconds=4.096, rate_hz=2000.0)
    for chunk_samples in (32, 1024):
        cut = pickup((record,), seconds=4.096, rate_hz=2000.0, chunk_samples=chunk_samples)
        assert np.allclose(cut, whole, rtol=0, atol=1e-6)
    one = pickup((record,), seconds=4.096, rate_hz=2000.0, electrodes=("C5S",))
    assert np.allclose(one, whole[1:2], rtol=0, atol=1e-6)
    both = pickup((record, Interference(0.5, 1.0, kind, 1.0)), seconds=4.096, rate_hz=2000.0)
    assert 0.0 < np.abs(both - whole).max() < 12.0
    assert not np.allclose(pickup((record,), seconds=4.096, rate_hz=2000.0, seed=2), whole, atol=1.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"for_s": 1.0, "kind": "saw"}, "kind = 'saw' is unknown; use one of: drill, ultrasound, warmer"),
        ({"for_s": -1.0, "kind": "drill"}, "for_s = -1.0 is impossible"),
        ({"for_s": 1.0, "kind": "drill", "level_uv": float("nan")}, "level_uv = nan is impossible"),
    ],
)
def test_what_no_machine_does_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Interference(0.0, **fields)  # type: ignore[arg-type]
