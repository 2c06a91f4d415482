"""Muscles, nerves and cord of the model patient: thresholds, trains, relaxants, lesions, and exact onsets."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.anatomy import Lesion
from hw.model.muscles import MOTOR
from hw.model.patient import Patient
from hw.model.scenario import NoiseChange, Scenario, Threshold
from hw.model.sites import SITES
from hw.model.state import Anaesthesia

RATE_HZ = 8000.0
SILENT = (NoiseChange(0.0, emg=0.0, mains=0.0, eeg=0.0),)
QUIET = Scenario(noise=SILENT)
TRAIN = [24 * k for k in range(5)]  # every 3 ms


def fired(
    site: str,
    electrodes: tuple[str, ...],
    pulses: list[int],
    ma: float | None = None,
    scenario: Scenario = QUIET,
    at: int = 800,
    ms: float = 120.0,
    seed: int = 1,
) -> tuple[NDArray[np.float64], Patient]:
    """Microvolts (time, electrode) from `at` on of one stimulus of `pulses`, offsets taken away."""
    patient = Patient(electrodes, RATE_HZ, seed, scenario=scenario)
    for pulse in pulses:
        patient.stimulate(float(at + pulse), site, ma)
    patient.read(at - 1)
    rows = np.array([patient.read(at + k) for k in range(round(ms * RATE_HZ / 1e3))]) * 1e6
    return rows - rows[0], patient


def sizes(patient: Patient, site: str) -> dict[str, float]:
    """The sum of what each muscle did, by stem."""
    told: dict[str, float] = {}
    for _, emission in patient.emissions(site):
        told[emission.stem] = told.get(emission.stem, 0.0) + emission.uv
    return told


def test_a_train_does_what_a_single_pulse_does_not() -> None:
    hand = ("APBR1", "APBR2")
    one = sizes(fired("left hemisphere", hand, [0], 110.0)[1], "left hemisphere")
    five = sizes(fired("left hemisphere", hand, TRAIN, 110.0)[1], "left hemisphere")
    assert one.get("APB", 0.0) < 30.0 and five["APB"] > 300.0
    more = [len(range(n)) for n in range(1, 6)]
    grown = [
        sizes(fired("left hemisphere", hand, TRAIN[:n], 90.0)[1], "left hemisphere").get("APB", 0.0)
        for n in more
    ]
    assert grown == sorted(grown) and grown[0] < 0.05 * grown[-1]


def test_the_other_side_answers_and_latencies_grow_with_the_way() -> None:
    electrodes = ("APBR", "TAR", "AHR", "APBL", "DELR", "OORR")
    uv, patient = fired("left hemisphere", electrodes, TRAIN, 200.0)
    onsets = {e.stem: at_s * 1e3 + e.begin_ms for at_s, e in reversed(patient.emissions("left hemisphere"))}
    assert onsets["OOR"] < onsets["DEL"] < onsets["APB"] < onsets["TA"] < onsets["AH"]
    assert (
        np.ptp(uv[200:, electrodes.index("APBL")]) < 5.0 < 200.0 < np.ptp(uv[200:, electrodes.index("APBR")])
    )


def test_current_recruits_up_to_all_and_a_threshold_is_where_half_answers() -> None:
    site, leg = "left screw L5", ("TAL1", "TAL2")
    grown = [sizes(fired(site, leg, [0], ma)[1], site).get("TA", 0.0) for ma in (8, 10, 11, 12, 13, 14, 20)]
    assert grown[0] == 0.0 and grown[3] == pytest.approx(grown[-1] / 2, rel=0.15)
    assert all(b > a * 0.9 for a, b in itertools.pairwise(grown))
    breached = Scenario(noise=SILENT, threshold=(Threshold(0.0, site, 4.0),))
    assert sizes(fired(site, leg, [0], 8.0, breached)[1], site)["TA"] > 1500.0
    late = Scenario(noise=SILENT, threshold=(Threshold(10.0, site, 4.0),))
    assert sizes(fired(site, leg, [0], 8.0, late)[1], site) == {}


@pytest.mark.parametrize(
    ("block", "count", "ratio"), [(0.0, 4, 1.0), (0.5, 4, 0.67), (0.78, 3, 0.0), (0.95, 1, 0.0)]
)
def test_a_block_fades_a_train_of_four(block: float, count: int, ratio: float) -> None:
    relaxed = Scenario(noise=SILENT, anaesthesia=(Anaesthesia(0.0, block=block),))
    pulses = [4000 * k for k in range(4)]
    patient = fired("left ulnar", ("ADML1", "ADML2"), pulses, 50.0, relaxed, ms=10.0)[1]
    told = [e.uv for _, e in patient.emissions("left ulnar") if e.uv > 0.025 * 7000.0]
    assert len(told) == count
    assert (told[3] / told[0] if count == 4 else 0.0) == pytest.approx(ratio, abs=0.06)


def test_repeated_stimuli_are_no_train_of_four_and_rest_ends_it() -> None:
    relaxed = Scenario(noise=SILENT, anaesthesia=(Anaesthesia(0.0, block=0.6),))
    pulses = [0, 4000, 4000 + 16000, 4000 + 32000]
    patient = fired("left ulnar", ("ADML1",), pulses, 50.0, relaxed, ms=10.0)[1]
    told = [e.uv for _, e in patient.emissions("left ulnar")]
    assert told[1] < 0.9 * told[0] and told[2:] == pytest.approx([told[0]] * 2, rel=0.15)


@pytest.mark.parametrize(
    ("lesion", "left"),
    [
        (Lesion(0.0, "cord T8", tract="motor"), {"APB": 1, "TA": 0}),
        (Lesion(0.0, "cord T8", tract="dorsal"), {"APB": 1, "TA": 1}),
        (Lesion(0.0, "cord T8", "left", tract="motor"), {"APB": 1, "TA": 1}),
        (Lesion(0.0, "cord T8", "right", tract="motor"), {"APB": 1, "TA": 0}),
        (Lesion(0.0, "capsule", "left"), {"APB": 0, "TA": 0}),
        (Lesion(0.0, "root L5", "right"), {"APB": 1, "TA": 0.3}),
        (Lesion(0.0, "leg", "right"), {"APB": 1, "TA": 0}),
    ],
)
def test_a_lesion_takes_the_muscles_behind_it(lesion: Lesion, left: dict[str, float]) -> None:
    electrodes = ("APBR", "TAR")
    hurt = sizes(
        fired("left hemisphere", electrodes, TRAIN, 200.0, Scenario(noise=SILENT, lesion=(lesion,)))[1],
        "left hemisphere",
    )
    well = sizes(fired("left hemisphere", electrodes, TRAIN, 200.0)[1], "left hemisphere")
    told = {stem: hurt.get(stem, 0.0) / well[stem] for stem in left}
    assert told == pytest.approx(left, abs=0.06)


def test_strong_current_reaches_the_facial_nerve_which_answers_a_single_pulse() -> None:
    site, face = "left hemisphere", ("OORR1", "OORR2")

    def direct(pulses: list[int], ma: float | None, scenario: Scenario = QUIET) -> list[float]:
        told = fired(site, face, pulses, ma, scenario)[1].emissions(site)
        return [emission.uv for _, emission in told if emission.begin_ms < 8.0]

    assert direct([0], 130.0) == [] == direct(TRAIN, 130.0)
    assert direct(TRAIN, None) == [], "what nobody states is no strong current"
    (one,) = direct([0], 260.0)
    assert 500.0 < one < 1000.0
    assert max(direct(TRAIN, 260.0)) == pytest.approx(one), "it does not sum"
    easy = Scenario(noise=SILENT, threshold=(Threshold(0.0, site, 60.0),))
    assert direct([0], 130.0, easy) == [], "the cortex's threshold is not the nerve's"
    hurt = Scenario(noise=SILENT, lesion=(Lesion(0.0, "cortex", "left"),))
    assert direct([0], 260.0, hurt) == pytest.approx([one])


def test_the_d_wave_is_the_cords_and_not_the_muscles() -> None:
    leads = ("DR1", "DC1", "DC2")
    deep = Scenario(noise=SILENT, anaesthesia=(Anaesthesia(0.0, depth=2.0, block=1.0),))
    one = sizes(fired("left hemisphere", leads, [0], 110.0, deep)[1], "left hemisphere")
    assert one["DC"] == pytest.approx(16.0, rel=0.2) and one["DR"] == pytest.approx(26.0, rel=0.2)
    between = Scenario(noise=SILENT, lesion=(Lesion(0.0, "cord T6", severity=0.6),))
    hurt = sizes(fired("left hemisphere", leads, [0], 110.0, between)[1], "left hemisphere")
    assert hurt["DC"] < 0.5 * one["DC"] and hurt["DR"] == pytest.approx(one["DR"], rel=0.2)


def test_anaesthesia_and_its_hours_take_from_what_is_central_only() -> None:
    worn = Scenario(noise=SILENT, anaesthesia=(Anaesthesia(0.0, depth=1.5, fade=0.5),))
    site = "left popliteal"
    h_and_m = [
        [e.uv for _, e in fired(site, ("GASL1",), [0], 17.0, s)[1].emissions(site)]
        for s in (Scenario(noise=SILENT), worn)
    ]
    (h, m), (worn_h, worn_m) = (sorted(one, key=lambda uv: uv) for one in h_and_m)
    assert worn_m == pytest.approx(m, rel=0.01) and worn_h < 0.4 * h


def test_the_h_reflex_comes_before_the_m_wave_and_goes_with_it() -> None:
    site = "left popliteal"
    found = {}
    for ma in (6.0, 12.0, 40.0):
        found[ma] = {round(e.begin_ms): e.uv for _, e in fired(site, ("GASL1",), [0], ma)[1].emissions(site)}
    assert found[6.0] == {}
    (only,) = found[12.0]
    assert only > 25  # H without M
    assert all(ms < 10 for ms in found[40.0])  # M without H


@pytest.mark.parametrize(
    ("site", "electrode", "ma"),
    [
        ("left hemisphere", "TAR1", 200.0),
        ("left ulnar", "ADML1", 50.0),
        ("left screw L5", "TAL1", 20.0),
        ("left nerve", "NAPL1", 5.0),
        ("right pudendal", "ASR1", 40.0),
    ],
)
def test_a_response_begins_and_ends_when_it_is_said_to(site: str, electrode: str, ma: float) -> None:
    pulses = TRAIN if MOTOR[site.split(" ", 1)[1]][0].facilitates else [0]
    with_it, patient = fired(site, (electrode,), pulses, ma, at=803)
    told = patient.emissions(site)
    begin_ms = min(at_s * 1e3 + e.begin_ms for at_s, e in told) - 803 / RATE_HZ * 1e3
    gone = Scenario(noise=SILENT, anaesthesia=())
    nothing, _ = fired(site, (electrode,), pulses, 0.1, gone, at=803)
    uv = (with_it - nothing)[:, 0]
    t_ms = (np.arange(len(uv)) - 1.5) / RATE_HZ * 1e3
    assert np.abs(uv[t_ms < begin_ms]).max() < 1e-6
    rising = uv[(t_ms > begin_ms) & (t_ms < begin_ms + 1.5)]
    assert np.abs(rising).max() > 0.01 * np.ptp(uv) and np.ptp(uv) > 30.0
    assert np.abs(uv[t_ms > begin_ms + 60.0]).max(initial=0.0) < 1e-6
    if len(told) == 1:
        assert np.ptp(uv) == pytest.approx(told[0][1].uv, rel=0.03)


def test_seeds_and_electrodes_change_what_they_should() -> None:
    one, _ = fired("left hemisphere", ("TAR1", "APBR1"), TRAIN, 200.0)
    again, _ = fired("left hemisphere", ("APBR1", "Cz", "TAR1"), TRAIN, 200.0)
    assert np.allclose(one[:, 0], again[:, 2]) and np.allclose(one[:, 1], again[:, 0])
    other, _ = fired("left hemisphere", ("TAR1", "APBR1"), TRAIN, 200.0, seed=2)
    assert not np.allclose(one, other, atol=1.0)


def test_every_motor_site_moves_something() -> None:
    for nerve in MOTOR:
        assert f"left {nerve}" in SITES and MOTOR[nerve]
