"""What was said live is proven by replay, and what was altered is named; nothing is proven by guessing."""

import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostd import fingerprint, replay
from hostd.cli import main
from hostd.errors import UsageError
from hostd.fingerprint import Comparison, Fingerprint, Kept, computed_by, kept
from hostd.outgoing import Outgoing
from hostd.repair import repair
from hw.recording import RecordingReader, read_header
from tests.hostd.conftest import RATE_HZ, Live


def said(topic: str, index: int = 1, **fields: Any) -> Outgoing:
    return Outgoing(topic, index, fields or {"mean_uv": np.arange(6.0).reshape(3, 2)})


def hashed(*messages: Outgoing) -> str:
    taken = Fingerprint()
    for message in messages:
        taken.take(message)
    return taken.sha256()


def test_topics_may_be_interleaved_in_any_way_and_nothing_else_may_change() -> None:
    a, b, c = said("stim", 1), said("stim", 2), said("event", 2, text="x")
    whole = hashed(a, b, c)
    assert hashed(c, a, b) == hashed(a, c, b) == whole
    others = (
        *(
            (b, a, c),
            (a, b),
            (a, b, c, c),
            (a, b, said("event", 3, text="x")),
            (a, b, said("events", 2, text="x")),
        ),
        *((a, b, said("event", 2, text="y")), (a, b, said("event", 2, text="x", kind=None))),
        (a, said("stim", 2, mean_uv=np.arange(6.0).reshape(2, 3)), c),
        (a, said("stim", 2, mean_uv=np.nextafter(np.arange(6.0).reshape(3, 2), 9.0)), c),
        (a, said("stim", 2, mean_uv=np.arange(6.0, dtype=np.float32).reshape(3, 2)), c),
    )
    assert len({whole, *(hashed(*other) for other in others)}) == 1 + len(others)


def held(*messages: Outgoing, closed: bool = True, sample: int = 10) -> Kept:
    """What a case with these messages has kept, in one checkpoint."""
    taken = Fingerprint()
    for message in messages:
        taken.take(message)
    marks = {topic: [(n, digest, sample)] for topic, (n, digest) in taken.news().items()}
    return Kept(marks, closed, computed_by())


def differing(was: Kept, *messages: Outgoing, end: int = 10) -> list[str]:
    comparison = Comparison(was, end)
    for message in messages:
        comparison.take(message)
    return [str(one) for one in comparison.differences()]


def test_what_is_missing_and_what_is_too_much_is_named_the_earliest_first() -> None:
    a, b, c = said("stim", 1), said("stim", 4), said("event", 2, text="x")
    was = held(a, b, c)
    assert differing(was, c, a, b) == []
    assert differing(was, a, b) == ["event says less than it did in its message 1 (samples 0 to 10)"]
    assert differing(was, a, c) == ["stim says less than it did in its message 2 (samples 1 to 10)"]
    assert differing(was, a, b, c, said("stim", 7)) == [
        "stim says more than it did in its message 3 (samples 7 to 7)"
    ]
    assert differing(was, a, b, c, said("tof", 5)) == [
        "tof says more than it did in its message 1 (samples 5 to 5)"
    ]
    changed = differing(was, a, said("stim", 5), said("event", 3, text="x"))
    assert changed == [
        "stim differs in its messages 1 to 2 (samples 1 to 5)",
        "event differs in its message 1 (samples 3 to 3)",
    ]


def test_of_a_killed_case_what_its_samples_do_not_reach_is_not_compared() -> None:
    a, b = said("stim", 1), said("stim", 4)
    killed = held(a, b, closed=False)
    assert differing(killed, a, said("stim", 9), end=9) == []
    assert differing(killed, a, said("stim", 9), end=10) != []
    assert differing(killed, a, b, said("stim", 9), end=10) == [], "it may have gone on"
    assert Comparison(killed, 9).reached == 0 and Comparison(killed, 10).reached == 10


@pytest.fixture
def case(live: Live, tmp_path: Path) -> Path:
    """A copy of the recorded session, to be altered."""
    return Path(shutil.copytree(live.case, tmp_path / live.case.name))


def verify(case: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the one line."""
    code = main(["replay", str(case), "--verify"])
    out, err = capsys.readouterr()
    assert (out + err).count("\n") == 1 and bool(err) is bool(code)
    return code, out + err


def alter(case: Path, *statements: str) -> None:
    database = sqlite3.connect(case / "case.sqlite")
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_closing_prints_what_verifying_computes(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = verify(live.case, capsys)
    assert code == 0
    told = re.fullmatch(rf"{live.case}: equal: (\d+ messages, sha256 \w{{64}})\n", line)
    assert told is not None and live.stdout.splitlines()[-1].startswith(f"{live.case}: {told[1]}; ")
    assert live.of("status")[-1].header["recording"]["fingerprint"] == told[1]
    assert live.of("status")[-3].header["recording"]["fingerprint"] is None
    pipeline = {"beat", "status", "raw"}
    heard = {m.topic: m.header["seq"] for m in live.heard if m.topic not in pipeline}
    assert {topic: marks[-1][0] for topic, marks in kept(live.case).marks.items()} == heard


@pytest.mark.parametrize("seconds", [0.013, 0.5, 1000.0])
def test_however_the_samples_are_cut_it_is_the_same(
    live: Live, seconds: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "BLOCK_S", seconds)
    assert verify(live.case, capsys)[0] == 0


def flip(case: Path, sample: int, channel: int) -> None:
    """Turn over the bit of 2,048 counts in one sample."""
    raw = case / "raw.bdf"
    with raw.open("r+b") as file:
        header = read_header(file)
        record, row = divmod(sample, header.signals[channel].samples_per_record)
        at = header.header_bytes + record * header.record_bytes + header.offsets[channel] + 3 * row + 1
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 8]))


@pytest.mark.control("H14.8")
def test_one_bit_of_one_sample_is_found_and_placed(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = 43_000
    flip(case, sample, 0)
    code, line = verify(case, capsys)
    assert code == 1
    told = re.search(
        r": (\S+)_median differs in its messages (\d+) to (\d+) \(samples (\d+) to (\d+)\)", line
    )
    assert told is not None and told[1].startswith(("sweep.", "average.", "measure."))
    assert "more topics differ" in line and "recorded by" not in line
    assert int(told[2]) > 20 and 39_000 < int(told[4]) <= sample + 4000 <= int(told[5]) + 8000, (
        "what was said before the checkpoint at 10 s is proven"
    )


@pytest.mark.parametrize(
    ("statement", "topic"),
    [
        ("""UPDATE commands SET args = replace(args, 'dura opened', 'dura closed')""", "event"),
        ("DELETE FROM commands WHERE name = 'baseline.set'", "baseline|case"),
        ("UPDATE commands SET sample = sample + 4000 WHERE name = 'test.stop'", ""),
        ("DELETE FROM stimuli WHERE rowid = 9", "stim"),
    ],
)
def test_an_altered_command_or_proof_is_found(
    case: Path, statement: str, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(case, statement)
    code, line = verify(case, capsys)
    # Which of the topics that differ is told first hangs on when the session said what.
    assert code == 1 and re.search(f": ({topic})", line) and "(samples " in line


def test_a_difference_says_when_another_program_computed_it(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(case, "UPDATE settings SET value = '\"evokd 9\"' WHERE key = 'computed_by'")
    assert verify(case, capsys)[0] == 0, "what is equal is equal"
    alter(case, "DELETE FROM stimuli WHERE rowid = 9")
    assert verify(case, capsys)[1].endswith(f"; recorded by evokd 9, replayed by {computed_by()}\n")


def killed(case: Path, samples: int) -> None:
    """Leave `case` as a host that was killed leaves it, with so many samples at least, and repair it."""
    alter(
        case,
        "DELETE FROM settings WHERE key = 'fingerprint'",
        "DELETE FROM fingerprints WHERE rowid = (SELECT max(rowid) FROM fingerprints)",
    )
    raw = bytearray((case / "raw.bdf").read_bytes())
    with (case / "raw.bdf").open("rb") as file:
        header = read_header(file)
    records = -(-samples // header.signals[0].samples_per_record)
    raw[236:244] = b"-1      "
    (case / "raw.bdf").write_bytes(bytes(raw[: header.header_bytes + records * header.record_bytes + 1000]))
    assert repair(case / "raw.bdf").records == records


def test_a_killed_case_is_verified_up_to_its_last_checkpoint(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((sample, *_),) = {
        mark[2:] for marks in kept(case).marks.values() for mark in marks[:1] if mark[2] < 41_000
    }
    assert sample >= fingerprint.CHECKPOINT_S * RATE_HZ
    killed(case, sample)
    with (case / "raw.bdf").open("rb") as file:
        end = RecordingReader(file, None).n_samples
    code, line = verify(case, capsys)
    assert code == 0
    assert line == f"{case}: equal up to its last checkpoint, sample {sample} of {end}: it was never closed\n"
    flip(case, sample - 9000, 0)
    code, line = verify(case, capsys)
    assert code == 1 and "differs" in line


def test_a_killed_case_without_the_samples_of_a_checkpoint_proves_nothing(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(case, 30_000)
    code, line = verify(case, capsys)
    assert code == 2 and "no checkpoint lies within its 30000 samples" in line


WHOLE = "settings SET value = {} WHERE key = 'fingerprint'"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP TABLE fingerprints", "recorded by an evokd that kept none"),
        ("UPDATE fingerprints SET topics = '[1]'", "cannot be read"),
        ("UPDATE fingerprints SET topics = '{\"stim\": 3}'", "cannot be read"),
        ("UPDATE " + WHOLE.format("'[]'"), "cannot be read"),
        ("UPDATE " + WHOLE.format("replace(value, 'sha256\": \"', 'sha256\": \"0')"), "not the one of its"),
        ("DELETE FROM fingerprints", "not the one of its"),
    ],
)
def test_without_a_fingerprint_that_can_be_believed_it_says_so(
    case: Path, statement: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(case, statement)
    code, line = verify(case, capsys)
    assert code == 2 and line.startswith(f"evokd: {case}: ") and says in line


def test_a_case_killed_before_a_checkpoint_says_so(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(case, "DELETE FROM fingerprints", "DELETE FROM settings WHERE key = 'fingerprint'")
    code, line = verify(case, capsys)
    assert code == 2 and "killed within its first 10 s" in line


def test_a_foreign_recording_has_none(live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(live.case / "raw.bdf", tmp_path / "theirs.bdf")
    code, line = verify(tmp_path / "theirs.bdf", capsys)
    assert code == 2 and "only a case that evokd recorded has one" in line
    code, line = verify(tmp_path / "none", capsys)
    assert code == 1 and "does not exist" in line
    with pytest.raises(UsageError, match=r"no case\.sqlite"):
        kept(tmp_path)


@pytest.mark.parametrize("more", [["--out", "x"], ["--case", "x.toml"], ["--compare"], ["--json", "-"]])
def test_verifying_excludes_everything_else(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "x", "--verify", *more]) == 2
    assert "leave the other options out" in capsys.readouterr().err
