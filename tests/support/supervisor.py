"""The part of systemd that a service talks to: a datagram socket that hears what it says."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WITHIN_S = 60.0
"""No promise: what is waited for comes at once, if it comes."""


class FakeSupervisor:
    """Hears lines; `environ` is what a service of it finds."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.environ = {"NOTIFY_SOCKET": address}
        if watchdog_s is not None:
            self.environ["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))

    def hear(self, within_s: float = WITHIN_S) -> list[str] | None:
        """The next datagram's lines, None for silence."""
        self.socket.settimeout(within_s)
        try:
            return self.socket.recv(4096).decode().splitlines()
        except TimeoutError:
            return None

    def until(self, line: str, within_s: float = WITHIN_S) -> list[str]:
        """All lines up to the datagram with one that starts with `line`, which must come."""
        heard: list[str] = []
        end = time.monotonic() + within_s
        while not any(said.startswith(line) for said in heard):
            said = self.hear(max(end - time.monotonic(), 0.001))
            assert said is not None or time.monotonic() < end, f"no {line}, but {heard[-5:]}"
            heard += said or []
        return heard

    def fed_after(self, line: str, for_s: float) -> bool:
        """Whether the watchdog is fed in the time after `line` has come."""
        self.until(line)
        end = time.monotonic() + for_s
        while (left_s := end - time.monotonic()) > 0:
            if "WATCHDOG=1" in (self.hear(left_s) or []):
                return True
        return False


@contextmanager
def supervisor(where: Path | str, watchdog_s: float | None = None) -> Iterator[FakeSupervisor]:
    """A supervisor in a folder, or at an abstract address."""
    fake = FakeSupervisor(where if isinstance(where, str) else str(where / "notify"), watchdog_s)
    try:
        yield fake
    finally:
        fake.socket.close()
