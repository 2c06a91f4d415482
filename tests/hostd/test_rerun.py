"""A recording under another case, beside what was recorded: differences told where they are, none made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile, rerun
from hostd.cli import main
from hostd.outgoing import Outgoing
from hostd.rerun import Side
from tests.hostd.conftest import Live

CASE = casefile.procedure("median_ssep")


def peak(name: str, **fields: Any) -> dict[str, Any]:
    keys = (
        "latency_ms",
        "amplitude_uv",
        "noise_uv",
        "change_pct",
        "baseline_latency_ms",
        "baseline_amplitude_uv",
    )
    return {"name": name, "derivation": "a-b", "present": True} | dict.fromkeys(keys) | fields


def measure(index: int, decision: str, n: int, *peaks: dict[str, Any]) -> Outgoing:
    verdict = {"decision": decision, "n_sweeps": n}
    return Outgoing("measure.x", index, {"peaks": list(peaks), "leading": "N20", "verdict": verdict})


def alert(index: int, state: str = "raised", kind: str = "delivery") -> Outgoing:
    return Outgoing("alert", index, {"test": "x", "kind": kind, "state": state})


def side(*messages: Outgoing) -> Side:
    taken = Side(1000.0, ("x",))
    for message in messages:
        taken.take(message)
    return taken


def test_of_each_peak_the_baseline_the_end_and_when_it_was_certain_are_told() -> None:
    based = peak(
        "N20", baseline_latency_ms=20.0, baseline_amplitude_uv=2.0, latency_ms=20.5, amplitude_uv=1.5
    )
    told = side(
        measure(1, "undecided", 20, peak("N20"), peak("N9")),
        measure(2, "present", 32, based, peak("N9")),
        measure(3, "absent", 64, peak("N20", present=False, noise_uv=0.2), peak("N9", latency_ms=9.5)),
    )
    n20, n9 = told.found["x", "N20", 0], told.found["x", "N9", 0]
    assert (n20.verdict, n20.verdict_sweeps, n9.verdict) == ("present", 32, None)
    assert (n20.present, n20.latency_ms, n20.noise_uv) == (False, None, 0.2)
    assert (n20.baseline_latency_ms, n20.baseline_amplitude_uv) == (20.0, 2.0), (
        "also where it was cleared since"
    )
    assert n9.present and n9.latency_ms == 9.5


def test_alerts_are_counted_as_they_are_raised_and_the_first_has_its_time() -> None:
    told = side(alert(5000), alert(6000, "cleared"), alert(7000), alert(90_000, kind="stimulus"))
    assert [(a.kind, a.count, a.first_s) for a in told.alerts.values()] == [
        ("delivery", 2, 5.0),
        ("stimulus", 1, 90.0),
    ]
    compared = rerun.Compared(Path("x"), "y.toml", told, side())
    said = list(rerun.lines(compared))
    assert "alerts, recorded: 2 delivery of x (first at 00:05), 1 stimulus of x (first at 01:30)" in said
    assert "alerts, other: none" in said and said[-1] == "differing: alert"


def test_single_answers_are_told_by_muscle_without_controls_and_what_was_not_read() -> None:
    def response(index: int, uv: float, **more: Any) -> Outgoing:
        answer = {"name": "APB", "present": True, "onset_ms": 22.0, "amplitude_uv": uv, "noise_uv": 3.0}
        answer |= {"state": "steady", "change_pct": -40.0, "baseline_uv": 500.0}
        return Outgoing(
            "response.x", index, {"accepted": True, "control": False, "responses": [answer]} | more
        )

    told = side(response(1, 300.0), response(2, 20.0, control=True), response(3, 900.0, accepted=False))
    (found,) = told.found.values()
    assert (found.amplitude_uv, found.baseline_amplitude_uv, found.verdict) == (300.0, 500.0, "steady")
    ((*_, baseline, end, noise, verdict),) = [rerun._cells(found)]
    assert (baseline, end, noise, verdict) == ("500.00 uV", "22.00 ms 300.00 uV (-40 %)", "3.00 uV", "steady")


def run(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert main(["replay", *map(str, args), "--compare"]) == 0
    return capsys.readouterr().out


def test_the_same_case_makes_no_difference(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "same.toml").write_text(CASE.text)
    said = run(capsys, live.case, "--case", tmp_path / "same.toml")
    closed = live.stdout.splitlines()[-1].removeprefix(f"{live.case}: ").partition(";")[0]
    assert said == f"{live.case}: no difference: {closed}\n"


def test_another_band_is_told_for_its_test_and_only_there(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(CASE.text.replace('side = "left"', 'side = "left"\nband_hz = [30, 250]'))
    told = json.loads(run(capsys, live.case, "--case", other, "--json", "-"))
    assert not told["same"] and told["left_out"] == told["added"] == []
    assert {topic.partition(".")[2] for topic in told["topics"]} == {"left_median"}
    peaks = {(p["test"], p["peak"]): (p["recorded"], p["other"]) for p in told["peaks"]}
    assert len(peaks) == len(told["peaks"]) == 6
    for (test, _), (recorded, theirs) in peaks.items():
        assert (recorded == theirs) is (test == "right_median")
        assert test == "right_median" or recorded["noise_uv"] > theirs["noise_uv"] > 0
    last = {m.topic: m.header["peaks"] for m in live.heard if m.topic.startswith("measure.")}
    for (test, name), (recorded, _) in peaks.items():
        (heard,) = [p for p in last[f"measure.{test}"] if p["name"] == name]
        assert {key: recorded[key] for key in ("present", "latency_ms", "amplitude_uv", "noise_uv")} == {
            key: heard[key] for key in ("present", "latency_ms", "amplitude_uv", "noise_uv")
        }


def test_tests_that_the_other_case_lacks_or_has_besides_are_named(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(CASE.text.replace("[test.left_median]", "[test.left_arm]"))
    report = tmp_path / "report.json"
    said = run(capsys, live.case, "--case", other, "--json", report).splitlines()
    assert said[0] == f"{live.case} as recorded, and under {other}"
    assert said[1:3] == ["not in the other case: left_median", "not recorded; from the start on: left_arm"]
    assert [row.split()[2:4] for row in said if row.startswith("left_arm")][:2] == [
        ["recorded", "-"],
        ["other", "EPL-EPR"],
    ]
    assert json.loads(report.read_text())["left_out"] == ["left_median"]


def test_what_cannot_be_compared_is_one_line(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(code: int, *args: object) -> str:
        assert main(["replay", *map(str, args)]) == code
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("evokd: ")
        return err

    same = tmp_path / "same.toml"
    same.write_text(CASE.text)
    wants = "a comparison is RECORDING --case CASE.toml --compare"
    assert wants in fault(2, live.case, "--compare")
    assert wants in fault(2, live.case, "--case", same, "--json", "-")
    assert wants in fault(2, live.case, "--case", same, "--compare", "--out", tmp_path / "x")
    assert "does not exist" in fault(1, tmp_path / "none", "--case", same, "--compare")
    (tmp_path / "theirs").mkdir()
    shutil.copy(live.case / "raw.bdf", tmp_path / "theirs")
    assert "no case.toml beside it" in fault(2, tmp_path / "theirs", "--case", same, "--compare")
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(CASE.text.replace('"CP4"', '"FCz"'))
    assert "FCz" in fault(1, live.case, "--case", elsewhere, "--compare")


def test_a_report_that_cannot_be_written_is_one_line(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "same.toml").write_text(CASE.text)
    args = ["replay", str(live.case), "--case", str(tmp_path / "same.toml"), "--compare"]
    assert main([*args, "--json", str(tmp_path / "no" / "where")]) == 2
    assert "choose another file" in capsys.readouterr().err
