"""`python -m firmware.doctor.inventory`: what this interpreter has, as one JSON object on stdout.

A process of its own, so that a binding that crashes on import costs a line and not the doctor. Imports the
bindings to see that they can be, uses none of them, and judges nothing.
"""

import importlib
import json
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TypedDict

BINDINGS = ("gpiod", "spidev")
PIN_LIBRARIES = ("RPi.GPIO", "rpi-lgpio")
"""Distributions that install a package named RPi; they overwrite one another."""
PRODUCT = "evokd"


class Inventory(TypedDict):
    """`bindings`: error of the import, empty when it works; `versions`: distributions that are installed."""

    python: str
    bindings: dict[str, str]
    gpiod_v2: bool
    rpi_package: bool
    requires: list[str]
    versions: dict[str, str]


def take() -> Inventory:
    """The inventory of this interpreter."""
    bindings = {name: _import_error(name) for name in BINDINGS}
    requires = _requires()
    names = {*BINDINGS, *PIN_LIBRARIES, *(requirement_name(line) for line in requires)}
    return {
        "python": platform.python_version(),
        "bindings": bindings,
        "gpiod_v2": not bindings["gpiod"] and hasattr(sys.modules["gpiod"], "request_lines"),
        "rpi_package": find_spec("RPi") is not None,
        "requires": requires,
        "versions": {name: version for name in sorted(names) if (version := _version(name))},
    }


def requirement_name(line: str) -> str:
    """The distribution that a requirement's line names."""
    end = next((k for k, letter in enumerate(line) if not (letter.isalnum() or letter in "._-")), len(line))
    return line[:end]


def _import_error(name: str) -> str:
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return str(error) or type(error).__name__
    return ""


def _requires() -> list[str]:
    try:
        return metadata.requires(PRODUCT) or []
    except metadata.PackageNotFoundError:
        return []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(take()))
