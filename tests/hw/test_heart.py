"""The model's heart is as large and as fast as asked, and its beats stand where truth says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.heart import Ecg, Heart
from hw.model.patient import Patient
from hw.model.scenario import NoiseChange, Scenario

Floats = NDArray[np.float64]
NEAR = ("CP3", "Fz", "C5S", "A2")
FAR = ("T12S", "IC", "ASL1", "ASR")
ELECTRODES = (*NEAR, *FAR, "EPL", "AHR1", "SL4", "DR1")


def added(
    records: tuple[Heart, ...],
    seconds: float = 20.0,
    seed: int = 1,
    chunk: int = 250,
    electrodes: tuple[str, ...] = ELECTRODES,
) -> Floats:
    source = Ecg(electrodes, seed, records)
    uv = np.zeros((len(electrodes), int(seconds * 1000)))
    for k in range(0, uv.shape[1], chunk):
        source.add_to(uv[:, k : k + chunk], np.arange(k, min(k + chunk, uv.shape[1])) / 1000.0)
    return uv


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_r_waves_are_of_microvolts_on_the_head_and_of_more_on_the_back(seed: int) -> None:
    height_uv = np.abs(added((Heart(0.0),), seed=seed)).max(axis=1)
    assert np.all((height_uv[:4] > 5.0) & (height_uv[:4] < 20.0))
    assert np.all((height_uv[4:8] > 50.0) & (height_uv[4:8] < 200.0))
    assert np.all(height_uv[8:] > 4.0)
    assert np.allclose(added((Heart(0.0, scale=2.5),), seed=seed), 2.5 * added((Heart(0.0),), seed=seed))


def test_beats_are_where_truth_says_and_wander() -> None:
    records = (Heart(0.0, 70.0), Heart(60.0, 120.0))
    uv, beats = added(records, 120.0)[4], Ecg(ELECTRODES, 1, records).beats(119.0)
    sign = np.sign(uv[np.argmax(np.abs(uv))])
    for beat in beats[1:]:
        at = round(beat.at_s * 1000)
        assert abs(int(np.argmax(sign * uv[at - 40 : at + 40])) - 40) <= 2
    at_s = np.array([beat.at_s for beat in beats])
    slow, quick = np.diff(at_s[at_s < 59.0]), np.diff(at_s[at_s > 61.0])
    assert slow.mean() == pytest.approx(60 / 70, rel=0.02) and quick.mean() == pytest.approx(0.5, rel=0.02)
    assert 0.01 < slow.std() / slow.mean() < 0.08
    assert np.ptp([beat.size for beat in beats]) > 0.05


def test_without_a_record_there_is_none_and_its_size_follows_the_records() -> None:
    assert not added(()).any() and Ecg(ELECTRODES, 1, ()).beats(100.0) == ()
    records = (Heart(5.0), Heart(10.0, scale=0.0))
    uv = added(records)
    touched = np.flatnonzero(uv.any(axis=0)) / 1000.0
    assert 4.7 < touched[0] < 6.2 and 9.0 < touched[-1] < 10.5
    assert all(5.0 <= beat.at_s < 10.0 for beat in Ecg(ELECTRODES, 1, records).beats(20.0))


def test_chunks_electrodes_and_asking_for_beats_leave_no_trace() -> None:
    records = (Heart(0.0), Heart(4.0, 150.0, 3.0))
    whole = added(records, 8.0, chunk=8000)
    for chunk in (1, 77, 256):
        assert np.array_equal(added(records, 8.0, chunk=chunk), whole)
    assert np.array_equal(added(records, 8.0, electrodes=("T12S",))[0], whole[4])
    asked = Ecg(ELECTRODES, 1, records)
    asked.beats(100.0)
    uv = np.zeros_like(whole)
    asked.add_to(uv, np.arange(8000) / 1000.0)
    assert np.array_equal(uv, whole)
    assert not np.allclose(added(records, 8.0, seed=2), whole)


def test_the_patient_has_it_and_no_noise_factor_takes_it() -> None:
    silent = NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0)
    made = {}
    for heart in ((), (Heart(0.0),)):
        patient = Patient(("T12S",), 1000.0, scenario=Scenario(noise=(silent,), heart=heart))
        made[heart] = 1e6 * np.array([patient.read(k)[0] for k in range(5000)])
        assert len(patient.beats(5.0)) in ((0,) if not heart else (5, 6, 7))
    assert 40.0 < np.abs(made[(Heart(0.0),)] - made[()]).max() < 220.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"rate_per_min": 0.0}, "rate_per_min = 0.0 is impossible; give 20 to 250"), ({"scale": -1.0}, "scale")],
)
def test_what_no_heart_does_is_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Heart(0.0, **fields)
