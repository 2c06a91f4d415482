"""What our processes tell their supervisor (systemd, Type=notify): ready, stopping, every stage is alive.

Sends datagrams and decides nothing: `hw.stages` holds the rule. Without a supervisor nothing is sent, and a
supervisor that does not listen costs nobody a sample.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping

from hw.stages import FEED, READY, STOPPING, Stages, feed_every_s, notify_address, status


class Supervisor:
    """The supervisor named in `environ`; `stages` are watched from `ready` until `stopping`.

    Its thread sends WATCHDOG=1 four times per WatchdogSec, as long as no stage is late.
    """

    def __init__(self, stages: Stages, environ: Mapping[str, str] = os.environ) -> None:
        self.stages = stages
        self._address, self._every_s = notify_address(environ), feed_every_s(environ)
        self._over = threading.Event()
        self._told = ""
        self._feeding: threading.Thread | None = None

    def beat(self, stage: str, within_s: float | None = None) -> None:
        """A stage of ours is alive. Any thread."""
        self.stages.beat(stage, time.monotonic_ns(), within_s)

    def leave(self, stage: str) -> None:
        """A stage of ours has ended as it should. Any thread."""
        self.stages.leave(stage)

    def says(self, text: str) -> None:
        """Tell what we are doing, for people who ask."""
        self._told = text
        self._send(status(text))

    def ready(self, text: str) -> None:
        """Tell that we serve, and feed the watchdog from now on."""
        self._told = text
        self._send(READY, status(text))
        if self._address is not None and self._every_s is not None and self._feeding is None:
            self._feeding = threading.Thread(target=self._feed, name="watchdog", daemon=True)
            self._feeding.start()

    def stopping(self) -> None:
        """Tell that we end, and stop feeding: an end that hangs is the supervisor's to cut short."""
        self._over.set()
        self._send(STOPPING)

    def _feed(self) -> None:
        late: str | None = None
        while not self._over.wait(self._every_s):
            before, late = late, self.stages.late(time.monotonic_ns())
            if late is None:
                self._send(FEED, *([status(self._told)] if before else []))
            elif before is None:  # said once, while there is somebody to say it
                self._send(status(late))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.connect(self._address)
            to.send("\n".join(lines).encode())
