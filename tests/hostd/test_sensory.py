"""Sensory modalities through the pipeline: rates of their own, polarities, a control, rules, an injury."""

import numpy as np
import pytest

from hostd import casefile
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.score.bedside import Shot, monitored
from hw.model.anatomy import Lesion
from hw.model.scenario import Change, NoiseChange, Scenario

QUIET = (NoiseChange(0.0, emg=0.05, eeg=0.05, mains=0.05),)


def case_of(text: str, channels: list[str]) -> Case:
    listed = ", ".join(f'"{name}"' for name in channels)
    return casefile.parse(f'name = "x"\n[acquisition]\nchannels = [{listed}]\n{text}', "x.toml")


def last(messages: list[Outgoing], topic: str) -> dict:
    return [message for message in messages if message.topic == topic][-1].fields


BAEP = '[test.ear]\nmodality = "baep"\nside = "left"\nline = 1\nsweeps = 400\nbaseline_sweeps = 200\n'
SSEP = '[test.arm]\nmodality = "median_ssep"\nside = "left"\nline = 2\nsweeps = 32\nbaseline_sweeps = 16\n'
EYE = '[test.eye]\nmodality = "vep"\nside = "left"\nline = 3\nsweeps = 32\nbaseline_sweeps = 16\n'
EYE += 'mains = "leave"\nlockout_ms = 20\n'


def test_one_box_three_rates() -> None:
    case = case_of(BAEP + SSEP + EYE, ["Cz", "A1", "CP3", "CP4", "Oz", "Fz", "ERGL"])
    assert case.rate_hz == 16000
    messages, patient = monitored(case, 18.0, 2, Scenario(noise=QUIET))
    assert last(messages, "average.ear")["dt_ms"] == 1 / 16
    assert last(messages, "average.arm")["dt_ms"] == 1 / 8
    assert last(messages, "average.eye")["dt_ms"] == 1.0
    for name, peak, site, derivation, within_ms in (
        ("ear", "V", "left ear", ("Cz", "A1"), 0.3),
        ("arm", "N20", "left median", ("CP4", "CP3"), 0.5),
        ("eye", "P100", "left eye", ("Oz", "Fz"), 2.0),
    ):
        (told,) = [one for one in last(messages, f"measure.{name}")["peaks"] if one["name"] == peak]
        (truth,) = [one for one in patient.truth(site, derivation) if one.name == peak]
        assert told["present"] and told["latency_ms"] == pytest.approx(truth.latency_ms, abs=within_ms), name


@pytest.mark.control("H14.4")
def test_a_click_that_nothing_answers_has_no_waves_of_its_artifact() -> None:
    deaf = Scenario((Change(0.0, amplitude=0.0),), noise=QUIET)
    messages, _ = monitored(case_of(BAEP, ["Cz", "A1"]), 16.0, 1, deaf)
    told = last(messages, "measure.ear")["peaks"]
    assert [one["name"] for one in told] == ["I", "II", "III", "IV", "V"]
    assert not any(one["present"] for one in told)


@pytest.mark.control("H4.4")
def test_sweeps_beside_a_transcranial_train_are_left_out() -> None:
    mep = '[test.mep]\nmodality = "tcmep"\nside = "left"\nline = 3\n'
    case = case_of(BAEP + SSEP + mep, ["Cz", "A1", "CP3", "CP4", "APBR1", "APBR2"])
    shots = [Shot(2.0 + 0.613 * k, "mep", 400) for k in range(12)]
    messages, _ = monitored(case, 10.0, 2, Scenario(noise=QUIET), shots=shots)
    pulses = [m.index for m in messages if m.topic == "stim" and m.fields["test"] == "mep"]
    assert len(pulses) > 1
    for name in ("ear", "arm"):
        sweeps = [m.fields for m in messages if m.topic == f"sweep.{name}"]
        left_out = [s["trigger_index"] for s in sweeps if s["reason"] == "transcranial stimulus"]
        assert left_out, name
        window = case.tests[("ear", "arm").index(name)].window_ms
        low, high = (round(ms * case.rate_hz / 1e3) for ms in window)
        for sweep in sweeps:
            sees = any(low <= pulse - sweep["trigger_index"] <= high for pulse in pulses)
            assert not (sees and sweep["accepted"])
        assert all(min(abs(at - p) for p in pulses) < 0.5 * case.rate_hz for at in left_out)


def test_both_polarities_stand_beside_their_mean_and_part_nerve_from_microphonic() -> None:
    text = '[test.ear]\nmodality = "ecochg"\nside = "left"\nline = 1\nalternate_line = 2\nhold_ms = 1\n'
    case = case_of(text + "sweeps = 64\nbaseline_sweeps = 32\n", ["ECL", "A2"])
    messages, _ = monitored(case, 3.5, 1, Scenario(noise=QUIET))
    average = last(messages, "average.ear")
    one, other = average["polarities_uv"][:, :, 0]
    t_ms = average["t0_ms"] + average["dt_ms"] * np.arange(len(one))
    early, late = (t_ms > 1.0) & (t_ms < 2.2), (t_ms > 2.4) & (t_ms < 2.8)
    assert np.abs(one - other)[early].max() > 6.0  # the microphonic turns with the click
    assert (one + other)[late].min() < -14.0  # the nerve does not
    assert average["mean_uv"][:, 0] == pytest.approx((one + other) / 2, abs=0.3)
    plain = case_of(
        text.replace("alternate_line = 2\n", "") + "sweeps = 64\nbaseline_sweeps = 32\n", ["ECL", "A2"]
    )
    assert last(monitored(plain, 2.0, 1)[0], "average.ear")["polarities_uv"] is None


def rules_of(measure: dict) -> dict[tuple[str, str], str]:
    return {(rule["peak"], rule["name"]): rule["verdict"] for rule in measure["rules"]}


FALL, RISE = ("N20", "amplitude fall > 50 %"), ("N20", "latency rise > 10 %")
ARM = ["CP3", "CP4", "EPL", "EPR"]


@pytest.mark.parametrize(
    ("injury", "fall", "rise", "control"),
    [
        (Scenario(noise=QUIET), "not met", "not met", True),
        (Scenario(noise=QUIET, lesion=(Lesion(14.0, "cord C3", severity=0.65),)), "met", "not met", True),
        (
            Scenario(noise=QUIET, lesion=(Lesion(14.0, "brainstem", delay_ms=2.6, severity=0.0),)),
            "not met",
            "met",
            True,
        ),
        (Scenario(noise=QUIET, lesion=(Lesion(14.0, "cortex"),)), "met", "unknown", True),
        # A limb that fails takes the control with it: nothing is said about the cord.
        (Scenario(noise=QUIET, lesion=(Lesion(14.0, "arm", "left"),)), "unknown", "unknown", False),
        (Scenario((Change(14.0, amplitude=0.0),), QUIET), "unknown", "unknown", False),
    ],
)
def test_an_injury_meets_the_rule_that_it_should_and_a_lost_control_bars_all(
    injury: Scenario, fall: str, rise: str, control: bool
) -> None:
    messages, _ = monitored(case_of(SSEP, ARM), 36.0, 4, injury)
    early = [m for m in messages if m.topic == "measure.arm" and m.index < 13.5 * 4000][-1].fields
    assert rules_of(early)[FALL] == rules_of(early)[RISE] == "not met"
    assert early["control"] == {"peak": "N9", "present": True, "text": "N9 seen"}
    late = last(messages, "measure.arm")
    assert (rules_of(late)[FALL], rules_of(late)[RISE]) == (fall, rise)
    assert late["control"]["present"] is control
    assert {rule["barred"] for rule in late["rules"]} == {not control}
    met = [rule for rule in late["rules"] if rule["verdict"] == "met"]
    # So few sweeps tell a latency to half a millisecond.
    assert all(rule["confidence"] > (0.9 if "fall" in rule["name"] else 0.6) for rule in met)


def test_before_a_baseline_no_rule_is_judged_and_normal_ranges_are_told() -> None:
    messages, _ = monitored(case_of(SSEP, ARM), 4.0, 4, Scenario(noise=QUIET))
    measure = last(messages, "measure.arm")
    assert set(rules_of(measure).values()) == {"unknown"}
    normals = {
        peak["name"]: (peak["normal_latency_ms"], peak["normal_amplitude_uv"]) for peak in measure["peaks"]
    }
    assert normals == {"N9": ([9.0, 10.5], [1.0, 5.0]), "N20": ([18.5, 21.5], [0.5, 8.0])}


def test_a_flash_that_never_arrived_is_not_a_lost_vep() -> None:
    text = EYE.replace("sweeps = 32", "sweeps = 20")
    for place, barred in (("retina", True), ("optic nerve", False)):
        dark = Scenario(noise=QUIET, lesion=(Lesion(14.0, place),))
        messages, _ = monitored(case_of(text, ["Oz", "Fz", "ERGL"]), 29.0, 3, dark)
        (rule,) = last(messages, "measure.eye")["rules"]
        assert (rule["barred"], rule["verdict"]) == (barred, "unknown" if barred else "met"), place


@pytest.mark.parametrize(
    ("side", "strip", "between"), [("left", "R", ["SR4", "SR5"]), ("right", "L", ["SL4", "SL5"])]
)
def test_a_strip_tells_where_the_sulcus_lies(side: str, strip: str, between: list[str]) -> None:
    text = f'[test.strip]\nmodality = "phase_reversal"\nside = "{side}"\nline = 1\nsweeps = 60\n'
    channels = [f"S{strip}{k}" for k in range(1, 9)]
    calm = (NoiseChange(0.0, eeg=0.5),)
    told = last(monitored(case_of(text, channels), 24.0, 5, Scenario(noise=calm))[0], "measure.strip")[
        "reversal"
    ]
    assert told["found"] and told["between"] == between and told["confidence"] > 0.9
    gone = Scenario((Change(0.0, amplitude=0.0),), calm)
    told = last(monitored(case_of(text, channels), 24.0, 5, gone)[0], "measure.strip")["reversal"]
    assert not told["found"] and told["between"] is None and told["why"]
