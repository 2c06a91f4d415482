"""The scoreboard: the same stories every time, a fair referee, bars that can fail, truths written down."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostd.cli import main
from hostd.errors import UsageError
from hostd.outgoing import Outgoing
from hostd.score import board, stories
from hostd.score.play import Played, heard
from hostd.score.referee import Told, Verdict, judge, of_fixed_rules, of_product
from hostd.score.stories import score_case, story
from hw.raw_bdf import parse_recording_field
from hw.recording import read_header


def test_stories_are_the_same_every_time_and_others_of_another_seed() -> None:
    assert [story(k) for k in range(25)] == [story(k) for k in range(25)]
    assert story(3) != replace(story(3, 2), seed=story(3).seed)
    assert len({story(k).title for k in range(40)}) > 30
    assert Counter(story(k).kind for k in range(240)) == {
        "focal": 96,
        "peripheral": 24,
        "systemic": 48,
        "technical": 36,
        "nothing": 36,
    }


def test_every_injury_reaches_a_test_and_nothing_else_does() -> None:
    for told in (story(k) for k in range(240)):
        assert bool(told.hurt) == told.injury, told.title
        assert (told.onset_s is None) == (told.kind == "nothing")
        assert told.cause == (None if told.kind == "nothing" else told.kind)


def test_the_truth_of_a_hurt_cord_is_what_lies_below_it() -> None:
    found = {told.title.partition(":")[0]: told.hurt for told in (story(k) for k in range(240))}
    assert found["cord T8, left, all"] == {"left_tibial", "right_mep"}
    assert found["cord T8, both, dorsal"] == {"left_tibial", "right_tibial"}
    motor = [hurt for title, hurt in found.items() if title.endswith("both, motor")]
    assert motor and all(hurt == {"left_mep", "right_mep"} for hurt in motor)
    assert found["cord C5, left, all"] == {"left_median", "left_tibial", "right_mep"}


@pytest.fixture
def injury() -> stories.Story:
    return next(told for told in (story(k) for k in range(40)) if told.hurt == {"left_tibial", "right_mep"})


def test_a_true_alert_counts_from_the_onset_and_everything_else_is_false(injury: stories.Story) -> None:
    onset = injury.onset_s or 0.0
    true = Told("left_tibial", onset + 40, onset + 70, "focal")
    early = Told("left_tibial", onset - 40, None, "unknown")
    elsewhere = Told("left_median", onset + 50, onset + 60, "focal")
    explained = Told("right_median", onset + 50, None, "systemic")
    verdict = judge(injury, [true, early, elsewhere, explained])
    assert (verdict.found_s, verdict.raised_s) == (70, 40)
    assert (verdict.false_raised, verdict.false_confirmed, verdict.explained) == (2, 1, 1)
    assert verdict.cause == "focal"
    assert judge(injury, []) == Verdict(None, None, 0, 0, 0, None)


def test_without_a_cause_an_alert_of_an_unhurt_patient_is_false() -> None:
    calm = next(told for told in (story(k) for k in range(40)) if told.kind == "systemic")
    at = (calm.onset_s or 0.0) + 30
    assert judge(calm, [Told("left_mep", at, at + 3, None)]).false_confirmed == 1
    told = judge(calm, [Told("left_mep", at, at + 3, "systemic")])
    assert (told.false_raised, told.explained, told.cause) == (0, 1, "systemic")


def measure(at_s: float, uv: float | None, ms: float = 38.0, final: bool = True) -> Outgoing:
    peak = {
        "name": "P37",
        "present": uv is not None,
        "amplitude_uv": uv,
        "latency_ms": ms,
        "baseline_amplitude_uv": 2.0,
        "baseline_latency_ms": 38.0,
    }
    fields = {"peaks": [peak], "leading": "P37", "final": final}
    return Outgoing("measure.left_tibial", round(at_s * 2000), fields)


@pytest.mark.parametrize(
    ("values", "alerts"),
    [
        ([2.0, 1.5, 1.1], []),
        ([2.0, 0.9, 2.0], [(110.0, None)]),
        ([2.0, 0.9, 0.8, 0.7], [(110.0, 220.0)]),
        ([2.0, None, None], [(110.0, 220.0)]),
    ],
)
def test_the_fixed_rule_of_averages(
    values: list[float | None], alerts: list[tuple[float, float | None]]
) -> None:
    told = of_fixed_rules(score_case(), [measure(110.0 * k, uv) for k, uv in enumerate(values)])
    assert [(a.raised_s, a.confirmed_s) for a in told] == alerts
    assert of_fixed_rules(score_case(), [measure(1.0, 0.1, final=False)]) == []


def test_the_fixed_rule_of_latency_and_of_single_answers() -> None:
    late = [measure(110.0 * k, 2.0, ms) for k, ms in enumerate((38.0, 42.0, 42.5))]
    assert [(a.raised_s, a.confirmed_s) for a in of_fixed_rules(score_case(), late)] == [(110.0, 220.0)]

    def answer(at_s: float, uv: float | None) -> Outgoing:
        row = {"name": "TA", "present": uv is not None, "amplitude_uv": uv, "baseline_uv": 500.0}
        return Outgoing("response.left_mep", round(at_s * 2000), {"accepted": True, "responses": [row]})

    told = of_fixed_rules(
        score_case(), [answer(k, uv) for k, uv in enumerate((500.0, 160.0, 140.0, None, 400.0))]
    )
    assert [(a.raised_s, a.confirmed_s) for a in told] == [(2.0, 3.0)]


def alert(at_s: float, state: str, cause: str, kind: str = "change") -> Outgoing:
    fields = {"id": "change-1", "test": "left_tibial", "kind": kind, "state": state, "cause": cause}
    return Outgoing("alert", round(at_s * 2000), fields)


def test_the_products_alert_counts_with_the_cause_told_within_a_minute_of_its_confirmation() -> None:
    said = [
        alert(10, "raised", "unknown"),
        alert(20, "confirmed", "unknown"),
        alert(50, "confirmed", "focal"),
        alert(200, "confirmed", "systemic"),
        alert(300, "cleared", "systemic"),
    ]
    assert of_product(score_case(), said) == [Told("left_tibial", 10.0, 20.0, "focal")]
    assert of_product(score_case(), [alert(1, "raised", "technical", "storage")]) == []


def played(kind: str, product: Verdict, fixed: Verdict, number: int = 0) -> Played:
    base = next(told for told in (story(k) for k in range(60)) if told.kind == kind)
    return Played(replace(base, number=number), product, fixed)


def verdict(found: float | None = None, false: int = 0, cause: Any = None) -> Verdict:
    return Verdict(found, found, false, false, 0, cause)


def test_the_board_meets_its_bars_and_fails_each_one() -> None:
    good = [
        played("focal", verdict(50.0, cause="focal"), verdict(100.0)),
        played("systemic", verdict(cause="systemic"), verdict(false=4)),
        played("nothing", verdict(), verdict(false=1)),
    ]
    assert board.board(good, 1).ok
    slow = [played("focal", verdict(70.0, cause="focal"), verdict(100.0)), *good[1:]]
    missed = [played("focal", verdict(), verdict(100.0)), good[0], *good[1:]]
    noisy = [*good, played("nothing", verdict(false=3), verdict())]
    wrong = [played("focal", verdict(50.0, cause="systemic"), verdict(100.0)), *good[1:]]
    for bad in (slow, missed, noisy, wrong):
        assert not board.board(bad, 1).ok
    text = board.as_text(board.board(slow, 1))
    assert "NOT MET" in text and "injuries confirmed" in text
    whole = json.loads(board.as_json(board.board(good, 1)))
    assert whole["ok"] is True and len(whole["stories"]) == 3
    with pytest.raises(UsageError, match="without an injury"):
        board.board(good[1:], 1)


def test_a_story_played_is_the_same_every_time() -> None:
    told = story(5)
    first, second = ([(m.topic, m.index) for m in heard(told, True, 22.0)] for _ in range(2))
    assert first == second and first


def test_a_story_is_written_for_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "SECONDS", 6.0)
    into = board.write(5, 1, tmp_path)
    truth = json.loads((into / "truth.json").read_text())
    assert truth["kind"] == story(5).kind and truth["hurt"] == sorted(story(5).hurt)
    assert truth["scenario"]["lesion"] and truth["stimuli"] and truth["vitals"]
    with (into / "raw.bdf").open("rb") as file:
        header = read_header(file)
    assert parse_recording_field(header.recording) is not None and header.n_records > 50


@pytest.mark.parametrize(
    "words", [["--stories", "0"], ["--seed", "-1"], ["--workers", "-2"], ["--json", "/nonexistent/file"]]
)
def test_bad_options_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_log_is_told_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board, "write", lambda number, seed, folder: folder)
    assert main(["score", "--stories", "25", "--write", str(tmp_path)]) == 0
    assert capsys.readouterr().err.split("\n") == ["10 of 25 stories", "20 of 25 stories", ""]
