"""The course of a test: verdicts, the best derivation, change from baseline and alarm, a sharper trace."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from hostd import casefile
from hostd.outgoing import Outgoing
from hw.model.scenario import Change, NoiseChange, Scenario
from tests.support.lockstep import simulate

RATE_HZ = 4000
FALL_S = 27.0
BASE = casefile.procedure("median_ssep")
QUICK = replace(
    BASE, tests=tuple(replace(t, stimulus_hz=4.703, sweeps=112, baseline_sweeps=96) for t in BASE.tests)
)
LEFT, RIGHT = (t.name for t in BASE.tests)
CALM = NoiseChange(0.0, emg=0.1, mains=0.1, eeg=0.3)

QUIET = NoiseChange(0.0, emg=0.02, mains=0.02, eeg=0.1)
STILL = NoiseChange(0.0, emg=0.01, mains=0.0, eeg=0.02)


@cache
def fallen() -> tuple[Outgoing, ...]:
    """The left cortical response falls to 30 % after the baseline; the right one stays."""
    fall = Change(FALL_S, site=QUICK.tests[0].site, response="cortical", amplitude=0.3)
    return tuple(simulate(48.0, QUICK, 1, Scenario((fall,), (CALM,))))


@cache
def short(sharpen: Any) -> tuple[Outgoing, ...]:
    """So few seconds that there is a noise."""
    tests = tuple(replace(t, sharpen=sharpen) for t in QUICK.tests)
    return tuple(simulate(5.0, replace(QUICK, tests=tests), 1))


def of(messages: tuple[Outgoing, ...] | list[Outgoing], topic: str) -> list[dict[str, Any]]:
    return [dict(m.fields) for m in messages if m.topic == topic]


def test_a_fall_is_told_by_projection_rules_and_alarm_and_only_where_it_is() -> None:
    left, right = (of(fallen(), f"measure.{test}")[-1]["change"] for test in (LEFT, RIGHT))
    assert left["peak"] == "N20"
    low, high = left["fixed"]["ratio_ci"]
    assert 0.1 < low < 0.35 < high < 0.6 and left["fixed"]["log_change"] < -0.5
    rules = {rule["name"]: rule for rule in left["fixed"]["rules"]}
    assert any(rule["verdict"] == "met" and rule["confidence"] > 0.8 for rule in rules.values()), rules
    assert left["alarm"]["fixed"]["alarm"] and left["alarm"]["rolling"]["alarm"] and left["rolling"]["frozen"]
    assert abs(left["alarm"]["fixed"]["since_index"] / RATE_HZ - FALL_S) < 3.0
    assert left["rolling"]["level"] > 0.8, "what leads to an alarm is not learnt"
    low, high = right["fixed"]["ratio_ci"]
    assert low < 1.0 < high + 0.15
    assert not right["alarm"]["fixed"]["alarm"] and not right["alarm"]["rolling"]["alarm"]
    assert all(rule["verdict"] != "met" for rule in right["fixed"]["rules"])


def test_nothing_is_compared_before_there_is_a_baseline_and_none_after_it_is_cleared() -> None:
    messages = fallen()
    baseline = next(m.index for m in messages if m.topic == f"baseline.{LEFT}")
    for m in messages:
        if m.topic == f"measure.{LEFT}":
            assert (m.fields["change"] is None) == (m.index < baseline)


def test_the_alarm_comes_in_fewer_sweeps_than_an_average_has() -> None:
    raised = [
        m.index
        for m in fallen()
        if m.topic == f"measure.{LEFT}"
        and (m.fields["change"] or {}).get("alarm")
        and m.fields["change"]["alarm"]["fixed"]["alarm"]
    ]
    assert FALL_S < raised[0] / RATE_HZ < FALL_S + 112 / 4.703


def test_the_verdict_says_how_long_it_will_take_and_then_what_it_is() -> None:
    verdicts = [m["verdict"] for m in of(fallen(), f"measure.{RIGHT}")]
    first = next(v for v in verdicts if v["seconds_left"] is not None)
    low, high = first["seconds_range"]
    assert not first["done"] and low <= first["seconds_left"] <= high <= 112 / 4.703
    told = [v for v in verdicts if v is not None]
    assert told[-1]["decision"] == "present" and told[-1]["error_rate"] == 0.01
    assert verdicts[-1] is None, "of a running average beyond its target nothing is decided"


def test_every_derivation_is_ranked_and_the_best_is_named_with_why() -> None:
    last = of(fallen(), f"measure.{RIGHT}")[-1]
    average = of(fallen(), f"average.{RIGHT}")[-1]
    assert {r["derivation"] for r in last["ranking"]} == set(average["derivations"])
    ratios = [r["snr_db"] for r in last["ranking"] if r["snr_db"] is not None]
    assert ratios == sorted(ratios, reverse=True) and len(ratios) >= 2
    before = [m for m in of(fallen(), f"measure.{RIGHT}") if m["change"] is None][-1]
    for ranking in (before["ranking"], last["ranking"]):
        assert ranking[-1]["derivation"] == "EPR-EPL", "over the plexus nothing happens at 17 to 30 ms"
    choice = last["choice"]
    assert choice["standard"] == average["derivations"][0]
    assert choice["reason"] in ("best", "not_worth_it", "not_certain", "changed")
    assert choice["chosen"] in average["derivations"]


def test_halves_are_the_averages_of_every_other_sweep() -> None:
    average = of(fallen(), f"average.{RIGHT}")[-1]
    halves, mean = average["halves_uv"], average["mean_uv"]
    assert halves.shape == (2, *mean.shape)
    assert np.mean(halves, axis=0) == pytest.approx(mean, abs=0.2 * float(np.ptp(mean)))
    assert average["blanked_ms"] == [0.0, 6.0]


def test_an_average_ends_when_it_is_certain_where_the_case_says_so() -> None:
    certain = replace(QUICK, tests=tuple(replace(t, stop="certain", sweeps=300) for t in QUICK.tests))
    finals = [
        m for m in of(simulate(14.0, certain, 1, Scenario((), (STILL,))), f"average.{RIGHT}") if m["final"]
    ]
    assert len(finals) >= 2 and all(m["n_sweeps"] < 300 for m in finals)
    assert finals[0]["last_index"] < finals[1]["first_index"]


@pytest.mark.parametrize(("stimulus_hz", "trusted"), [(5.0, False), (4.703, True)])
def test_agreement_of_halves_is_not_trusted_at_a_rate_that_mains_lock_to(
    stimulus_hz: float, trusted: bool
) -> None:
    """5 Hz and mains of 50 Hz: the halves agree on it, the noise-only averages see nothing of it."""
    case = replace(QUICK, tests=tuple(replace(t, stimulus_hz=stimulus_hz) for t in QUICK.tests))
    loud = NoiseChange(0.0, emg=0.3, mains=4.0, eeg=0.3)
    last = of(simulate(9.0, case, 1, Scenario((), (loud,))), f"measure.{RIGHT}")[-1]
    assert last["halves"]["trusted"] is trusted, last["halves"]
    assert ("cannot be trusted" in last["halves"]["text"]) is not trusted
    assert (last["halves"]["left_pct"] > 90.0) is not trusted


@pytest.mark.parametrize("kind", ["low-pass", "wiener"])
def test_a_sharper_trace_stands_beside_the_mean_and_never_for_it(kind: str) -> None:
    plain, told = (of(short(which), f"average.{RIGHT}")[-1] for which in ("off", kind))
    assert plain["sharp_uv"] is None
    assert np.array_equal(plain["mean_uv"], told["mean_uv"])
    assert told["sharp_uv"].shape == told["mean_uv"].shape
    assert all(a < b for a, b in zip(told["sharp_noise_uv"], told["noise_uv"], strict=True))
    assert np.abs(np.diff(told["sharp_uv"], axis=0)).max() < np.abs(np.diff(told["mean_uv"], axis=0)).max()


def test_a_test_can_choose_how_it_averages() -> None:
    """The same sweeps in the same case, and close to the running average of as many."""
    kinds = ("moving", "exponential")
    tests = [
        replace(t, averaging=kind, sweeps=32, baseline_sweeps=20)
        for t, kind in zip(QUICK.tests, kinds, strict=True)
    ]
    running = replace(QUICK, tests=tuple(replace(t, averaging="running") for t in tests))
    chosen = replace(QUICK, tests=tuple(tests))
    told, reference = (simulate(13.0, case, 1, Scenario((), (QUIET,))) for case in (chosen, running))
    for test, kind in zip((LEFT, RIGHT), kinds, strict=True):
        sweeps = [
            [m.fields["trigger_index"] for m in said if m.topic == f"sweep.{test}"]
            for said in (told, reference)
        ]
        assert sweeps[0] == sweeps[1] and len(sweeps[0]) > 40
        ours, theirs = (of(said, f"average.{test}")[-1] for said in (told, reference))
        assert ours["averaging"] == kind and ours["last_index"] == theirs["last_index"]
        size = float(np.ptp(theirs["mean_uv"]))
        assert ours["mean_uv"] == pytest.approx(theirs["mean_uv"], abs=0.15 * size)
        assert ours["halves_uv"] is not None and ours["n_sweeps"] >= 32
        assert of(told, f"measure.{test}")[-1]["peaks"][-1]["present"]
        assert any(m["final"] for m in of(told, f"average.{test}"))


@pytest.mark.parametrize(
    ("key", "cure"),
    [
        ("smallest_uv = -1", "write 0 or more"),
        ('sharpen = "low-pass"\nband_hz = [30, 250]', 'write sharpen = "wiener" or "off"'),
        ('stop = "never"', '"sweeps" or "certain"'),
        ('averaging = "blocks"\nsweeps = 100', "write sweeps = 128 or more"),
    ],
)
def test_what_cannot_be_is_told_with_its_cure(key: str, cure: str) -> None:
    text = BASE.text.replace("[test.left_median]", f"[test.left_median]\n{key}")
    with pytest.raises(ValueError, match="left_median") as error:
        casefile.parse(text, "case.toml")
    assert cure in str(error.value)
