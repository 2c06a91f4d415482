"""The bill of materials is CycloneDX and the same each time; what is not as pinned is told."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.safety import sbom, soup
from tests.safety.imports import of_source
from tests.safety.records import ROOT, Soup, Soups

PYPROJECT = """
[project]
name = "evokd"
version = "9"
license = "Apache-2.0"
description = "x"
dependencies = ["numpy>=2", "pyzmq"]
optional-dependencies = { dev = ["pytest"], export = ["fpdf2"] }
"""


def installed(name: str) -> str:
    return f"{name}=={metadata.version(name)}\n"


def project(folder: Path, pins: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "constraints.txt").write_text("# pins\n" + pins)
    for path in ("hostd/web/npm/package-lock.json", "tests/node/package.json"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((ROOT / path).read_bytes())
    return folder


@pytest.fixture(scope="module")
def text() -> str:
    return sbom.as_json(sbom.bill())


def test_it_is_cyclonedx_by_the_schema_of_1_6(text: str) -> None:
    # Its grammars take a second and a half, which every process of the tests would spend.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"type": "library"', '"type": "liberty"', 1)) is not None


def test_the_same_environment_gives_the_same_bytes_without_a_time(text: str) -> None:
    assert sbom.as_json(sbom.bill()) == text
    told = json.loads(text)
    assert "timestamp" not in told["metadata"]
    assert told["metadata"]["component"]["name"] == "evokd"


def test_everything_pinned_is_in_it_with_its_scope_and_what_it_needs(text: str) -> None:
    told = json.loads(text)
    by_purl: dict[str, dict[str, Any]] = {one["purl"]: one for one in told["components"]}
    for name, (_, version) in sbom.pins().items():
        assert f"pkg:pypi/{name}@{version}" in by_purl
    scopes = {purl.partition("@")[0]: one.get("scope") for purl, one in by_purl.items()}
    expected = {"pyzmq": "required", "yarl": "required", "linkify-it-py": "required", "fpdf2": "optional"}
    for name, scope in (expected | {"pytest": "excluded", "gpiod": "optional"}).items():
        assert scopes[f"pkg:pypi/{name}"] == scope, name
    (uplot,) = [one for one in told["components"] if one["name"] == "uplot"]
    assert uplot["scope"] == "required" and uplot["licenses"] and len(uplot["hashes"][0]["content"]) == 128
    assert {"cpython", "libzmq", "sqlite", "micropython"} <= {one["name"] for one in told["components"]}
    needs = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    aiohttp = next(purl for purl in by_purl if purl.startswith("pkg:pypi/aiohttp@"))
    assert any(purl.startswith("pkg:pypi/yarl@") for purl in needs[aiohttp])
    assert aiohttp in needs["evokd"]


def test_what_is_not_pinned_or_installed_otherwise_is_told(tmp_path: Path) -> None:
    folder = project(tmp_path, "numpy==1.0\n")
    _, faults = sbom.packages(folder)
    assert faults == (
        "constraints.txt: pyzmq is needed at run time and not pinned; add the version that was tested",
        f"constraints.txt: numpy is pinned to 1.0, installed is {metadata.version('numpy')}",
    )
    with pytest.raises(ValueError, match="pyzmq is needed at run time"):
        sbom.bill(folder)


def test_another_pin_is_another_bill(tmp_path: Path, text: str) -> None:
    pins = installed("numpy") + installed("pyzmq")
    one = json.loads(sbom.as_json(sbom.bill(project(tmp_path / "one", pins))))
    other = json.loads(sbom.as_json(sbom.bill(project(tmp_path / "other", pins + "unheard-of==1.0\n"))))
    assert one["serialNumber"] != other["serialNumber"] != json.loads(text)["serialNumber"]
    (strange,) = [c for c in other["components"] if c["name"] == "unheard-of"]
    assert (strange["scope"], strange.get("licenses")) == ("excluded", None)


def test_imports_are_found_wherever_they_stand() -> None:
    text = (
        "import os, zmq.asyncio\nfrom hw import limits\nfrom hw.link import StimPlan\n"
        "def f():\n  import serial\n  importlib.import_module('gpiod.line')\n  binding('spidev', 'spidev')\n"
        "  import_module(name)\n"
    )
    there = {"hw/limits.py", "hw/link.py", "hw/__init__.py"}
    found = of_source(text, "hostd/x.py", there)
    assert found.ours == there
    assert found.others == {"zmq", "serial", "gpiod", "spidev"}
    assert of_source("import machine", "firmware/pico/board/main.py", there).others == frozenset()


def test_soup_that_is_not_pinned_is_told(tmp_path: Path) -> None:
    folder = project(tmp_path, "")
    for package in ("hw", "firmware", "dsp"):
        (folder / package).mkdir()
    (folder / "hw" / "x.py").write_text("import numpy\nimport zmq\n")
    some = Soups((Soup("numpy", "x", "y"), Soup("pyzmq", "x", "y")), ())
    told = soup.used(some, folder)[1]
    assert told[0] == "constraints.txt: numpy of soup.toml is not pinned; add the version that was tested"
    assert len(told) == 2
