"""`evokd run` and its edge, host and page as forks (see tests.support.forking)."""

import os
import select
import subprocess
import sys
from collections.abc import Sequence

import firmware.playback
import firmware.server
import firmware.simulated
import hostd.cli
import hostd.daemon
import hostd.run
import hostd.web.gateway
from tests.support import forking

LOADED = (firmware.server, firmware.playback, firmware.simulated, hostd.daemon, hostd.web.gateway)


class Child:
    """What hostd.run needs of subprocess.Popen."""

    def __init__(self, command: Sequence[str], stdin: int, stdout: int) -> None:
        assert command[0] == sys.executable and (stdin, stdout) == (subprocess.PIPE, subprocess.DEVNULL)
        theirs, ours = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(theirs, 0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            forking.become(command, dict(os.environ))
        os.close(theirs)
        self.stdin = os.fdopen(ours, "wb")
        self._ended = os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 15)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 9)


def main(arguments: Sequence[str]) -> int:
    """`python -m hostd` with `arguments`, in a fork."""
    hostd.run.subprocess.Popen = Child  # type: ignore[misc, assignment]
    return hostd.cli.main(arguments)
