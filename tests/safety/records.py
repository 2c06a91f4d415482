"""The safety file's own records, read from the TOML files beside this module.

Owns their form: what is written there and cannot be is one line with the file and the place in it.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Severity = Literal["minor", "serious", "critical", "catastrophic"]
Stride = Literal["S", "T", "R", "I", "D", "E"]
STRIDE: dict[str, str] = {
    "S": "spoofing",
    "T": "tampering",
    "R": "repudiation",
    "I": "information disclosure",
    "D": "denial of service",
    "E": "elevation of privilege",
}


class SafetyFileError(ValueError):
    """The safety file is not whole: one line a fault, each with what, where and how to cure."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all tables have in common: no key but those that are declared."""


T = TypeVar("T", bound=Record)


class Control(Record):
    """What in the product reduces a risk. `gap`: why no test proves it (a known anomaly), or nothing."""

    id: str
    what: str
    modules: tuple[str, ...] = ()
    gap: str = ""


class Hazard(Record):
    """A source of harm, how it comes to it, and what stands against it."""

    id: str
    hazard: str
    sequence: str
    harm: str
    severity: Severity
    control: tuple[Control, ...]


class Interlock(Record):
    """A lock that the box should own (facts: clinical 4.D), and the controls that are it."""

    name: str
    rule: str
    controls: tuple[str, ...]


class Hazards(Record):
    """hazards.toml."""

    hazard: tuple[Hazard, ...]
    interlock: tuple[Interlock, ...]


class Threat(Record):
    """What somebody could do at an interface; `open` says what is left, plainly."""

    id: str
    stride: Stride
    threat: str
    controls: tuple[str, ...] = ()
    open: str = ""


class Interface(Record):
    """A place where something from outside reaches the product."""

    name: str
    what: str
    trust: str
    threat: tuple[Threat, ...]


class Threats(Record):
    """threats.toml."""

    interface: tuple[Interface, ...]


class Unit(Record):
    """A software unit of IEC 62304. `modules`: paths, or folders that end with "/"."""

    name: str
    grade: Literal["A", "B", "C"]
    modules: tuple[str, ...]
    why: str
    leans_on: tuple[str, ...] = ()


class Units(Record):
    """units.toml."""

    unit: tuple[Unit, ...]


class Soup(Record):
    """Software of unknown provenance: what it is for, and what follows when it fails."""

    name: str
    purpose: str
    failure: str
    anomalies: tuple[str, ...] = ()


class System(Record):
    """The same for what no package manager of ours brings."""

    name: str
    version: str
    purpose: str
    failure: str
    anomalies: tuple[str, ...] = ()


class Soups(Record):
    """soup.toml."""

    soup: tuple[Soup, ...]
    system: tuple[System, ...]


def load(kind: type[T], path: Path) -> T:
    """The records of one file. SafetyFileError when it is missing or anything else than declared."""
    try:
        told: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(told, kind)
    except OSError as error:
        raise SafetyFileError((f"{path.name}: {error.strerror}; put it back",)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SafetyFileError((f"{path.name}: {error}; correct it",)) from error


def hazards(folder: Path = HERE) -> Hazards:
    """Hazards, controls and interlocks."""
    return load(Hazards, folder / "hazards.toml")


def threats(folder: Path = HERE) -> Threats:
    """The threat model."""
    return load(Threats, folder / "threats.toml")


def units(folder: Path = HERE) -> Units:
    """The software units and their classes."""
    return load(Units, folder / "units.toml")


def soups(folder: Path = HERE) -> Soups:
    """What is known of the software of others."""
    return load(Soups, folder / "soup.toml")
