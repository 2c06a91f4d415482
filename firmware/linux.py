"""The edge's ports on Linux device nodes: spidev, gpiod v2, RPi.GPIO, the monotonic clock.

The one door to these bindings. Every refusal of the kernel becomes a PortError that says which device, why,
and how to cure it. Decides nothing about samples.
"""

import errno
import importlib
import os
import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from firmware.errors import ConfigError, PortError
from firmware.loop.grid import DOUBTFUL, NEXT_MAY_COME, PERIOD_NS, SPURIOUS, edge_grid, place
from firmware.loop.runner import HOLD_SELECT_US
from firmware.ports import Edge
from firmware.wiring import HEADER_LABELS

SPI_MODE_1 = 1
EVENT_BUFFER = 1024
CONSUMER = "evokd"
SPIN_NS = 1_000_000
_GONE = "the device is gone: check overlay and wiring, then start again"
CURES = {
    "ENOENT": "enable it (SPI: dtparam=spi=on in config.txt, then reboot) or name another in the wiring",
    "EACCES": "add the user to the groups spi and gpio, or check the udev rules",
    "EPERM": "add the user to the groups spi and gpio, or check the udev rules",
    "EBUSY": "another program holds it: end that one (gpioinfo shows who)",
    "EIO": "check wiring and supply of the board",
    "EINVAL": "this kernel's driver does not offer it: lower the speed or check line and mode",
    "ENODEV": _GONE,
    "ESHUTDOWN": _GONE,
}


def binding(name: str, package: str) -> ModuleType:
    """The Python binding `name`; PortError with its cure when it is not installed or does not run here."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        raise PortError(f"Python package {package} cannot be used: {error}; pip install {package}") from None


def port_error(what: str, error: OSError) -> PortError:
    """A kernel's refusal in one line with its cure."""
    name = os.strerror(error.errno) if error.errno else str(error)
    cure = CURES.get(_errno_name(error.errno), "check the device and its driver")
    return PortError(f"{what}: {name}; {cure}")


def _errno_name(number: int | None) -> str:
    return errno.errorcode.get(number or 0, "")


class SpidevPort:
    """SPI port on /dev/spidevBUS.SELECT, mode 1. `fd` is for the compiled loop.

    Raises PortError when it cannot be opened or does not take mode or speed.
    """

    def __init__(self, address: str, speed_hz: int) -> None:
        spidev = binding("spidev", "spidev")
        bus, _, selected = address.partition(".")
        self.name = f"/dev/spidev{address}"
        self._spi = spidev.SpiDev()
        try:
            self._spi.open(int(bus), int(selected))
            self._spi.mode = SPI_MODE_1
            self._spi.bits_per_word = 8
            self._spi.max_speed_hz = speed_hz
        except OSError as error:
            self._spi.close()
            raise port_error(f"{self.name} at {speed_hz} Hz", error) from None
        self.speed_hz = speed_hz

    @property
    def fd(self) -> int:
        """The descriptor."""
        return int(self._spi.fileno())

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """Clock `mosi` out within one chip-select window, at `speed_hz` or the port's own; PortError."""
        try:
            # A tuple: the binding would overwrite a list with what it received.
            return bytes(self._spi.xfer2(tuple(mosi), speed_hz or self.speed_hz, HOLD_SELECT_US, 8))
        except OSError as error:
            raise port_error(self.name, error) from None

    def close(self) -> None:
        """Give the device back."""
        self._spi.close()


def gpio_chip(wanted: str) -> str:
    """The path of the GPIO chip with label or path `wanted`, or of the Pi's header when it is empty.

    Raises PortError when there is none, naming those that there are.
    """
    gpiod: Any = binding("gpiod", "gpiod")
    if wanted.startswith("/"):
        return wanted
    labels = (wanted,) if wanted else HEADER_LABELS
    found: dict[str, str] = {}
    refused: OSError | None = None
    for path in sorted(Path("/dev").glob("gpiochip*")):
        try:
            with gpiod.Chip(str(path)) as chip:
                found.setdefault(chip.get_info().label, str(path))
        except FileNotFoundError:  # it has gone since, or a link leads nowhere
            continue
        except OSError as error:
            refused = error
    for label in labels:
        if label in found:
            return found[label]
    if refused is not None:
        raise port_error("GPIO chips", refused)
    there, cure = ", ".join(found), "name it in the wiring"
    if not found:
        there, cure = "none at all", "its driver is not loaded, or the device is gone; see dmesg"
    raise PortError(f"no GPIO chip labelled {' or '.join(labels)}; there is {there}: {cure}")


def _request(path: str, lines: dict[int, Any], what: str, **options: Any) -> Any:
    gpiod: Any = binding("gpiod", "gpiod")
    try:
        return gpiod.request_lines(path, consumer=CONSUMER, config=lines, **options)
    except OSError as error:
        raise port_error(f"{what} ({path} line {', '.join(map(str, lines))})", error) from None
    except ValueError as error:
        raise ConfigError(f"{what} ({path} line {', '.join(map(str, lines))}): {error}") from None


class GpiodEdges:
    """Edge port: falling edges of the data-ready line with the kernel's number and time, `last` of them."""

    def __init__(self, path: str, line: int, rate_hz: float, last: int | None = None) -> None:
        self.exhausted = False
        self._last = last
        settings: Any = binding("gpiod", "gpiod").LineSettings
        kinds: Any = importlib.import_module("gpiod.line")
        wanted = settings(direction=kinds.Direction.INPUT, edge_detection=kinds.Edge.FALLING)
        self._request = _request(path, {line: wanted}, "data-ready", event_buffer_size=EVENT_BUFFER)
        self._grid, self._clock = edge_grid(rate_hz)
        self._served_ns = 0

    @property
    def fd(self) -> int:
        """The descriptor."""
        return int(self._request.fd)

    def wait(self, timeout_s: float) -> Edge | None:
        """The newest edge that is none of a bounce: whoever reads now gets its sample.

        Older ones that nobody served, and doubtful ones, are left out, so that they become a gap.
        """
        passed: list[int] = []
        while not self.exhausted:
            index, t_ns = self._newest(timeout_s, passed)
            if t_ns == 0:
                return None
            self.exhausted = self._last is not None and self._last <= index < DOUBTFUL
            if index != SPURIOUS and index < DOUBTFUL and not self.exhausted:
                self._served_ns = t_ns
                return Edge(index, t_ns, tuple(passed[:-1]))
        return None

    def checked(self, read: Callable[[], bytes]) -> bytes:
        """What `read` returns; zeros, which have no header, when the next edge may have come meanwhile."""
        row = read()
        if time.monotonic_ns() - self._served_ns > NEXT_MAY_COME * self._clock[PERIOD_NS] and self._ready(0):
            return bytes(len(row))
        return row

    def _ready(self, timeout_s: float) -> bool:
        try:
            return bool(self._request.wait_edge_events(timeout_s))
        except OSError as error:
            raise port_error("data-ready line", error) from None

    def _newest(self, timeout_s: float, passed: list[int]) -> tuple[int, int]:
        """(index, time) of the newest edge told so far; SPURIOUS when all were; time 0 when none came.

        The times of all but bounces are added to `passed`: one of a doubtful number is an edge all the same,
        as the first ones after a new START are.
        """
        newest, t_ns = SPURIOUS, 0
        while self._ready(0 if t_ns else timeout_s):
            try:
                events = self._request.read_edge_events()
            except OSError as error:
                raise port_error("data-ready line", error) from None
            for event in events:
                t_ns = event.timestamp_ns
                index = int(place(self._grid, self._clock, event.line_seqno, t_ns))
                newest = newest if index == SPURIOUS else index
                if index != SPURIOUS:
                    passed.append(t_ns)
        return newest, t_ns

    def close(self) -> None:
        """Give the line back."""
        self._request.release()


class GpiodOutputs:
    """Output port: lines of one chip, driven together. `fd` takes the kernel's set-values call."""

    def __init__(self, path: str, lines: Sequence[int], what: str = "stimulus lines") -> None:
        settings: Any = binding("gpiod", "gpiod").LineSettings
        kinds: Any = importlib.import_module("gpiod.line")
        low = settings(direction=kinds.Direction.OUTPUT, output_value=kinds.Value.INACTIVE)
        self._lines, self._values = tuple(lines), (kinds.Value.INACTIVE, kinds.Value.ACTIVE)
        self._request = _request(path, dict.fromkeys(self._lines, low), what)

    @property
    def fd(self) -> int:
        """The descriptor."""
        return int(self._request.fd)

    def write(self, bits: int) -> None:
        """Drive all lines at once; bit 0 is the first."""
        values = {line: self._values[bits >> k & 1] for k, line in enumerate(self._lines)}
        try:
            self._request.set_values(values)
        except OSError as error:
            raise port_error("stimulus lines", error) from None

    def close(self) -> None:
        """Low, and given back."""
        try:
            self.write(0)
        finally:
            self._request.release()


class RpiGpioOutputs:
    """Output port by RPi.GPIO, or rpi-lgpio which takes its name; one line after the other, no descriptor."""

    fd = -1

    def __init__(self, lines: Sequence[int]) -> None:
        self._gpio: Any = binding("RPi.GPIO", "rpi-lgpio")
        self._lines = tuple(lines)
        self._driven = 0
        try:
            self._gpio.setwarnings(False)
            self._gpio.setmode(self._gpio.BCM)
            for line in self._lines:
                self._gpio.setup(line, self._gpio.OUT, initial=self._gpio.LOW)
        except (RuntimeError, ValueError, OSError) as error:
            raise PortError(f"RPi.GPIO lines {self._lines}: {error}; on a Pi 5 use rpi-lgpio") from None

    def write(self, bits: int) -> None:
        """Drive the lines that change; falling ones first."""
        changed = bits ^ self._driven
        try:
            for level in (0, 1):
                for k, line in enumerate(self._lines):
                    if changed >> k & 1 and bits >> k & 1 == level:
                        self._gpio.output(line, level)
        except (RuntimeError, ValueError, OSError) as error:
            raise PortError(f"RPi.GPIO lines {self._lines}: {error}; check who else uses them") from None
        self._driven = bits

    def close(self) -> None:
        """Low, and given back."""
        try:
            self.write(0)
        finally:
            self._gpio.cleanup(list(self._lines))


class MonotonicClock:
    """Clock port: CLOCK_MONOTONIC. Short waits spin, since a sleep would be longer than they are."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def wait_ns(self, duration_ns: int) -> None:
        """Return after at least `duration_ns`."""
        end_ns = time.monotonic_ns() + duration_ns
        while (left_ns := end_ns - time.monotonic_ns()) > 0:
            if left_ns > SPIN_NS:
                select.select([], [], [], left_ns / 1e9)
