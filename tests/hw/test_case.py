"""A scenario with every table: one patient for one seed, whatever the read order, and each table is felt."""

import tomllib

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.model.patient import Patient
from hw.model.scenario import KINDS, TABLES, Scenario, parse_scenario

Floats = NDArray[np.float64]
RATE_HZ = 1000.0
ELECTRODES = ("CP3", "CP4", "CPz", "Fpz", "C5S", "EPL", "T12S", "SL3", "APBL1", "APBL2", "VLL1", "OOCL1")
TEXT = """
[[change]]
at_s = 0.5
site = "left median"
amplitude = 0.5
[[noise]]
at_s = 1.0
emg = 2
[[electrosurgery]]
at_s = 1.2
for_s = 0.3
[[stimulator]]
at_s = 2.0
condition = "open"
[[lesion]]
at_s = 0.6
place = "cortex"
side = "right"
severity = 0.6
ramp_s = 1
[[anaesthesia]]
at_s = 0
depth = 1.8
block = 0.3
temperature_c = 35.5
pressure_mmhg = 55
fade = 0.9
ramp_s = 2
[[threshold]]
at_s = 0
site = "left screw L4"
ma = 3
[[emg]]
at_s = 1.0
for_s = 1.0
muscle = "VLL"
kind = "C-train"
[[emg]]
at_s = 1.5
kind = "spike"
[[electrode]]
at_s = 2.1
name = "CP3"
condition = "off"
[[electrode]]
at_s = 0
name = "reference"
condition = "loose"
[[interference]]
at_s = 2.2
for_s = 0.5
kind = "drill"
[[interference]]
at_s = 0
for_s = 3
kind = "warmer"
[[heart]]
at_s = 0
[[plugs]]
at_s = 1.3
electrodes = [["VLL1", "VLL2"], ["CP3", "CP4"]]
"""
DOCUMENT = tomllib.loads(TEXT)
PULSES = [
    (100.25, "left median"),
    (700.0, "right motor cortex"),
    (702.0, "right motor cortex"),
    (1400.5, "left median"),
    (2300.0, "right median"),
]
END = 3000


def read(
    scenario: Scenario, *, seed: int = 5, at: NDArray[np.intp] | None = None, early: bool = False
) -> Floats:
    """Volts (time, electrode) at conversions `at`; pulses in their time, or all of them `early`."""
    patient = Patient(ELECTRODES, RATE_HZ, seed, scenario=scenario)
    waiting, rows = list(PULSES), []
    for index in range(END) if at is None else at:
        while waiting and (early or waiting[0][0] < index + 1):
            patient.stimulate(*waiting.pop(0))
        if index == 1700:  # what the truth is asked for must not matter
            patient.suppressed(10.0), patient.beats(10.0), patient.fired(10.0)
        rows.append(patient.read(int(index)))
    return np.array(rows)


def test_a_document_of_all_tables_is_one_patient_to_the_bit() -> None:
    assert set(DOCUMENT) == set(TABLES)
    scenario = parse_scenario(DOCUMENT)
    whole = read(scenario)
    assert np.all(np.isfinite(whole)) and np.array_equal(read(parse_scenario(tomllib.loads(TEXT))), whole)
    assert np.array_equal(read(scenario, early=True), whole)
    at = np.array([0, 99, 101, 255, 256, 703, 720, 1023, 1024, 1402, 1700, 2302, 2310, END - 1])
    assert np.array_equal(read(scenario, at=at, early=True), whole[at])
    assert not np.any(np.all(read(scenario, seed=6) == whole, axis=0))


# The stimulator is the box's, and no screw is stimulated here.
@pytest.mark.parametrize("table", sorted(set(KINDS) - {"stimulator", "threshold"}))
def test_each_table_is_felt_and_not_before_its_time(table: str) -> None:
    without = parse_scenario({key: value for key, value in DOCUMENT.items() if key != table})
    different = np.any(read(without) != read(parse_scenario(DOCUMENT)), axis=1)
    first_s = min(float(entry["at_s"]) for entry in DOCUMENT[table])
    assert different.any()
    assert not different[: int(first_s * RATE_HZ)].any()


def n9_and_n20(scenario: Scenario, at_s: float) -> Floats:
    """(peak, (amplitude share, ms late)) of the right arm."""
    told = []
    for name, derivation in (("N9", ("EPR", "EPL")), ("N20", ("CP3", "CP4"))):
        found = []
        for one in (scenario, Scenario()):
            peaks = Patient(("CP3",), RATE_HZ, scenario=one).truth("right median", derivation, at_s=at_s)
            found.append(next((peak for peak in peaks if peak.name == name), None))
        now, normal = found
        assert normal is not None
        told.append(
            (0.0, np.nan)
            if now is None
            else (now.amplitude_uv / normal.amplitude_uv, now.latency_ms - normal.latency_ms)
        )
    return np.array(told)


def test_an_ischaemic_limb_is_late_before_it_is_small_and_large_before_it_is_in_time() -> None:
    scenario = parse_scenario(
        tomllib.loads("""
        [[lesion]]
        at_s = 100
        place = "arm"
        side = "right"
        severity = 0.8
        delay_ms = 3
        ramp_s = 600
        [[lesion]]
        at_s = 1000
        place = "arm"
        side = "right"
        severity = 0.0
        ramp_s = 600
        """)
    )
    for at_s, share, late_ms in [
        (100.0, 1.0, 0.0),
        (220.0, 1.0, 1.0),
        (339.0, 1.0, 2.0),
        (460.0, 1 - 0.8 / 3, 3.0),
        (700.0, 0.2, 3.0),
        (999.0, 0.2, 3.0),
        (1180.0, 0.6, 3.0),
        (1360.0, 1.0, 3 - 1.0),
        (1600.0, 1.0, 0.0),
    ]:
        for peak in n9_and_n20(scenario, at_s):
            assert peak == pytest.approx((share, late_ms), abs=0.03)
    other = Patient(("CP3",), RATE_HZ, scenario=scenario).truth("left median", ("CP4", "CP3"), at_s=700.0)
    assert other == Patient(("CP3",), RATE_HZ).truth("left median", ("CP4", "CP3"))


def test_muscles_of_an_ischaemic_leg_are_late_first_too() -> None:
    text = '[[lesion]]\nat_s = 0\nplace = "leg"\nside = "left"\nseverity = 0.9\ndelay_ms = 4\nramp_s = 600'
    scenario = parse_scenario(tomllib.loads(text))
    told = []
    for at_s in (10.0, 230.0, 600.0):
        patient = Patient(("AHL1", "AHL2"), RATE_HZ, scenario=scenario)
        patient.stimulate(at_s * RATE_HZ, "left tibial")
        _, emission = patient.emissions("left tibial")[0]
        told.append((emission.begin_ms, emission.uv))
    (first_ms, first_uv), (slow_ms, slow_uv), (last_ms, last_uv) = told
    assert slow_ms - first_ms == pytest.approx(4 * 220 / 360, abs=0.1)
    assert slow_uv == pytest.approx(first_uv, rel=0.25)
    assert last_ms - first_ms == pytest.approx(4.0, abs=0.2) and last_uv < 0.2 * first_uv
