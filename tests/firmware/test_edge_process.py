"""`python -m firmware` as its user starts it: exit codes, one line of complaint, a clean end by signal."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware import compose
from firmware.__main__ import main, parse_speed
from firmware.compose import EdgeOptions, build
from firmware.errors import ConfigError, PortError
from hostd.edge_link import EdgeLink
from hostd.errors import LinkError
from hw.link import ALL_PLANS, Block, Ended, Heartbeat, Start, StimStop
from tests.support.edge import WITHIN_S, unix, wanted

ROOT = Path(__file__).parents[2]
EDGE = [sys.executable, "-m", "firmware"]


@contextmanager
def running(*args: object) -> Iterator["subprocess.Popen[str]"]:
    """An edge process; ended whatever happens."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*EDGE, *map(str, args)], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def complaint(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    """Exit code and the one line on stderr of the edge's main function."""
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    try:
        code = main([*map(str, args)])
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert err.startswith("evokd edge: ")
    return code, err


def bad_starts(folder: Path) -> list[tuple[list[object], int, str]]:
    """(arguments, exit code, what the line says)."""
    link = ["--link", unix(folder)]
    (folder / "file").write_text("")
    (folder / "bad.toml").write_text("[[change]]\nat_s = 'soon'\n")
    (folder / "worse.toml").write_bytes(b"\xff\xfe")
    absent = folder / "absent.toml"
    return [
        (["--source", "imaginary", *link], 2, "'imaginary' is not simulated, pi or file:RECORDING"),
        (["--source", "pi", "--speed", "2", *link], 2, "a board has its own"),
        (["--wiring", "board.toml", *link], 2, "--wiring belongs to --source pi"),
        (["--source", "pi", "--wiring", "/nowhere.toml", *link], 2, "wiring /nowhere.toml: No such file"),
        (["--source", "file:", *link], 2, "is not simulated"),
        (["--source", f"file:{folder / 'no.bdf'}", *link], 1, "no.bdf does not exist; check the path"),
        (["--source", f"file:{'x' * 300}", *link], 1, "File name too long; check the path"),
        (["--source", f"file:{folder / 'file'}", "--scenario", absent, *link], 2, "--scenario belongs to"),
        (["--scenario", absent, *link], 2, "absent.toml: No such file or directory; check the path"),
        (["--scenario", folder / "bad.toml", *link], 2, "bad.toml: "),
        (["--scenario", folder / "worse.toml", *link], 2, "worse.toml: "),
        (["--speed", "fast", *link], 2, "--speed 'fast' is neither a positive number nor max"),
        (["--speed", "0", *link], 2, "--speed '0'"),
        (["--speed=-1", *link], 2, "--speed '-1'"),
        (["--speed", "nan", *link], 2, "--speed 'nan'"),
        (["--speed", "inf", *link], 2, "--speed 'inf'"),
        (["--seconds", "0", *link], 2, "--seconds 0 is not a positive number"),
        (["--seconds", "nan", *link], 2, "--seconds nan is not a positive number"),
        (["--seconds", "inf", *link], 2, "--seconds inf is not a positive number"),
        (["--seconds", "soon", *link], 2, "argument --seconds: invalid float value: 'soon'"),
        (["--sauce", "pi", *link], 2, "unrecognized arguments: --sauce pi"),
        ([], 2, "the following arguments are required: --link"),
        (["--link", "carrier pigeon"], 2, "is not unix:PATH, tcp:HOST:PORT or serial:URL"),
        (["--link", f"unix:{folder / 'file' / 'edge.sock'}"], 1, "Not a directory; choose another --link"),
        (["--link", f"unix:{folder / 'file'}"], 1, "a file is in the way; choose another --link"),
        (["--link", f"serial:{folder / 'ttyNone'}"], 1, "check the name and its permissions"),
    ]


@pytest.mark.parametrize("case", range(26))
def test_a_bad_start_is_one_line_with_its_exit_code(
    case: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = bad_starts(tmp_path)
    assert len(cases) == 26
    args, code, says = cases[case]
    got, line = complaint(capsys, *args)
    assert got == code
    assert says in line


def test_a_busy_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, line = complaint(capsys, "--link", f"tcp:127.0.0.1:{other.getsockname()[1]}")
    assert code == 1
    assert "Address already in use" in line


@pytest.mark.parametrize("case", [0, 3, 9, 18, 21])
def test_the_process_itself_says_it_in_one_line_without_a_traceback(case: int, tmp_path: Path) -> None:
    args, code, says = bad_starts(tmp_path)[case]
    with running(*args) as edge:
        out, err = edge.communicate(timeout=30)
    assert (edge.returncode, out, err.count("\n")) == (code, "", 1)
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_it_acquires(number: signal.Signals, tmp_path: Path) -> None:
    with running("--link", unix(tmp_path)) as edge:
        link = EdgeLink(unix(tmp_path))
        link.open(wanted())
        link.send(Start(0))
        while not any(isinstance(m, Block) for m in link.receive(WITHIN_S)):
            pass
        edge.send_signal(number)
        with pytest.raises(LinkError):
            while True:
                link.receive(WITHIN_S)
        link.close()
        out, err = edge.communicate(timeout=30)
    assert (edge.returncode, out, err) == (0, "", "")
    assert not (tmp_path / "edge.sock").exists()


def test_it_ends_by_itself_when_its_seconds_are_over(tmp_path: Path) -> None:
    with running("--link", unix(tmp_path), "--speed", "max", "--seconds", "0.2") as edge:
        link = EdgeLink(unix(tmp_path))
        link.open(wanted())
        link.send(Start(0))
        heard = []
        while not (heard and isinstance(heard[-1], Ended)):
            heard += link.receive(WITHIN_S)
        assert heard[-1] == Ended(800)
        link.close()
        out, err = edge.communicate(timeout=30)
    assert (edge.returncode, out, err) == (0, "", "")


def test_a_supervised_edge_ends_with_its_supervisor_and_not_by_ctrl_c(tmp_path: Path) -> None:
    with running("--link", unix(tmp_path), "--supervised") as edge:
        link = EdgeLink(unix(tmp_path))
        link.open(wanted())
        edge.send_signal(signal.SIGINT)
        link.send(Heartbeat(1))
        link.send(StimStop(5, ALL_PLANS))
        assert link.receive(WITHIN_S)  # it still answers
        link.close()
        out, err = edge.communicate(timeout=30)  # closes its stdin
    assert (edge.returncode, out, err) == (0, "", "")


def test_speeds() -> None:
    assert parse_speed("max") is None
    assert parse_speed("2.5") == 2.5
    with pytest.raises(ConfigError):
        parse_speed("")


def test_the_composition_root_knows_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(build(EdgeOptions("simulated"))).__name__ == "SimulatedSource"
    assert type(build(EdgeOptions(f"file:{tmp_path}"))).__name__ == "RecordingSource"
    scenario = tmp_path / "scenario.toml"
    scenario.write_text('[[change]]\nat_s = 10.0\nresponse = "cortical"\namplitude = 0.5\n')
    assert len(compose.read_scenario(scenario).changes) == 1
    assert build(EdgeOptions("simulated", scenario=scenario)).patient is False

    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(PortError, match="Permission denied; check the path"):
        build(EdgeOptions("file:/root/x.bdf"))
