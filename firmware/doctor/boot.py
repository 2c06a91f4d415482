"""What the Raspberry Pi's boot files ask for: config.txt with its sections, and where it lies.

Reads only. Knows the sections that name a model; a setting under any other filter counts as not made.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from firmware.doctor.machine import Machine

_PLACES = (Path("/boot/firmware"), Path("/boot"))
_FAMILIES = {
    "bcm2712": ("pi5", "cm5", "pi500", "cm5l"),
    "bcm2711": ("pi4", "pi400", "cm4", "cm4s"),
    "bcm2837": ("pi3", "pi3+", "pi02", "cm3"),
    "bcm2836": ("pi2",),
    "bcm2835": ("pi1", "pi0", "pi0w"),
}
_GENERATIONS = {"bcm2712": 5, "bcm2711": 4, "bcm2837": 3, "bcm2836": 2, "bcm2835": 1}


@dataclass(frozen=True, slots=True)
class Pi:
    """Which Raspberry Pi: the model's full name, its chip, and the generation that they make."""

    model: str
    soc: str
    generation: int


def raspberry(machine: Machine) -> Pi | None:
    """The board from the device tree, None when it is no Raspberry Pi."""
    model = machine.text("/proc/device-tree/model") or ""
    if "Raspberry Pi" not in model:
        return None
    compatible = machine.text("/proc/device-tree/compatible") or ""
    soc = next((name for name in _GENERATIONS if name in compatible), "")
    return Pi(model, soc or "unknown", _GENERATIONS.get(soc, 0))


def boot_folder(machine: Machine) -> Path:
    """Where config.txt and cmdline.txt lie, or would on a present Raspberry Pi OS."""
    return next((p for p in _PLACES if machine.exists(p / "config.txt")), _PLACES[0])


def settings(machine: Machine, soc: str) -> list[tuple[str, str]]:
    """The (name, value) lines of config.txt that hold for this chip, in order; none when unreadable."""
    return settings_in(machine.text(boot_folder(machine) / "config.txt") or "", soc)


def settings_in(text: str, soc: str) -> list[tuple[str, str]]:
    """The (name, value) lines of a config.txt that hold for this chip, in order."""
    mine = {"all", *_FAMILIES.get(soc, ())}
    holds, found = True, []
    for line in (raw.split("#", 1)[0].strip() for raw in text.splitlines()):
        if section := re.fullmatch(r"\[(.+)\]", line):
            holds = section[1].strip().lower() in mine
        elif holds and "=" in line:
            name, value = line.split("=", 1)
            found.append((name.strip(), value.strip()))
    return found


def setting(machine: Machine, soc: str, name: str) -> str | None:
    """The last value of one config.txt setting for this chip, None when it is not made."""
    return dict(settings(machine, soc)).get(name)


def parameter_on(machine: Machine, soc: str, name: str) -> bool:
    """Whether config.txt switches a device-tree parameter on (`dtparam=spi=on`, or in a list of several)."""
    return on_in(settings(machine, soc), name)


def on_in(held: list[tuple[str, str]], name: str) -> bool:
    """Whether the settings that hold switch a device-tree parameter on."""
    state = False
    for key, value in held:
        for word in value.split(",") if key in ("dtparam", "device_tree_param") else ():
            parameter, _, given = word.partition("=")
            if parameter.strip() == name:
                state = given.strip() in ("", "on", "true", "yes", "1")
    return state
