"""`evokd show` as it is asked for: what makes no sense is one line with its cure; lines and sound of a
bus."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from hostd.cli import main
from hostd.show.command import unfit
from tests.support.fakebus import FakeBus, status_fields
from tests.support.session import until as heard
from tests.support.shown import alert


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bus", "nowhere"], "is not an endpoint"),
        (["--as", "anna"], "--as names a key"),
        (["--audio", "music"], "--audio 'music' is not of emg, alarms"),
        (["--audio", ""], "is not of emg, alarms"),
        (["--player", "aplay"], "say which with --audio"),
        (["--audio-out", "x"], "say which with --audio"),
        (["--audio", "emg", "--player", "x", "--audio-out", "y"], "exclude each other"),
        (["--audio", "emg", "--player", "no-such-player"], "no such program"),
        (["--audio", "emg", "--audio-out", "/nonexistent/x"], "choose another file"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_terminal_that_cannot_hold_a_screen_is_told_why() -> None:
    assert "cannot place a cursor" in unfit({"TERM": "dumb"}, sys.stdout)
    assert "cannot place a cursor" in unfit({}, sys.stdout)
    with Path(os.devnull).open("w", encoding="latin-1") as latin:
        assert "set LANG=C.UTF-8" in unfit({"TERM": "xterm"}, latin)


def shown(bus: FakeBus, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "hostd", "show", "--bus", bus.address, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(process: "subprocess.Popen[str]", wanted: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if wanted in line:
            return read
    raise AssertionError(f"no {wanted!r} in {read!r}, {process.communicate()}")


def test_a_screen_is_drawn_on_a_terminal_and_ends_when_that_is_gone() -> None:
    with FakeBus() as bus:
        bus.publish("status", status_fields({"left_median": "running"}, name="Scoliosis"))
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "hostd", "show", "--bus", bus.address],
            **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
            env=os.environ | {"TERM": "xterm-256color", "PYTHONUTF8": "1"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        drawn = b""
        while b"Scoliosis" not in drawn:
            drawn += os.read(master, 65536)
        os.close(master)
        assert process.wait(60) == 0


def test_lines_go_into_a_pipe_and_sigint_ends_them_with_0() -> None:
    with FakeBus() as bus:
        bus.publish("status", status_fields({"left_median": "running"}))
        process = shown(bus)
        until(process, "TEST left median running")
        bus.publish("alert", alert())
        assert "!!! ALERT high raised" in until(process, "ALERT")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def loudest(sound: Path) -> int:
    whole = sound.read_bytes() if sound.exists() else b""
    return int(np.abs(np.frombuffer(whole[: len(whole) // 2 * 2], "<i2").astype(int)).max(initial=0))


def test_sound_goes_into_a_file_and_a_closed_pipe_is_an_end(tmp_path: Path) -> None:
    out = tmp_path / "sound.raw"
    with FakeBus() as bus:
        bus.publish("status", status_fields({"left_median": "running"}))
        bus.publish("alarms", {"sounding": "high", "audio": "on", "alarm": "on", "open": []})
        process = shown(bus, "--audio", "alarms", "--audio-out", str(out))
        until(process, "SOUND ♪")
        heard(lambda: loudest(out) > 10000, "the alarm in the file")
        assert process.stdout is not None
        process.stdout.close()
        while process.poll() is None:
            bus.publish("event", {"text": "is anybody there?", "kind": "note"})
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 0
