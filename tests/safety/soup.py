"""The list of software of others: declared purpose and consequence, joined with what the sources import.

What is imported, or declared at run time, and is not in soup.toml is a fault; so is an entry for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.safety import imports, sbom
from tests.safety.records import ROOT, Soup, Soups

NAMES = {"RPi": "rpi-lgpio", "fpdf": "fpdf2", "nacl": "pynacl", "serial": "pyserial", "zmq": "pyzmq"}
"""Distributions by import name, where the two differ."""


@dataclass(frozen=True, slots=True)
class Used:
    """One library: its entry, version as pinned, and the modules of ours that import it."""

    soup: Soup
    version: str
    scope: str
    users: tuple[str, ...]


def used(soups: Soups, root: Path = ROOT) -> tuple[tuple[Used, ...], tuple[str, ...]]:
    """Every entry with who uses it, and what is wrong with the list."""
    by_name = _by_distribution(imports.users(root))
    pins, told = sbom.pins(root), sbom.project(root)
    declared = {canonicalize_name(Requirement(one).name) for one in told["dependencies"]}
    entries = {canonicalize_name(one.name): one for one in soups.soup}
    faults = [
        f"soup.toml: {name} is imported by {by_name[name][0]} and has no entry; write one"
        for name in sorted(set(by_name) - set(entries))
    ]
    faults += [
        f"soup.toml: {name} is declared in pyproject.toml and has no entry; write one"
        for name in sorted(declared - set(by_name) - set(entries))
    ]
    faults += [
        f"soup.toml: nothing imports or declares {name}; remove its entry"
        for name in sorted(set(entries) - set(by_name) - declared)
    ]
    listed, _ = sbom.packages(root)
    scopes = {canonicalize_name(one.name): one.scope for one in listed}
    found = []
    for name, one in entries.items():
        if name not in pins:
            faults.append(
                f"constraints.txt: {name} of soup.toml is not pinned; add the version that was tested"
            )
        version = pins.get(name, ("", "not pinned"))[1]
        found.append(Used(one, version, scopes.get(name, "not pinned"), by_name.get(name, ())))
    return tuple(found), tuple(faults)


def _by_distribution(users: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Import names become names of distributions."""
    return {canonicalize_name(NAMES.get(name, name)): paths for name, paths in users.items()}
