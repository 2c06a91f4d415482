"""The calibration file of a board: what its lead-off currents really are, lead by lead.

Owns the TOML and how a known resistor becomes an entry; refuses to measure. Currents differ by 20 % from part
to part and 12 % from lead to lead; calibrated per lead 1.2 % is reached (facts/hardware.md 1.8).
"""

import cmath
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firmware.errors import ConfigError
from hw.lead_off import BOARD_SERIES_OHM
from hw.leads.calibration import UNCALIBRATED, Calibration, Excited, Pin, Side

__all__ = [
    "MOST_OFF",
    "UNCALIBRATED",
    "Calibration",
    "Excited",
    "Pin",
    "Seen",
    "Side",
    "calibrated",
    "calibration_text",
    "parse_calibration",
    "read_calibration",
]

_FIELDS = ("chip", "channel", "side", "nominal_na", "frequency_hz", "current_na", "phase_deg")
MOST_OFF = 0.5
"""A current that differs more from its nominal value is a mistake in the file or in the resistor."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A lead as it was measured: ohms and phase behind the board's resistor, with the current assumed."""

    excited: Excited
    ohm: float
    phase_deg: float
    by_magnitude: bool = False


def calibrated(before: Calibration, board: str, seen: Iterable[Seen], known_ohm: float) -> Calibration:
    """`before` with the currents that make every lead of `seen` read `known_ohm`, a resistor from each to the
    reference. Raises ConfigError for a current that is too far from its nominal value.
    """
    if not (math.isfinite(known_ohm) and known_ohm > 0):
        raise ConfigError(f"a resistor of {known_ohm:g} ohm calibrates nothing; use 1 to 50 kohm")
    if not board:
        raise ConfigError("a calibration belongs to a board; name its serial number")
    if before.board not in ("", board):
        raise ConfigError(f"this calibration is of board {before.board}, not of {board}; use another file")
    currents = dict(before.currents_a)
    for lead in seen:
        if lead.by_magnitude:
            total = cmath.rect(lead.ohm + before.series_ohm, math.radians(lead.phase_deg))
        else:
            total = cmath.rect(lead.ohm, math.radians(lead.phase_deg)) + before.series_ohm
        used_a, _ = before.current_a(lead.excited)
        current_a = used_a * total / (known_ohm + before.series_ohm)
        _check_size(lead.excited, abs(current_a) * 1e9)
        currents[lead.excited] = current_a
    return replace(before, board=board, currents_a=currents)


def _check_size(excited: Excited, current_na: float) -> None:
    if not abs(current_na / excited.nominal_na - 1) <= MOST_OFF:
        pin = excited.pin
        raise ConfigError(
            f"chip {pin.chip} channel {pin.channel} side {pin.side}: {current_na:.3g} nA for a nominal "
            f"{excited.nominal_na} nA; check the resistor, its wires and the value given"
        )


def calibration_text(calibration: Calibration) -> str:
    """The file's content; `parse_calibration` of it is `calibration` again to 1 part in 10^6."""
    lines = [f"board = {_quoted(calibration.board)}", f"series_ohm = {float(calibration.series_ohm)!r}"]
    ordered = sorted(
        calibration.currents_a.items(),
        key=lambda item: (item[0].pin.chip, item[0].pin.channel, item[0].pin.side, item[0].nominal_na),
    )
    for excited, current_a in ordered:
        pin = excited.pin
        lines += [
            "",
            "[[lead]]",
            f"chip = {pin.chip}",
            f"channel = {pin.channel}",
            f'side = "{pin.side}"',
            f"nominal_na = {excited.nominal_na}",
            f"frequency_hz = {float(excited.frequency_hz)!r}",
            f"current_na = {abs(current_a) * 1e9:.7g}",
            f"phase_deg = {math.degrees(cmath.phase(current_a)):.6f}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def parse_calibration(table: Mapping[str, Any]) -> Calibration:
    """The calibration in a TOML table; ConfigError names the first entry that is wrong."""
    unknown = sorted(set(table) - {"board", "series_ohm", "lead"})
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is unknown; known are board, series_ohm, lead")
    board = table.get("board", "")
    if not isinstance(board, str) or not board:
        raise ConfigError("board must be the board's serial number, a text")
    series_ohm = _number("series_ohm", table.get("series_ohm", BOARD_SERIES_OHM))
    if not 0 <= series_ohm <= 1e6:
        raise ConfigError(f"series_ohm {series_ohm:g} is not within 0 to 1,000,000")
    leads = table.get("lead", [])
    if not isinstance(leads, list) or not all(isinstance(lead, dict) for lead in leads):
        raise ConfigError("leads are [[lead]] tables, one for each")
    currents: dict[Excited, complex] = {}
    for number, lead in enumerate(leads, 1):
        try:
            excited, current_a = _lead(lead)
            if excited in currents:
                raise ConfigError("stands twice; remove one")
        except ConfigError as error:
            raise ConfigError(f"lead {number}: {error}") from None
        currents[excited] = current_a
    return Calibration(board, series_ohm, currents)


def _lead(lead: Mapping[str, Any]) -> tuple[Excited, complex]:
    for name in _FIELDS:
        if name not in lead:
            raise ConfigError(f"{name} is missing")
    unknown = sorted(set(lead) - set(_FIELDS))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is unknown; known are {', '.join(_FIELDS)}")
    side = lead["side"]
    if side not in ("p", "n"):
        raise ConfigError(f"side {side!r} is neither p nor n")
    pin = Pin(_whole("chip", lead["chip"], 4), _whole("channel", lead["channel"], 8), side)
    nominal_na = _whole("nominal_na", lead["nominal_na"], 24_000)
    excited = Excited(pin, nominal_na, _number("frequency_hz", lead["frequency_hz"]))
    current_na = _number("current_na", lead["current_na"])
    _check_size(excited, current_na)
    return excited, cmath.rect(current_na * 1e-9, math.radians(_number("phase_deg", lead["phase_deg"])))


def _whole(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ConfigError(f"{name} {value!r} is not a whole number from 1 to {most}")
    return value


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{name} {value!r} is not a number")
    return float(value)


def read_calibration(path: Path) -> Calibration:
    """The calibration in a file. Raises ConfigError in one line."""
    try:
        return parse_calibration(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"calibration {path}: {error.strerror}; check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ConfigError) as error:
        raise ConfigError(f"calibration {path}: {error}") from None
