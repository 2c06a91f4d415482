"""The calibration file: what is written is read again, what is wrong is named, a resistor makes an entry."""

import math
import tomllib
from pathlib import Path

import pytest

from firmware.errors import ConfigError
from firmware.leads import calibrate
from firmware.leads.calibrate import seen_leads
from firmware.leads.calibration import (
    UNCALIBRATED,
    Calibration,
    Excited,
    Pin,
    calibrated,
    calibration_text,
    parse_calibration,
    read_calibration,
)
from firmware.ports import Source
from hw.link import ImpedanceStart
from tests.firmware.test_impedance import NETWORKS
from tests.support.leads import LeadRig, RigSource, resistor, true_ohm

LEAD = {
    "chip": 1,
    "channel": 3,
    "side": "p",
    "nominal_na": 6,
    "frequency_hz": 31.25,
    "current_na": 4.87,
    "phase_deg": -1.5,
}
EXCITED = Excited(Pin(1, 3, "p"), 6, 31.25)


def test_what_is_written_is_read_again() -> None:
    board = 'SN"7\\\n'
    given = Calibration(
        board, 2_150.0, {EXCITED: 4.87e-9 + 1e-10j, Excited(Pin(2, 1, "n"), 24, 7.8125): 2e-8j - 1e-8}
    )
    again = parse_calibration(tomllib.loads(calibration_text(given)))
    assert (again.board, again.series_ohm, set(again.currents_a)) == (board, 2_150.0, set(given.currents_a))
    for excited, current_a in given.currents_a.items():
        assert again.currents_a[excited] == pytest.approx(current_a, rel=1e-6)


def test_a_lead_without_entry_has_the_nominal_current_and_20_percent() -> None:
    calibration = parse_calibration({"board": "A", "lead": [LEAD]})
    current_a, tolerance = calibration.current_a(EXCITED)
    assert abs(current_a) == pytest.approx(4.87e-9) and tolerance < 0.02
    assert math.degrees(math.atan2(current_a.imag, current_a.real)) == pytest.approx(-1.5)
    for other in (
        Excited(Pin(1, 3, "n"), 6, 31.25),
        Excited(EXCITED.pin, 24, 31.25),
        Excited(EXCITED.pin, 6, 62.5),
    ):
        assert calibration.current_a(other) == (other.nominal_na * 1e-9, 0.20)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "board must be"),
        ({"board": 7}, "board must be"),
        ({"board": "A", "boards": 1}, "'boards' is unknown"),
        ({"board": "A", "series_ohm": -1}, "series_ohm -1"),
        ({"board": "A", "series_ohm": "2k"}, "series_ohm '2k' is not a number"),
        ({"board": "A", "lead": 3}, r"\[\[lead\]\]"),
        ({"board": "A", "lead": [LEAD, LEAD]}, "lead 2: stands twice"),
        ({"board": "A", "lead": [LEAD | {"side": "left"}]}, "lead 1: side 'left'"),
        ({"board": "A", "lead": [LEAD | {"chip": 0}]}, "lead 1: chip 0"),
        ({"board": "A", "lead": [LEAD | {"channel": 9}]}, "lead 1: channel 9"),
        ({"board": "A", "lead": [LEAD | {"channel": True}]}, "lead 1: channel True"),
        ({"board": "A", "lead": [LEAD | {"gain": 1}]}, "lead 1: 'gain' is unknown"),
        ({"board": "A", "lead": [LEAD | {"phase_deg": math.nan}]}, "lead 1: phase_deg nan"),
        ({"board": "A", "lead": [LEAD | {"current_na": 24.0}]}, "24 nA for a nominal 6 nA"),
        ({"board": "A", "lead": [{k: v for k, v in LEAD.items() if k != "side"}]}, "lead 1: side is missing"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(table: dict[str, object], why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=why) as error:
        parse_calibration(table)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_calibration(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("board = ")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        read_calibration(tmp_path / "bad.toml")
    (tmp_path / "good.toml").write_text(calibration_text(Calibration("B")))
    assert read_calibration(tmp_path / "good.toml").board == "B"


@pytest.mark.parametrize("shift", [0, 1, 7])
def test_a_known_resistor_on_every_lead_calibrates_to_2_percent_from_1_to_50_kohm(shift: int) -> None:
    """`shift`: the wave of these parts counts from elsewhere than START, which a resistor tells."""
    factors = (0.8, 1.2, 0.87, 1.13, 0.92, 1.08, 0.83, 1.17)

    def rig(calibration: Calibration) -> LeadRig:
        made = LeadRig(250.0, calibration=calibration)
        for channel, factor in enumerate(factors):
            made.wires[0].model.set_lead_off_current(channel, "p", factor)
        if shift:
            made.block(shift)
            made.index = 0
        return made

    measured = rig(UNCALIBRATED).electrodes(*[resistor(10_000)] * 8).measure()
    seen, left_out = seen_leads(measured, ("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8"), (8,))
    assert left_out == ["REF"] and len(seen) == 8
    calibration = calibrated(UNCALIBRATED, "SN7", seen, 10_000.0)
    again = parse_calibration(tomllib.loads(calibration_text(calibration)))
    result = rig(again).electrodes(*NETWORKS).measure(ImpedanceStart(2, 6, 0.0, 0, 0))
    assert result.board == "SN7" and not any(result.notes[:8])
    for k, network in enumerate(NETWORKS):
        assert result.ohm[k] == pytest.approx(abs(true_ohm(network, 31.25)), rel=0.02)


def test_a_resistor_that_cannot_be_is_refused() -> None:
    seen, _ = seen_leads(
        LeadRig().electrodes(resistor(50_000)).measure(), tuple(f"E{k}" for k in range(1, 9)), (8,)
    )
    with pytest.raises(ConfigError, match="chip 1 channel 1 side p"):
        calibrated(UNCALIBRATED, "SN7", seen, 5_000.0)
    with pytest.raises(ConfigError, match="calibrates nothing"):
        calibrated(UNCALIBRATED, "SN7", seen, -1.0)
    with pytest.raises(ConfigError, match="name its serial number"):
        calibrated(UNCALIBRATED, "", seen, 5_000.0)
    with pytest.raises(ConfigError, match="of board B, not of A"):
        calibrated(Calibration("B"), "A", seen, 5_000.0)


def test_the_program_writes_a_file_that_the_edge_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = LeadRig().electrodes(*[resistor(10_000)] * 8)
    rig.wires[0].model.set_lead_off_current(2, "p", 0.85)
    monkeypatch.setattr(calibrate, "build", lambda options: RigSource(rig))
    out = tmp_path / "board.toml"
    assert calibrate.main(["10000", "--board", "SN9", "--out", str(out)]) == 0
    assert "chip 1 channel 3 p: 5.10" in capsys.readouterr().out
    calibration = read_calibration(out)
    assert calibration.board == "SN9" and len(calibration.currents_a) == 8
    assert abs(calibration.currents_a[EXCITED]) == pytest.approx(5.1e-9, rel=0.01)
    assert calibrate.main(["10000", "--board", "SN8", "--out", str(out)]) == 2
    assert "of board SN9, not of SN8" in capsys.readouterr().err


def test_the_program_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(source: Source, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(calibrate, "build", lambda options: source)
        code = calibrate.main(["10000", "--board", "SN9", "--out", str(tmp_path / "none" / "x.toml"), *more])
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return code, err

    dead = LeadRig()
    dead.wires[0].model.trouble.lead_off_current_dead = True
    code, text = said(RigSource(dead))
    assert code == 1 and "nothing to calibrate: E1+ not measured: no tone" in text
    assert "no current of 7 nA" in said(RigSource(LeadRig()), "--current-na", "7")[1]
    assert "No such file" in said(RigSource(LeadRig().electrodes(*[resistor(10_000)] * 8)))[1]
    assert "the samples ended" in said(RigSource(LeadRig(), seconds=0.5))[1]
    assert calibrate.main(["ohm"]) == 2
