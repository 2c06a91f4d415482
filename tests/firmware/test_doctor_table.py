"""The doctor's table: aligned, within the terminal's width, commands whole, colour on request; verdict."""

import re

import pytest

from firmware.doctor.checks import CHECKS
from firmware.doctor.findings import Check, Finding, Row, State, fail, ok, skipped, warn
from firmware.doctor.table import NARROWEST, Table
from firmware.doctor.verdict import Fitness, Verdict, judge

GOVERNOR = next(check for check in CHECKS if check.name == "governor")
SUPPLY = next(check for check in CHECKS if check.name == "supply")
COMMAND = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
WORDS = "append cpufreq.default_governor=performance to the line in /boot/firmware/cmdline.txt; until then:"
SLOW = Row(GOVERNOR, warn("ondemand on 4 of 4", WORDS, COMMAND))


def rows_of(**states: Finding) -> list[Row]:
    """All checks well but some, by name with _ for a space."""
    return [Row(check, states.get(check.name.replace(" ", "_"), ok("well"))) for check in CHECKS]


def test_a_fault_is_followed_by_why_and_cure() -> None:
    assert list(Table(100, colour=False).row(SLOW)) == [
        "kernel",
        "  warn     governor          ondemand on 4 of 4",
        "                             why:  a clock that must first rise wakes late",
        "                             cure: append cpufreq.default_governor=performance to the line in",
        "                                   /boot/firmware/cmdline.txt; until then:",
        f"                                   {COMMAND}",
    ]


def test_what_is_well_takes_one_line_under_its_topic() -> None:
    table = Table(80, colour=False)
    lines = [line for check in (SUPPLY, GOVERNOR, GOVERNOR) for line in table.row(Row(check, ok("well")))]
    assert lines == [
        "board",
        "  ok       supply            well",
        "",
        "kernel",
        "  ok       governor          well",
        "  ok       governor          well",
    ]
    assert list(table.row(Row(GOVERNOR, skipped("none")))) == ["  skipped  governor          none"]


@pytest.mark.parametrize("width", [1, NARROWEST, 60, 80, 132])
def test_no_line_but_a_command_is_wider_than_the_terminal(width: int) -> None:
    said = "two words and more of them " * 8
    table = Table(width, colour=False)
    verdict = judge([Row(GOVERNOR, fail(said, said, COMMAND))], is_pi=True)
    lines = [*table.row(Row(GOVERNOR, fail(said, said, COMMAND))), *table.verdict(verdict, [SLOW])]
    prose = [line for line in lines if COMMAND not in line]
    assert max(map(len, prose)) <= max(width, NARROWEST)
    assert sum(COMMAND in line for line in lines) == 1
    assert " ".join(" ".join(prose).split()).count(said.strip()) == 2


def test_a_path_stays_whole() -> None:
    path = f"/home/{'x' * 90}"
    assert sum(path in line for line in Table(60, colour=False).row(Row(GOVERNOR, ok(f"in {path}")))) == 1


@pytest.mark.parametrize("make", [ok, skipped, warn, fail])
def test_colour_changes_nothing_but_colour(make: object) -> None:
    finding = make("found") if make in (ok, skipped) else make("found", "cure")  # type: ignore[operator]
    rows = [Row(GOVERNOR, finding)]
    painted, plain = Table(80, colour=True), Table(80, colour=False)
    verdict = judge(rows, is_pi=False)
    with_colour = [*painted.row(rows[0]), *painted.verdict(verdict, rows)]
    without = [*plain.row(rows[0]), *plain.verdict(verdict, rows)]
    assert "\x1b" not in "".join(without)
    assert f"\x1b[{COLOURS[finding.state]}m{finding.state}" in "".join(with_colour)
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in with_colour] == without


COLOURS = {State.OK: "32", State.WARN: "33", State.FAIL: "1;31", State.SKIPPED: "2"}


def test_the_end_counts_and_judges() -> None:
    rows = rows_of(supply=fail("low", "another supply"), governor=skipped("none"), mount=warn("odd", "look"))
    verdict = judge(rows, is_pi=True)
    n = len(CHECKS) - 3
    assert list(Table(80, colour=False).verdict(verdict, rows)) == [
        "",
        f"{n} ok, 1 warn, 1 fail, 1 skipped",
        "verdict: not fit until cured: supply",
    ]


def test_the_tiers() -> None:
    assert judge(rows_of(), is_pi=True).fitness is Fitness.TIER_B
    assert judge(rows_of(), is_pi=False).fitness is Fitness.SIMULATED
    for check in CHECKS:
        name = check.name.replace(" ", "_")
        for finding in (warn("odd", "look"), skipped("unknown")):
            tier = Fitness.TIER_A if check.tier_b else Fitness.TIER_B
            verdict = judge(rows_of(**{name: finding}), is_pi=True)
            assert verdict.fitness is tier
            assert verdict.reasons == (check.name,) or not check.tier_b
            assert judge(rows_of(**{name: finding}), is_pi=False).fitness is Fitness.SIMULATED
        for is_pi in (True, False):
            verdict = judge(rows_of(**{name: fail("bad", "mend")}), is_pi=is_pi)
            assert (verdict.fitness, verdict.reasons) == (Fitness.NOT_FIT, (check.name,))


def test_more_than_1_ksps_needs_what_the_facts_ask_for() -> None:
    assert {check.name for check in CHECKS if check.tier_b} == {
        *("core clock", "preemption", "governor", "isolated CPU", "real-time rights", "locked memory"),
        "wake-up",
    }


def test_a_verdict_names_its_reasons() -> None:
    rows = rows_of(governor=warn("slow", "faster"), isolated_CPU=warn("none", "one"))
    assert judge(rows, is_pi=True) == Verdict(
        Fitness.TIER_A,
        "tier A: up to 1 kSPS. Not tier B because of: governor, isolated CPU",
        ("governor", "isolated CPU"),
    )
    assert isinstance(rows[0].check, Check)
