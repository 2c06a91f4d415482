"""Checks of the interpreter: Python, packages against their minimum, bindings, the compiled loop's cache.

Judges what `inventory` found in a process of its own. Imports no binding.
"""

import json
import re
import sys
from functools import lru_cache
from pathlib import Path

from firmware.doctor.boot import raspberry
from firmware.doctor.findings import Finding, fail, ok, skipped, warn
from firmware.doctor.inventory import BINDINGS, PIN_LIBRARIES, Inventory, requirement_name
from firmware.doctor.machine import Machine

OLDEST_PYTHON = (3, 11)
_PIP = f"{sys.executable} -m pip"


@lru_cache(maxsize=1)
def inventory(machine: Machine) -> Inventory | str:
    """What the interpreter has, or why that could not be found out; asked once for each machine."""
    ran = machine.run((sys.executable, "-m", "firmware.doctor.inventory"))
    try:
        if ran.code == 0:
            taken: Inventory = json.loads(ran.out)
            return taken
    except ValueError:
        return "its answer is not JSON"
    return ran.err.splitlines()[-1] if ran.err else f"its process ended with {ran.code}"


def python(machine: Machine) -> Finding:
    """New enough, and able to import what it has."""
    has = inventory(machine)
    needed = ".".join(map(str, OLDEST_PYTHON))
    if isinstance(has, str):
        return fail(
            f"the inventory failed: {has}", "install the packages again:", f"{_PIP} install -e '.[pi]'"
        )
    if _numbers(has["python"]) < OLDEST_PYTHON:
        return fail(
            f"Python {has['python']}; {needed} is needed",
            "make the environment again with a newer Python:",
            "make clean setup PYTHON=python3.11",
        )
    return ok(f"Python {has['python']} ({needed} or newer)", python=has["python"])


def packages(machine: Machine) -> Finding:
    """Everything that the product requires, new enough."""
    has = inventory(machine)
    if isinstance(has, str) or not has["requires"]:
        return skipped("evokd is not installed as a package: its requirements are not known")
    required = [line for line in has["requires"] if "extra ==" not in line]
    bad = [complaint for line in required if (complaint := _complaint(line, has["versions"]))]
    if bad:
        return fail("; ".join(bad), "install what is missing:", f"{_PIP} install -e .", bad=len(bad))
    core = ", ".join(
        f"{name} {has['versions'][name]}" for name in ("numpy", "numba") if name in has["versions"]
    )
    return ok(f"all {len(required)} new enough" + (f" ({core})" if core else ""), packages=len(required))


def bindings(machine: Machine) -> Finding:
    """gpiod v2 and spidev can be imported."""
    has = inventory(machine)
    if isinstance(has, str):
        return skipped("the inventory failed")
    versions, pi = has["versions"], raspberry(machine)
    missing = [f"{name}: {error}" for name, error in has["bindings"].items() if error]
    if missing and pi is None:
        return skipped(f"{'; '.join(missing)} (only device nodes need it)")
    if missing:
        return fail(
            "; ".join(missing),
            "spidev is built on the spot and needs a compiler:",
            "sudo apt install gcc python3-dev",
            f"{_PIP} install -e '.[pi]'",
        )
    if not has["gpiod_v2"]:
        found = f"gpiod {versions.get('gpiod', '1.x')} speaks the old interface"
        return (fail if pi else warn)(found, "install version 2:", f"{_PIP} install 'gpiod>=2.2'")
    old = [
        c
        for line in has["requires"]
        if requirement_name(line) in BINDINGS and (c := _complaint(line, versions))
    ]
    if old:
        return warn("; ".join(old), "install newer ones:", f"{_PIP} install -e '.[pi]'")
    return ok(", ".join(f"{name} {versions.get(name, '')}".strip() for name in BINDINGS))


def pin_library(machine: Machine) -> Finding:
    """At most one of RPi.GPIO and rpi-lgpio, and the one that runs here."""
    has = inventory(machine)
    if isinstance(has, str):
        return skipped("the inventory failed")
    there = [f"{name} {has['versions'][name]}" for name in PIN_LIBRARIES if name in has["versions"]]
    names = [words.split()[0] for words in there]
    pi = raspberry(machine)
    if len(there) > 1:
        keep = "rpi-lgpio" if pi is None or pi.generation >= 5 else "RPi.GPIO"
        return fail(
            f"{' and '.join(there)}: they overwrite each other's files",
            f"remove both, then install {keep} alone:",
            f"{_PIP} uninstall -y RPi.GPIO rpi-lgpio",
            f"{_PIP} install {keep}",
            libraries=2,
        )
    if names == ["RPi.GPIO"] and pi is not None and pi.generation >= 5:
        return warn(
            f"{there[0]}: does not run on a Pi 5 (gpiod, our default, does)",
            "put its drop-in in its place:",
            f"{_PIP} uninstall -y RPi.GPIO",
            f"{_PIP} install rpi-lgpio",
            libraries=1,
        )
    if there:
        return ok(f"{there[0]}, for outputs on request; gpiod is the default", libraries=1)
    if has["rpi_package"]:
        return warn(
            "a package RPi of unknown origin",
            "find out where it is from, and remove it:",
            f"{sys.executable} -c 'import RPi; print(RPi.__path__)'",
        )
    return ok("neither: outputs go through gpiod", libraries=0)


def loop_cache(machine: Machine) -> Finding:
    """The compiled sample loop is kept from one start to the next (numba's places, in numba's order)."""
    home = Path(machine.environ.get("HOME", "/"))
    chosen = machine.environ.get("NUMBA_CACHE_DIR")
    beside = machine.package / "__pycache__"
    personal = Path(machine.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"
    places = [Path(chosen)] if chosen else [beside, personal]
    for place in places:
        if machine.usable(machine.existing(place)):
            return ok(f"in {place}")
    return warn(
        f"{' and '.join(map(str, places))} cannot be written",
        "give it a folder of its own, in the service's environment too:",
        "export NUMBA_CACHE_DIR=/var/cache/evokd",
        f"sudo install -d -o {machine.user.name} /var/cache/evokd",
    )


def _complaint(line: str, versions: dict[str, str]) -> str:
    """What is wrong with one required distribution; empty when nothing is."""
    name = requirement_name(line)
    least = re.search(r">=\s*([\d.]+)", line)
    if name not in versions:
        return f"{name} is missing"
    if least and _numbers(versions[name]) < _numbers(least[1]):
        return f"{name} {versions[name]} is older than {least[1]}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers; what follows them (rc1, +rpt1) does not count."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(word) for word in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:  # 26 is as new as 26.0
        numbers.pop()
    return tuple(numbers)
