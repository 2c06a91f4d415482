"""The program under test as a child: its namespace, its filter, its end.

Owns fork, exec and exit code; refuses to serve it. Whatever stops the program from being started is one line.
"""

import contextlib
import errno
import os
import resource
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware.errors import ConfigError, PortError
from firmware.rig import kernel, namespace
from firmware.rig.arch import this_machine
from firmware.rig.namespace import NodePlan
from firmware.rig.seccomp import FD_END, filter_program

_MOST_FDS = 4
_READY, _GO = b"ready", b"go"


@dataclass(frozen=True, slots=True)
class Program:
    """A child stopped before its exec.

    `listener` hears its calls; gpiomem, /dev and the hidden folder are as namespace.enter hands them out.
    """

    pid: int
    listener: int
    gpiomem: int
    dev: int
    hidden: int
    line: socket.socket

    def go(self) -> None:
        """Let it run."""
        self.line.send(_GO)
        self.line.close()


def start(
    command: Sequence[str], environment: Mapping[str, str], plan: NodePlan, core: int | None
) -> Program:
    """Fork, and bring the child to its exec; on processor `core` alone unless None.

    Raises ConfigError when there is no such program, PortError when this machine lets no rig run.
    """
    path = shutil.which(command[0])
    if path is None:
        raise ConfigError(f"program {command[0]!r} is not found or not executable; check the name after --")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        ours.close()
        _become(path, command, environment, plan, core, theirs)
    theirs.close()
    said, fds, _, _ = socket.recv_fds(ours, 4096, _MOST_FDS)
    namespace.tidy(pid)
    if said != _READY:
        os.waitpid(pid, 0)
        reason = said.decode(errors="replace") or "the child ended"
        raise PortError(f"the rig needs {reason}; run it as root on Linux 5.19 or newer")
    listener, gpiomem, dev, hidden = fds
    return Program(pid, listener, gpiomem, dev, hidden, ours)


def exit_code(status: int) -> int:
    """A shell's code for the status of waitpid: 128 and the signal's number when one has ended it."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become(
    path: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    plan: NodePlan,
    core: int | None,
    line: socket.socket,
) -> None:
    """In the child: never returns."""
    try:
        os.set_inheritable(line.fileno(), False)
        kernel.end_with_parent(signal.SIGTERM)
        _allow_high_descriptors()
        kernel.unshare_mounts()
        fds = namespace.enter(plan)
        if core is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {core})
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        listener = kernel.install_filter(filter_program(this_machine()))
        socket.send_fds(line, [_READY], [listener, *fds])
        for fd in (listener, *fds):
            os.close(fd)
        if line.recv(16) == _GO:
            os.execve(path, list(command), dict(environment))
    except OSError as error:
        with contextlib.suppress(OSError):
            line.send(f"{error.filename or 'the program'} ({error.strerror})".encode())
    finally:
        os._exit(127)


def _allow_high_descriptors() -> None:
    """Nodes are opened at high numbers. Raises OSError where the limit forbids them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FD_END:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FD_END, hard))
        except (OSError, ValueError):
            raise OSError(errno.EMFILE, f"limit is {soft}", f"{FD_END} open files") from None
