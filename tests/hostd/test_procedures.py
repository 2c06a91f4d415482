"""The ready procedures: whole and within the box, every test answers, and each scenario hurts what it says.

The patient is monitored by a case with few sweeps and little noise, the scenario's clock running faster.
"""

import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.case import Case
from hostd.case import TestPlan as Plan
from hostd.explain import explain
from hostd.modalities import MODALITIES
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.score.bedside import Shot, describe, monitored
from hw.model.body import ELECTRODES
from hw.model.scenario import NoiseChange, Scenario, parse_scenario
from hw.model.sites import SITES

FOLDER = Path(casefile.__file__).parent / "procedures"
QUIET = (NoiseChange(0.0, emg=0.05, eeg=0.05, mains=0.05),)
# BAEP are small.
QUIETEST = (NoiseChange(0.0, emg=0.02, eeg=0.05, mains=0.05),)


@dataclass(frozen=True)
class Look:
    """What is to be seen by `until_s` of the shortened scenario: what is `hurt`, as `seen` puts it; all other
    tests are as before. `found`: thresholds in mA."""

    until_s: float
    hurt: dict[str, str] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """How a procedure is run: its sampling, `speed` of the scenario's clock, what is to be seen (first before
    the injury), single stimuli of tests at times, and where their currents rise."""

    rate_hz: int
    speed: float
    looks: tuple[Look, ...]
    shots: dict[str, tuple[float, ...]] = field(default_factory=dict)
    steps: dict[str, tuple[float, tuple[float, ...]]] = field(default_factory=dict)


def later(times: tuple[float, ...], by_s: float = 0.5) -> tuple[float, ...]:
    return tuple(time + by_s for time in times)


EARLY = (2.3, 4.3, 6.3)
LEGS = "TA AH VL"
SSEPS = ("left_ulnar", "left_tibial", "right_ulnar", "right_tibial")
COURSES = {
    "scoliosis": Course(
        2000,
        18,
        (
            Look(9.9),
            Look(
                19.9,
                dict.fromkeys(("left_tibial", "right_tibial"), "fall")
                | {"left_mep": LEGS, "right_mep": LEGS},
            ),
        ),
        {"left_mep": (*EARLY, 14.0, 17.0), "right_mep": later((*EARLY, 14.0, 17.0))},
    ),
    "acdf": Course(
        2000,
        18,
        (
            Look(9.9),
            Look(22.0, {"left_ulnar": "barred", "right_mep": "APB DEL BIC TRI"}),
            Look(33.0, {"right_mep": "APB DEL BIC TRI"}),  # not tried again: as they were seen last
            Look(
                43.0,
                dict.fromkeys(SSEPS, "fall") | dict.fromkeys(("left_mep", "right_mep"), "APB AH DEL BIC TRI"),
            ),
        ),
        {"left_mep": (*EARLY, 14.0, 17.0, 36.0, 38.0), "right_mep": later((*EARLY, 14.0, 17.0, 36.0, 38.0))},
    ),
    "lumbar-fusion": Course(
        2000,
        20,
        (
            Look(11.9, found={"right_screw": 9}),
            Look(29.0, {"left_L5": "fall"}, {"left_screw": 3, "right_screw": 9}),
        ),
        {"bcr": (*EARLY, 20.0, 24.0)},
        {"right_screw": (8.0, (6, 7, 8, 9, 10, 12)), "left_screw": (12.5, (1, 2, 3, 4))},
    ),
    "carotid": Course(1000, 20, (Look(11.9), Look(20.9, {"right_median": "fall"}))),
    "vestibular-schwannoma": Course(
        8000,
        25,
        (
            Look(7.1, found={"facial": 0.25}),
            Look(14.3, {"left_ear": "rise"}),
            Look(20.5, {"left_ear": "fall"}),
        ),
        {"comep": (1.9, 3.4, 4.9)},
        {"facial": (5.5, (0.15, 0.2, 0.25, 0.3))},
    ),
    "thyroid": Course(
        4000,
        15,
        (Look(7.9), Look(11.9, {"right_vagus": "VOC"}), Look(19.0, {"right_vagus": "VOC"})),
        {"tof": (1.37,)},
    ),
    "aneurysm": Course(
        2000,
        18,
        (
            Look(9.9),
            Look(23.0, dict.fromkeys(("left_median", "left_tibial"), "fall") | {"right_mep": "TA AH ADM"}),
        ),
        {"left_mep": (*EARLY, 15.0, 18.0), "right_mep": later((*EARLY, 15.0, 18.0))},
    ),
    "mvd": Course(
        8000,
        30,
        (Look(5.9), Look(9.9, {"left_ear": "rise"}), Look(13.9, {"left_ear": "rise", "spread": "MEN"})),
        {"tof": (1.37,)},
    ),
    "supratentorial": Course(
        2000,
        17,
        (
            Look(10.5),
            Look(17.0, found={"subcortical": 4, "mapping": 8}),
            Look(
                30.0,
                {"left_mep": "APB TA AH ADM BIC", "dcs": "APB ADM BIC OOR TA AH"},
                {"subcortical": 4, "mapping": 8},
            ),
        ),
        {"left_mep": (*EARLY, 21.0, 24.0), "dcs": later((*EARLY, 21.0, 24.0))},
        {"subcortical": (11.0, (2, 3, 4, 5)), "mapping": (13.5, (6, 8, 10, 12))},
    ),
}


def scenario_of(name: str) -> Scenario:
    return parse_scenario(tomllib.loads((FOLDER / "scenarios" / f"{name}.toml").read_text("utf-8")))


def quiet(name: str) -> tuple[NoiseChange, ...]:
    return QUIETEST if COURSES[name].rate_hz == 8000 else QUIET


def faster(scenario: Scenario, speed: float) -> Scenario:
    """All that happens, sooner and in less time."""

    def sooner(record: Any) -> Any:
        timed = [f.name for f in fields(record) if f.name in ("at_s", "ramp_s")]
        return replace(record, **{key: getattr(record, key) / speed for key in timed})

    kinds = {f.name: tuple(map(sooner, getattr(scenario, f.name))) for f in fields(scenario)}
    return Scenario(**kinds)


def short(name: str) -> Case:
    """The procedure with averages of as few sweeps as tell, at a rate that is enough."""
    text = casefile.procedure(name).text
    text = text.replace("[acquisition]\n", f"[acquisition]\nrate_hz = {COURSES[name].rate_hz}\n", 1)
    case = casefile.parse(text, name)

    def few(plan: Plan) -> Plan:
        n = 80 if plan.modality == "baep" else 16
        return replace(plan, sweeps=n, baseline_sweeps=n) if plan.kind == "average" else plan

    return replace(case, tests=tuple(map(few, case.tests)))


@lru_cache(maxsize=1)
def run_of(name: str) -> tuple[Case, list[Outgoing]]:
    case, course = short(name), COURSES[name]
    shots = [Shot(at_s, test) for test, times in course.shots.items() for at_s in times]
    for test, (at_s, steps_ma) in course.steps.items():
        shots += [Shot(at_s + 0.35 * k, test, ma) for k, ma in enumerate(steps_ma)]
    hurt = replace(faster(scenario_of(name), course.speed), noise=quiet(name))
    return case, monitored(case, course.looks[-1].until_s + 0.3, 3, hurt, converter=False, shots=shots)[0]


def last(case: Case, messages: list[Outgoing], topic: str, until_s: float) -> dict[str, Any] | None:
    told = [m.fields for m in messages if m.topic == topic and m.index <= until_s * case.rate_hz]
    return told[-1] if told else None


def seen(case: Case, messages: list[Outgoing], plan: Plan, until_s: float) -> str:
    """What is against a test: "fall", "rise" or "barred" of an average, stems of muscles that are lost or
    confirmed down; "" when nothing is; "?" when it does not know."""
    if plan.kind == "response":
        told = last(case, messages, f"response.{plan.name}", until_s)
        if told is None:
            return "?"
        assert told["accepted"], told["reason"]
        down = [row["name"] for row in told["responses"] if row["state"] in ("confirmed", "lost")]
        return " ".join(re.match("[A-Z]+?(?=[LR]\\d)", name)[0] for name in down)  # type: ignore[index]
    measure = last(case, messages, f"measure.{plan.name}", until_s)
    assert measure is not None
    if any(rule["barred"] for rule in measure["rules"]):
        return "barred"
    met = [
        word
        for word in ("fall", "rise")
        for r in measure["rules"]
        if word in r["name"] and r["verdict"] == "met"
    ]
    leading = plan.peaks[plan.leading or 0].name
    there = next(peak["present"] for peak in measure["peaks"] if peak["name"] == leading)
    return met[0] if met else "" if there else "?"


@pytest.mark.parametrize("name", COURSES)
def test_each_scenario_hurts_what_it_says_and_nothing_else(name: str) -> None:
    case, messages = run_of(name)
    for look in COURSES[name].looks:
        for plan in case.tests:
            if plan.kind == "tof":
                told = last(case, messages, "tof", look.until_s)
                assert told is not None and told["count"] == 4 and told["ratio"] > 0.75
                assert told["mep_allowed"] and told["emg_allowed"]
            elif plan.stimulus.steps_ma:
                told = last(case, messages, f"response.{plan.name}", look.until_s)
                ma = None if told is None else told["threshold"]["ma"]
                wanted = look.found.get(plan.name)
                assert wanted is None or ma == pytest.approx(wanted, rel=0.34), (look.until_s, plan.name)
            else:
                assert seen(case, messages, plan, look.until_s) == look.hurt.get(plan.name, ""), (
                    look.until_s,
                    plan.name,
                )


@pytest.mark.parametrize("name", COURSES)
def test_unhurt_every_test_answers(name: str) -> None:
    case = short(name)
    single = [plan for plan in case.tests if plan.stimulus.mode == "single"]
    shots = [
        Shot(2.2 + 0.3 * k + 3.0 * again, plan.name, ma)
        for k, plan in enumerate(single)
        for again, ma in enumerate((plan.stimulus.steps_ma or (None, None))[-2:])
    ]
    until_s = 10.8 if case.rate_hz < 8000 else 8.0
    messages, _ = monitored(case, until_s, 4, Scenario(noise=quiet(name)), converter=False, shots=shots)
    for plan in case.tests:
        if plan.kind == "tof":
            told = last(case, messages, "tof", until_s)
            assert told is not None and (told["count"], told["mep_allowed"], told["emg_allowed"]) == (
                4,
                True,
                True,
            )
        elif plan.kind == "response":
            told = last(case, messages, f"response.{plan.name}", until_s)
            assert told is not None and told["accepted"]
            answers = [row["present"] for row in told["responses"]]
            assert any(answers) if plan.stimulus.steps_ma else all(answers), plan.name
            if plan.response is not None and plan.response.gate and plan.stimulus.mode == "single":
                assert told["gate"]["allowed"], plan.name
        else:
            told = last(case, messages, f"measure.{plan.name}", until_s)
            assert told is not None
            there = {peak["name"]: peak["present"] for peak in told["peaks"]}
            assert there[plan.peaks[plan.leading or 0].name], (plan.name, there)
            assert told["control"] is None or told["control"]["present"], plan.name
            assert plan.analysis == "peaks" or told["reversal"]["between"] == ["SL4", "SL5"]
    for watch in case.watches:
        wave = last(case, messages, f"wave.{watch.name}", until_s)
        assert wave is not None and wave["derivations"] == [one.name for one in watch.derivations]
        assert last(case, messages, "emg.audio" if watch.kind == "emg" else "eeg", until_s) is not None


def test_a_clamped_carotid_is_seen_in_the_eeg_of_its_side_until_it_is_shunted() -> None:
    head, _, tests = casefile.procedure("carotid").text.partition("[test.left_median]")
    head = re.sub(r"channels = \[[^]]*\]", 'rate_hz = 250\nchannels = ["F3", "F4", "P3", "P4"]', head)
    case = casefile.parse(head + tests[tests.index("[test.eeg]") :], "carotid")
    scenario = scenario_of("carotid")
    clamped, shunted = (lesion.at_s for lesion in scenario.lesion)
    messages, _ = monitored(case, shunted + 90, 11, scenario)
    for until_s, told, side in ((clamped, False, ""), (shunted, True, "left"), (shunted + 90, False, "")):
        eeg = last(case, messages, "eeg", until_s)
        assert eeg is not None
        assert (eeg["ischaemia"]["told"], eeg["ischaemia"]["side"]) == (told, side), eeg["text"]


def written(name: str) -> dict[str, Any]:
    return tomllib.loads(casefile.procedure(name).text)


def test_every_procedure_has_a_scenario_and_all_of_them_are_shipped() -> None:
    assert set(COURSES) <= set(casefile.procedures())
    assert {file.stem for file in (FOLDER / "scenarios").iterdir()} == set(COURSES)
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text("utf-8"))
    globs = project["tool"]["setuptools"]["package-data"]["hostd"]
    found = {file for glob in globs for file in FOLDER.parent.glob(glob)}
    assert set(FOLDER.rglob("*.toml")) <= found


@pytest.mark.parametrize("name", COURSES)
def test_a_procedure_is_whole_on_the_model_patient_and_fits_the_box(name: str) -> None:
    case = casefile.procedure(name)
    Pipeline(case, describe(case))
    lines = [line for t in case.tests for line in (t.line, t.stimulus.alternate_line) if line]
    assert len(case.channels) <= 32 and len(lines) == len(set(lines)) and set(lines) <= set(range(1, 9))
    assert sorted(lines) == list(range(1, len(lines) + 1))
    assert set(case.channels) <= set(ELECTRODES) and {t.site for t in case.tests} <= set(SITES)
    used = {
        k
        for one in (*case.tests, *case.watches)
        for d in one.derivations
        for k, w in enumerate(d.weights)
        if w
    }
    assert used == set(range(len(case.channels))), "electrodes for nothing"
    assert next(iter(explain(case))).endswith("(what the tests want)")
    scenario = scenario_of(name)
    sites = {t.site for t in case.tests}
    assert {one.site for one in (*scenario.changes, *scenario.threshold)} <= sites
    begins = min(one.at_s for one in (*scenario.lesion, *scenario.threshold, *scenario.changes))
    assert begins >= 120, "baselines want their time"


@pytest.mark.parametrize("name", COURSES)
def test_a_procedure_says_who_decides_and_repeats_no_default(name: str) -> None:
    text = casefile.procedure(name).text
    comment = text[: text.index("name =")].splitlines()
    assert 2 <= len(comment) <= 4 and all(line.startswith("# ") for line in comment)
    assert comment[-1].endswith("a clinical lead decides what is used on patients.")
    for test, table in written(name)["test"].items():
        usual = MODALITIES[table["modality"]].defaults
        assert not [
            k for k, value in table.items() if getattr(usual, k, None) == value and k != "modality"
        ], test


def test_scoliosis_fills_four_chips_at_8000_samples_a_second() -> None:
    case = casefile.procedure("scoliosis")
    assert (len(case.channels), case.rate_hz) == (32, 8000)
    kinds = [test.kind for test in case.tests]
    assert [kinds.count(kind) for kind in ("average", "response", "tof")] == [4, 2, 1]
    assert {watch.name: len(watch.derivations) for watch in case.watches} == {"emg": 8, "eeg": 4}


def test_muscles_are_asked_for_by_a_train_of_four_that_is_there() -> None:
    for name in COURSES:
        case = casefile.procedure(name)
        gated = [t for t in case.tests if t.response is not None and t.kind == "response"]
        assert all(t.response.gate == "tof" for t in gated), name
