"""The model patient keeps its word: same answers for any order of calls, responses where `truth` says."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from hw.model.body import ELECTRODES
from hw.model.evoked import TruePeak
from hw.model.patient import Patient
from hw.model.scenario import Change, NoiseChange, Scenario
from hw.model.sites import SITES

Floats = NDArray[np.float64]
RATE_HZ = 4000.0
SILENT = NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0)
QUIET = Scenario(noise=(SILENT,))
QUIET_NO_RESPONSE = Scenario((Change(0.0, amplitude=0.0),), (SILENT,))
ELECTRODE_SET = ("CP3", "CP4", "CPz", "Fpz", "C5S", "T12S", "EPL", "EPR", "PFL", "PFR")


def recorded(patient: Patient, n_samples: int, stimuli: list[tuple[float, str]]) -> Floats:
    """Volts (time, electrode) of `n_samples` conversions, each pulse delivered when its time has come."""
    rows, waiting = [], sorted(stimuli)
    for index in range(n_samples):
        while waiting and waiting[0][0] < index + 1:
            patient.stimulate(*waiting.pop(0))
        rows.append(patient.read(index))
    return np.array(rows)


def response_only(n_samples: int, stimuli: list[tuple[float, str]], **options: object) -> Floats:
    """The same with noise silent, and the artifact and the offsets taken away by a twin without responses."""
    electrodes = options.pop("electrodes", ELECTRODE_SET)
    rate_hz = options.pop("rate_hz", RATE_HZ)
    with_it = Patient(electrodes, rate_hz, scenario=QUIET, **options)  # type: ignore[arg-type]
    without = Patient(electrodes, rate_hz, scenario=QUIET_NO_RESPONSE, **options)  # type: ignore[arg-type]
    return recorded(with_it, n_samples, stimuli) - recorded(without, n_samples, stimuli)


def derivation_uv(volts: Floats, active: str, reference: str | None) -> Floats:
    column = volts[:, ELECTRODE_SET.index(active)]
    return 1e6 * (column if reference is None else column - volts[:, ELECTRODE_SET.index(reference)])


def measured(times_ms: Floats, wave_uv: Floats, peak: TruePeak) -> tuple[float, float]:
    """Latency and amplitude of the extreme of the peak's sign within 1.5 ms, by spline."""
    near = np.arange(peak.latency_ms - 1.5, peak.latency_ms + 1.5, 0.001)
    fine = CubicSpline(times_ms, wave_uv)(near)
    best = int(np.argmax(peak.sign * fine))
    return float(near[best]), float(fine[best])


STIMULI = [(100.25, "left median"), (300.0, "right tibial"), (301.5, "left median"), (900.75, "right median")]


def test_reading_later_skipping_and_announcing_early_change_nothing() -> None:
    plain = recorded(Patient(ELECTRODE_SET, RATE_HZ, seed=5), 1500, STIMULI)
    early = Patient(ELECTRODE_SET, RATE_HZ, seed=5)
    for at_samples, site in STIMULI:
        early.stimulate(at_samples, site)
    assert np.array_equal(plain, [early.read(index) for index in range(1500)])
    sparse = Patient(ELECTRODE_SET, RATE_HZ, seed=5)
    sparse.read(7)
    for at_samples, site in STIMULI:
        sparse.stimulate(at_samples, site)
    kept = [8, 120, 121, 255, 256, 380, 1023, 1499]
    assert np.array_equal(plain[kept], [sparse.read(index) for index in kept])


def test_a_pulse_in_the_middle_of_a_chunk_reaches_every_row_after_it() -> None:
    plain = recorded(Patient(ELECTRODE_SET, RATE_HZ), 1000, [])
    pulsed = recorded(Patient(ELECTRODE_SET, RATE_HZ), 1000, [(130.0, "left median")])
    changed = np.flatnonzero(np.any(plain != pulsed, axis=1))
    assert changed[0] == 132  # row 132 ends at 132, looks at 130.5: within the 0.2 ms pulse
    assert np.all(np.diff(changed[:200]) == 1)
    assert changed[-1] < 132 + 0.06 * RATE_HZ


def test_seed_changes_everything_and_other_electrodes_change_nothing() -> None:
    one = recorded(Patient(("CP3", "EPL"), RATE_HZ, seed=1), 600, STIMULI[:2])
    other = recorded(Patient(("CP3", "EPL"), RATE_HZ, seed=2), 600, STIMULI[:2])
    assert np.all(one[:100] != other[:100])
    crowd = recorded(Patient(("AHL", "EPL", "Fz", "CP3"), RATE_HZ, seed=1), 600, STIMULI[:2])
    assert np.allclose(crowd[:, [3, 1]], one, rtol=0, atol=1e-13)


def test_a_removed_response_leaves_noise_and_artifact_only() -> None:
    stimuli = [(float(at), "left median") for at in range(400, 8000, 800)]
    removal = Scenario((Change(1.0, amplitude=0.0),))
    normal = recorded(Patient(ELECTRODE_SET, RATE_HZ), 8000, stimuli)
    removed = recorded(Patient(ELECTRODE_SET, RATE_HZ, scenario=removal), 8000, stimuli)
    silent = recorded(Patient(ELECTRODE_SET, RATE_HZ), 8000, [])
    assert np.array_equal(normal[:4000], removed[:4000])
    after = slice(4000 + 400 + 80, 4000 + 400 + 120)  # 20 to 30 ms after the pulse at sample 4400
    assert np.allclose(removed[after], silent[after], rtol=0, atol=1e-9)
    assert np.ptp(derivation_uv(normal[after] - silent[after], "CP4", "CP3")) > 2.0


@pytest.mark.parametrize("site", [site for site in SITES if site.split()[1] in ("median", "tibial", "ulnar")])
@pytest.mark.parametrize(("rate_hz", "delay_samples"), [(4000.0, 1.5), (8000.0, 1.5), (4000.0, 2.75)])
def test_response_peaks_at_the_true_latencies(
    site: str, rate_hz: float, delay_samples: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw.model.patient._TRIAL_SD", np.zeros(3))
    at_samples = 50.37
    patient = Patient(ELECTRODE_SET, rate_hz)
    n_samples = int(0.08 * rate_hz) + 50
    wave = response_only(n_samples, [(at_samples, site)], rate_hz=rate_hz, delay_samples=delay_samples)
    times_ms = (np.arange(n_samples) - delay_samples - at_samples) / rate_hz * 1e3
    checked = 0
    for active, reference in [
        *itertools.permutations(ELECTRODE_SET[:5], 2),
        *((e, None) for e in ELECTRODE_SET),
    ]:
        # The first pulse after rest: the cortex answers as at 1 Hz or slower.
        for peak in patient.truth(site, (active, reference), stimulus_hz=1.0):
            latency_ms, amplitude_uv = measured(times_ms, derivation_uv(wave, active, reference), peak)
            assert latency_ms == pytest.approx(peak.latency_ms, abs=0.01)
            assert amplitude_uv == pytest.approx(peak.amplitude_uv, abs=0.002)
            checked += 1
    assert checked > 30


def averaged(
    electrodes: tuple[str, ...], site: str, n_stimuli: int, period: int, *, rested: int
) -> tuple[Floats, Floats]:
    """Times in ms and the noiseless average (time, electrode) over pulses from number `rested` on."""
    offset = 0.37
    stimuli = [(100 + period * number + offset, site) for number in range(n_stimuli)]
    volts = recorded(Patient(electrodes, RATE_HZ, scenario=QUIET), 100 + period * n_stimuli, stimuli)
    window = np.arange(-20, 300)
    sweeps = [volts[100 + period * number + window] for number in range(rested, n_stimuli - 1)]
    sweep = np.mean(sweeps, axis=0)
    times_ms = (window - 1.5 - offset) / RATE_HZ * 1e3
    # The electrodes drift: a straight line through what lies before the pulse and behind the response.
    outside = (times_ms < -0.5) | (times_ms > 65)
    drift = np.polynomial.polynomial.polyfit(times_ms[outside], sweep[outside], 1)
    return times_ms, sweep - np.polynomial.polynomial.polyval(times_ms, drift).T


@pytest.mark.parametrize(
    ("site", "active", "reference", "names"),
    [
        ("left median", "CP4", "CP3", ("N20", "P25")),
        ("right median", "CP3", "CP4", ("N20", "P25")),
        ("left median", "C5S", None, ("N13",)),
        ("left tibial", "CPz", "Fpz", ("P37", "N45")),
        ("right tibial", "T12S", None, ("LP",)),
    ],
)
def test_average_of_noiseless_sweeps_has_its_peaks_at_the_truth(
    site: str, active: str, reference: str | None, names: tuple[str, ...]
) -> None:
    period = 851
    electrodes = (active,) if reference is None else (active, reference)
    times_ms, sweep = averaged(electrodes, site, 90, period, rested=40)
    truth = Patient(("CP3",), RATE_HZ).truth(site, (active, reference), stimulus_hz=RATE_HZ / period)
    peaks = {peak.name: peak for peak in truth}
    wave_uv = 1e6 * (sweep[:, 0] if reference is None else sweep[:, 0] - sweep[:, 1])
    for name in names:
        latency_ms, amplitude_uv = measured(times_ms, wave_uv, peaks[name])
        assert latency_ms == pytest.approx(peaks[name].latency_ms, abs=0.01)
        assert amplitude_uv == pytest.approx(peaks[name].amplitude_uv, rel=0.03)


def test_truth_lists_the_adult_peaks() -> None:
    patient = Patient(("CP3",), RATE_HZ)

    def peaks(site: str, active: str, reference: str | None) -> dict[str, TruePeak]:
        return {peak.name: peak for peak in patient.truth(site, (active, reference))}

    cortical = peaks("left median", "CP4", "CP3")
    assert cortical["N20"].latency_ms == pytest.approx(20.0, abs=0.02)
    assert 2.5 <= cortical["P25"].amplitude_uv - cortical["N20"].amplitude_uv <= 3.0
    assert (cortical["N20"].sign, cortical["P25"].sign) == (-1, 1)
    assert "P14" not in cortical  # a far field: alike on both sides
    assert peaks("right median", "CP3", "CP4")["N20"].latency_ms == pytest.approx(20.2, abs=0.02)
    swapped = peaks("left median", "CP3", "CP4")["N20"]
    assert swapped.amplitude_uv == pytest.approx(-cortical["N20"].amplitude_uv) and swapped.sign == 1
    assert peaks("left median", "EPL", "EPR")["N9"].latency_ms == pytest.approx(9.5, abs=0.01)
    assert peaks("left median", "C5S", None)["N13"].amplitude_uv == pytest.approx(-1.5, abs=0.05)
    assert {"P14", "N20"} <= set(peaks("left median", "CP4", "A1"))
    tibial = peaks("left tibial", "CPz", "Fpz")
    assert tibial["P37"].latency_ms == pytest.approx(38.0, abs=0.02)
    assert tibial["P37"].amplitude_uv == pytest.approx(1.5, abs=0.1)
    ipsilateral, contralateral = (peaks("left tibial", name, None)["P37"] for name in ("CP3", "CP4"))
    assert ipsilateral.amplitude_uv > 1.0 and contralateral.sign == -1
    assert "LP" in peaks("right tibial", "T12S", None) and "PF" in peaks("right tibial", "PFR", None)
    assert peaks("right tibial", "PFL", None) == {}


def test_truth_follows_the_scenario() -> None:
    scenario = Scenario((Change(10.0, response="peripheral", latency_ms=0.51), Change(20.0, amplitude=0.0)))
    patient = Patient(("CP3",), RATE_HZ, scenario=scenario)
    n9 = ("left median", ("EPL", "EPR"))
    assert patient.truth(*n9)[0].latency_ms == pytest.approx(9.5, abs=1e-3)
    assert patient.truth(*n9, at_s=10.0)[0].latency_ms == pytest.approx(10.01, abs=1e-3)
    assert patient.truth("left median", ("CP4", "CP3"), at_s=10.0) == patient.truth(
        "left median", ("CP4", "CP3")
    )
    assert patient.truth(*n9, at_s=20.0) == []


def settled_uv(site: str, active: str, at_ms: int, stimulus_hz: float) -> float:
    """Mean of the last 20 of 130 responses at one latency; the draws are the same at every rate."""
    normal = Patient((active,), 500.0, scenario=QUIET)
    none = Patient((active,), 500.0, scenario=QUIET_NO_RESPONSE)
    values = []
    for number in range(130):
        at_samples = 50.5 + round(number * 500 / stimulus_hz)
        normal.stimulate(at_samples, site)
        none.stimulate(at_samples, site)
        row = int(at_samples + 1.5 + at_ms / 2)
        values.append(1e6 * (normal.read(row)[0] - none.read(row)[0]))
    return float(np.mean(values[110:]))


@pytest.mark.parametrize(
    ("site", "active", "at_ms", "shares"),
    [
        ("left median", "CP4", 24, (0.721, 0.512, 0.462)),
        ("left tibial", "CPz", 46, (0.697, 0.462, 0.432)),
        ("left median", "EPL", 10, (1.0, 1.0, 1.0)),
        ("left tibial", "T12S", 22, (1.0, 1.0, 1.0)),
    ],
)
def test_faster_stimuli_shrink_cortical_responses_only(
    site: str, active: str, at_ms: int, shares: tuple[float, ...]
) -> None:
    slow_uv = settled_uv(site, active, at_ms, 1.05)
    for stimulus_hz, share in zip((2.79, 5.69, 8.44), shares, strict=True):
        assert settled_uv(site, active, at_ms, stimulus_hz) / slow_uv == pytest.approx(share, rel=0.02)


def test_amplitude_settles_over_seconds_and_varies_by_a_few_percent() -> None:
    stimuli = [(100.5 + 400 * number, "left median") for number in range(180)]
    wave = 1e6 * response_only(72_000, stimuli, electrodes=("EPL", "CP4"), rate_hz=2000.0)
    erb = wave[[121 + 400 * number for number in range(180)], 0]
    cortex = wave[[142 + 400 * number for number in range(180)], 1]
    assert 0.01 < erb.std() / abs(erb.mean()) < 0.03
    assert 0.02 < cortex[60:].std() / abs(cortex[60:].mean()) < 0.08
    # 5 Hz after rest: 1.8 times the settled N20, without its share of N18.
    assert cortex[:3].mean() / cortex[60:].mean() > 1.4
    assert 1.05 < cortex[10:20].mean() / cortex[60:].mean() < 1.4


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.8])
def test_artifact_is_a_spike_of_two_samples_and_a_fading_tail(fraction: float) -> None:
    electrodes = ("CP3", "C5S", "APBL", "APBR", "EPL", "EPR")
    stimuli = [(100 + fraction, "left median")]
    wave = recorded(Patient(electrodes, RATE_HZ, scenario=QUIET_NO_RESPONSE), 200, stimuli)
    wave = 1e6 * (wave - recorded(Patient(electrodes, RATE_HZ, scenario=QUIET_NO_RESPONSE), 200, []))
    assert np.all(np.abs(wave[:101]) < 1e-6)
    for column, near in enumerate((1.0, 1.0, 10.0, 1.0, 2.0, 1.0)):
        spike = wave[:, column]
        assert 1 <= np.count_nonzero(spike > 100 * near) <= 2
        # All of 500 uV x 0.2 ms arrives, whatever the phase: 0.4 sample periods at 4 kSPS, and the tail.
        gain = spike[:150].sum() / (0.8 * 500 + 60 * 1.5 * 4)
        assert 0.6 * near < gain < 1.4 * near
        after_ms = (np.array([110, 116]) - 1.5 - stimuli[0][0]) / 4 - 0.2
        assert spike[[110, 116]] == pytest.approx(60 * gain * np.exp(-after_ms / 1.5), rel=0.01)


def test_a_larger_delay_only_shifts_rows() -> None:
    near = response_only(600, [(100.25, "left median")], delay_samples=1.5)
    far = response_only(600, [(100.25, "left median")], delay_samples=3.5)
    assert np.allclose(near[:-2], far[2:], rtol=0, atol=1e-14)
    assert np.ptp(near) > 1e-6


def test_misuse_is_refused_in_one_line() -> None:
    patient = Patient(("CP3",), RATE_HZ)
    patient.read(10)
    for call, words in [
        (lambda: Patient(("CP3", "Xz"), RATE_HZ), "'Xz'.*known electrodes: CP3, CP4"),
        (lambda: Patient((), RATE_HZ), "at least one"),
        (lambda: Patient(("CP3",), float("nan")), "rate_hz"),
        (lambda: Patient(("CP3",), RATE_HZ, seed=-1), "seed"),
        (lambda: Patient(("CP3",), RATE_HZ, delay_samples=0.0), "delay_samples"),
        (lambda: Patient(("CP3",), RATE_HZ, mains_hz=16.7), "mains_hz"),
        (lambda: patient.read(10), "ascending"),
        (lambda: patient.stimulate(20.0, "left elbow"), "left elbow.*known sites: left median"),
        (lambda: patient.stimulate(9.5, "left median"), "too late"),
        (lambda: patient.stimulate(float("inf"), "left median"), "too late"),
        (lambda: patient.truth("left median", ("CP3", "Xz")), "Xz"),
        (lambda: patient.truth("head", ("CP3", None)), "head"),
    ]:
        with pytest.raises(ValueError, match=words) as fault:
            call()
        assert "\n" not in str(fault.value)
    patient.stimulate(500.0, "left median")
    with pytest.raises(ValueError, match="ascending"):
        patient.stimulate(499.0, "left median")
    patient.stimulate(499.0, "right median")


def test_every_known_electrode_answers() -> None:
    row = Patient(tuple(ELECTRODES), 250.0).read(0)
    assert len(row) == len(ELECTRODES) and np.all(np.isfinite(row))
