"""The model patient knows where its pathways run: what a lesion takes and leaves, and what the state does."""

import tomllib

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from hw.model.anatomy import Lesion
from hw.model.evoked import TruePeak
from hw.model.pathways import WAYS
from hw.model.patient import Patient
from hw.model.scenario import Change, NoiseChange, Scenario, parse_scenario
from hw.model.sites import SITES
from hw.model.state import Anaesthesia, state_at

SILENT = NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0)
NONE = Scenario((Change(0.0, amplitude=0.0),), (SILENT,))


def peaks(
    site: str, derivation: tuple[str, str | None], scenario: Scenario, at_s: float = 100.0
) -> dict[str, TruePeak]:
    found = Patient(("Cz",), 4000.0, scenario=scenario).truth(site, derivation, at_s=at_s)
    return {peak.name: peak for peak in found}


def shares(site: str, derivations: dict[str, tuple[str, str | None]], scenario: Scenario) -> dict[str, float]:
    """Amplitude of each named peak in its derivation, 1 without anything."""
    told = {}
    for name, derivation in derivations.items():
        now = peaks(site, derivation, scenario).get(name)
        before = peaks(site, derivation, Scenario())[name]
        told[name] = 0.0 if now is None else now.amplitude_uv / before.amplitude_uv
    return told


ARM = {"N9": ("EPL", "EPR"), "N13": ("C5S", None), "N20": ("CP4", "CP3")}
LEG = {"PF": ("PFL", None), "LP": ("T12S", None), "P37": ("CPz", "Fpz")}
EAR = {"I": ("Cz", "A1"), "III": ("Cz", "A1"), "V": ("Cz", "A1")}


@pytest.mark.parametrize(
    ("site", "derivations", "lesion", "left"),
    [
        # The cord at T8 carries the legs and not the arms.
        ("left tibial", LEG, Lesion(1.0, "cord T8"), {"PF": 1, "LP": 1, "P37": 0}),
        ("left median", ARM, Lesion(1.0, "cord T8"), {"N9": 1, "N13": 1, "N20": 1}),
        # Between the arms' entry and the brainstem N13 stays and N20 goes.
        ("left median", ARM, Lesion(1.0, "cord C3"), {"N9": 1, "N13": 1, "N20": 0}),
        ("left median", ARM, Lesion(1.0, "cord C7"), {"N9": 1, "N13": 0, "N20": 0}),
        # Dorsal columns run on the side of the limb; the anterior cord is not seen by an SSEP.
        ("left tibial", LEG, Lesion(1.0, "cord T8", "right"), {"PF": 1, "LP": 1, "P37": 1}),
        ("left tibial", LEG, Lesion(1.0, "cord T8", "left", tract="motor"), {"PF": 1, "LP": 1, "P37": 1}),
        # Above the brainstem the other side answers.
        ("left median", ARM, Lesion(1.0, "cortex", "right"), {"N9": 1, "N13": 1, "N20": 0}),
        ("left median", ARM, Lesion(1.0, "cortex", "left"), {"N9": 1, "N13": 1, "N20": 1}),
        # A limb that fails takes all with it: the peripheral control tells it apart.
        ("left median", ARM, Lesion(1.0, "arm", "left"), {"N9": 0, "N13": 0, "N20": 0}),
        ("right median", {"N9": ("EPR", "EPL")}, Lesion(1.0, "arm", "left"), {"N9": 1}),
        ("left tibial", LEG, Lesion(1.0, "root S1", "left"), {"PF": 1, "LP": 0.3, "P37": 0.3}),
        ("left ear", EAR, Lesion(1.0, "cochlear nerve", "left"), {"I": 1, "III": 0, "V": 0}),
        ("left ear", EAR, Lesion(1.0, "cochlea", "left"), {"I": 0, "III": 0, "V": 0}),
        (
            "left eye",
            {"b": ("ERGL", None), "P100": ("Oz", "Fz")},
            Lesion(1.0, "optic nerve"),
            {"b": 1, "P100": 0},
        ),
        ("left eye", {"b": ("ERGL", None), "P100": ("Oz", "Fz")}, Lesion(1.0, "retina"), {"b": 0, "P100": 0}),
        ("left L5", {"P37": ("CPz", "Fpz")}, Lesion(1.0, "root L5", "left"), {"P37": 0}),
        ("left L4", {"P37": ("CPz", "Fpz")}, Lesion(1.0, "root L5", "left"), {"P37": 1}),
    ],
)
def test_what_lies_behind_a_lesion_is_lost_and_nothing_else(
    site: str, derivations: dict[str, tuple[str, str | None]], lesion: Lesion, left: dict[str, float]
) -> None:
    assert shares(site, derivations, Scenario(lesion=(lesion,))) == pytest.approx(left, abs=0.03)
    # Half of it takes half, before its time nothing.
    half = Lesion(1.0, lesion.place, lesion.side, 0.5, lesion.tract)
    expected = {name: (1 + share) / 2 for name, share in left.items()}
    assert shares(site, derivations, Scenario(lesion=(half,))) == pytest.approx(expected, abs=0.03)
    late = Lesion(101.0, lesion.place, lesion.side, lesion.severity, lesion.tract)
    assert set(shares(site, derivations, Scenario(lesion=(late,))).values()) == {1.0}


def test_a_lesion_comes_slowly_delays_and_recovers() -> None:
    scenario = Scenario(
        lesion=(
            Lesion(10.0, "cord T8", severity=0.8, delay_ms=2.0, ramp_s=20.0),
            Lesion(50.0, "cord T8", severity=0.0, ramp_s=10.0),
            Lesion(20.0, "root L5", severity=0.5),  # another place: both count
        )
    )
    normal = peaks("right tibial", ("CPz", "Fpz"), Scenario())["P37"]

    def at(at_s: float) -> tuple[float, float]:
        now = peaks("right tibial", ("CPz", "Fpz"), scenario, at_s)["P37"]
        return now.amplitude_uv / normal.amplitude_uv, now.latency_ms - normal.latency_ms

    assert at(9.9) == (1.0, 0.0)
    # The far field P31 before it shifts the extreme a little.
    assert at(20.0 - 1e-9) == pytest.approx((0.6, 1.0), abs=0.02)
    assert at(40.0) == pytest.approx((0.2 * 0.85, 2.0), abs=0.1)
    assert at(55.0) == pytest.approx((0.6 * 0.85, 1.0), abs=0.02)
    assert at(60.0) == pytest.approx((0.85, 0.0), abs=0.01)


def test_the_state_of_the_patient_reaches_every_level_in_its_way() -> None:
    deep = Scenario(anaesthesia=(Anaesthesia(1.0, depth=2.0),))
    assert shares("left median", ARM, deep) == pytest.approx({"N9": 1, "N13": 0.905, "N20": 0.55}, abs=0.03)
    shock = Scenario(anaesthesia=(Anaesthesia(1.0, pressure_mmhg=50.0),))
    assert shares("left median", ARM, shock) == pytest.approx({"N9": 1, "N13": 1, "N20": 0.6}, abs=0.02)
    cold = Scenario(anaesthesia=(Anaesthesia(1.0, temperature_c=35.5),))
    for name, ms in (("N9", 9.5), ("N20", 20.0)):
        late_ms = peaks("left median", ARM[name], cold)[name].latency_ms
        assert late_ms == pytest.approx(1.03 * ms, abs=0.05)


def test_states_follow_each_other_in_straight_lines() -> None:
    records = (
        Anaesthesia(10.0, depth=2.0, block=0.9, ramp_s=10.0),
        Anaesthesia(15.0, temperature_c=34.5, ramp_s=5.0),
    )
    assert state_at((), 5.0).depth == 1.0
    assert state_at(records, 12.5).depth == pytest.approx(1.25) and state_at(
        records, 12.5
    ).block == pytest.approx(0.225)
    # The second record names no depth: back to normal, from where the first had come.
    middle = state_at(records, 17.5)
    assert middle.depth == pytest.approx(1.25) and middle.temperature_c == pytest.approx(35.5)
    assert state_at(records, 20.0).depth == 1.0 and state_at(records, 20.0).block == 0.0


@pytest.mark.parametrize(
    ("record", "flat"),
    [
        ({"depth": 1.0}, 0.0),
        ({"depth": 1.9}, 0.5),
        ({"depth": 3.0}, 1.0),
        ({"depth": 1.0, "suppression": 0.7}, 0.7),
    ],
)
def test_suppression_is_what_depth_brings_unless_it_is_said(record: dict[str, float], flat: float) -> None:
    assert Anaesthesia(0.0, **record).flat_share == pytest.approx(flat)


def response_uv(
    site: str, electrodes: tuple[str, ...], rate_hz: float, ms: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in ms and the noiseless response (time, electrode), without the artifact."""
    n, at = round(ms * rate_hz / 1e3), 40.3
    rows = []
    for scenario in (Scenario(noise=(SILENT,)), NONE):
        patient = Patient(electrodes, rate_hz, scenario=scenario)
        patient.stimulate(at, site)
        rows.append(np.array([patient.read(k) for k in range(n)]))
    return (np.arange(n) - 1.5 - at) / rate_hz * 1e3, 1e6 * (rows[0] - rows[1])


@pytest.mark.parametrize(
    ("site", "derivation", "rate_hz", "names"),
    [
        ("right ear", ("Cz", "A2"), 16000.0, ["I", "II", "III", "IV", "V"]),
        ("left ear", ("ECL", None), 16000.0, ["N1"]),
        ("left ear", ("CNL", None), 16000.0, ["CN-N1"]),
        ("left eye", ("Oz", None), 4000.0, ["N75", "P100", "N145"]),
        ("left eye", ("ERGL", None), 4000.0, ["a", "b"]),
        ("left cortex", ("SL7", None), 4000.0, ["N1", "N2"]),
        ("right C6", ("CP3", "CP4"), 4000.0, ["N20"]),
        ("right L5", ("CPz", "Fpz"), 4000.0, ["P37"]),
    ],
)
def test_responses_peak_where_truth_says(
    site: str,
    derivation: tuple[str, str | None],
    rate_hz: float,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hw.model.patient._TRIAL_SD", np.zeros(3))
    reference = derivation[1]
    electrodes = tuple(filter(None, derivation))
    times_ms, uv = response_uv(site, electrodes, rate_hz, 260.0)
    if site.endswith("ear"):  # the microphonic goes with the mean of both polarities
        uv = (uv + response_uv(site + " inverted", electrodes, rate_hz, 260.0)[1]) / 2
    wave = uv[:, 0] if reference is None else uv[:, 0] - uv[:, 1]
    truth = {p.name: p for p in Patient(electrodes, rate_hz).truth(site, derivation, stimulus_hz=1.0)}
    assert set(names) <= set(truth)
    curve = CubicSpline(times_ms, wave)
    for name in names:
        peak = truth[name]
        near = np.arange(peak.latency_ms - 0.2, peak.latency_ms + 0.2, 0.001)
        best = int(np.argmax(peak.sign * curve(near)))
        assert near[best] == pytest.approx(peak.latency_ms, abs=0.015), name
        assert curve(near[best]) == pytest.approx(peak.amplitude_uv, rel=0.01, abs=0.002), name


def test_the_microphonic_and_the_artifact_follow_the_polarity_and_the_nerve_does_not() -> None:
    _, one = response_uv("left ear", ("ECL",), 16000.0, 12.0)
    _, other = response_uv("left ear inverted", ("ECL",), 16000.0, 12.0)
    assert np.ptp(one - other) > 15.0  # twice the microphonic
    assert np.ptp(one + other) > 15.0  # twice the nerve
    patient = {
        site: Patient(("APBL",), 4000.0, scenario=Scenario((Change(0.0, amplitude=0.0),), (SILENT,)))
        for site in ("left median", "left median inverted")
    }
    rows = []
    for site, one_patient in patient.items():
        one_patient.stimulate(40.0, site)
        rows.append(np.array([one_patient.read(k)[0] for k in range(80)]))
    drift = rows[0][:40].mean()
    assert np.allclose(rows[0] - drift, -(rows[1] - drift), atol=2e-6) and np.ptp(rows[0]) > 1e-3


def test_every_site_has_its_stations_and_every_component_passes_some() -> None:
    assert len(SITES) == len(set(SITES)) > 2 * len(WAYS)
    for way in WAYS.values():
        assert all(1 <= part.passes <= len(way.stations) for part in way.components)
        latencies = [part.latency_ms for part in way.components]
        assert latencies == sorted(latencies)


def test_a_phase_reverses_across_the_strip() -> None:
    signs = [
        np.sign(peaks("right median", (f"SL{k}", None), Scenario())["N20"].amplitude_uv) for k in range(1, 9)
    ]
    assert signs == [1, 1, 1, 1, -1, -1, -1, -1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[lesion]]\nat_s = 1", 'lesion 1: place is missing; say where, as place = "cord T8"'),
        ("[[lesion]]\nat_s = 1\nplace = 'T8'", "lesion 1: place = 'T8' is nowhere; use cord C1 to cord L1"),
        ("[[lesion]]\nat_s = 1\nplace = 'cord L4'", "'cord L4' is nowhere"),
        ("[[lesion]]\nat_s = 1\nplace = 8", "place = 8 is nowhere"),
        (
            "[[lesion]]\nat_s = 1\nplace = 'arm'\nside = 'up'",
            "side = 'up' is unknown; use one of: left, right, both",
        ),
        ("[[lesion]]\nat_s = 1\nplace = 'arm'\nseverity = 2", "severity = 2 is impossible; give 0 to 1"),
        ("[[anaesthesia]]\nat_s = 1\ndepth = -1", "anaesthesia 1: depth = -1 is impossible"),
        ("[[anaesthesia]]\nat_s = 1\nsuppression = 1.5", "suppression = 1.5 is impossible; give 0 to 1"),
        ("[[anaesthesia]]\nat_s = 1\nmac = 1", "anaesthesia 1: unknown key 'mac'; known keys: at_s, depth"),
    ],
)
def test_what_no_patient_can_have_is_said_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".*") as fault:
        parse_scenario(tomllib.loads(text))
    assert words in str(fault.value) and "\n" not in str(fault.value)
