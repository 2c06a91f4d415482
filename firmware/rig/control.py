"""The control channel of a running rig, for the program or others: faults, electrodes, counters, levels.

Owns the client and the form of orders: one JSON object a line each way over a stream socket, whose path is
in the environment as EVOKD_RIG. Refuses to carry samples. An order is done before the reply, and before the
rig looks at the program's next call.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ENVIRONMENT: Final = "EVOKD_RIG"
WITHIN_S: Final = 10.0


class RigRefusedError(ValueError):
    """The rig did not take an order; the message is one line."""


class RigControl:
    """A connection to the rig at `path`, or to the one that this process runs on.

    Raises OSError when no rig answers. Orders raise RigRefusedError. Not for several threads at once.
    """

    def __init__(self, path: str | None = None) -> None:
        where = path if path is not None else os.environ.get(ENVIRONMENT)
        if not where:
            raise FileNotFoundError(2, f"no rig: {ENVIRONMENT} is not set; run under python -m firmware.rig")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(WITHIN_S)
        self._socket.connect(where)
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Hang up; the rig and its faults go on."""
        self._replies.close()
        self._socket.close()

    def order(self, do: str, **arguments: object) -> dict[str, object]:
        """One order and its result."""
        self._socket.sendall(encode({"do": do, **arguments}))
        line = self._replies.readline()
        if not line:
            raise ConnectionResetError("the rig has ended")
        reply = json.loads(line)
        if not reply["ok"]:
            raise RigRefusedError(reply["error"])
        result: dict[str, object] = reply["result"]
        return result

    def fault(self, name: str, value: object = True) -> None:
        """Let something of firmware.rig.faults.Faults fail."""
        self.order("fault", name=name, value=value)

    def chip_fault(self, name: str, **arguments: object) -> None:
        """Break the board: a hw.model.faults.FaultKind by name, with chip=, channel=, value=, address=."""
        self.order("chip_fault", name=name, **arguments)

    def clear(self) -> None:
        """No faults any more on the kernel's side. What is broken on the board stays broken."""
        self.order("clear")

    def counters(self) -> dict[str, int]:
        """Windows, frames, notifications, edges, events and events dropped so far."""
        return {name: int(str(value)) for name, value in self.order("counters").items()}

    def levels(self) -> dict[int, int]:
        """The level of every line."""
        return {int(offset): int(str(level)) for offset, level in self.order("levels").items()}

    def drive(self, offset: int, level: int) -> None:
        """Drive a line that the program has as an input."""
        self.order("drive", offset=offset, level=level)

    def body(self, kind: str, **arguments: object) -> None:
        """Put the electrodes elsewhere: kind "ramp", "beaker", "steady" (volts=[..]), "patient" (seed=..)."""
        self.order("body", kind=kind, **arguments)


def encode(content: Mapping[str, object]) -> bytes:
    """One line."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def clean_up(path: str) -> None:
    """Remove the socket's file and its folder."""
    Path(path).unlink(missing_ok=True)
    Path(path).parent.rmdir()
