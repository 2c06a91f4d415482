"""Case files: defaults filled, names resolved, shipped cases whole, files that cannot be read."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hostd import casefile
from hostd.case import Case, RecordingMap
from hostd.case import TestPlan as Plan
from hostd.casefile_schema import (
    AcquisitionTable,
    AlertTable,
    MonitorTable,
    PeakTable,
    RecordingTable,
    RootTable,
)
from hostd.casefile_schema import TestTable as PlanTable
from hostd.errors import CaseFileError
from hostd.modalities import MODALITIES, fill
from hw.limits import CEILINGS, FIGURES

REPOSITORY = Path(__file__).parents[2]
MOUSE = REPOSITORY.parent / "shared" / "data" / "abr_mouse_sweeps.npz"
ARM = ["CP3", "CP4", "CPz", "Fpz", "C5S", "EPL", "EPR"]
LEG = ["CP3", "CP4", "CPz", "Cz", "Fpz", "T12S", "IC", "PFLd", "PFLp"]
EAR = ["Cz", "A1", "A2"]


def case_of(
    extra="", modality="median_ssep", side="left", channels=ARM, rate_hz="4000", recording=""
) -> Case:
    """A case with one test of few keys; rate_hz "" and side "" leave the key out."""
    text = f"""name = "x"
{recording and "[recording]"}
{recording}
[acquisition]
{rate_hz and f"rate_hz = {rate_hz}"}
channels = {json.dumps(channels)}
[test.x]
modality = "{modality}"
{side and f'side = "{side}"'}
line = 1
{extra}
"""
    return casefile.parse(text, "x.toml")


def plan_of(*args, **kwargs) -> Plan:
    return case_of(*args, **kwargs).tests[0]


def placed(plan):
    """Peaks by name on the names of their derivations."""
    return {peak.name: plan.derivations[peak.derivation].name for peak in plan.peaks}


@pytest.mark.parametrize("modality", ["median_ssep", "ulnar_ssep", "tibial_ssep", "baep"])
def test_what_is_not_written_comes_from_the_modality(modality):
    channels = {"tibial_ssep": LEG, "baep": EAR}.get(modality, ARM)
    plan = plan_of(modality=modality, channels=channels, rate_hz="16000")
    default = MODALITIES[modality]
    for key in ("sweeps", "window_ms", "band_hz", "reject_uv", "weighting", "blank_ms", "response_ms"):
        assert getattr(plan, key) == getattr(default, key), key
    assert plan.stimulus_hz == default.rate_hz
    assert plan.baseline_sweeps == default.baseline_sweeps
    assert (plan.name, plan.modality, plan.line, plan.baseline) == ("x", modality, 1, "auto")
    assert [peak.name for peak in plan.peaks] == [peak.name for peak in default.peaks]
    signs = {peak.name: {"negative": -1, "positive": 1}[peak.polarity] for peak in default.peaks}
    assert {peak.name: peak.polarity for peak in plan.peaks} == signs


def test_the_ssep_defaults_are_those_of_the_facts():
    plan = plan_of()
    assert plan.site == "left median"
    assert (plan.stimulus_hz, plan.sweeps) == (2.692, 300)
    assert (plan.window_ms, plan.band_hz, plan.blank_ms, plan.response_ms) == ((-10, 80), (30, 1000), 6, 60)
    assert (plan.reject_uv, plan.weighting) == (250, "noise")
    n20 = plan.peaks[-1]
    assert (n20.name, n20.polarity, n20.window_ms, n20.to_ms) == ("N20", -1, (17, 24), (20, 30))


@pytest.mark.control("H7.1")
@pytest.mark.parametrize(
    ("side", "names", "peaks"),
    [
        (
            "left",
            ["CP4-CP3", "CP4-Fpz", "C5S-Fpz", "EPL-EPR"],
            {"N9": "EPL-EPR", "N13": "C5S-Fpz", "N20": "CP4-CP3"},
        ),
        (
            "right",
            ["CP3-CP4", "CP3-Fpz", "C5S-Fpz", "EPR-EPL"],
            {"N9": "EPR-EPL", "N13": "C5S-Fpz", "N20": "CP3-CP4"},
        ),
    ],
)
def test_side_places_contralateral_and_ipsilateral(side, names, peaks):
    plan = plan_of(side=side)
    assert [derivation.name for derivation in plan.derivations] == names
    assert placed(plan) == peaks
    weights = dict(zip(ARM, plan.derivations[0].weights, strict=True))
    active, reference = names[0].split("-")
    assert weights == dict.fromkeys(ARM, 0) | {active: 1, reference: -1}


def test_every_template_can_be_filled_for_both_sides():
    for modality in MODALITIES.values():
        for template in modality.derivations + tuple(d for peak in modality.peaks for d in peak.derivations):
            assert not set("{}") & set(fill(template, "left") + fill(template, "right"))
            assert (fill(template, "left") == fill(template, "right")) == ("{" not in template)
        for peak in modality.peaks:
            assert set(peak.derivations) <= set(modality.derivations)


def test_derivations_without_electrodes_are_dropped_with_their_peaks():
    plan = plan_of(channels=["CP4", "Fpz", "C5S"])
    assert [derivation.name for derivation in plan.derivations] == ["CP4-Fpz", "C5S-Fpz"]
    assert placed(plan) == {"N13": "C5S-Fpz", "N20": "CP4-Fpz"}


def test_a_bipolar_channel_with_the_derivations_name_is_that_derivation():
    plan = plan_of(channels=["CP4-CP3"])
    assert [derivation.name for derivation in plan.derivations] == ["CP4-CP3"]
    assert placed(plan) == {"N20": "CP4-CP3"}


def test_tibial_controls_take_the_best_reference_there_is():
    best = plan_of(modality="tibial_ssep", channels=LEG)
    assert placed(best) == {"PF": "PFLd-PFLp", "LP": "T12S-IC", "P37": "CPz-Fpz"}
    fewer = plan_of(modality="tibial_ssep", channels=["CP3", "CP4", "T12S", "PFL", "PFR"])
    assert placed(fewer) == {"PF": "PFL-PFR", "LP": "T12S-PFR", "P37": "CP3-CP4"}


def test_a_default_band_gives_way_to_the_rate():
    assert plan_of(modality="baep", channels=EAR, rate_hz="8000").band_hz == (100, 3000)
    recorded = plan_of(modality="baep", channels=EAR, rate_hz="4000", recording='trigger_channel = "T"')
    assert recorded.band_hz == (100, 1800)
    with pytest.raises(
        CaseFileError, match=r"x\.toml:7: \[test\.x\] band_hz: the lower edge 100 Hz is not below"
    ):
        plan_of("peak = []\nwindow_ms = [-80, 70]", modality="baep", channels=EAR, rate_hz="200")


def test_written_keys_win():
    plan = plan_of(
        """rate_hz = 4.776
sweeps = 64
window_ms = [-5, 50]
band_hz = "off"
reject_uv = "off"
weighting = "none"
blank_ms = 0
response_ms = 40
baseline = "manual"
site = "left wrist"
derivations = ["CP4", "CPz-(CP3+CP4)/2"]
[[test.x.peak]]
name = "N20"
polarity = "negative"
window_ms = [17, 24]
[[test.x.peak]]
name = "P25"
derivation = "CPz - (CP3+CP4)/2"
polarity = "positive"
window_ms = [22, 28]
to_ms = [25, 40]"""
    )
    assert (plan.stimulus_hz, plan.sweeps, plan.baseline_sweeps) == (4.776, 64, 64)
    assert (plan.window_ms, plan.band_hz, plan.reject_uv) == ((-5, 50), None, None)
    assert (plan.weighting, plan.blank_ms, plan.response_ms) == ("none", 0, 40)
    assert (plan.baseline, plan.site) == ("manual", "left wrist")
    assert placed(plan) == {"N20": "CP4", "P25": "CPz-(CP3+CP4)/2"}
    assert [(peak.polarity, peak.to_ms) for peak in plan.peaks] == [(-1, None), (1, (25, 40))]


def test_written_derivations_keep_the_modalitys_peaks_on_those_of_its_names():
    assert placed(plan_of('derivations = ["CPz-Fpz", "C5S-Fpz"]')) == {"N13": "C5S-Fpz"}
    assert plan_of("peak = []").peaks == ()


def test_custom_is_neutral():
    extra = 'rate_hz = 0.51\nwindow_ms = [-5, 100]\nderivations = ["CPz"]'
    plan = plan_of(extra, modality="custom", side="")
    assert (plan.band_hz, plan.reject_uv, plan.weighting, plan.blank_ms) == (None, None, "none", 0)
    assert (plan.response_ms, plan.peaks, plan.site) == (100, (), "")


def test_acquisition_defaults():
    case = case_of()
    assert (case.rate_hz, case.gain, case.reference) == (4000, 24, "")
    assert case.channels == tuple(ARM)


RECORDING = 'channels = { CP3 = "EEG CP3" }\nannotations = { "click" = 1 }'


def test_a_recording_brings_its_own_rate():
    case = case_of(rate_hz="", recording=RECORDING)
    assert case.rate_hz == 0
    assert case.recording == RecordingMap({"CP3": "EEG CP3"}, None, None, {"click": 1})
    assert case.tests[0].stimulus_hz == 1
    assert case.tests[0].band_hz == (30, 1000)
    known = casefile.at_rate(case, 1000.0)
    assert (known.rate_hz, known.tests[0].band_hz, known.text) == (1000, (30, 450), case.text)
    with pytest.raises(CaseFileError, match=r"case\.toml:8: \[test\.x\] band_hz: the lower edge"):
        casefile.at_rate(case, 50.0)


def test_a_written_rate_must_be_the_recordings():
    case = case_of(rate_hz="24414", recording=RECORDING)
    assert casefile.at_rate(case, 24413.997).rate_hz == 24413.997
    with pytest.raises(
        CaseFileError, match=r"r\.bdf:6: \[acquisition\] rate_hz: 24414, but the recording has 20000"
    ):
        casefile.at_rate(case, 20000.0, "r.bdf")


def test_an_analogue_trigger():
    case = case_of(recording='trigger_channel = "Trigger"\nthreshold = 1000')
    assert case.recording == RecordingMap({}, "Trigger", 1000.0, {})


def test_shipped_cases():
    assert {"median_ssep", "mouse_abr", "tibial_ssep"} <= set(casefile.procedures())
    median, mouse, tibial = map(casefile.procedure, ("median_ssep", "mouse_abr", "tibial_ssep"))
    assert len(median.channels) == len(tibial.channels) == 8
    assert (median.rate_hz, tibial.rate_hz, mouse.rate_hz) == (4000, 4000, 24414)
    for case, peaks in ((median, ["N9", "N13", "N20"]), (tibial, ["PF", "LP", "P37"])):
        assert [test.line for test in case.tests] == [1, 2]
        assert [test.site.split()[0] for test in case.tests] == ["left", "right"]
        for test in case.tests:
            assert [peak.name for peak in test.peaks] == peaks
            assert test.stimulus_hz == 2.692
    (click,) = mouse.tests
    assert mouse.recording.trigger_channel == "Trigger"
    assert [peak.name for peak in click.peaks] == ["I", "II", "III", "IV", "V"]
    assert click.stimulus_hz == pytest.approx(24414 / 366, abs=0.01)


@pytest.mark.skipif(not MOUSE.exists(), reason="the mouse ABR recording is not here")
def test_the_mouse_peaks_lie_within_their_windows_of_the_recording():
    with np.load(MOUSE) as data:
        mean_uv, rate_hz = data["uv_80db"].mean(axis=0), float(data["fs_hz"])
    t_ms = np.arange(len(mean_uv)) / rate_hz * 1000
    (click,) = casefile.procedure("mouse_abr").tests
    for peak in click.peaks:
        inside = np.flatnonzero((t_ms >= peak.window_ms[0]) & (t_ms <= peak.window_ms[1]))
        extreme = inside[np.argmax(mean_uv[inside])]
        assert inside[0] < extreme < inside[-1], peak.name


def test_an_unknown_procedure_names_the_nearest_and_all():
    with pytest.raises(
        CaseFileError, match=r"did you mean 'median_ssep'\? choose from acdf, aneurysm, carotid, lum"
    ):
        casefile.procedure("median_sep")
    with pytest.raises(CaseFileError, match="not shipped"):
        casefile.procedure("../procedures/median_ssep")


def test_a_file_is_loaded_with_or_without_a_byte_order_mark(tmp_path):
    text = case_of().text
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode()):
        path = tmp_path / "case.toml"
        path.write_bytes(data)
        assert casefile.load(path).tests == casefile.load(str(path)).tests == case_of().tests


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"a = 1\nb = '\xff'\n", ":2: byte 11 is not UTF-8 text; save"),
        (b"# " + b"x" * (1 << 20), ": larger than 1048576 bytes; name"),
        (b"frob = 1", ":1: frob: unknown key; choose"),
    ],
)
def test_files_that_are_no_case_files(tmp_path, data, what):
    path = tmp_path / "case.toml"
    path.write_bytes(data)
    with pytest.raises(CaseFileError) as caught:
        casefile.load(path)
    assert caught.value.faults[0].startswith(f"{path}{what}")


def test_paths_that_are_no_files(tmp_path):
    for path, what in (
        (tmp_path / "nowhere.toml", "no such file; name a case file"),
        (tmp_path, "is a directory; name a case file"),
        ("a\0b", "cannot be read: embedded null byte; name"),
        ("x" * 5000, "cannot be read: File name too long; name"),
    ):
        with pytest.raises(CaseFileError) as caught:
            casefile.load(path)
        (fault,) = caught.value.faults
        assert what in fault
        assert fault.isprintable()


def test_every_example_of_the_reference_and_of_the_messages_holds():
    reference = (REPOSITORY / "hostd" / "CASEFILE.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", reference, re.DOTALL)
    assert len(examples) >= 5
    for text in examples:
        case = casefile.parse(text, "CASEFILE.md")
        assert case.rate_hz or casefile.at_rate(case, 8000.0).rate_hz == 8000
    for table in (
        RootTable,
        AcquisitionTable,
        MonitorTable,
        RecordingTable,
        PlanTable,
        PeakTable,
        AlertTable,
    ):
        for key, annotation in table.__annotations__.items():
            (meta,) = annotation.__metadata__
            assert f"`{key}`" in reference or f"[{key}" in reference or f"[test.NAME.{key}]" in reference, key
            assert key in tomllib.loads(meta.examples[0]) or key in ("peak", "alert")


def test_the_reference_states_the_limits_as_they_are():
    reference = (REPOSITORY / "hostd" / "CASEFILE.md").read_text("utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in reference.splitlines()]
    (head,) = [row for row in rows if row[:2] == ["figure", "of"]]
    assert head[2:] == [f"`{ceiling.name}`" for ceiling in CEILINGS]
    for figure in FIGURES:
        (row,) = [row for row in rows if row[:1] == [f"`{figure}`"] and len(row) == len(head)]
        stated = [0.0 if cell == "none" else float(cell) for cell in row[2:]]
        assert stated == [getattr(ceiling, figure) for ceiling in CEILINGS], figure


def test_the_reference_shows_trains_steps_and_alternation():
    reference = (REPOSITORY / "hostd" / "CASEFILE.md").read_text("utf-8")
    cases = [
        casefile.parse(text, "CASEFILE.md") for text in re.findall(r"```toml\n(.*?)```", reference, re.DOTALL)
    ]
    stimuli = [test.stimulus for case in cases for test in case.tests]
    assert any(plan.trains == 2 and plan.mode == "single" and plan.volts for plan in stimuli)
    assert any(plan.steps_ma for plan in stimuli)
    assert any(plan.alternate_line for plan in stimuli)
    assert any(case.ceilings != CEILINGS and case.monitor and case.mains_hz for case in cases)
