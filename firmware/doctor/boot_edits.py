"""A Raspberry Pi's boot files as they should be for an edge: text in, text out.

Keeps every line that somebody wrote and adds below them; twice gives the same as once. What contradicts what
somebody wrote is left to them and told. Touches no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from firmware.doctor.boot import on_in, settings_in
from firmware.errors import ConfigError

MARK = "# evokd doctor --fix"
MOST_SELECTS = {"0": 2, "1": 3}
"""Chip selects of the overlays spi0-Ncs and spi1-Ncs (raspberrypi/firmware, overlays/README)."""
FEWEST_CPUS = 3
"""With fewer none is given away."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A file's text after, the lines or words added to it, and what a person must decide."""

    text: str
    added: tuple[str, ...]
    notes: tuple[str, ...] = ()


def overlays(spi: Sequence[str]) -> tuple[str, ...]:
    """The overlays that give a board its chip selects, "0.1" being bus 0, select 1. Raises ConfigError."""
    most: dict[str, int] = {}
    for address in spi:
        bus, _, select = address.partition(".")
        most[bus] = max(most.get(bus, 0), int(select) + 1)
    for bus, n in most.items():
        if n > MOST_SELECTS.get(bus, 0):
            known = ", ".join(f"{of}.0 to {of}.{k - 1}" for of, k in MOST_SELECTS.items())
            raise ConfigError(f"spi {bus}.{n - 1}: no overlay has it; a Pi's header has {known}")
    return tuple(f"spi{bus}-{n}cs" for bus, n in sorted(most.items()))


def config_edited(text: str, soc: str, spi: Sequence[str]) -> Edited:
    """config.txt with SPI, its chip selects, a core clock that stands still and the hardware watchdog, for
    the chip `soc`. Raises ConfigError for selects that no overlay has."""
    held = settings_in(text, soc)
    added = [f"dtparam={name}=on" for name in ("spi", "watchdog") if not on_in(held, name)]
    notes = []
    there = [
        value.split(",")[0].strip() for name, value in held if name in ("dtoverlay", "device_tree_overlay")
    ]
    for overlay in overlays(spi):
        bus, n = overlay[: len("spi0")], int(overlay[5])
        other = [name for name in there if name.startswith(f"{bus}-") and name.endswith("cs")]
        if not other:
            added.append(f"dtoverlay={overlay}")
        elif not any(name[5:-2].isdecimal() and int(name[5:-2]) >= n for name in other):
            notes.append(f"dtoverlay={other[-1]} is there and {overlay} is needed; change that line")
    clock = dict(held).get("core_freq_fixed")
    if clock is None and dict(held).get("force_turbo") != "1":
        added.append("core_freq_fixed=1")
    elif clock == "0":
        notes.append("core_freq_fixed=0 lets the clock move that SPI is divided from; remove that line")
    if not added:
        return Edited(text, (), tuple(notes))
    before = text if not text or text.endswith("\n") else f"{text}\n"
    return Edited(
        f"{before}\n[all]\n{MARK}\n" + "".join(f"{line}\n" for line in added), tuple(added), tuple(notes)
    )


def cmdline_edited(text: str, cpus: int) -> Edited:
    """cmdline.txt with the last of `cpus` processors kept free for the sample loop, clocks at their top, and
    room for four chips' frames in one SPI transfer. A word whose key is there stays as it is."""
    last = cpus - 1
    isolate = f"isolcpus={last} nohz_full={last} rcu_nocbs={last} irqaffinity=0-{last - 1}".split()
    wanted = [*(isolate if cpus >= FEWEST_CPUS else ()), "cpufreq.default_governor=performance"]
    wanted.append("spidev.bufsiz=4096")
    lines = text.splitlines() or [""]
    there = {word.partition("=")[0]: word for word in lines[0].split()}
    if "isolcpus" in there:  # whose isolation it is, the rest of it is too
        wanted = [word for word in wanted if word not in isolate]
    added = tuple(word for word in wanted if word.partition("=")[0] not in there)
    keys = {word.partition("=")[0]: word for word in wanted}
    notes = tuple(
        f"{there[key]} is there and evokd would have {keys[key]}; change it if it is not meant"
        for key in keys
        if key in there and there[key] != keys[key]
    )
    if not added:
        return Edited(text, (), notes)
    lines[0] = " ".join([*([lines[0].rstrip()] if lines[0].strip() else []), *added])
    return Edited("\n".join(lines) + "\n", added, notes)
