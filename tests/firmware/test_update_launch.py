"""The launcher as a process: what it starts, with what, and how it comes back from what does not work."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.errors import ConfigError, EdgeError
from firmware.update import launch
from firmware.update.disk import FolderDisk
from firmware.update.launched import SET, VARIABLE, Launched, launched
from firmware.update.slots import SELECTOR, Slots
from tests.support.updates import Box, Made, keys

EDGE = """
import json, os, sys
print(json.dumps({"file": __file__, "told": os.environ["EVOKD_LAUNCHED"], "words": sys.argv[1:],
                  "compiled": sys.pycache_prefix}))
"""
HANGS = "import threading\nthreading.Event().wait(60)\n"
ILL = "import sys\nprint('a long story')\nsys.exit('the link is silent')\n"


def tree(health: str) -> dict[str, bytes]:
    """As much of an edge as the launcher needs."""
    return {
        "firmware/__init__.py": b"",
        "firmware/__main__.py": EDGE.encode(),
        "firmware/update/__init__.py": b"",
        "firmware/update/health.py": health.encode(),
    }


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box on a real disk that runs build 1 in slot a."""
    box = Box(FolderDisk(tmp_path / "state"), tmp_path)
    box.power_up()
    assert box.update(Made(tmp_path, 1, tree(""))) == ""
    box.power_up()
    return box


def launched_on(folder: Path, *options: str) -> tuple[dict[str, object], list[str]]:
    """What the edge that was started said, and the lines of the launcher."""
    command = [sys.executable, "-P", "-m", "firmware.update.launch", "--state", "state", *options]
    done = subprocess.run(
        [*command, "--", "--link", "tcp:h:1"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr.splitlines()


def test_the_slot_on_trial_is_checked_and_started_with_its_own_code(box: Box, tmp_path: Path) -> None:
    assert (
        box.update(Made(tmp_path, 2, tree("import sys\nassert sys.argv[1:] == ['--', '--link', 'tcp:h:1']")))
        == ""
    )
    said, lines = launched_on(tmp_path, "--keys", "k")
    state = tmp_path / "state"
    assert said["file"] == str(state / "slots/b/tree/firmware/__main__.py")
    assert said["words"] == ["--link", "tcp:h:1"]
    assert said["compiled"] == str(state / "slots/cache-b")
    told = launched({VARIABLE: str(said["told"])})
    assert told is not None
    assert (told.state, told.keys, told.slot) == (state, Path.cwd() / tmp_path / "k", "b")
    again = [
        "-P",
        "-m",
        "firmware.update.launch",
        "--state",
        "state",
        "--keys",
        "k",
        "--",
        "--link",
        "tcp:h:1",
    ]
    assert list(told.command) == [sys.executable, *again]
    assert lines == ["evokd launch: slot b, 0.2.0 (build 2), is on trial: start 1 of 3"]
    assert told.confirm() == "slot b has come up and stays"
    assert told.confirm() == ""


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (ILL, "the link is silent"),
        (HANGS, "its health check was not over after 0.5 s"),
        ("import sys\nsys.exit(3)", "its health check ended with 3"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("import os\nos.kill(os.getpid(), 9)", "its health check ended with -9"),
        ("syntax error", "SyntaxError: invalid syntax"),
    ],
)
def test_a_slot_that_is_not_healthy_makes_way_at_once(
    box: Box, tmp_path: Path, health: str, why: str
) -> None:
    assert box.update(Made(tmp_path, 2, tree(health))) == ""
    limit = "0.5" if health == HANGS else "60"
    said, lines = launched_on(tmp_path, "--check-seconds", limit)
    assert said["file"] == str(tmp_path / "state/slots/a/tree/firmware/__main__.py")
    assert lines[1:] == [
        f"evokd launch: slot b, 0.2.0 (build 2), did not pass its trial: {why}; going back to slot a"
    ]


def test_a_damaged_slot_makes_way_for_what_was_installed(box: Box, tmp_path: Path) -> None:
    (tmp_path / "state/slots/a/tree/firmware/__main__.py").write_text("import os  # damaged\n")
    checker = launch.Checker(tmp_path / "state", ())
    assert launch.chosen(tmp_path / "state", checker) == "installed"


def test_what_was_installed_gets_an_unchanged_environment(tmp_path: Path) -> None:
    assert launch.environment_of(tmp_path, "installed", {"A": "1"}) == {"A": "1"}
    slot = launch.environment_of(tmp_path, "a", {"PYTHONPATH": "x", "PYTHONDONTWRITEBYTECODE": "1"})
    files = tmp_path / "slots/a/tree"
    assert slot["PYTHONPATH"] == f"{files}{os.pathsep}{files}/vendor{os.pathsep}x"
    assert "PYTHONDONTWRITEBYTECODE" not in slot


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--state", "STATE"], 2, "the edge's options are missing"),
        (["--", "--link", "x"], 2, "--state"),
        (["--state", "FILE", "--", "--link", "x"], 1, "check the path and its permissions"),
    ],
)
def test_a_bad_start_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, why: str
) -> None:
    (tmp_path / "FILE").write_text("")
    there = [str(tmp_path / word) if word.isupper() else word for word in words]
    assert launch.main(there) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert why in err


def test_systemd_is_told_that_a_check_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        launch.notify("WATCHDOG=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert heard.recv(100) == b"WATCHDOG=1"
    launch.notify("WATCHDOG=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    launch.notify("WATCHDOG=1", {})


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "[]",
        "{}",
        '{"command": 1}',
        '{"state": "s", "keys": "k", "slot": "a", "command": [], "found": {}}',
    ],
)
def test_words_that_are_not_the_launchers_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="not what the launcher says"):
        launched({VARIABLE: text})


def test_the_launcher_is_started_anew_without_a_slot_in_its_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else it would be the slot's launcher, and what was installed the slot."""
    became: list[tuple[str, tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda *what: became.append(what))
    for found in ({}, {"PYTHONPATH": "/mine", "NUMBA_CACHE_DIR": "/cache"}):
        for name in SET:
            monkeypatch.delenv(name, raising=False)
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        launch.main(["--state", str(tmp_path), "--", "--link", "x"])
        told = launched(became.pop()[2])
        assert told is not None
        for name, value in launch.environment_of(tmp_path, "a").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
        told.start_anew()  # which systemd does
        assert became == []
        monkeypatch.delenv("NOTIFY_SOCKET")
        told.start_anew()
        path, command, environment = became.pop()
        assert path == command[0] == sys.executable
        assert {name: environment[name] for name in SET if name in environment} == found
        assert VARIABLE not in environment
        assert environment["PATH"] == os.environ["PATH"]


def test_without_launcher_there_are_no_words() -> None:
    assert launched({}) is None


def test_a_launcher_that_is_gone_is_one_line(tmp_path: Path) -> None:
    told = Launched(tmp_path, tmp_path, "a", (str(tmp_path / "python"),))
    with pytest.raises(EdgeError, match="anew: No such file or directory; restart the edge"):
        told.start_anew()


def test_a_slot_whose_coming_up_cannot_be_noted_says_so(box: Box, tmp_path: Path) -> None:
    assert box.update(Made(tmp_path, 2, tree(""))) == ""
    box.power_up(comes_up=False)
    told = Launched(tmp_path / "state", tmp_path, "b", ("x",))
    beside = tmp_path / "state" / "slots/.selector.new"
    beside.mkdir()  # a folder where the record is written
    assert "cannot be noted" in told.confirm()
    assert Slots(FolderDisk(tmp_path / "state")).selector() is not None
    assert (tmp_path / "state" / SELECTOR).exists()
    assert keys(tmp_path).is_dir()
