"""The edge's process and its launcher: what it says to whom, and when it starts anew."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from firmware import __main__ as edge
from firmware.update.disk import FolderDisk
from firmware.update.launched import VARIABLE, Launched
from tests.support.updates import Box, Made, files


class FakeServer:
    """Installs an update, or is stopped after one was installed."""

    finished = True

    def __init__(
        self, source: Any, listener: Any, stop: threading.Event, supervisor: Any, updates: Any
    ) -> None:
        self._updates = updates

    def run(self) -> None:
        self._updates.installed = True


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Which slots were left for the launcher; the edge is that of slot a, on trial."""
    box = Box(FolderDisk(tmp_path / "s"), tmp_path)
    box.power_up()
    assert box.update(Made(tmp_path, 1, files(1))) == ""
    box.power_up(comes_up=False)
    left: list[str] = []
    monkeypatch.setenv(VARIABLE, Launched(tmp_path / "s", tmp_path, "a", ("x",)).encode())
    monkeypatch.setattr(edge, "Server", FakeServer)
    monkeypatch.setattr(Launched, "start_anew", lambda self: left.append(self.slot))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return left


def test_an_edge_that_listens_is_good_and_one_that_was_updated_starts_anew(
    anew: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge.main(["--link", f"unix:{tmp_path}/link"]) == 0
    assert anew == ["a"]
    err = capsys.readouterr().err
    assert "evokd edge: slot a has come up and stays\n" in err
    assert "starting anew from the slot that was updated" in err


def test_an_edge_that_cannot_listen_stays_on_trial(
    anew: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge.main(["--link", f"unix:{tmp_path}"]) == 1
    assert "come up" not in capsys.readouterr().err
    assert anew == []


def test_an_edge_that_was_stopped_does_not_start_anew(
    anew: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeServer, "finished", False)
    assert edge.main(["--link", f"unix:{tmp_path}/link"]) == 0
    assert anew == []


def test_words_that_are_not_the_launchers_are_a_bad_start(
    anew: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "{}")
    assert edge.main(["--link", f"unix:{tmp_path}/link"]) == 2
    assert "start it, not the edge" in capsys.readouterr().err


def test_the_launcher_needs_nothing_but_python() -> None:
    code = (
        "import firmware.update.launch, sys; print({'numpy', 'numba', 'nacl', 'serial'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
