"""Which pin goes where: the wiring of a board to its computer, from a TOML file or as we build it.

Pure facts with one reader; opens no device. Lines are offsets of the GPIO header's chip, which is found by
its label, since its number differs between kernels (facts: hardware 3.5).
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from firmware.errors import ConfigError
from hw.board import lines_of
from hw.frames import MOST_CHIPS

HEADER_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""The chip behind the 40-pin header: Pi 5, Pi 4, older ones."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The defaults are our board's. `spi`: BUS.SELECT of each chip; `gpio`: label or path of the chip that
    has the lines ("" finds the header); `start`: line of the START pins, or None; `cpu`: where the loop runs;
    `calibration`: file of the board's lead-off currents.
    """

    spi: tuple[str, ...] = ("0.0",)
    spi_hz: int = 8_000_000
    gpio: str = ""
    data_ready: int = 17
    lines: tuple[int, ...] = (22, 23, 24, 25)
    start: int | None = None
    daisy: bool = False
    read: Literal["rdata", "rdatac"] = "rdata"
    outputs: Literal["gpiod", "rpi-gpio"] = "gpiod"
    priority: int = 50
    cpu: int | None = None
    calibration: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError, in one line, for what cannot be wired."""
        for address in self.spi:
            bus, dot, select = address.partition(".")
            if not (dot and bus.isdecimal() and select.isdecimal()):
                raise ConfigError(f"spi {address!r} is not BUS.SELECT such as 0.0")
        if not 1 <= len(self.spi) <= MOST_CHIPS:
            raise ConfigError(f"{len(self.spi)} chip selects in spi: a board has 1 to {MOST_CHIPS}")
        if not 0 < self.spi_hz <= 20_000_000:
            raise ConfigError(f"spi_hz {self.spi_hz} is not within 1 to 20,000,000, the converter's limit")
        # How many chips a daisy chain has is known only when they answer: two lines' worth may be wired.
        if len(self.lines) > (most := lines_of(2 if self.daisy else len(self.spi))):
            raise ConfigError(f"{len(self.lines)} stimulus lines: a board of these chips has {most}")
        used = [self.data_ready, *self.lines, *([] if self.start is None else [self.start])]
        twice = sorted({line for line in used if used.count(line) > 1})
        if twice:
            raise ConfigError(f"GPIO {twice[0]} has two uses; give each line its own")
        if self.read not in ("rdata", "rdatac"):
            raise ConfigError(f"read {self.read!r} is neither rdata nor rdatac")
        if self.outputs not in ("gpiod", "rpi-gpio"):
            raise ConfigError(f"outputs {self.outputs!r} is neither gpiod nor rpi-gpio")
        if not 1 <= self.priority <= 98:
            raise ConfigError(f"priority {self.priority} is not within 1 to 98")


def parse_wiring(table: dict[str, Any]) -> Wiring:
    """The wiring in a TOML table; ConfigError names the first key that is unknown or of a wrong kind."""
    kinds: dict[str, type] = {field.name: _kind(field.type) for field in fields(Wiring)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kinds:
            raise ConfigError(f"{key!r} is unknown; known are {', '.join(kinds)}")
        if kinds[key] is tuple:
            want = str if key == "spi" else int
            if not isinstance(value, list) or not all(type(item) is want for item in value):
                raise ConfigError(f"{key} must be a list of {'texts' if want is str else 'whole numbers'}")
            value = tuple(value)
        elif type(value) is not kinds[key]:
            raise ConfigError(f"{key} must be {_said(kinds[key])}, not {value!r}")
        values[key] = value
    return Wiring(**values)


def _kind(annotation: object) -> type:
    """The TOML type of a field."""
    text = str(annotation)
    return tuple if "tuple" in text else bool if "bool" in text else int if "int" in text else str


def _said(kind: type) -> str:
    return {bool: "true or false", int: "a whole number", str: "a text"}.get(kind, "a list")


def read_wiring(path: Path) -> Wiring:
    """The wiring in a file. Raises ConfigError in one line."""
    try:
        return parse_wiring(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"wiring {path}: {error.strerror}; check the path") from None
    except RecursionError:
        raise ConfigError(f"wiring {path}: nested too deeply; it is one table of keys") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"wiring {path}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"wiring {path}: {error}") from None
