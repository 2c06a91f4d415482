"""What stands beside a change: vitals and doses, suppression, relaxation, stimulus, noise, electrodes off."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dsp.nouns import Trigger
from hostd.artifact import LEARNED, ArtifactWatch
from hostd.circumstances import Circumstances
from hostd.outgoing import Outgoing
from hostd.score.stories import score_case
from hostd.seen import Seen
from hostd.vitals import STEADY_ODDS, VITALS, Vitals

RATE_HZ = 2000.0
MIN = round(60 * RATE_HZ)


def vitals(**series: list[float]) -> Vitals:
    """One value a minute, from minute 0 on."""
    posted = Vitals(RATE_HZ)
    for name, values in series.items():
        for k, value in enumerate(values):
            posted.post(k * MIN, {name: value})
    return posted


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("map_mmhg", 80.0, 55.0),
        ("map_mmhg", 90.0, 70.0),
        ("temperature_c", 36.5, 35.6),
        ("mac", 0.9, 1.2),
        ("propofol_ug_ml", 3.0, 4.0),
        ("spo2_pct", 99.0, 88.0),
    ],
)
def test_what_moves_the_wrong_way_explains_and_its_return_does_not(
    name: str, before: float, after: float
) -> None:
    moved = vitals(**{name: [before] * 10 + [after]})
    (one,) = moved.moved(9 * MIN, 11 * MIN)
    assert (one.name, one.before, one.now) == (name, pytest.approx(before), after)
    assert VITALS[name].text in one.text and moved.odds(9 * MIN, 11 * MIN) > 0
    back = vitals(**{name: [before] * 10 + [after, before]})
    assert back.moved(9 * MIN, 12 * MIN) == []
    assert moved.moved(9 * MIN, 9 * MIN) == [], "not before it was known"


def test_steady_vitals_speak_against_a_systemic_cause_and_none_say_nothing() -> None:
    steady = vitals(map_mmhg=[80.0, 81.0, 79.0] * 4)
    assert steady.odds(9 * MIN, 12 * MIN) == STEADY_ODDS
    assert Vitals(RATE_HZ).odds(9 * MIN, 12 * MIN) == 0.0
    assert vitals(map_mmhg=[80.0]).odds(30 * MIN, 31 * MIN) == 0.0, "nobody has posted for half an hour"


def test_a_dose_explains_for_ten_minutes() -> None:
    posted = Vitals(RATE_HZ)
    posted.post(5 * MIN, {"bolus_mg": 50.0})
    posted.post(7 * MIN, {"bolus_mg": 20.0})
    (one,) = posted.moved(9 * MIN, 10 * MIN)
    assert one.now == 70.0 and "70 mg" in one.text
    assert posted.moved(30 * MIN, 31 * MIN) == []


def told(topic: str, index: int, **fields: Any) -> Outgoing:
    return Outgoing(topic, index, fields)


def test_suppression_and_relaxation_explain() -> None:
    c = Circumstances(score_case(), RATE_HZ)
    for k in range(20):
        pct = 5.0 if k < 15 else 40.0
        c.note(told("eeg", k * MIN, suppression={"ratio_pct": [[pct, 0, 0], [pct, 0, 0]]}))
        share = 1.0 if k < 15 else 0.3
        c.note(told("tof", k * MIN, reason="", share=share, count=4, text="4 of 4"))
    assert {one.name for one in c.confounders(15 * MIN, 19 * MIN)} == {"eeg_suppression_pct", "relaxation"}
    assert c.odds(15 * MIN, 19 * MIN)["systemic"] > 4
    assert c.confounders(5 * MIN, 14 * MIN) == []


def sweeps(c: Circumstances, test: str, index: int, n: int, weight: float, reason: str = "") -> int:
    names = next(t for t in score_case().tests if t.name == test).derivations
    for k in range(n):
        c.sweep(Seen(index + k * 700, test, "", "sweep", weights=(weight,) * len(names), reason=reason))
    return index + n * 700


def test_noise_is_blamed_on_the_electrode_that_the_loud_ones_share() -> None:
    c = Circumstances(score_case(), RATE_HZ)
    cases = {t.name: t for t in score_case().tests if t.kind == "average"}
    for k in range(200):
        for name, plan in cases.items():
            loud = k >= 120
            weights = tuple(0.001 if loud and "CPz" in d.name.split("-") else 1.0 for d in plan.derivations)
            c.sweep(Seen(k * 700, name, "", "sweep", weights=weights))
    noisy = c.noisy(130 * 700, 199 * 700, 40)
    assert noisy and all("CPz" in derivation for _, derivation in noisy)
    assert c.blamed(noisy) == ["CPz"]
    assert c.noisy(0, 119 * 700, 1) == {}
    names = {"left_tibial": ["left_tibial P37"], "left_median": ["left_median N20"]}
    (suspect,) = c.suspects(names, 130 * 700, 199 * 700)
    assert "CPz" in suspect.name and "left_tibial P37" in suspect.sites


def test_what_electrosurgery_rejects_is_no_noise_of_electrodes() -> None:
    c = Circumstances(score_case(), RATE_HZ)
    at = sweeps(c, "left_median", 0, 100, 1.0)
    end = sweeps(c, "left_median", at, 60, 0.0, "electrosurgery")
    assert c.noisy(at, end, 1) == {}
    end = sweeps(c, "left_median", end, 60, 0.0, "amplitude")
    assert c.noisy(at, end, 10)


def test_a_faint_artifact_and_a_bad_delivery_are_suspects() -> None:
    c = Circumstances(score_case(), RATE_HZ)
    names = {"left_median": ["left_median N20", "left_median N9"]}
    for k in range(20):
        c.artifact(k * 700, "left_median", 1.0 if k < 10 else 0.05)
        stim = {"test": "left_median", "verified": True, "delivery": "ok" if k < 15 else "open"}
        c.note(told("stim", k * 700, **stim))
    assert c.suspects(names, 0, 9 * 700) == []
    gone = c.suspects(names, 10 * 700, 14 * 700)
    assert [s.name for s in gone] == ["stimulus of left_median: its artifact is gone"]
    assert c.stimulus("left_median", 10 * 700, 19 * 700)["delivery"] == "open"
    assert any("open" in s.name for s in c.suspects(names, 10 * 700, 19 * 700))
    c.leads_off(5 * 700, ["CP4-", "EPL+"])
    assert c.off("left_median", 6 * 700, 9 * 700) == ["CP4", "EPL"]
    assert c.off("left_median", 0, 4 * 700) == []


def stream(sizes: list[float], seed: int = 1, noise: float = 5.0) -> tuple[np.ndarray, list[Trigger]]:
    """Noise in four channels with an artifact of each size, 200 rows apart."""
    rng = np.random.default_rng(seed)
    uv = noise * rng.normal(size=(200 * (len(sizes) + 1), 4))
    triggers = []
    for k, size in enumerate(sizes):
        at = 200 * k + 100
        uv[at : at + 3] += size * np.array([1.0, -0.5, 0.2, 0.0])
        triggers.append(Trigger(at, 1))
    return uv, triggers


def ratios(uv: np.ndarray, triggers: list[Trigger], block: int) -> list[tuple[int, float]]:
    watch = ArtifactWatch(RATE_HZ, 4)
    told = []
    for first in range(0, len(uv), block):
        inside = [t for t in triggers if first <= t.index < first + block]
        told += watch.append(uv[first : first + block], inside)
    return [(trigger.index, ratio) for trigger, ratio in told]


@pytest.mark.control("H3.5")
def test_an_artifact_that_goes_is_seen_in_any_blocks() -> None:
    uv, triggers = stream([300.0] * LEARNED + [300.0] * 5 + [0.0] * 5 + [150.0] * 5)
    whole = ratios(uv, triggers, len(uv))
    for block in (37, 64, 512):
        assert ratios(uv, triggers, block) == whole
    found = [ratio for _, ratio in whole]
    assert len(found) == 15
    assert found[:5] == pytest.approx([1.0] * 5, abs=0.15)
    assert found[5:10] == pytest.approx([0.0] * 5, abs=0.15)
    assert found[10:] == pytest.approx([0.5] * 5, abs=0.15)


def test_where_there_never_was_an_artifact_nothing_is_said() -> None:
    uv, triggers = stream([0.0] * (LEARNED + 10))
    assert ratios(uv, triggers, 256) == []


def test_a_gap_takes_what_was_not_whole() -> None:
    watch = ArtifactWatch(RATE_HZ, 4)
    uv, triggers = stream([300.0] * 3)
    watch.append(uv[:102], [triggers[0]])
    watch.restart(5000)
    later = [replace(triggers[0], index=5100)]
    assert watch.append(uv[:300], later) == [], "learned, not judged, and the first one is forgotten"


def test_one_train_without_an_artifact_did_not_arrive_and_one_pulse_of_an_average_says_nothing() -> None:
    about = Circumstances(score_case(), RATE_HZ)
    about.artifact(100, "left_mep", 0.01)
    about.artifact(100, "left_median", 0.01)
    about.artifact(100, "right_mep", 0.4)
    assert about.stimulus("left_mep", 0, 200)["artifact_ratio"] == 0.01
    assert about.stimulus("left_median", 0, 200)["artifact_ratio"] is None
    assert about.stimulus("right_mep", 0, 200)["artifact_ratio"] is None, "a lower current may be meant"
    (found,) = about.suspects({"left_mep": ["left_mep TA"]}, 0, 200)
    assert found.name == "stimulus of left_mep: its artifact is gone"
