"""The bill of materials (CycloneDX 1.6, JSON): what is installed, held against what constraints.txt pins.

The same environment and files give the same bytes: no time, no random number. Scope: `required` at run time,
`optional` by an extra, `excluded` what only developers have.
"""

import base64
import json
import platform
import sqlite3
import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.safety import vex
from tests.safety.records import ROOT

DEVELOPERS = ("dev", "bench", "rig")


@dataclass(frozen=True, slots=True)
class Package:
    """One package from PyPI: version as pinned, scope, its own word on its licence, what it needs."""

    name: str
    version: str
    scope: str
    licence: str
    needs: tuple[str, ...]
    installed: str


def pins(root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """constraints.txt: canonical name to the name as written and its version."""
    found: dict[str, tuple[str, str]] = {}
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        if version and not line.startswith("#"):
            found[canonicalize_name(name)] = (name, version)
    return found


def project(root: Path = ROOT) -> dict[str, Any]:
    """[project] of pyproject.toml."""
    told: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return told


@cache
def packages(root: Path = ROOT) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Everything pinned, in order of name; faults: needed and not pinned, or installed in another version."""
    known, told = pins(root), project(root)
    extras = told["optional-dependencies"]
    required = _closure(told["dependencies"])
    optional = _closure(one for name, some in extras.items() if name not in DEVELOPERS for one in some)
    faults = [
        f"constraints.txt: {name} is needed at run time and not pinned; add the version that was tested"
        for name in sorted(required - set(known))
    ]
    made = []
    for name, (written, version) in sorted(known.items()):
        there = _installed(name)
        if there is not None and there.version != version:
            faults.append(f"constraints.txt: {written} is pinned to {version}, installed is {there.version}")
        scope = "required" if name in required else "optional" if name in optional else "excluded"
        needs = tuple(sorted({canonicalize_name(one.name) for one in _needs(name)} & set(known)))
        made.append(Package(written, version, scope, _licence(there), needs, there.version if there else ""))
    return tuple(made), tuple(faults)


def _closure(requirements: Iterable[str]) -> set[str]:
    """Canonical names of all that these need on this machine, as far as it is installed here."""
    waiting = [Requirement(one) for one in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key not in seen:
            seen.add(key)
            waiting += _needs(*key)
    return {name for name, _ in seen}


def _needs(name: str, extras: Iterable[str] = ()) -> list[Requirement]:
    """What an installed package requires on this machine, with some of its extras."""
    there = _installed(name)
    found = [Requirement(text) for text in (there.requires or ())] if there else []
    environments = [{**default_environment(), "extra": extra} for extra in ("", *extras)]
    return [
        one for one in found if one.marker is None or any(one.marker.evaluate(each) for each in environments)
    ]


@cache
def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _licence(there: metadata.Distribution | None) -> str:
    """As the package says it: an SPDX expression, a short text or a classifier; nothing if it says none."""
    if there is None:
        return ""
    told = there.metadata
    classifiers = [
        c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith("License")
    ]
    text = told["License-Expression"] or told["License"] or next(iter(classifiers), "")
    return text if len(text) < 80 and "\n" not in text else next(iter(classifiers), "")


def bill(root: Path = ROOT) -> Bom:
    """The bill of materials. ValueError names what is not as pinned, a line each."""
    listed, faults = packages(root)
    if faults:
        raise ValueError("\n".join(faults))
    told = project(root)
    bom = Bom()
    bom.metadata.timestamp = None  # type: ignore[assignment]
    product = Component(
        name=told["name"],
        version=told["version"],
        type=ComponentType.APPLICATION,
        bom_ref=told["name"],
        licenses=_licences(told["license"]),
        description=told["description"],
    )
    bom.metadata.component = product
    made: dict[str, Component] = {canonicalize_name(one.name): _component(one) for one in listed}
    others = [*_npm(root), *_machine()]
    for component in (*made.values(), *others):
        bom.components.add(component)
    direct = {canonicalize_name(Requirement(one).name) for one in told["dependencies"]}
    bom.register_dependency(product, [*(made[name] for name in sorted(direct)), *others])
    for one in listed:
        bom.register_dependency(made[canonicalize_name(one.name)], [made[name] for name in one.needs])
    known = vex.read()
    vex.add_to(bom, known)
    words = [*(f"{c.bom_ref.value} {c.version}" for c in bom.components), *map(repr, known.vulnerability)]
    names = "\n".join(sorted(words))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{told['name']} {told['version']}\n{names}")
    return bom


def as_json(bom: Bom) -> str:
    """As CycloneDX 1.6 in JSON."""
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"


def _component(one: Package) -> Component:
    name = canonicalize_name(one.name)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        purl=(purl := PackageURL("pypi", name=name, version=one.version)),
        bom_ref=purl.to_string(),
        scope=ComponentScope(one.scope),
        licenses=_licences(one.licence),
    )


def _licences(text: str) -> list[License]:
    return [LicenseFactory().make_from_string(text)] if text else []


def _npm(root: Path) -> Iterable[Component]:
    """What the web display ships, by its lock file; what tests in Node use, by version."""
    lock = json.loads((root / "hostd/web/npm/package-lock.json").read_text(encoding="utf-8"))
    for path, told in sorted(lock["packages"].items()):
        if path:
            kind, _, digest = told["integrity"].partition("-")
            sum_ = HashType(alg=HashAlgorithm(f"SHA-{kind[3:]}"), content=base64.b64decode(digest).hex())
            yield _npm_component(path.rpartition("node_modules/")[2], told, ComponentScope.REQUIRED, [sum_])
    tests = json.loads((root / "tests/node/package.json").read_text(encoding="utf-8"))
    for name, version in sorted(tests["dependencies"].items()):
        yield _npm_component(name, {"version": version}, ComponentScope.EXCLUDED, [])


def _npm_component(
    name: str, told: dict[str, Any], scope: ComponentScope, hashes: list[HashType]
) -> Component:
    group, _, short = name.rpartition("/")
    purl = PackageURL("npm", namespace=group or None, name=short, version=told["version"])
    return Component(
        name=short,
        group=group or None,
        version=told["version"],
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        scope=scope,
        hashes=hashes,
        licenses=_licences(told.get("license", "")),
    )


def _machine() -> Iterable[Component]:
    """What no package list names: the interpreter, what is inside of wheels, and the coprocessor's."""
    import zmq

    found = (
        ("cpython", platform.python_version(), ComponentType.PLATFORM, "the interpreter that made this bill"),
        ("sqlite", sqlite3.sqlite_version, ComponentType.LIBRARY, "of that interpreter"),
        ("libzmq", zmq.zmq_version(), ComponentType.LIBRARY, "inside of pyzmq"),
        ("micropython", None, ComponentType.PLATFORM, "of the coprocessor: the file that its user chose"),
    )
    for name, version, kind, words in found:
        purl = PackageURL("generic", name=name, version=version)
        yield Component(
            name=name, version=version, type=kind, purl=purl, bom_ref=purl.to_string(), description=words
        )
