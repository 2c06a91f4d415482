"""Who keeps the host alive: a process that has loaded everything, and forks the one that serves.

A host that is killed, crashes or hangs is followed at once by another one, which takes up its case: what
costs a second at a start, to load Python's and the kernels' code, was done before. Owns the serving process
and its end. Speaks to the supervisor above (systemd) in its stead. Has no thread, no socket of the bus and no
link, so that there is nothing to be copied in a wrong state.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hostd.errors import CrashedError, EvokdError
from hw.stages import FEED, READY, STOPPING

HANGS_S: Final = 2.0
"""A serving process whose stages have not all been heard of for so long is ended."""
QUIET_S: Final = 8.0
"""So long one that begins or ends may say nothing; for longer its keeper no longer says that all is well."""
FEED_NS: Final = 500_000_000
"""The supervisor above hears so often that we are alive; its watchdog is 5 s (hostd/appliance/units.py)."""
EARLY_S: Final = 3.0
EARLY_DEATHS: Final = 3
"""So many in a row that died before they were so old: the case itself may be what kills them, since what was
computed when the first one died is computed again within that time."""
POLL_MS: Final = 200
CRASHED: Final = 70
_PR_SET_PDEATHSIG: Final = 1
_CHOSEN_FIRST: Final = 200
"""Of a thousand: so much rather has the kernel, when memory is short, end the serving process than its
keeper, which counts as larger and would have to be loaded anew."""


@dataclass(slots=True)
class Deaths:
    """How those before died, and what follows. Pure."""

    early: int = 0
    fresh: bool = False
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def after(self, text: str, lived_s: float) -> bool:
        """Another one died after `lived_s` of serving; whether one is started after it, which leaves the case
        alone if `fresh`."""
        self.texts.append(text)
        if lived_s >= EARLY_S:
            self.early, self.fresh = 0, False
            return True
        self.early += 1
        if self.early < EARLY_DEATHS:
            return True
        if self.fresh:
            return False
        self.early, self.fresh = 0, True
        return True


@dataclass(frozen=True, slots=True)
class Start:
    """What a serving process is told: whether it takes up a case that was interrupted, and how those before
    it died."""

    take_up: bool
    deaths: tuple[str, ...]


def keep(serve: Callable[[Start], int], supervised: bool, environ: Mapping[str, str] = os.environ) -> int:
    """Run `serve` in a process of its own until it ends by itself or we are told to stop; its exit code.

    SIGTERM waits for `serve` until it asks for it (`hostd.signals.stop_event`).
    `supervised`: stop at the end of standard input, and leave Ctrl-C to whom that belongs.
    """
    keeper = _Keeper(supervised, environ)
    try:
        return keeper.run(serve)
    finally:
        keeper.close()


class _Keeper:
    def __init__(self, supervised: bool, environ: Mapping[str, str]) -> None:
        self._supervised = supervised
        self._above = _address(environ.get("NOTIFY_SOCKET", ""))
        self._stopping = False
        self._pid = 0
        self._deaths = Deaths()
        self._told_ns = 0
        self._ready = False
        self._notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notes.bind("")  # the kernel chooses a name that is nobody's
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN if supervised else self._stop)

    def close(self) -> None:
        self._notes.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def run(self, serve: Callable[[Start], int]) -> int:
        while True:
            self._fork(serve)
            code, lived_s = self._wait()
            if code >= 0 and code != CRASHED:
                return code
            text = "crashed" if code == CRASHED else f"was killed by signal {-code}"
            if self._stopping or lived_s is None:
                sys.stderr.write(f"evokd: the host {text}\n")
                return 1
            again = self._deaths.after(f"the host {text}", lived_s)
            what = "begins a new case" if self._deaths.fresh else "takes up its case"
            follows = f"another one {what}" if again else "as those before it did"
            sys.stderr.write(f"evokd: the host {text}; {follows}\n")
            if not again:
                return 1

    def _fork(self, serve: Callable[[Start], int]) -> None:
        ours = os.getpid()
        sys.stdout.flush()
        # Told to stop meanwhile: we must know whom to tell, and it must not lose the word before it can hear.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._pid = os.fork()
        if self._pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            if self._stopping:
                self._stop()
            return
        told = Start(not self._deaths.fresh, tuple(self._deaths.texts))
        os._exit(_served(serve, told, ours, self._notes))

    def _wait(self) -> tuple[int, float | None]:
        """How the serving process ended (exit code, or less the signal), and how long it had served: None if
        it never did."""
        ended = os.pidfd_open(self._pid)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self._notes, select.POLLIN)
        if self._supervised:
            poll.register(0, select.POLLIN)
        served_ns = fed_ns = 0
        quiet_ns = time.monotonic_ns()
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(POLL_MS)}
                now_ns = time.monotonic_ns()
                if 0 in ready and not os.read(0, 1 << 12):
                    poll.unregister(0)
                    self._stop()
                for line in self._noted():
                    served_ns = served_ns or (now_ns if line == READY else 0)
                    fed_ns = 0 if line == STOPPING else now_ns if line == FEED else fed_ns
                    quiet_ns = now_ns if line == STOPPING else quiet_ns
                if fed_ns or now_ns - quiet_ns < QUIET_S * 1e9:
                    self._feed(now_ns)
                if fed_ns and now_ns - fed_ns > HANGS_S * 1e9:
                    sys.stderr.write(f"evokd: the host hangs: a stage was silent for {HANGS_S:g} s\n")
                    os.kill(self._pid, signal.SIGKILL)
                    fed_ns = 0
                if ended in ready:
                    _, status = os.waitpid(self._pid, 0)
                    self._pid = 0
                    lived_s = (now_ns - served_ns) / 1e9 if served_ns else None
                    return os.waitstatus_to_exitcode(status), lived_s
        finally:
            os.close(ended)

    def _noted(self) -> list[str]:
        """What the serving process told, handed on."""
        lines: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while data := self._notes.recv(4096):
                told = data.decode("utf-8", "replace").split("\n")
                lines += told
                self._ready |= READY in told
                self._hand_on(data)
        return lines

    def _feed(self, now_ns: int) -> None:
        """Tell the supervisor above that we live: its watchdog is ours, who have one for whom we keep."""
        if self._ready and now_ns - self._told_ns >= FEED_NS:
            self._told_ns = now_ns
            self._hand_on(FEED.encode())

    def _hand_on(self, data: bytes) -> None:
        if self._above is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as above:
            above.setblocking(False)
            above.sendto(data, self._above)


def _served(serve: Callable[[Start], int], told: Start, keeper: int, notes: socket.socket) -> int:
    """In the serving process: its exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it died meanwhile
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _be_chosen_first()
    os.environ["NOTIFY_SOCKET"] = "@" + notes.getsockname().decode()[1:]
    os.environ["WATCHDOG_USEC"] = str(round(HANGS_S * 1e6))
    try:
        return serve(told)
    except CrashedError as error:
        sys.stderr.write(f"evokd: {error}\n")
        return CRASHED
    except EvokdError as error:
        sys.stderr.write(f"evokd: {error}\n")
        return error.exit_code
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as its keeper
        traceback.print_exc()
        return CRASHED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _be_chosen_first() -> None:
    """Before the keeper, when the kernel must end somebody for want of memory (oom_score_adj, proc(5))."""
    ours = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        ours.write_text(str(min(1000, int(ours.read_text()) + _CHOSEN_FIRST)))


def _address(name: str) -> str | None:
    if name.startswith("@"):
        return "\0" + name[1:]
    return name or None
