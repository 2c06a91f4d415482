"""Which unit a module belongs to, and whether what is of class C leans on less than it says.

Classes are of IEC 62304; the units are declared in units.toml, who imports whom is read from the sources.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.safety.imports import Module
from tests.safety.records import Unit, Units


@dataclass(frozen=True, slots=True)
class Split:
    """Every module's unit, and of each unit the other units that it imports."""

    unit_of: dict[str, str]
    leans: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]


def split(units: Units, modules: Iterable[Module]) -> Split:
    """The modules by unit; faults: no unit, an entry for nothing, a lean of class C that nobody argued."""
    modules = tuple(modules)
    owner: dict[str, str] = {}
    used: set[str] = set()
    faults: list[str] = []
    for module in modules:
        entries = [(entry, unit) for unit in units.unit for entry in unit.modules]
        fitting = [one for one in entries if _fits(one[0], module.path)]
        if not fitting:
            faults.append(f"units.toml: {module.path} belongs to no unit; name it, or its folder with a /")
            continue
        entry, unit = max(fitting, key=lambda one: len(one[0]))
        used.add(entry)
        owner[module.path] = unit.name
    for unit in units.unit:
        for entry in sorted(set(unit.modules) - used):
            faults.append(f"units.toml: {entry} of {unit.name} is no module of its own; correct or remove it")
    leans = _leans(owner, modules)
    for unit in units.unit:
        faults += _argued(unit, units, leans.get(unit.name, ()))
    return Split(owner, leans, tuple(faults))


def _fits(entry: str, path: str) -> bool:
    return path == entry or (entry.endswith("/") and path.startswith(entry))


def _leans(owner: dict[str, str], modules: tuple[Module, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for module in modules:
        here = owner.get(module.path, "")
        there = {owner[other] for other in module.ours if other in owner} - {here}
        found.setdefault(here, set()).update(there)
    return {name: tuple(sorted(others)) for name, others in found.items()}


def _argued(unit: Unit, units: Units, leans: tuple[str, ...]) -> list[str]:
    """What a unit of class C imports of a lower class without saying so, or says and does not import."""
    grades = {one.name: one.grade for one in units.unit}
    lower = {name for name in leans if grades[name] < unit.grade}
    told = set(unit.leans_on)
    faults = [
        f"units.toml: {unit.name} says that it leans on {name}, and does not; remove it"
        for name in sorted(told - lower)
    ]
    if unit.grade == "C":
        faults += [
            f"units.toml: {unit.name} is of class C and imports {name} of class {grades[name]}; "
            "move what it needs, or argue it in leans_on"
            for name in sorted(lower - told)
        ]
    return faults
