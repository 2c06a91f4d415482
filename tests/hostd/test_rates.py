"""`evokd rates` prints what the arithmetic says for every customary rate, and refuses nonsense in a line."""

from typing import Any

import pytest

from dsp import mains
from hostd import rates
from hostd.cli import main
from hostd.modalities import MODALITIES


def rows(text: str) -> dict[int, dict[str, list[str]]]:
    """Mains in Hz -> wanted rate -> the words of its line."""
    found: dict[int, dict[str, list[str]]] = {}
    for line in text.splitlines():
        words = line.replace("|", " ").split()
        if line.startswith("Mains "):
            found[int(words[1])] = {}
        elif words and words[0].replace(".", "").isdigit() and len(words) > 10:
            found[max(found, key=list(found).index)][words[0]] = words
    return found


def printed(capsys: Any, *args: str) -> str:
    assert main(["rates", *args]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return str(said.out)


def test_both_tables_hold_every_rate_and_fit_a_terminal(capsys: Any) -> None:
    text = printed(capsys)
    assert max(map(len, text.splitlines())) <= 110
    found = rows(text)
    wanted = {f"{hz:g}" for hz in rates.CUSTOMARY_HZ}
    wanted |= {f"{m.rate_hz:g}" for m in MODALITIES.values() if m.rate_hz is not None}
    assert set(found) == {50, 60}
    assert all(set(table) == wanted for table in found.values())


def test_one_mains_is_one_table_and_the_columns_are_the_numbers(capsys: Any) -> None:
    found = rows(printed(capsys, "--mains", "50", "--rate-hz", "16000"))
    assert list(found) == [50]
    wanted, period, is_hz, *rest = found[50]["4.7"]
    assert (wanted, period, is_hz) == ("4.7", "3404", "4.7004")
    left = mains.left(3404, 16000.0, 50.0)
    worst = mains.most_left(3404, 16000.0, 50.0, 64, 0.1).max()
    tuned = mains.tuned_period(4.7, 16000.0, 50.0)
    leaves = mains.most_left(tuned, 16000.0, 50.0, 64, mains.MEASURED_OFF_HZ).max()
    assert rest[:5] == [mains.percent(one) for one in left]
    assert rest[5:7] == [mains.percent(worst), "poor"]
    assert rest[7:] == [f"{16000 / tuned:.4f}", str(tuned), mains.percent(leaves)]
    assert leaves <= mains.GOOD


def test_the_folklore_is_told_where_it_locks(capsys: Any) -> None:
    found = rows(printed(capsys))
    for hz in (50, 60):
        assert found[hz]["5"][3:9] == ["100"] * 6 and found[hz]["5"][9] == "locked"
    assert found[50]["11.1"][4] == "100" and found[50]["11.1"][9] == "locked"
    assert found[60]["2.79"][9] == "locked"  # 120 Hz is 43 times 2.79
    verdicts = {row[9] for table in found.values() for row in table.values()}
    assert verdicts <= {"good", "fair", "poor", "locked"}
    tuned = [float(row[12]) for table in found.values() for row in table.values()]
    assert max(tuned) <= 3.0


def test_harmonics_that_are_not_carried_are_dashes(capsys: Any) -> None:
    found = rows(printed(capsys, "--mains", "60", "--rate-hz", "250"))
    assert all(row[5:8] == ["-", "-", "-"] for row in found[60].values())


USAGE: dict[tuple[str, ...], str] = {
    ("--mains", "55"): "--mains 55 is no mains frequency; write 50 or 60",
    ("--mains", "fifty"): "invalid int value: 'fifty'",
    ("--rate-hz", "nan"): "--rate-hz nan is not 250 to 64000",
    ("--rate-hz", "0"): "--rate-hz 0 is not 250 to 64000",
    ("--rate-hz", "-4000"): "--rate-hz -4000 is not 250 to 64000",
    ("--rate-hz", "1e9"): "--rate-hz 1e+09 is not 250 to 64000",
    ("--rate-hz", "fast"): "invalid float value: 'fast'",
}


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_nonsense_is_exit_2_and_one_line(capsys: Any, args: tuple[str, ...]) -> None:
    assert main(["rates", *args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("evokd: ") and USAGE[args] in lines[0]
