"""`evokd check` explains what a good case came to: every value, where it is from, and what to ask whom."""

from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.cli import main
from hostd.explain import explain
from hostd.modalities import MODALITIES
from tests.hostd.test_modalities import smallest

CASE = """name = "X"
[acquisition]
channels = ["CP3", "CP4", "EPL", "EPR", "APBR1", "APBR2", "F3", "F4"]
[test.left]
modality = "median_ssep"
side = "left"
line = 1
sweeps = 200
[test.mep]
modality = "tcmep"
side = "left"
line = 2
[test.eeg]
modality = "eeg"
"""


def test_every_value_is_shown_with_where_it_is_from(capsys: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(CASE)
    assert main(["check", str(file)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        f"{file}: good: 'X', tests left, mep, eeg\n8 channels, 8000 samples/s (what the tests want)"
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for wanted in (
        "[test.left] Median nerve SSEP of left median",
        "sweeps 200 the case file",
        "window_ms [-10, 80] protocols/median_ssep.toml",
        "rate_hz 2.692 protocols/median_ssep.toml, ask a clinical lead",
        "derivations CP4-CP3, EPL-EPR",
        "peak N20 on CP4-CP3, 17 to 24 ms, leads; normal 18.5 to 21.5 ms, 0.5 to 8 uV",
        "peak N9 on EPL-EPR, 7.5 to 12 ms, control; normal 9 to 10.5 ms, 1 to 5 uV",
        "rule alarm: N20 amplitude fall > 50 % (ASNM 2024; ACNS 11B)",
        "nobody has said current_ma: ask a clinical lead",
        "drop_pct 70 protocols/tcmep.toml, ask a clinical lead",
        "nobody has said volts: ask a clinical lead",
        "derivations F3-CP3, F4-CP4",
    ):
        assert wanted in lines, wanted
    assert max(map(len, text.splitlines())) <= 130


def test_stimuli_that_will_be_left_out_are_told() -> None:
    text = (
        CASE
        + """[test.right]
modality = "median_ssep"
side = "right"
line = 3
rate_hz = 3.011
"""
    )
    told = list(explain(casefile.parse(text, "x.toml")))
    assert any("of the stimuli of right" in line and "those of left come first" in line for line in told)


def test_a_strength_that_is_written_takes_the_place_of_the_protocols() -> None:
    text = CASE.replace("line = 2", "line = 2\ncurrent_ma = 120\nwidth_us = 500")
    text += '[test.map]\nmodality = "cortical_mapping"\nside = "left"\nline = 3\n'
    text += "area_cm2 = 0.04\ncurrent_ma = 12\n"
    told = [" ".join(line.split()) for line in explain(casefile.parse(text, "x.toml"))]
    assert "current_ma 12 the case file" in told and not [line for line in told if "steps_ma" in line]
    assert "current_ma 120 the case file" in told and not [line for line in told if "volts" in line]


@pytest.mark.parametrize("name", [name for name in MODALITIES if name != "custom"])
def test_every_modality_can_be_explained(name: str) -> None:
    told = list(explain(casefile.parse(smallest(name), "x.toml")))
    assert MODALITIES[name].protocol.title in told[2]
    assert len([line for line in told if f"protocols/{name}.toml" in line]) >= 1
