"""hw/SCENARIO.md names every table, key and default of a scenario, and its examples are scenarios."""

import json
import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from hw.model.patient import Patient
from hw.model.scenario import KINDS, Scenario, parse_scenario

HW = Path(__file__).parents[2] / "hw"
TEXT = (HW / "SCENARIO.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
SECTIONS = dict(re.findall(r"^### `\[\[(\w+)\]\]`\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
CASE = parse_scenario(tomllib.loads(EXAMPLES[0]))


def test_every_table_has_its_section_and_every_section_its_table() -> None:
    assert set(SECTIONS) == set(KINDS)
    assert "SCENARIO.md" in (HW / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", KINDS)
def test_every_key_stands_there_with_its_default(table: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", SECTIONS[table], re.MULTILINE)
    told = {key: default.strip() for key, _, default in rows}
    expected = {}
    for field in fields(KINDS[table]):
        plain = "None" if field.default is None else json.dumps(field.default, default=str)
        expected[field.name] = "" if field.default is MISSING else plain
    assert told == expected
    for key, unit, _ in rows:
        ending = {"s": "s", "ms": "ms", "uv": "uV", "hz": "Hz", "ma": "mA"}.get(key.rpartition("_")[2])
        assert ending is None or unit.strip() == ending


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_a_scenario(number: int) -> None:
    scenario = parse_scenario(tomllib.loads(EXAMPLES[number]))
    assert scenario != Scenario()
    Patient(("CP3", "VLL1"), 500.0, scenario=scenario).read(300)


def test_the_examples_use_every_table() -> None:
    assert {key for example in EXAMPLES for key in tomllib.loads(example)} == set(KINDS)


def p37_uv(at_s: float) -> float:
    peaks = Patient(("CPz",), 500.0, scenario=CASE).truth("left tibial", ("CPz", "Fpz"), at_s=at_s)
    return sum(abs(peak.amplitude_uv) for peak in peaks if peak.name == "P37")


def muscle_uv(stem: str, at_s: float) -> float:
    """What a transcranial train makes of a muscle."""
    patient = Patient(("AHL1", "AHR1", "APBL1", "APBR1"), 500.0, scenario=CASE)
    for pulse in range(5):
        patient.stimulate(500.0 * (at_s + 0.002 * pulse), "right motor cortex")
    return sum(
        emission.uv for _, emission in patient.emissions("right motor cortex") if emission.stem == stem
    )


def test_the_whole_case_goes_as_its_comments_say() -> None:
    baseline_uv, legs_uv, arms_uv = p37_uv(500.0), muscle_uv("AH", 500.0), muscle_uv("APB", 500.0)
    # The motor tract first, then half of the dorsal columns; the arms stay.
    assert muscle_uv("AH", 1570.0) < 0.25 * legs_uv and muscle_uv("APB", 1570.0) > 0.5 * arms_uv
    assert p37_uv(1570.0) > 0.8 * baseline_uv
    assert p37_uv(1880.0) < 0.5 * baseline_uv
    # Reversal: all back within ten minutes.
    assert p37_uv(2700.0) > 0.9 * baseline_uv and muscle_uv("AH", 2700.0) > 0.6 * legs_uv
    told = [(firing.muscle, firing.kind) for firing in Patient(("VLL1",), 500.0, scenario=CASE).fired(4e3)]
    assert told == [("VLL", "burst"), ("VLL", "tonic")]
    assert [CASE.contact_at("CPz", at_s) for at_s in (699.0, 701.0, 821.0)] == ["ok", "off", "ok"]
