"""Deviations through the pipeline: an injury raised, confirmed, attributed, told; the same for any blocks."""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from hostd import casefile, schema
from hostd.alerts import Alerts
from hostd.deviations import Deviations
from hostd.outgoing import Outgoing
from hostd.places import place_of
from hostd.schema_alerts import ChangeEvidence
from hostd.schema_header import Header
from hostd.score.bedside import Mark, Shot, monitored
from hostd.score.stories import score_case
from hostd.seen import Seen
from hw.model.anatomy import Lesion
from hw.model.contacts import ElectrodeChange
from hw.model.scenario import NoiseChange, Scenario, StimulatorChange
from hw.model.state import Anaesthesia

QUIET = (NoiseChange(0.0, emg=0.05, eeg=0.12, mains=0.1),)
SECONDS = 60.0
ONSET_S = 25.0
RATE_HZ = 2000.0


def case_text() -> str:
    """The scoreboard's, with baselines that are soon there."""
    lines = score_case().text.replace("line = ", "baseline_sweeps = 24\nline = ")
    for line in ("line = 5", "line = 6", "line = 7"):
        lines = lines.replace(f"baseline_sweeps = 24\n{line}", line)
    return lines


@lru_cache
def happened(what: str, block: int = 1024) -> tuple[Outgoing, ...]:
    happens: dict[str, dict[str, Any]] = {
        "legs": {"lesion": (Lesion(ONSET_S, "cord T8", "both", 0.9, ramp_s=2.0),)},
        "arm": {"lesion": (Lesion(ONSET_S, "arm", "left", 0.95, ramp_s=2.0),)},
        "leg": {"lesion": (Lesion(ONSET_S, "leg", "left", 0.95, ramp_s=2.0),)},
        "deep": {"anaesthesia": (Anaesthesia(0.0), Anaesthesia(ONSET_S, depth=2.3, ramp_s=5.0))},
        "stimulator": {"stimulator": (StimulatorChange(ONSET_S, "open", line=2),)},
        "electrode": {"electrode": (ElectrodeChange(ONSET_S, "CPz", "off"),)},
    }
    happens["two"] = happens["legs"] | happens["stimulator"]
    case = casefile.parse(case_text(), "t.toml")
    shots = [Shot(4.0 + 3.0 * k, "left_mep") for k in range(6)]
    shots += [Shot(5.5 + 3.0 * k, "right_mep") for k in range(6)]
    shots += [Shot(ONSET_S + 8.0 + k, "left_mep" if k < 4 else "right_mep") for k in range(0, 8, 3)]
    marks = [Mark(at, {"map_mmhg": 80.0, "mac": 0.9 if at < ONSET_S else 2.0}) for at in (1.0, 30.0)]
    scenario = Scenario(noise=QUIET, **happens[what])
    messages, _ = monitored(
        case, SECONDS, 3, scenario, False, shots, block, marks if what == "deep" else (), True
    )
    return tuple(messages)


def alerts(messages: tuple[Outgoing, ...], kind: str = "change") -> list[dict[str, Any]]:
    return [
        dict(m.fields) | {"at_s": m.index / RATE_HZ}
        for m in messages
        if m.topic == "alert" and m.fields["kind"] == kind
    ]


def own(topic: str) -> set[str]:
    return set(schema.kind_of(topic).__struct_fields__) - set(Header.__struct_fields__)


@pytest.mark.control("H14.6")
def test_a_hurt_cord_is_raised_confirmed_and_placed() -> None:
    told = alerts(happened("legs"))
    assert {a["test"] for a in told} >= {"left_tibial", "right_tibial"}
    assert not {a["test"] for a in told} & {"left_median", "right_median"}
    confirmed = [a for a in told if a["state"] == "confirmed"]
    assert confirmed and confirmed[-1]["priority"] == "high"
    last = {a["test"]: a for a in confirmed}["left_tibial"]
    assert last["cause"] == "focal" and last["evidence"]["where"].startswith("both legs")
    since_s = last["evidence"]["since_index"] / RATE_HZ
    assert abs(since_s - ONSET_S) < 6.0
    assert "P37 down" in last["text"] and "confirmed by a replicate" in last["text"]
    assert f"since 00:{int(since_s)}," in last["text"], "a moment of the case, which does not age"
    assert last["evidence"]["checklist"][0].startswith("Surgeon")


@pytest.mark.parametrize(("limb", "test"), [("arm", "left_median"), ("leg", "left_tibial")])
def test_a_limb_that_lies_badly_is_peripheral(limb: str, test: str) -> None:
    told = {a["test"]: a for a in alerts(happened(limb)) if a["state"] == "confirmed"}[test]
    assert told["cause"] == "peripheral" and told["evidence"]["where"] == f"left {limb}"
    (control,) = [s for s in told["evidence"]["sites"] if s["control"] and s["name"].startswith(test)]
    assert control["ratio"] < 0.35, "what an artifact leaves there is no response"


@pytest.mark.control("H11.6")
def test_a_bolus_is_systemic_told_all_the_same_and_explained_by_what_was_posted() -> None:
    told = [a for a in alerts(happened("deep")) if a["state"] == "confirmed"]
    assert told and {a["cause"] for a in told[-3:]} == {"systemic"}
    assert {a["priority"] for a in told[-3:]} == {"medium"}
    assert any(c["name"] == "mac" and c["now"] == 2.0 for c in told[-1]["evidence"]["confounders"])


@pytest.mark.control("H3.5")
def test_a_stimulator_without_a_lead_is_technical() -> None:
    told = [a for a in alerts(happened("stimulator")) if a["test"] == "left_median"]
    assert told and told[-1]["cause"] == "technical"
    assert "artifact" in told[-1]["evidence"]["where"]
    assert told[-1]["evidence"]["stimulus"]["artifact_ratio"] < 0.2


def test_a_lead_off_one_arm_does_not_explain_what_happens_to_the_legs() -> None:
    causes = {a["test"]: a["cause"] for a in alerts(happened("two")) if a["state"] == "confirmed"}
    assert causes["left_tibial"] == causes["right_tibial"] == "focal"
    assert causes["left_median"] == "technical"


def test_an_electrode_that_floats_is_noise_and_no_injury() -> None:
    messages = happened("electrode")
    told = alerts(messages, "noise")
    assert told and told[0]["priority"] == "low" and "CPz" in told[0]["evidence"]["electrodes"]
    assert not [a for a in alerts(messages) if a["cause"] in ("focal", "peripheral")]


@lru_cache
def hurt_early(block: int) -> tuple[Outgoing, ...]:
    """Without marks and replicates, which a bedside puts between its blocks."""
    case = casefile.parse(case_text(), "t.toml")
    scenario = Scenario(noise=QUIET, lesion=(Lesion(16.0, "cord T8", "both", 0.95),))
    shots = [Shot(3.0 + 2.0 * k, "left_mep", 500.0) for k in range(10)]
    return tuple(monitored(case, 26.0, 3, scenario, False, shots, block)[0])


@pytest.mark.parametrize("block", [300, 1900])
def test_alerts_ledger_and_signals_are_the_same_for_any_blocks(block: int) -> None:
    end = 25.0 * RATE_HZ
    for topic in ("alert", "ledger", "alarms", "event", "case"):
        first, second = (
            [(m.index, dict(m.fields)) for m in hurt_early(k) if m.topic == topic and m.index < end]
            for k in (1024, block)
        )
        assert first == second and first, topic


def test_everything_is_what_the_schema_declares() -> None:
    head = dict.fromkeys(("boot", "case"), "x") | dict.fromkeys(("v", "seq", "index", "t_ns", "utc_ns"), 1)
    seen = set()
    for what in ("legs", "deep", "stimulator"):
        for m in happened(what):
            if m.topic in ("alert", "ledger", "alarms", "event", "case"):
                seen.add(m.topic)
                assert set(m.fields) == own(m.topic), m.topic
                msgspec.convert(head | dict(m.fields), schema.kind_of(m.topic), strict=True)
                if m.topic == "alert" and m.fields["kind"] == "change":
                    evidence = msgspec.convert(m.fields["evidence"], ChangeEvidence, strict=True)
                    assert set(m.fields["evidence"]) <= set(msgspec.to_builtins(evidence))
                    assert abs(sum(m.fields["likelihood"].values()) - 1.0) < 1e-9
    assert seen == {"alert", "ledger", "alarms", "event", "case"}


def test_the_case_goes_from_baseline_to_alert_and_says_how_good_its_baselines_are() -> None:
    messages = happened("legs")
    phases = [m.fields["phase"] for m in messages if m.topic == "case"]
    assert phases[0] == "setup" and "monitoring" in phases and phases[-1] == "closed"
    assert phases.index("setup") < phases.index("baseline") < phases.index("monitoring")
    assert phases.index("monitoring") < phases.index("alert")
    baselines = {m.topic: m.fields for m in messages if m.topic.startswith("baseline.")}
    assert {f["version"] for f in baselines.values()} == {1}
    assert all(f["grade"] in ("good", "fair") and f["error"] <= 0.2 for f in baselines.values())


@pytest.mark.control("H15.1")
def test_an_alarm_comes_within_a_second_of_the_sweep_that_qualifies() -> None:
    """`index` of an alert is that sweep's stimulus; it is told once nothing earlier can come any more."""
    from hostd.pipeline import Pipeline
    from hostd.score.bedside import describe

    for name in casefile.procedures():
        case = casefile.procedure(name)
        pipeline = Pipeline(case, describe(case))
        ends_s = min((t.window_ms[1] / 1e3 for t in case.tests), default=0.0)
        assert pipeline.told_after / case.rate_hz - ends_s <= 1.0, f"{name}: from the end of its window"


def stream(version: int, values: list[float], first: int = 0) -> list[Seen]:
    return [
        Seen(first + 750 * k, "left_tibial", "P37", "lead", v, 1.0, version=version, error=0.05)
        for k, v in enumerate(values)
    ]


@pytest.mark.control("H10.5")
def test_a_new_baseline_begins_anew_and_ends_what_was_of_the_old_one() -> None:
    open_ = Alerts()
    judge = Deviations(score_case(), RATE_HZ, open_)
    said = [m for one in stream(1, [1.0] * 100 + [0.0] * 60) for m in judge.see(one)]
    assert [m.fields["state"] for m in said if m.topic == "alert"] == ["raised", "confirmed"]
    (cleared,) = [m for one in stream(2, [1.0], 200_000) for m in judge.see(one) if m.topic == "alert"]
    assert cleared.fields["state"] == "cleared" and cleared.fields["evidence"]["cleared_by"] == "baseline 2"
    assert open_.open == ()


def test_a_slow_drift_is_told_low_and_is_no_alarm() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    slow = [1.0 - 0.65 * k / 12_000 for k in range(12_000)]
    said = [m for one in stream(1, slow) for m in judge.see(one) if m.topic == "alert"]
    assert {(m.fields["kind"], m.fields["priority"]) for m in said} == {("drift", "low")}


def test_a_test_whose_sweeps_are_all_rejected_is_told_after_two_minutes() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    plan = next(t for t in score_case().tests if t.name == "left_tibial")
    said: list[Outgoing] = []
    for k in range(600):
        bad = Seen(743 * k, "left_tibial", "", "sweep", weights=(0.0,) * len(plan.derivations), reason="gap")
        said += [m for m in judge.see(bad) if m.topic == "alert"]
    assert [m.fields["kind"] for m in said] == ["yield"]
    assert said[0].index > 120 * RATE_HZ
    good = [
        Seen(743 * k, "left_tibial", "", "sweep", weights=(1.0,) * len(plan.derivations))
        for k in range(600, 900)
    ]
    assert [m.fields["state"] for one in good for m in judge.see(one) if m.topic == "alert"] == ["cleared"]


@pytest.mark.parametrize(
    ("test", "derivation", "where"),
    [
        ("left_tibial", "CPz-Fpz", ("sensory", "leg", "left")),
        ("right_median", "CP3-CP4", ("sensory", "arm", "right")),
        ("left_mep", "APBR1-APBR2", ("motor", "arm", "right")),
        ("right_mep", "TAL1-TAL2", ("motor", "leg", "left")),
    ],
)
def test_places_are_read_off_site_and_muscle(test: str, derivation: str, where: tuple[str, str, str]) -> None:
    plan = next(t for t in score_case().tests if t.name == test)
    place = place_of(plan, derivation)
    assert (place.tract, place.limb, place.side) == where


def test_a_suspicion_asks_for_one_replicate_an_answer_and_not_for_ever() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    asked = []
    for k in range(40):
        value = 0.0 if k < 6 else -0.8 if k % 2 else -0.35
        for name in ("TAL1-TAL2", "AHL1-AHL2"):
            seen = Seen(1000 * k, "right_mep", name, "answer", value, version=1, error=0.3, count=8)
            asked += [m.index for m in judge.see(seen) if m.topic == "event"]
    assert len(asked) == len(set(asked)) and 2 <= len(asked) <= 8


def test_what_the_fixed_rules_say_of_single_answers_stands_beside_an_alert() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    row = {"name": "TAL1-TAL2", "state": "lost", "noise_uv": 3.0}
    response = {"responses": [row], "accepted": True, "threshold": None}
    said: list[Outgoing] = []
    for k in range(12):
        value = 0.0 if k < 8 else -3.0
        seen = Seen(1000 * k, "right_mep", "TAL1-TAL2", "answer", value, version=1, error=0.3, count=8)
        said += [m for m in judge.see(seen) if m.topic == "alert"]
        judge.note(Outgoing("response.right_mep", 1000 * k, response))
        judge.note(Outgoing("measure.right_mep", 1000 * k, {"rules": []}))
    assert said[-1].fields["evidence"]["legacy"] == [{"peak": "TAL1-TAL2", "verdict": "lost"}]


def test_an_alert_ends_with_its_response_though_the_control_stays_down() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())

    def both(k: int, lead: float, control: float) -> list[Outgoing]:
        about = {"variance": 1.0, "version": 1, "error": 0.05}
        seen = [
            Seen(750 * k, "left_tibial", "PF", "control", control, **about),  # type: ignore[arg-type]
            Seen(750 * k, "left_tibial", "P37", "lead", lead, **about),  # type: ignore[arg-type]
        ]
        return [m for one in seen for m in judge.see(one) if m.topic == "alert"]

    values = [(1.0, 1.0)] * 100 + [(0.0, 0.0)] * 60 + [(1.0, 0.0)] * 120
    said = [m.fields["state"] for k, (lead, control) in enumerate(values) for m in both(k, lead, control)]
    assert said[:2] == ["raised", "confirmed"] and said[-1] == "cleared"


def losing(judge: Deviations, values: list[float], first: int = 0) -> list[Outgoing]:
    """Sweeps of the left leg's P37 with these ratios; what is said of them."""
    said: list[Outgoing] = []
    for k, value in enumerate(values, first):
        seen = Seen(750 * k, "left_tibial", "P37", "lead", value, 1.0, version=1, error=0.05)
        beside = Seen(750 * k, "left_tibial", "", "sweep", weights=(1.0,) * 4)
        said += [m for one in (seen, beside) for m in judge.see(one) if m.topic == "alert"]
    return said


def test_an_open_alert_says_how_much_is_gone_by_now() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    said = losing(judge, [1.0] * 100 + [0.45] * 120 + [0.0] * 400)
    states = [m.fields["state"] for m in said]
    assert (
        states[0] == "raised"
        and set(states[1:]) == {"confirmed"}
        and len({m.fields["id"] for m in said}) == 1
    )
    told = [m.fields["evidence"]["responses"][0]["ratio"] for m in said]
    assert told[0] > 0.4 and told[-1] < 0.2, "as it worsens"
    assert len(said) < 8, "and not with every sweep"
    assert min(b.index - a.index for a, b in pairwise(said[2:])) >= 10.0 * RATE_HZ


def test_an_alert_of_a_test_that_is_stopped_stays_and_says_so() -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    losing(judge, [1.0] * 100 + [0.0] * 60)
    (told,) = judge.running(750 * 161, "left_tibial", False)
    assert told.fields["state"] == "confirmed" and "nobody watches" in told.fields["text"]
    assert not told.fields["evidence"]["watched"]
    assert judge.running(750 * 162, "left_tibial", False) == [], "told once"
    assert judge.running(750 * 162, "right_tibial", False) == [], "nothing is open of that one"
    (again,) = judge.running(750 * 200, "left_tibial", True)
    assert again.fields["evidence"]["watched"] and "nobody watches" not in again.fields["text"]
    assert losing(judge, [1.0] * 200, 201)[-1].fields["state"] == "cleared"


@pytest.mark.control("H11.6")
@pytest.mark.parametrize(("ohm", "cause"), [(40e3, "technical"), (4e3, "focal")])
def test_an_electrode_found_bad_explains_what_is_open(ohm: float, cause: str) -> None:
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    for k in range(260):
        left = 0.0 if k >= 100 else 1.0
        for test, value in (("left_tibial", left), ("right_tibial", 1.0), ("left_median", 1.0)):
            name = "N20" if "median" in test else "P37"
            judge.see(Seen(750 * k, test, name, "lead", value, 1.0, version=1, error=0.05))
    (alert,) = judge._alerts.open
    assert alert.cause == "focal"
    said = judge.impedance(750 * 261, [{"lead": "CPz+", "ohm": ohm}, {"lead": "CP3+", "ohm": None}])
    (alert,) = judge._alerts.open
    assert alert.cause == cause and bool(said) == (cause != "focal")
    assert ("electrode CPz has 40 kOhm" in alert.evidence["suspects"]) == (cause == "technical")


def test_what_the_other_hemisphere_answered_before_the_later_half_still_speaks() -> None:
    """Answers are rare: with none in the later half of a long span the other side is not unknown."""
    judge = Deviations(score_case(), RATE_HZ, Alerts())
    said: list[Outgoing] = []

    def answer(at_s: float, test: str, value: float) -> None:
        side = "L" if test == "right_mep" else "R"
        for muscle in ("APB", "TA", "AH"):
            name = f"{muscle}{side}1-{muscle}{side}2"
            about = {"version": 1, "error": 0.2, "count": 8}
            seen = Seen(round(at_s * RATE_HZ), test, name, "answer", value, **about)  # type: ignore[arg-type]
            said.extend(m for m in judge.see(seen) if m.topic == "alert")

    for k in range(8):
        answer(20.0 * k, "left_mep", 0.0)
        answer(20.0 * k + 5.0, "right_mep", 0.0)
    for at_s, test, value in ((180, "left_mep", 0.0), (185, "right_mep", -2.0), (188, "right_mep", -2.0)):
        answer(at_s, test, value)
    for k in range(300):  # sweeps of another test go on
        at = round((190 + k / 4) * RATE_HZ)
        seen = Seen(at, "left_median", "N20", "lead", 1.0, 1.0, version=1, error=0.05)
        beside = Seen(at, "left_median", "", "sweep", weights=(1.0,) * 4)
        said.extend(m for one in (seen, beside) for m in judge.see(one) if m.topic == "alert")
    told = [m.fields["cause"] for m in said if m.fields["test"] == "right_mep"]
    assert told and set(told) == {"focal"}
