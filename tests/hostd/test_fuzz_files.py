"""A seeded slice of the fuzzing of files (`make fuzz`), every input that once broke something, and that the
oracle sees what it looks for.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd import repair
from hostd.errors import RecordingError, UsageError
from tests.fuzz import files, good, oracle
from tests.fuzz.files import Found, Fuzz
from tests.fuzz.oracle import WrongError, guarded

INPUTS = 3
MORE = {"scenario": 40, "wiring": 30, "fixture": 15, "secret": 15, "audit-raw": 6, "repair-raw": 6}
CORPUS_THROUGH = ("check", "scenario", "wiring", "fixture", "secret", "key", "replay-sqlite", "repair-raw")
CORPUS_THROUGH += ("verify-sqlite", "repair-raw-0002", "export-edf-sqlite")


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Fuzz]:
    """All targets, with a case of four seconds."""
    with_files = good.Good()
    made = Fuzz(with_files, 7)
    yield made
    made.close()
    with_files.close()


def test_files_of_any_kind_are_taken_or_refused_in_a_line_by_every_command(fuzz: Fuzz) -> None:
    wrong: dict[str, list[str]] = {}
    outcomes = 0
    for title in fuzz.targets:
        found = fuzz.run(title, MORE.get(title, INPUTS), title in CORPUS_THROUGH)
        outcomes += len(found.outcomes)
        if found.wrong:
            wrong[title] = [f"{what}: {data[:200]!r}" for what, data in found.wrong.items()]
    assert wrong == {}
    assert outcomes > 150, "they were told apart"


def test_the_corpus_is_small_and_all_of_it_is_read(fuzz: Fuzz) -> None:
    kinds = {target.kind for target in fuzz.targets.values()}
    folders = {path.name for path in files.CORPUS.iterdir()}
    assert folders <= kinds
    sizes = [path.stat().st_size for path in files.CORPUS.rglob("*") if path.is_file()]
    assert len(sizes) > 30 and sum(sizes) < 400_000 and max(sizes) <= 60_004


def test_a_repair_that_loses_a_good_record_is_seen(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "_misfit", lambda *about: "")
    found = fuzz.run("repair-raw", 0)
    assert any("which was good, is gone" in what for what in found.wrong)


def raising(error: BaseException) -> str:
    """What a target does that breaks."""
    raise error


def eternal() -> str:
    while True:
        time.perf_counter()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: raising(KeyError("x")), "raised KeyError"),
        (lambda: raising(RecursionError("deep")), "raised RecursionError"),
        (lambda: raising(SystemExit(3)), "raised SystemExit"),
        (lambda: str(len(bytes(1 << 40))), "raised MemoryError"),
        (lambda: raising(RecordingError("two\nlines")), "no plain line"),
        (lambda: raising(UsageError("\x1b[2J")), "no plain line"),
        (lambda: raising(UsageError("")), "no plain line"),
        (lambda: raising(UsageError("x" * 3000)), "a line of 3000 characters"),
        (lambda: oracle.evokd("check", "/nowhere/\x1b.toml") + raising(OSError("x")), "raised OSError"),
    ],
)
def test_the_oracle_sees(act: object, says: str) -> None:
    with pytest.raises(WrongError, match=says):
        guarded(act)  # type: ignore[arg-type]


def test_the_oracle_sees_what_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "ALARM_S", 0.05)
    with pytest.raises(WrongError, match=r"did not end within 0.05 s"):
        guarded(eternal)


def test_a_command_that_says_more_than_a_line_or_fails_in_silence_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for said, code, says in (
        ("evokd: a\nevokd: b\n", 1, "more than one line"),
        ("", 1, "exit code 1 and on stderr"),
        ("evokd: x\n", 0, "exit code 0 and on stderr"),
        ("Traceback (most recent call last):\n", 1, "exit code 1 and on stderr"),
        ("evokd: x\n", 70, "exit code 70"),
    ):

        def main(words: list[str], said: str = said, code: int = code) -> int:
            sys.stderr.write(said)
            return code

        monkeypatch.setattr(oracle.cli, "main", main)
        with pytest.raises(WrongError, match=says):
            oracle.evokd("anything")


def test_a_file_written_elsewhere_is_seen(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fuzz.targets["wiring"]
    found = Found()

    def act(folder: Path) -> str:
        (folder.parent / "elsewhere").touch()
        return "done"

    object.__setattr__(target, "act", act)
    assert fuzz.one(target, b"", found) is None
    assert [what.partition(":")[0] for what in found.wrong] == ["files were written outside"]
