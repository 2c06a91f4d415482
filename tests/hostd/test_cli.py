"""The command line: every input that a person can get wrong is one line with its cure, and nothing hangs."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile, options
from hostd.cli import main
from hostd.errors import UsageError
from hw.recording import RecordingReader
from tests.hostd.conftest import Live
from tests.support.forking import Forks
from tests.support.ports import free_block, free_bus
from tests.support.session import ROOT, LiveHost, evokd

CASE = casefile.procedure("median_ssep")
QUICK = ("--http", "off", "--data", "off", "--seconds", "2", "--speed", "max")


def refused(capsys: Any, *args: object) -> tuple[int, list[str]]:
    """Exit code and lines on stderr of a command that must fail, in this process."""
    code = main([str(a) for a in args])
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert all(line.startswith("evokd: ") or k for k, line in enumerate(lines))
    return code, lines


USAGE: dict[tuple[str, ...], str] = {
    (): "the following arguments are required: COMMAND",
    ("frobnicate",): "invalid choice: 'frobnicate'",
    ("run", "--frob"): "unrecognized arguments: --frob",
    ("run", "nowhere.toml"): "nowhere.toml: no such file; name a case file",
    ("run", "--procedure", "median_sep"): "did you mean 'median_ssep'?",
    ("run", "nowhere.toml", "--procedure", "median_ssep"): "give one",
    ("run", "--bus", "nonsense"): "write tcp://HOST:PORT",
    ("run", "--bus", "tcp://*:5750"): "write tcp://HOST:PORT",
    ("run", "--http", "nonsense"): "write HOST:PORT",
    ("run", "--http", "127.0.0.1:99999"): "write HOST:PORT",
    ("run", "--seconds", "-1"): "--seconds -1 is not positive",
    ("run", "--seconds", "0"): "--seconds 0 is not positive",
    ("run", "--seconds", "nan"): "--seconds nan is not positive",
    ("run", "--seconds", "soon"): "invalid float value: 'soon'",
    ("run", "--seed", "x"): "invalid int value: 'x'",
    ("run", "--source", "frob"): "simulated, pi, serial:DEVICE, tcp:HOST:PORT or file:RECORDING",
    ("run", "--source", "file:"): "recording (no name) does not exist",
    ("run", "--source", "file:nowhere"): "recording nowhere does not exist; check the path",
    ("check", "nowhere.toml"): "no such file",
    ("ctl", "hello", "frob"): "'frob' is not key=value",
    ("ctl", "hello", "--bus", "tcp://*:1"): "write tcp://HOST:PORT",
    ("schema", "--format", "yaml"): "invalid choice: 'yaml'",
}


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_bad_usage_is_exit_2_and_one_line(capsys: Any, args: tuple[str, ...]) -> None:
    code, lines = refused(capsys, *args)
    assert code == 2
    assert len(lines) == 1 and USAGE[args] in lines[0], lines


FAULTS: dict[tuple[str, ...], str] = {
    ("replay", "nowhere"): "recording nowhere does not exist; check the path",
    ("replay", "nowhere.bdf"): "recording nowhere.bdf does not exist",
    ("repair", "nowhere"): "nowhere cannot be repaired: No such file or directory",
}


@pytest.mark.parametrize("args", FAULTS, ids=" ".join)
def test_a_fault_is_exit_1_and_one_line(capsys: Any, args: tuple[str, ...]) -> None:
    code, lines = refused(capsys, *args)
    assert code == 1
    assert len(lines) == 1 and FAULTS[args] in lines[0], lines


def test_nobody_at_the_bus_is_one_line(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostd.client.request.__defaults__", (50,))
    bus = free_bus()
    code, lines = refused(capsys, "ctl", "hello", "--bus", bus)
    assert code == 1 and len(lines) == 1
    assert "does not answer 'hello'; is evokd running there?" in lines[0]


BAD_CASES = {
    "garbage": ("\x00\x01", 1),
    "unknown": ("frobnicate = 3\n", 4),
    "type": ("[acquisition]\nrate_hz = 'fast'\n", 5),
    "empty-test": ("[test.x]\n", 4),
}


@pytest.mark.parametrize("name", BAD_CASES)
def test_a_bad_case_file_is_a_line_per_fault(capsys: Any, tmp_path: Path, name: str) -> None:
    text, most = BAD_CASES[name]
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    for command in ("check", "run"):
        code, lines = refused(capsys, command, path)
        assert code == 2
        assert 1 <= len(lines) <= most
        assert all(f"{path}:" in line for line in lines), lines


@pytest.mark.parametrize("name", casefile.procedures())
def test_check_praises_a_good_case(capsys: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / "case.toml"
    path.write_text(casefile.procedure(name).text)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr()
    assert said.err == "" and f"{path}: good: " in said.out


def test_ctl_asks_and_prints_the_reply(capsys: Any) -> None:
    with LiveHost() as host:
        assert main(["ctl", "mark", "text=dura opened", "kind=surgeon", "--bus", host.bus]) == 0
        assert json.loads(capsys.readouterr().out) == {"id": 1, "ok": True, "result": {}}
        assert main(["ctl", "mark", "text=vitals", "values.map_mmhg=62", "--bus", host.bus]) == 0
        assert json.loads(capsys.readouterr().out)["ok"] is True
        assert main(["ctl", "snapshot", "--bus", host.bus]) == 0
        assert "messages" in json.loads(capsys.readouterr().out)["result"]
        assert main(["ctl", "test.start", "test=none", "--bus", host.bus]) == 1
        said = capsys.readouterr()
        assert json.loads(said.out)["error"]["code"] == "bad_request" and said.err == ""


def variant(live: Live, folder: Path, raw: bytes, toml: bool = True) -> Path:
    """A case's directory with other bytes in its `raw.bdf`."""
    folder.mkdir(parents=True)
    (folder / "raw.bdf").write_bytes(raw)
    if toml:
        shutil.copy(live.case / "case.toml", folder)
    return folder


BROKEN = {
    "empty": (lambda raw: b"", "the header is cut off: 0 bytes"),
    "cut in its header": (lambda raw: raw[:500], "the header is cut off: 500 of 2816 bytes"),
    "garbage": (lambda raw: bytes(range(256)) * 400, "not an EDF or BDF file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recording_is_one_line(capsys: Any, live: Live, tmp_path: Path, name: str) -> None:
    make, text = BROKEN[name]
    folder = variant(live, tmp_path / "case", make((live.case / "raw.bdf").read_bytes()))
    code, lines = refused(capsys, "replay", folder, "--out", tmp_path / "out")
    assert code == 1 and len(lines) == 1
    assert f"recording {folder / 'raw.bdf'}: " in lines[0] and text in lines[0]


def test_a_recording_cut_in_a_record_plays_its_whole_records(live: Live, tmp_path: Path) -> None:
    whole = (live.case / "raw.bdf").read_bytes()
    folder = variant(live, tmp_path / "case", whole[: len(whole) * 2 // 5 + 7])
    with (folder / "raw.bdf").open("rb") as file:
        reader = RecordingReader(file, CASE.channels)
        assert reader.torn_bytes > 0
        end = reader.n_samples
    assert main(["replay", str(folder), "--out", str(tmp_path / "out")]) == 0
    headers = [json.loads(line)["header"] for line in (tmp_path / "out").read_text().splitlines()]
    assert end - 4000 < max(h["index"] for h in headers) <= end


def test_a_foreign_recording_without_case_asks_for_one(capsys: Any, live: Live, tmp_path: Path) -> None:
    folder = variant(live, tmp_path / "case", (live.case / "raw.bdf").read_bytes(), toml=False)
    for recording in (folder, folder / "raw.bdf"):
        code, lines = refused(capsys, "replay", recording)
        assert (code, lines) == (2, [f"evokd: {recording}: no case.toml beside it; name one with --case"])
        code, lines = refused(capsys, "run", "--source", f"file:{recording}")
        assert code == 2 and len(lines) == 1 and "a foreign recording needs a case file; name one" in lines[0]


def test_a_case_that_does_not_fit_its_recording_is_one_line(capsys: Any, live: Live, tmp_path: Path) -> None:
    more = tmp_path / "more.toml"
    more.write_text(CASE.text.replace('"APBL"]', '"APBL", "Cz"]'))
    code, lines = refused(capsys, "replay", live.case, "--case", more)
    assert code == 1 and len(lines) == 1 and "channel 'Cz' is not in the recording; it has: CP3" in lines[0]
    slow = tmp_path / "slow.toml"
    slow.write_text(CASE.text.replace("rate_hz = 4000", "rate_hz = 2000"))
    code, lines = refused(capsys, "replay", live.case, "--case", slow)
    assert code == 2 and len(lines) == 1
    assert (
        f"{slow}:6: [acquisition] rate_hz: 2000, but the recording has 4000; write rate_hz = 4000" in lines[0]
    )


def test_a_damaged_database_is_one_line(capsys: Any, live: Live, tmp_path: Path) -> None:
    folder = variant(live, tmp_path / "case", (live.case / "raw.bdf").read_bytes())
    (folder / "case.sqlite").write_bytes(b"garbage " * 100)
    code, lines = refused(capsys, "replay", folder, "--out", tmp_path / "out")
    assert code == 1 and len(lines) == 1 and f"{folder / 'case.sqlite'}: file is not a database" in lines[0]


def test_an_output_that_cannot_be_written_is_one_line(capsys: Any, live: Live, tmp_path: Path) -> None:
    code, lines = refused(capsys, "replay", live.case, "--out", tmp_path / "none" / "out")
    assert code == 2 and len(lines) == 1
    assert f"--out {tmp_path / 'none' / 'out'}: No such file or directory; choose another file" in lines[0]


def test_a_reader_that_goes_away_ends_a_replay_without_a_word(live: Live) -> None:
    process = subprocess.Popen(
        evokd("replay", live.case), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith(b'{"topic"')
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that starts processes, and how it must end."""

    args: tuple[object, ...]
    code: int
    text: str


@pytest.fixture(scope="module")
def asked(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Asked]]:
    """All that only the processes of `evokd run` can find out."""
    d = tmp_path_factory.mktemp("cli")
    holder = socket.socket()
    holder.bind(("127.0.0.1", free_block(1)))
    holder.listen()
    busy = holder.getsockname()[1]
    (d / "file").write_text("")
    (d / "typo.toml").write_text("[[change]]\nat_s = 1\nfrobnicate = 2\n")
    (d / "more.toml").write_text(CASE.text.replace('"APBL"]', '"APBL", "Cz"]'))
    (d / "slow.toml").write_text(CASE.text.replace("rate_hz = 4000", "rate_hz = 2000"))
    cut = variant(live, d / "cut", (live.case / "raw.bdf").read_bytes()[:500])
    recording = f"file:{live.case}"
    yield {
        "busy bus": Asked(
            ("--bus", f"tcp://127.0.0.1:{busy}", *QUICK), 1, "another evokd there? choose another --bus"
        ),
        "busy page": Asked(
            (*QUICK, "--http", f"127.0.0.1:{busy}", "--speed", "1", "--seconds", "60"), 1, "--http"
        ),
        "data in a file": Asked((*QUICK, "--data", d / "file"), 1, "Not a directory; choose another --data"),
        "speed 0": Asked((*QUICK, "--speed", "0"), 2, "--speed '0' is neither a positive number nor max"),
        "negative seed": Asked((*QUICK, "--seed", "-1"), 2, "seed = -1 is impossible; give 0 or more"),
        "unknown scenario key": Asked(
            (*QUICK, "--scenario", d / "typo.toml"), 2, "unknown key 'frobnicate'; known keys: at_s"
        ),
        "no such serial port": Asked((*QUICK, "--source", "serial:/dev/nowhere"), 1, "/dev/nowhere"),
        "cut recording": Asked(
            (*QUICK, "--source", f"file:{cut}"), 2, "the header is cut off: 500 of 2816 bytes"
        ),
        "missing channel": Asked(
            (d / "more.toml", *QUICK, "--source", recording), 2, "channel 'Cz' is not in the"
        ),
        "another rate": Asked(
            (d / "slow.toml", *QUICK, "--source", recording), 2, "but the recording has 4000"
        ),
    }
    holder.close()


NAMES = [
    "busy bus",
    "busy page",
    "data in a file",
    "speed 0",
    "negative seed",
    "unknown scenario key",
    "no such serial port",
    "cut recording",
    "missing channel",
    "another rate",
]


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Where runs of evokd are forked, their processes too."""
    made = Forks("tests.hostd.forking")
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_cannot_be_is_one_line_from_all_its_processes(
    asked: dict[str, Asked], forks: Forks, name: str
) -> None:
    assert list(asked) == NAMES
    one = asked[name]
    bus = () if "--bus" in one.args else ("--bus", free_bus())
    code, _, said = forks.run(["run", *map(str, one.args), *bus], os.environ, 60)
    assert code == one.code, said
    (line,) = said.splitlines()
    assert line.startswith("evokd") and one.text in line


def test_the_command_itself_says_it_in_one_line_too(asked: dict[str, Asked]) -> None:
    one = asked["busy bus"]
    done = subprocess.run(
        evokd("run", *one.args), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == one.code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("evokd") and one.text in line


def test_default_places_follow_the_desktops_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert options.default_data() == Path("/x/evokd")
    assert options.default_link() == "unix:/run/user/7/evokd-edge.sock"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert options.default_data() == Path.home() / ".local/share/evokd"
    assert options.default_link() == f"unix:/tmp/evokd-{os.getuid()}/evokd-edge.sock"
    assert options.data_folder("off") is None
    assert options.data_folder("~/x") == Path.home() / "x"
    with pytest.raises(UsageError):
        options.positive_seconds(1e8)
