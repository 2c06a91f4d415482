"""The edge's ports: the four small protocols every backend implements (Linux, simulated, replay).

No backend is chosen here; `firmware.compose` is the only place that knows which one is in use.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hw.link import (
    Configure,
    Description,
    ImpedanceStart,
    ImpedanceStop,
    LeadWatch,
    Lockout,
    Message,
    StimArm,
    StimLimits,
    StimPlan,
    StimStop,
)
from hw.samples import SampleBlock

Command = StimPlan | StimStop | StimArm | StimLimits | Lockout
LeadCommand = ImpedanceStart | ImpedanceStop | LeadWatch
Put = Callable[[SampleBlock | Message], None]


@dataclass(frozen=True, slots=True)
class Edge:
    """One falling data-ready edge: `seq` counts every edge the kernel saw, from 0; `t_ns` is monotonic.

    `passed_ns`: times of the edges before it that were told too late for anybody to read their sample.
    """

    seq: int
    t_ns: int
    passed_ns: tuple[int, ...] = ()


class SpiPort(Protocol):
    """One chip select of a serial interface in mode 1 (CPOL 0, CPHA 1), MSB first.

    It stays low for at least 4 tCLK (2 us) after the last byte, or a chip may ignore the command.
    """

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """Clock `mosi` out within one chip-select window; return as many bytes clocked in.

        `speed_hz`: the fastest serial clock allowed, 0 for the port's own.
        """
        ...


class EdgePort(Protocol):
    """The data-ready line. `exhausted` turns True when no edge will ever come again."""

    exhausted: bool

    def wait(self, timeout_s: float) -> Edge | None:
        """The next edge, or None after `timeout_s` or when exhausted."""
        ...


class OutputPort(Protocol):
    """The stimulus output lines, idle low."""

    def write(self, bits: int) -> None:
        """Drive all lines at once; bit 0 is line 1."""
        ...


class Clock(Protocol):
    """Monotonic time, real or simulated."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def wait_ns(self, duration_ns: int) -> None:
        """Return after at least `duration_ns` of this clock's time."""
        ...


class Source(Protocol):
    """What the link server serves: a front end behind its driver, or a recording.

    `patient`: it can wait for a slow listener and loses nothing (a recording, a simulation at full speed).
    """

    patient: bool

    def configure(self, wanted: Configure) -> Description:
        """Prepare; say what will come. Raises ConfigError for what it cannot do, ChipError, PortError."""
        ...

    def command(self, command: Command) -> None:
        """Queue a stimulus command; the Reply comes among the samples. Any thread."""
        ...

    def heard(self, t_ns: int) -> None:
        """The host was heard at `t_ns` of the monotonic clock, 0: no host is watched. Silence for longer than
        hw.limits.HEARTBEAT_TIMEOUT_S ends all stimulation. Any thread."""
        ...

    def run(self, put: Put, stop: threading.Event) -> None:
        """Deliver blocks and messages until `stop` or the end; outputs are low when it returns or raises."""
        ...


@runtime_checkable
class QuietSource(Protocol):
    """A source that goes on without samples (a clock that stands, a chip that is brought up again) and says
    by `quiet` that it does: else nobody can tell it from one that hangs."""

    quiet: Callable[[], None]


@runtime_checkable
class LeadSource(Protocol):
    """What a source with electrodes can do besides: measure their impedance, watch for open leads."""

    def lead_command(self, command: LeadCommand) -> None:
        """Queue a command; the Reply comes among the samples. Any thread."""
        ...
