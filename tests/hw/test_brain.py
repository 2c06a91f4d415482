"""The scenario drives the patient's EEG: depth, suppression with its truth, perfusion; evoked noise stays."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt, welch

from hw.model.anatomy import Lesion
from hw.model.brain import BrainCourse
from hw.model.patient import Patient
from hw.model.rhythms import BrainState, Rhythms
from hw.model.scenario import NoiseChange, Scenario
from hw.model.slow_rhythms import SlowRhythms
from hw.model.sources import Background
from hw.model.state import Anaesthesia

Floats = NDArray[np.float64]
ELECTRODES = ("Fz", "C3", "C4", "O1", "SL4", "C5S", "EPL", "AHL1")
HEAD = slice(0, 5)
CALM = NoiseChange(0.0, emg=0.0, mains=0.0)


def background_uv(
    brain: BrainCourse | None,
    seconds: float,
    rate_hz: float = 500.0,
    seed: int = 1,
    noise: NoiseChange = CALM,
    electrodes: tuple[str, ...] = ELECTRODES,
    chunk_samples: int = 256,
) -> Floats:
    """(electrode, time) less the electrodes' offsets."""

    def made(change: NoiseChange, course: BrainCourse | None) -> Floats:
        source = Background(
            electrodes,
            rate_hz,
            seed,
            delay_samples=1.5,
            mains_hz=50.0,
            noise=(change,),
            brain=course,
            chunk_samples=chunk_samples,
        )
        return np.hstack([source.next_uv() for _ in range(int(seconds * rate_hz) // chunk_samples)])

    return made(noise, brain) - made(NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0), None)


def course(*records: Anaesthesia, lesion: tuple[Lesion, ...] = ()) -> BrainCourse:
    return BrainCourse(records, lesion)


def band_uv(uv: Floats, low_hz: float, high_hz: float, rate_hz: float = 500.0) -> Floats:
    at_hz, density = welch(uv, rate_hz, nperseg=1024)
    inside = (at_hz >= low_hz) & (at_hz < high_hz)
    rms: Floats = np.sqrt(density[..., inside].sum(axis=-1) * at_hz[1])
    return rms


def looked(brain: BrainCourse, at_s: float) -> tuple[float, ...]:
    state = brain(np.array([at_s]))
    return tuple(float(values[0]) for values in (state.depth, state.suppression, state.left, state.right))


def test_a_scenarios_state_is_the_rhythms_state() -> None:
    assert looked(course(), 5.0) == (0.5, 0.0, 1.0, 1.0)
    assert looked(course(Anaesthesia(0.0, depth=0.0)), -1.0) == (0.0, 0.0, 1.0, 1.0)
    deep = course(Anaesthesia(10.0, depth=2.0, ramp_s=10.0))
    assert looked(deep, 15.0) == pytest.approx((0.75, 0.1, 1.0, 1.0))
    assert looked(deep, 30.0) == pytest.approx((1.0, 0.6, 1.0, 1.0))
    assert looked(course(Anaesthesia(0.0, depth=3.0)), 1.0) == (1.0, 1.0, 1.0, 1.0)
    assert looked(course(Anaesthesia(0.0, suppression=0.3)), 1.0) == (0.5, 0.3, 1.0, 1.0)


def test_perfusion_is_what_lesions_of_the_cortex_and_pressure_leave() -> None:
    clamp = (Lesion(10.0, "cortex", "left", 0.6, ramp_s=10.0), Lesion(40.0, "cortex", "left", 0.0))
    brain = course(Anaesthesia(30.0, pressure_mmhg=50.0), lesion=clamp)
    assert looked(brain, 15.0) == pytest.approx((0.5, 0.0, 0.7, 1.0))
    assert looked(brain, 25.0)[2:] == pytest.approx((0.4, 1.0))
    assert looked(brain, 35.0)[2:] == pytest.approx((0.24, 0.6))
    assert looked(brain, 45.0)[2:] == pytest.approx((0.6, 0.6))
    assert looked(course(lesion=(Lesion(0.0, "cortex"),)), 1.0)[2:] == (0.0, 0.0)
    assert looked(course(lesion=(Lesion(0.0, "capsule"), Lesion(0.0, "cord C3"))), 1.0)[2:] == (1.0, 1.0)


@pytest.mark.parametrize("rate_hz", [1000.0, 4000.0, 16000.0])
def test_rhythms_made_slowly_are_those_made_at_the_full_rate(rate_hz: float) -> None:
    step = int(rate_hz / 250.0)
    brain = course(Anaesthesia(0.5, depth=0.5, ramp_s=1.0))
    names = ("Fz", "C3", "EPL")
    slow = SlowRhythms(names, rate_hz, 3, brain, 1.5)
    uv = np.hstack([slow.rows(256) for _ in range(int(2 * rate_hz) // 256)])
    exact = Rhythms(names, 250.0, 3, 128, brain)
    at = np.arange(512).reshape(-1, 128)
    made = np.hstack([exact.next_uv(((block - 1) * step - 1.5) / rate_hz) for block in at])
    assert np.allclose(uv[:, ::step], made[:, 1 : 1 + uv[:, ::step].shape[1]], rtol=0, atol=1e-9)
    assert np.all(uv[2] == 0.0)
    # Between the made samples all is smooth: images about 250 Hz and its multiples are 70 dB below.
    spectrum = np.abs(np.fft.rfft(uv[0] * np.hanning(uv.shape[1]))) ** 2
    at_hz = np.fft.rfftfreq(uv.shape[1], 1 / rate_hz)
    assert spectrum[at_hz > 150.0].sum() < 1e-7 * spectrum[at_hz > 0.3].sum()


def test_chunks_leave_no_trace() -> None:
    brain = course(
        Anaesthesia(1.0, depth=1.9, ramp_s=2.0), lesion=(Lesion(2.0, "cortex", "left", 0.7, ramp_s=1.0),)
    )
    whole = background_uv(brain, 8.192, rate_hz=1000.0, chunk_samples=1024)
    for chunk_samples in (32, 256):
        cut = background_uv(brain, 8.192, rate_hz=1000.0, chunk_samples=chunk_samples)
        assert np.allclose(cut, whole, rtol=0, atol=1e-7)


def test_evoked_potentials_see_no_more_noise_for_the_rhythms() -> None:
    """Second order forwards and backwards, -3 dB at 30 Hz together, as averaging has it."""
    rate_hz, names = 2000.0, ("CP3", "CP4", "CPz", "Fpz", "Cz", "A1", "C5S", "SL3", "SL6")
    high = butter(2, 30.0 * (np.sqrt(2.0) - 1.0) ** 0.25, "high", fs=rate_hz, output="sos")
    loud = NoiseChange(0.0, mains=0.0)
    plain, rhythmic = (
        sosfiltfilt(high, background_uv(brain, 20.0, rate_hz, 77, loud, names))[:, 2000:-2000]
        for brain in (None, course())
    )
    for one, other in ((0, 1), (2, 3), (4, 5), (6, 3), (0, 3), (8, 7)):
        more = np.std(rhythmic[one] - rhythmic[other]) / np.std(plain[one] - plain[other])
        assert 0.99 < more < 1.02, (names[one], names[other])
    raw = background_uv(course(), 20.0, rate_hz, 77, loud, names)
    assert np.all(band_uv(raw[:6], 8.0, 13.0, rate_hz) > 2.0)


def test_depth_of_the_scenario_is_seen_in_the_spectrum() -> None:
    light, surgical, deep = (
        background_uv(course(Anaesthesia(0.0, depth=depth, suppression=0.0)), 40.0)[0]
        for depth in (0.2, 1.0, 2.0)
    )
    assert band_uv(light, 14.0, 25.0) > 1.8 * band_uv(surgical, 14.0, 25.0)
    assert band_uv(surgical, 8.0, 13.0) > 3 * band_uv(deep, 8.0, 13.0)
    assert band_uv(deep, 0.5, 4.0) > 1.2 * band_uv(surgical, 0.5, 4.0)


def test_suppression_takes_the_brain_and_leaves_thermal_noise_muscle_and_neck() -> None:
    flat = course(Anaesthesia(0.0, depth=1.0, suppression=1.0))
    burst, silent = background_uv(course(), 20.0), background_uv(flat, 20.0)
    assert np.array_equal(burst[5:], silent[5:])
    assert silent[0].std() < 0.06 * burst[0].std() and silent[4].std() < 0.06 * burst[4].std()
    assert silent[0, 2000:].std() > 0.14  # 5 kilohm to 250 Hz: 0.146 uV
    muscle = NoiseChange(0.0, emg=1.0, mains=0.0)
    with_muscle = background_uv(flat, 20.0, noise=muscle) - silent
    assert np.allclose(with_muscle, background_uv(course(), 20.0, noise=muscle) - burst, rtol=0, atol=1e-7)
    assert with_muscle[0].std() > 1.0


def test_the_patient_tells_its_suppressions_before_they_are_read_and_keeps_to_them() -> None:
    scenario = Scenario(noise=(CALM,), anaesthesia=(Anaesthesia(5.0, suppression=0.5),))
    patient, rate_hz = Patient(("Fz", "Cz"), 500.0, 4, scenario=scenario), 500.0
    spans = patient.suppressed(40.0)
    assert spans[0][0] >= 5.0 and spans[-1][1] <= 40.0 and len(spans) > 3
    assert patient.suppressed(spans[1][1]) == spans[:2] and patient.suppressed(1.0) == ()
    middle_s = 0.5 * sum(spans[1])
    assert patient.suppressed(middle_s) == (spans[0], (spans[1][0], middle_s))
    uv = 1e6 * np.array([patient.read(k) for k in range(int(40 * rate_hz))])
    twin = Patient(("Fz", "Cz"), rate_hz, 4, scenario=scenario)
    assert np.array_equal(uv, 1e6 * np.array([twin.read(k) for k in range(int(40 * rate_hz))]))
    assert patient.suppressed(40.0) == twin.suppressed(40.0) == spans
    times_s = (np.arange(len(uv)) - 1.5) / rate_hz
    inside, near = np.zeros(len(uv), bool), np.zeros(len(uv), bool)
    for start_s, end_s in spans:
        inside |= (times_s >= start_s + 0.08) & (times_s < end_s)
        near |= (times_s >= start_s - 0.02) & (times_s < end_s + 0.1)
    steps = np.abs(np.diff(uv[:, 0]))
    assert np.median(steps[inside[1:]]) < 0.2 * np.median(steps[~near[1:]])
    assert Patient(("Fz",), 500.0).suppressed(1e4) == ()


def test_a_clamp_on_one_side_slows_that_side_and_takes_it_at_last() -> None:
    whole = background_uv(course(), 40.0)
    left, right = [1, 3], [2]
    mild, gone = (
        background_uv(course(lesion=(Lesion(0.0, "cortex", "left", severity),)), 40.0)
        for severity in (0.75, 1.0)
    )
    assert np.allclose(mild[right], whole[right], rtol=0, atol=1e-9)
    fast, slow = ((8.0, 30.0), (1.0, 3.5))
    assert np.all(band_uv(mild[left], *fast) < 0.35 * band_uv(whole[left], *fast))
    assert np.all(band_uv(mild[left], *slow) > 1.3 * band_uv(whole[left], *slow))
    assert np.all(gone[left].std(axis=1) < 0.1 * whole[left].std(axis=1))
    shock = background_uv(course(Anaesthesia(0.0, pressure_mmhg=40.0)), 40.0)
    assert np.all(band_uv(shock[1:4], *fast) < 0.4 * band_uv(whole[1:4], *fast))


def test_the_noise_factor_of_eeg_is_the_rhythms_too() -> None:
    one = background_uv(course(), 4.0)
    twice = background_uv(course(), 4.0, noise=NoiseChange(0.0, emg=0.0, mains=0.0, eeg=2.0))
    assert np.allclose(twice, 2 * one, rtol=0, atol=1e-7)


def test_no_rhythm_is_asked_of_a_patient_without_a_head() -> None:
    def never(times_s: Floats) -> BrainState:
        raise AssertionError("asked")

    slow = SlowRhythms(("EPL",), 1000.0, 1, never, 1.5)
    assert not slow.rows(256).any()
    assert np.array_equal(
        background_uv(course(), 2.0, electrodes=("EPL", "T12S", "C5S")),
        background_uv(None, 2.0, electrodes=("EPL", "T12S", "C5S")),
    )
