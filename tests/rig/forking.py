"""The rig and the Python programs on it as forks (see tests.support.forking): what they load, what is forked.

The program is a process within the rig's namespace and behind its filter, as it is when it is started.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import gpiod
import spidev

import firmware.bench.__main__
import firmware.linux_source
import firmware.rig.supervisor
from firmware.rig import __main__ as rig
from firmware.rig.hotpath import HotPath
from firmware.rig.nodes import supervisor
from tests.rig.driver import ON_KERNEL
from tests.support import forking

LOADED = (gpiod, spidev, firmware.bench.__main__, firmware.linux_source, firmware.rig.supervisor)
_execve = os.execve


def main(arguments: Sequence[str]) -> int:
    """`python -m firmware.rig` with `arguments`, in a fork."""
    supervisor.begin = begin
    os.execve = _become  # type: ignore[assignment]  # how firmware.rig.program starts its program
    return rig.main(arguments)


def run_rig(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """A fork of this very process: exit code, what the rig and its program printed."""
    with tempfile.TemporaryDirectory() as folder:
        code = forking.fork(main, arguments, os.environ | environment, Path(folder))
        return code, Path(folder, "out").read_text(), Path(folder, "err").read_text()


def begin(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """See firmware.rig.nodes.supervisor.begin: a fork where the command is this Python, otherwise a start."""
    if command[0] != sys.executable:
        return os.posix_spawnp(command[0], list(command), dict(environment))
    pid = os.fork()
    if not pid:
        forking.become(command, environment)
    return pid


def _become(path: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """See os.execve: this very process where the command is this Python."""
    os.execve = _execve  # type: ignore[assignment]
    if command[0] == sys.executable:
        forking.become(command, environment)
    _execve(path, command, environment)


def _warm_up() -> None:
    """Every fork finds the compiled steps of the rig at hand."""
    silent, aside = os.eventfd(0), os.eventfd(0)
    HotPath(silent, aside, os.getpid()).warm_up()
    os.close(silent)
    os.close(aside)


if not ON_KERNEL:  # where the rig has no compiled steps
    _warm_up()
