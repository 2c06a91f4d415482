"""Controls in the pipeline: a single pulse before its train is told, and compared with that train alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hostd import schema
from hostd.case import Case
from hostd.outgoing import Outgoing
from hostd.response_fields import sentence
from hostd.schema_responses import Answer
from hostd.score.bedside import Shot, monitored
from hw.model.anatomy import Lesion
from hw.model.scenario import NO_CHANGE, Electrosurgery, NoiseChange, Scenario
from tests.hostd.test_responses import case_of, of

MUSCLES = "OORR1 OORR2 MENR1 MENR2 OOCR1 OOCR2 MASR1 MASR2"
FACE = ("OORR1-OORR2", "MENR1-MENR2", "OOCR1-OOCR2")
MODERATE, HIGH = 450.0, 800.0
QUIET = Scenario(noise=(NoiseChange(0.0, emg=0.3),))


def comep(more: str = f"volts = {MODERATE}\n", channels: str = MUSCLES) -> Case:
    text = f'[test.face]\nmodality = "comep"\nside = "left"\nline = 1\n{more}'
    return case_of(text, channels, "rate_hz = 4000\n")


def pairs(at_s: Sequence[float], ma: float | None = None) -> list[Shot]:
    """A control at each time, its train a second later."""
    return [shot for t in at_s for shot in (Shot(t, "face", ma, True), Shot(t + 1.0, "face", ma))]


def heard(
    shots: Sequence[Shot],
    seconds: float,
    case: Case | None = None,
    scenario: Scenario = NO_CHANGE,
    seed: int = 5,
    block: int = 256,
) -> list[Outgoing]:
    return monitored(case or comep(), seconds, seed, scenario, shots=shots, block=block)[0]


def spread_of(one: dict[str, Any]) -> dict[str, bool | None]:
    return {row["name"]: row["spread"] for row in one["responses"]}


@pytest.mark.parametrize("seed", [5, 6])
def test_moderate_current_reaches_the_cortex_and_high_current_the_nerve(seed: int) -> None:
    shots = pairs([1.0], MODERATE) + pairs([4.0], HIGH)
    control, train, strong_control, strong = of(heard(shots, 6.0, seed=seed), "response.face")
    assert [one["control"] for one in (control, train, strong_control, strong)] == [True, False] * 2
    assert not any(row["present"] for row in control["responses"])
    assert all(row["present"] for row in train["responses"])
    assert set(spread_of(train).values()) == {False}
    assert control["text"] == "left hemisphere, control pulse: 0 of 4 answer"
    assert train["text"] == "left hemisphere: all answer"
    onsets = {row["name"]: row["onset_ms"] for row in strong_control["responses"]}
    assert all(4.0 <= onsets[name] < 7.0 for name in FACE), "the nerve's, before the window of the trains"
    assert all(spread_of(strong)[name] for name in FACE)
    assert "OORR1-OORR2, MENR1-MENR2, OOCR1-OOCR2" in strong["text"]
    assert "answer a single pulse too: spread, not cortex" in strong["text"]
    assert [one["current_ma"] for one in (control, train, strong_control, strong)] == [450, 450, 800, 800]


def test_one_muscle_that_spread_reached_is_named_in_words() -> None:
    row = {"name": "OORR", "present": True, "spread": True, "baseline_uv": None}
    said = sentence("left hemisphere", [row], "", None, None, False)
    assert said == "left hemisphere: present; OORR answers a single pulse too: spread, not cortex"


def test_a_nerve_that_is_cut_answers_no_control() -> None:
    cut = replace(QUIET, lesion=(Lesion(0.0, "facial nerve", "right"),))
    control, train = of(heard(pairs([1.0], HIGH), 3.0, scenario=cut), "response.face")
    assert not any(row["present"] for row in control["responses"] if row["name"] in FACE)
    assert all(spread_of(train)[name] is False for name in FACE)


def test_without_a_control_nobody_knows() -> None:
    shots = [Shot(1.0, "face", HIGH), *pairs([3.0], HIGH), Shot(6.0, "face", HIGH)]
    told = [one for one in of(heard(shots, 7.5), "response.face") if not one["control"]]
    known = [set(spread_of(one).values()) for one in told]
    assert known[0] == {None} and True in known[1] and None not in known[1]
    assert known[2] == {None}, "a control is of the train that follows it"
    off = comep(f"volts = {HIGH}\ncontrol_pulse = false\n")
    (only,) = of(heard([Shot(1.0, "face")], 2.5, off), "response.face")
    assert set(spread_of(only).values()) == {None} and only["control"] is False


def test_a_control_that_was_not_read_says_nothing_of_its_train() -> None:
    knife = Scenario(electrosurgery=(Electrosurgery(0.9, 0.3),))
    control, train = of(heard(pairs([1.0], HIGH), 3.5, scenario=knife), "response.face")
    assert control["control"] and not control["accepted"] and control["reason"] == "electrosurgery"
    assert control["text"] == "left hemisphere, control pulse: not read, electrosurgery; repeat"
    assert train["accepted"] and set(spread_of(train).values()) == {None}


def test_a_control_enters_no_stack_no_repeats_no_baseline_and_no_threshold() -> None:
    case = comep("steps_ma = [250, 450, 650]\nbaseline_sweeps = 2\n")
    shots = [s for k, ma in enumerate((250, 450, 650)) for s in pairs([1.0 + 2.5 * k], float(ma))]
    messages = heard(shots, 8.5, case)
    told = of(messages, "response.face")
    controls, trains = [one for one in told if one["control"]], [one for one in told if not one["control"]]
    assert len(controls) == len(trains) == 3 and [one["number"] for one in told] == [1, 2, 3, 4, 5, 6]
    averages, measures = of(messages, "average.face"), of(messages, "measure.face")
    assert [one["n_sweeps"] for one in averages] == [1, 2, 3] == [one["n_sweeps"] for one in measures]
    assert [one["last_index"] for one in averages] == [one["trigger_index"] for one in trains]
    assert all(one["threshold"] is None for one in controls)
    found = [one["threshold"] for one in trains]
    assert found[0]["ma"] is None and found[0]["none_up_to_ma"] == 250
    assert all(one["ma"] == 450 and one["responses"] == one["stimuli"] == 1 for one in found[1:])
    assert all(row["repeats"] == 0 and row["baseline_uv"] is None for c in controls for row in c["responses"])
    assert [row["repeats"] for row in trains[-1]["responses"]] == [3] * 4
    (baseline,) = of(messages, "baseline.face")
    assert baseline["n_sweeps"] == 3, "of the second and third train: the first one evoked nothing"
    assert len(of(messages, "sweep.face")) == 6


def test_the_train_may_be_planned_before_the_control_s_sweep_is_cut() -> None:
    """Its plan comes when the window is over; what a sweep was hangs on its trigger and not on that."""
    shots = [Shot(1.0, "face", MODERATE, True), Shot(1.095, "face", HIGH)]
    control, train = of(heard(shots, 2.5, block=16), "response.face")
    assert (control["control"], control["current_ma"]) == (True, MODERATE)
    assert (train["control"], train["current_ma"]) == (False, HIGH)
    assert None not in spread_of(train).values()


def test_a_stop_between_drops_the_control() -> None:
    from hostd.pipeline import Pipeline
    from hostd.score.bedside import describe, recording
    from hw.model.patient import Patient

    case = comep(f"volts = {HIGH}\n")
    description = describe(case)
    pipeline = Pipeline(case, description)
    shots = [Shot(0.5, "face", None, True), Shot(1.0, "face")]
    patient = Patient(case.channels, case.rate_hz, 5, scenario=QUIET)
    messages = pipeline.command("test.start", {"test": "face", "author": ""})
    plan = {"test": "face", "command": 1, "current_ma": HIGH, "width_us": 50, "known": True, "repeats": False}
    pipeline.command("stim.plan", plan | {"control": True})
    for block in recording(case, patient, description, 2.0, 5, True, shots, 80):
        if block.first_index == 2080:  # 20 ms behind the control
            messages += pipeline.command("test.stop", {"test": "face", "author": ""})
            pipeline.command("stim.plan", plan)
            messages += pipeline.command("test.start", {"test": "face", "author": ""})
        messages += pipeline.feed(block)
    (train,) = of(messages + pipeline.finish(), "response.face")
    assert not train["control"] and set(spread_of(train).values()) == {None}


def test_blocks_of_any_size_give_the_same_and_all_of_it_is_declared() -> None:
    shots = [Shot(1.0 + 1.5 * k, "face", HIGH, k % 2 == 0) for k in range(4)]
    one, other = (heard(shots, 7.0, block=block) for block in (256, 4096))
    assert of(one, "response.face") == of(other, "response.face")
    assert {value for told in of(one, "response.face") for value in spread_of(told).values()} == {True, None}
    core = {"v", "boot", "seq", "case", "index", "t_ns", "utc_ns"}
    answer = set(schema.kind_of("response.face").__struct_fields__)
    rows = {key for told in of(one, "response.face") for row in told["responses"] for key in row}
    assert all(set(told) | core == answer for told in of(one, "response.face"))
    assert rows == set(Answer.__struct_fields__)
