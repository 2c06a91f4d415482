"""Where samples go: a player program behind a pipe, a file, or standard output.

Owns the program and how much may wait in its pipe; a program that lags loses samples and does not hold us
up, one that ended is started again by the next `play`. Refuses to start without a program (UsageError, with
its cure).
"""

import array
import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import termios
from pathlib import Path
from typing import Protocol

from hostd.errors import UsageError
from hostd.show.tones import RATE_HZ

MOST_BYTES = round(0.2 * RATE_HZ) * 2
PIPE_BYTES = 4096
RAW = str(RATE_HZ)
PROGRAMS = {
    "aplay": ("-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", RAW, "--buffer-time=100000", "-"),
    "paplay": ("--raw", "--format=s16le", "--channels=1", f"--rate={RAW}", "--latency-msec=100"),
    "pw-play": ("--raw", "--format=s16", "--channels=1", f"--rate={RAW}", "--latency=100ms", "-"),
    "play": ("-q", "-t", "raw", "-e", "signed", "-b", "16", "-L", "-c", "1", "-r", RAW, "-"),
}


class Player(Protocol):
    """Takes raw samples (s16le, mono, 8 kHz)."""

    def play(self, raw: bytes) -> str:
        """Hand samples over without waiting; why nothing is heard, "" when all is well."""

    def close(self) -> None:
        """Play no more."""


def command(given: str | None) -> list[str]:
    """The player's words: `given`, or the first that is installed. Raises UsageError."""
    if given is not None:
        try:
            words = shlex.split(given)
        except ValueError as error:
            raise UsageError(f"--player {given!r}: {error}; write it as a shell would take it") from None
        if not words or shutil.which(words[0]) is None:
            raise UsageError(f"--player {given!r}: no such program; give one that reads raw s16le 8 kHz mono")
        return words
    for name, options in PROGRAMS.items():
        if (path := shutil.which(name)) is not None:
            return [path, *options]
    raise UsageError(
        f"--audio: none of {', '.join(PROGRAMS)} is here; install alsa-utils, or give --player 'CMD' or "
        "--audio-out FILE"
    )


class Program:
    """A program that reads samples from its standard input."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self.skipped = 0

    def play(self, raw: bytes) -> str:
        """As `Player`."""
        ended = self._ended()
        if ended:
            self._process = None
            return ended
        if self._process is None and (trouble := self._start()):
            return trouble
        process = self._process
        if process is None or process.stdin is None:
            return "the player did not start"
        pipe = process.stdin.fileno()
        try:
            waiting = array.array("i", [0])
            fcntl.ioctl(pipe, termios.FIONREAD, waiting)
            if waiting[0] + len(raw) > MOST_BYTES:
                self.skipped += len(raw)
                return ""
            os.write(pipe, raw)
        except BlockingIOError:
            self.skipped += len(raw)
        except OSError as error:
            return self._ended() or f"{self._words[0]}: {error.strerror}"
        return ""

    def _start(self) -> str:
        try:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours, not the player's
                bufsize=0,
            )
        except OSError as error:
            return f"{self._words[0]}: {error.strerror}"
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._process.stdin.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return ""

    def _ended(self) -> str:
        if self._process is None or self._process.poll() is None:
            return ""
        return f"{Path(self._words[0]).name} ended ({self._process.returncode})"

    def close(self) -> None:
        """As `Player`."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class File:
    """A file, or standard output (its descriptor)."""

    def __init__(self, path: Path | int) -> None:
        """Raises UsageError where the file cannot be written."""
        try:
            self._file = open(path, "wb", buffering=0, closefd=not isinstance(path, int))  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"--audio-out {path}: {error.strerror}; choose another file") from None

    def play(self, raw: bytes) -> str:
        """As `Player`."""
        try:
            self._file.write(raw)
        except OSError as error:
            return f"the samples cannot be written: {error.strerror}"
        return ""

    def close(self) -> None:
        """As `Player`."""
        with contextlib.suppress(OSError):
            self._file.close()
