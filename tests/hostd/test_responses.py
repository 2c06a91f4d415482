"""Single responses and trains of four through the pipeline: read one by one, repeated, gated, searched."""

import numpy as np
import pytest

from hostd import casefile, schema
from hostd.case import Case
from hostd.errors import CaseFileError
from hostd.outgoing import Outgoing
from hostd.response_fields import sentence
from hostd.score.bedside import Shot, monitored
from hw.model.anatomy import Lesion
from hw.model.scenario import Electrosurgery, NoiseChange, Scenario, Threshold
from hw.model.state import Anaesthesia


def case_of(text: str, channels: str, rate: str = "") -> Case:
    listed = ", ".join(f'"{name}"' for name in channels.split())
    return casefile.parse(f'name = "x"\n[acquisition]\n{rate}channels = [{listed}]\n{text}', "x.toml")


def of(messages: list[Outgoing], topic: str) -> list[dict]:
    return [message.fields for message in messages if message.topic == topic]


MEP = '[test.mep]\nmodality = "tcmep"\nside = "left"\nline = 1\nvolts = 500\n'
MUSCLES = "APBR1 APBR2 TAR1 TAR2"
SHOTS = [Shot(1.0 + 2.0 * k, "mep") for k in range(6)]
HURT = Scenario(lesion=(Lesion(8.0, "cord T8", tract="motor", severity=1.0),))


def test_every_answer_is_read_with_its_onset_and_size() -> None:
    messages, patient = monitored(case_of(MEP, MUSCLES), 13.0, 1, shots=SHOTS)
    told = of(messages, "response.mep")
    assert [one["number"] for one in told] == [1, 2, 3, 4, 5, 6] and all(one["accepted"] for one in told)
    assert [[row["name"] for row in one["responses"]] for one in told] == [["APBR1-APBR2", "TAR1-TAR2"]] * 6
    assert all(row["present"] for one in told for row in one["responses"])
    first = {}
    for at_s, emission in patient.emissions("left hemisphere"):
        shot = round((at_s - 1.0) / 2.0)
        first.setdefault((shot, emission.stem), (at_s - 1.0 - 2.0 * shot) * 1e3 + emission.begin_ms)
    rows = [
        (first[k, row["name"].split("R")[0]], row) for k, one in enumerate(told) for row in one["responses"]
    ]
    rows = [(begun, row) for begun, row in rows if row["onset_ms"] is not None]
    assert len(rows) >= 10
    # Seen when it leaves the noise, late by less than a millisecond; the interval holds when it began.
    assert abs(np.median([row["onset_ms"] - begun for begun, row in rows])) < 0.8
    assert np.mean([row["onset_ci_ms"][0] <= begun <= row["onset_ci_ms"][1] for begun, row in rows]) > 0.75
    assert {one["current_ma"] for one in told} == {500.0}
    average = of(messages, "average.mep")[-1]
    assert average["stack_uv"].shape[0] == 5 == average["n_sweeps"]
    assert average["mean_uv"] == pytest.approx(average["stack_uv"].mean(axis=0), abs=1e-3)
    assert of(messages, "measure.mep")[-1]["leading"] == "APBR1-APBR2"


def test_a_baseline_sets_itself_and_a_loss_is_suspected_then_confirmed() -> None:
    messages, _ = monitored(case_of(MEP, MUSCLES), 13.0, 1, HURT, shots=SHOTS)
    told = of(messages, "response.mep")
    states = [[row["state"] for row in one["responses"]] for one in told]
    assert states[:4] == [["steady", "steady"]] * 4  # shots at 1, 3, 5, 7 s; the injury comes at 8 s
    assert states[4] == ["steady", "suspect"] and states[5] == ["steady", "lost"]
    assert "TAR1-TAR2 absent: repeat to confirm" in told[4]["text"]
    assert "TAR1-TAR2 lost in 2 repeats" in told[5]["text"] and "1 of 2 answer" in told[5]["text"]
    (event,) = [one for one in of(messages, "event") if one["kind"] == "baseline"]
    assert event["text"] == "baseline of left hemisphere set by itself: 3 answers"
    assert told[2]["responses"][0]["baseline_uv"] > 100.0


def test_a_lost_muscle_that_answers_again_is_said_to_be_back() -> None:
    row = {"name": "TAR", "present": True, "spread": None, "baseline_uv": 200.0, "amplitude_uv": 150.0}
    said = sentence("left hemisphere", [row | {"state": "lost", "beyond": 0}], "", None, None, False)
    assert said == "left hemisphere: present; TAR is back, 75% of baseline: repeat to confirm"


def test_absent_is_told_with_what_it_was_judged_against() -> None:
    messages, _ = monitored(
        case_of(MEP, MUSCLES), 13.0, 3, Scenario(lesion=(Lesion(0.0, "capsule"),)), shots=SHOTS
    )
    rows = [row for one in of(messages, "response.mep") for row in one["responses"]]
    assert not any(row["present"] for row in rows)
    assert all(
        row["amplitude_uv"] is None and row["noise_uv"] > 0.5 and row["limit_uv"] >= 30 for row in rows
    )
    assert not [one for one in of(messages, "event") if one["kind"] == "baseline"]  # nothing to compare with


def test_what_cautery_spoils_is_told_and_not_measured() -> None:
    knife = Scenario(electrosurgery=(Electrosurgery(4.5, 1.5),))
    told = of(monitored(case_of(MEP, MUSCLES), 13.0, 1, knife, shots=SHOTS)[0], "response.mep")
    assert [one["reason"] for one in told] == ["", "", "electrosurgery", "", "", ""]
    assert (
        told[2]["responses"] == [] and told[2]["text"] == "left hemisphere: not read, electrosurgery; repeat"
    )


def test_blocks_of_any_size_give_the_same_messages() -> None:
    case = case_of(MEP + TOF, MUSCLES + " ADML1 ADML2")
    shots = [*SHOTS[:3], Shot(2.0, "tof"), Shot(5.5, "tof")]
    one, other = (monitored(case, 10.0, 1, shots=shots, block=block)[0] for block in (256, 4096))
    for topic in ("response.mep", "tof", "measure.mep"):
        assert of(one, topic) == of(other, topic) and of(one, topic)


TOF = '[test.tof]\nmodality = "train_of_four"\nside = "left"\nline = 2\ncurrent_ma = 50\n'


@pytest.mark.parametrize(
    ("block", "count", "ratio", "mep", "emg"),
    [
        (0.0, 4, 1.0, True, True),
        (0.5, 4, 0.67, True, False),
        (0.78, 3, None, False, False),
        (0.95, 1, None, False, False),
        (1.0, 0, None, False, False),
    ],
)
def test_a_train_of_four_counts_and_gates(
    block: float, count: int, ratio: float | None, mep: bool, emg: bool
) -> None:
    relaxed = Scenario(anaesthesia=(Anaesthesia(0.0, block=block),))
    case = case_of(MEP + 'allowed_by = "tof"\n' + TOF, MUSCLES + " ADML1 ADML2")
    messages, _ = monitored(case, 7.0, 2, relaxed, shots=[Shot(1.0, "tof"), Shot(4.5, "mep")])
    (told,) = of(messages, "tof")
    assert told["count"] == count and told["text"].startswith(f"left ulnar: train of four {count} of 4")
    if ratio is not None:
        assert told["ratio"] == pytest.approx(ratio, abs=0.05)
    assert (told["mep_allowed"], told["emg_allowed"]) == (mep, emg)
    (response,) = of(messages, "response.mep")
    assert response["gate"]["allowed"] is mep and ("train of four" in response["text"]) is not mep


def test_a_gate_holds_from_its_train_on() -> None:
    case = case_of(MEP + 'allowed_by = "tof"\n' + TOF, MUSCLES + " ADML1 ADML2")
    relaxed = Scenario(anaesthesia=(Anaesthesia(3.0, block=0.9),))
    shots = [Shot(0.5, "mep"), Shot(1.0, "tof"), Shot(3.4, "mep"), Shot(5.0, "tof"), Shot(7.5, "mep")]
    told = of(monitored(case, 9.0, 2, relaxed, shots=shots)[0], "response.mep")
    assert [one["gate"] and one["gate"]["allowed"] for one in told] == [None, True, False]


SCREW = '[test.screw]\nmodality = "pedicle_screw"\nside = "left"\nroot = "L5"\nline = 3\n'


@pytest.mark.parametrize(("at_ma", "colour"), [(3.3, "red"), (6.4, "yellow"), (13.0, "green")])
def test_rising_currents_find_a_screws_threshold_in_its_bands(at_ma: float, colour: str) -> None:
    scenario = Scenario(threshold=(Threshold(0.0, "left screw L5", at_ma),))
    case = case_of(SCREW, "TAL1 TAL2 GASL1 GASL2")
    steps = case.tests[0].stimulus.steps_ma[:14]
    shots = [Shot(1.0 + 0.5 * k, "screw", ma) for k, ma in enumerate(steps)]
    told = of(monitored(case, 9.0, 4, scenario, shots=shots)[0], "response.screw")
    found = told[-1]["threshold"]
    below, at = found["bracket_ma"]
    # Small answers show before half of the fibres do.
    assert at == found["ma"] and 0.6 * at_ma <= at <= at_ma + 2 and below < at
    assert found["muscle"] == "TAL1-TAL2" and found["region"] == "lumbar" and not found["inconsistent"]
    assert found["colour"] == colour, found
    assert f"threshold {at:g} mA" in told[-1]["text"]
    early = told[0]["threshold"]
    assert early["ma"] is None and early["none_up_to_ma"] == 1.0


SUBCORTICAL = '[test.tract]\nmodality = "subcortical_mapping"\nside = "left"\nline = 3\narea_cm2 = 0.2\n'


@pytest.mark.parametrize(
    ("text", "site", "at_ma", "priority", "verdict"),
    [
        (SCREW, "left screw L5", 3.3, "high", "breach likely"),
        (SCREW, "left screw L5", 6.4, "medium", "breach possible"),
        (SCREW, "left screw L5", 13.0, None, ""),
        (SUBCORTICAL, "left motor tract", 2.6, "high", "tract within millimetres"),
        (SUBCORTICAL, "left motor tract", 12.0, None, ""),
    ],
)
def test_a_threshold_in_a_dangerous_band_is_an_alert(
    text: str, site: str, at_ma: float, priority: str | None, verdict: str
) -> None:
    case = case_of(text, "TAL1 TAL2 GASL1 GASL2 APBR1 APBR2 TAR1 TAR2")
    steps = case.tests[0].stimulus.steps_ma[:14]
    shots = [Shot(1.0 + 0.5 * k, case.tests[0].name, ma) for k, ma in enumerate(steps)]
    scenario = Scenario(threshold=(Threshold(0.0, site, at_ma),))
    alerts = of(monitored(case, 9.0, 4, scenario, shots=shots)[0], "alert")
    if priority is None:
        assert not alerts
        return
    told = alerts[0]
    assert (told["kind"], told["cause"]) == ("threshold", "focal")
    assert (told["priority"], told["evidence"]["verdict"]) == (priority, verdict)
    assert told["evidence"]["checklist"] and f"{case.tests[0].site}: " in told["text"]


def test_a_threshold_alert_ends_with_a_search_that_comes_out_well() -> None:
    """The screw was turned out and set anew at 4 s: the same test searches again from its first step."""
    case = case_of(SCREW, "TAL1 TAL2 GASL1 GASL2")
    steps = case.tests[0].stimulus.steps_ma
    shots = [Shot(0.6 + 0.4 * k, "screw", ma) for k, ma in enumerate(steps[:5])]
    shots += [Shot(4.5 + 0.4 * k, "screw", ma) for k, ma in enumerate(steps[:13])]
    near, far = Threshold(0.0, "left screw L5", 3.0), Threshold(4.0, "left screw L5", 14.0)
    messages = monitored(case, 10.5, 4, Scenario(threshold=(near, far)), shots=shots)[0]
    states = [one["state"] for one in of(messages, "alert")]
    assert states[0] == "raised" and states[-1] == "cleared" and states.count("cleared") == 1
    (cleared,) = [
        m.index / case.rate_hz for m in messages if m.topic == "alert" and m.fields["state"] == "cleared"
    ]
    assert cleared > 4.4 + 0.4 * steps.index(8), "not before 8 mA were silent"


def test_an_h_reflex_has_its_m_wave_beside_it() -> None:
    text = '[test.h]\nmodality = "h_reflex"\nside = "left"\nline = 4\ncurrent_ma = 12\n'
    shots = [Shot(1.0 + 2.0 * k, "h") for k in range(4)]
    told = of(monitored(case_of(text, "GASL1 GASL2"), 9.0, 1, shots=shots)[0], "response.h")
    for one in told:
        (row,) = one["responses"]
        assert row["present"] and 28 < row["onset_ms"] < 36 and row["m_wave"]["ratio"] is not None
    gone = Scenario(lesion=(Lesion(0.0, "root S1", "left"),))
    (row,) = of(monitored(case_of(text, "GASL1 GASL2"), 3.0, 1, gone, shots=shots[:1])[0], "response.h")[0][
        "responses"
    ]
    assert not row["present"] and row["m_wave"]["present"]


def test_a_d_wave_is_read_in_the_mean_of_its_last_sweeps() -> None:
    text = '[test.d]\nmodality = "d_wave"\nside = "left"\nline = 5\ncurrent_ma = 110\n'
    shots = [Shot(1.0 + 1.013 * k, "d") for k in range(16)]
    hurt = Scenario(lesion=(Lesion(8.5, "cord T6", severity=0.7),))
    told = of(monitored(case_of(text, "DC1 DC2 DR1 DR2"), 18.0, 1, hurt, shots=shots)[0], "response.d")
    caudal, rostral = ([one["responses"][k] for one in told] for k in (0, 1))
    assert all(row["present"] for row in caudal[4:8]) and rostral[-1]["state"] == "steady"
    assert caudal[7]["state"] == "steady" and caudal[-1]["state"] in ("confirmed", "lost")
    assert caudal[-1]["amplitude_uv"] is None or caudal[-1]["amplitude_uv"] < 0.5 * caudal[-1]["baseline_uv"]


@pytest.mark.control("H10.1")
def test_baselines_on_command_and_what_is_too_little() -> None:
    from hostd.pipeline import Pipeline
    from hostd.score.bedside import describe

    case = case_of(MEP, MUSCLES)
    pipeline = Pipeline(case, describe(case))
    with pytest.raises(ValueError, match="needs 2 answers, there are 0"):
        pipeline.command("baseline.set", {"test": "mep", "author": ""})
    with pytest.raises(ValueError, match="has no baseline"):
        pipeline.command("baseline.clear", {"test": "mep", "author": ""})


def test_all_that_is_said_is_declared() -> None:
    case = case_of(MEP + 'allowed_by = "tof"\n' + TOF, MUSCLES + " ADML1 ADML2")
    shots = [Shot(0.5, "mep"), Shot(1.0, "tof"), Shot(3.5, "mep"), Shot(5.0, "mep")]
    for message in monitored(case, 7.0, 2, Scenario(noise=(NoiseChange(0.0),)), shots=shots)[0]:
        declared = set(schema.kind_of(message.topic).__struct_fields__)
        assert (
            set(message.fields) <= declared
            and set(message.fields) | {"v", "boot", "seq", "case", "index", "t_ns", "utc_ns"} >= declared
        ), message.topic


def test_a_threshold_is_followed_and_the_next_current_proposed() -> None:
    case = case_of(MEP + "track = [100, 900, 20]\n", MUSCLES)
    # 75 mA of 500 us are 268 mA of 50 us (Weiss); a train of five adds a little.
    currents = [300, 200, 260, 240, 280, 250, 270, 260]
    shots = [Shot(1.0 + 2.0 * k, "mep", ma) for k, ma in enumerate(currents)]
    told = [one["tracked"] for one in of(monitored(case, 18.0, 2, shots=shots)[0], "response.mep")]
    assert [one["stimuli"] for one in told] == list(range(1, 9)) and told[-1]["muscle"] == "APBR1-APBR2"
    low, high = told[-1]["ci"]
    assert (low is None or low < told[-1]["at"]) and 180 < told[-1]["at"] < high < 260
    assert all(100 <= one["next"] <= 900 for one in told) and abs(told[-1]["next"] - told[-1]["at"]) < 40
    with pytest.raises(CaseFileError, match="is no range to follow a threshold in"):
        case_of(MEP + "track = [900, 100, 20]\n", MUSCLES)
    with pytest.raises(CaseFileError, match="steps_ma searches the threshold already"):
        case_of(SCREW + "track = [1, 10, 1]\n", "TAL1 TAL2")
