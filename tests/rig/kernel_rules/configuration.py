"""Cases of v2's configuration: lines turned round, edges and polarity changed, refusals, debouncing.

Owns what changes in a request that lives; its first configuration is requests.py's and values.py's.
"""

from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import BOTH, DEBOUNCE, FALL, FLAGS, IN, LOW, OUT, RISE, VALUES, outcome
from tests.rig.kernel_rules.other_end import drive, levels
from tests.rig.kernel_rules.registry import case


@case
def config_direction() -> Any:
    """linereq_set_config turns lines round; an output without value goes inactive; an input reads again."""
    with Chip() as chip, chip.lines(IN, 20) as lines:
        told: list[Any] = []
        lines.configure(OUT, (VALUES, 1, 1))
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.put(0)
        lines.put(1)
        lines.configure(OUT)
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.configure(OUT | LOW)
        told.append([chip.flags(20), levels(20), lines.values()])
        lines.configure(OUT)
        lines.configure(IN | BOTH)
        told.append([chip.flags(20), outcome(lines.put, 1)])
        drive(20, 1)
        told.append([lines.values(), lines.events(1)])
        drive(20, 0)
        told.append([lines.values(), lines.events(1)])
        return told


@case
def config_without_direction() -> Any:
    """Lines that are given no direction are left as they are, edges and polarity too; nobody hears of it."""
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20, 21, 22)
        given = [(FLAGS, OUT | LOW, 0b010), (VALUES, 0, 0b010), (DEBOUNCE, 5000, 0b100)]
        with chip.lines(IN | BOTH, 20, 21, 22, attributes=given) as lines:
            told: list[Any] = [watcher.changes(3)]
            for flags in (0, LOW, u.V2_CLOCK_REALTIME):
                lines.configure(flags, (VALUES, 0b010, 0b010))
                told.append([[chip.info(offset)[3:] for offset in (20, 21, 22)], levels(21)])
            drive(20, 1)
            told.append(lines.events(1))
            lines.configure(0, (FLAGS, OUT, 0b010), (VALUES, 0b010, 0b010))
            told.append([[chip.info(offset)[3:] for offset in (20, 21, 22)], levels(21)])
            told.append(watcher.changes(1))
            drive(20, 0)
            told.append(lines.events(1))
            return told


@case
def config_edges() -> Any:
    """Edges can be turned on and off; what is queued stays queued, numbers go on."""
    with Chip() as chip, chip.lines(IN, 20) as lines:
        drive(20, 1, 0)
        lines.configure(IN | BOTH)
        told: list[Any] = [chip.flags(20), lines.events()]
        drive(20, 1, 0)
        levels()
        lines.configure(IN | RISE)
        told.append(chip.flags(20))
        drive(20, 1, 0)
        levels()
        lines.configure(IN)
        told.append(chip.flags(20))
        drive(20, 1, 0)
        told += [lines.ready(), lines.events(3)]
        lines.configure(IN | FALL)
        drive(20, 1, 0)
        levels()
        lines.configure(OUT)
        lines.put(1)
        lines.put(0)
        told += [lines.ready(), lines.events(1)]
        return told


@case
def config_active_low() -> Any:
    """Polarity can be changed while edges are heard: kinds follow it, a change of it is no edge."""
    with Chip() as chip, chip.lines(IN | BOTH, 20) as lines:
        told: list[Any] = []
        for flags, wanted in ((IN | BOTH | LOW, 2), (IN | RISE | LOW, 1), (IN | RISE, 1)):
            lines.configure(flags)
            told += [chip.flags(20), lines.values()]
            drive(20, 1)
            told.append(lines.values())
            drive(20, 0)
            told.append(lines.events(wanted))
        return told


@case
def config_clock_and_bias() -> Any:
    """Event clock and biases are told as asked."""
    told = []
    with Chip() as chip, chip.lines(IN, 20) as lines:
        for direction in (IN, OUT):
            for flags in (u.V2_PULL_UP, u.V2_PULL_DOWN, u.V2_BIAS_DISABLED, u.V2_CLOCK_REALTIME, 0):
                lines.configure(direction | flags)
                told.append([chip.flags(20), chip.flags_v1(20)])
        drive(20, 1, 0)
    return told


@case
def config_refused() -> Any:
    """A configuration that is not valid for all lines changes none of them."""
    bad: dict[str, tuple[int, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
        "contradiction": (IN | OUT, (), {}),
        "undefined": (OUT | 1 << 13, (), {}),
        "used": (OUT | u.V2_USED, (), {}),
        "hardware clock": (IN | u.V2_CLOCK_HTE, (), {}),
        "edges of an output": (OUT | RISE, (), {}),
        "second line": (OUT, ((FLAGS, IN | OUT, 0b10),), {}),
        "padding": (OUT, (), {"padding": 1}),
        "11 attributes": (OUT, (), {"count": 11}),
        "attribute padding": (OUT, ((FLAGS, OUT, 1, 1),), {}),
        "unused attribute": (OUT, (), {"unused": [0, 0, 0, 1]}),
        "debounced output": (OUT, ((DEBOUNCE, 10, 0b10),), {}),
        "bias without direction": (u.V2_PULL_UP, (), {}),
    }
    with Chip() as chip, Chip() as watcher, chip.lines(IN | BOTH | LOW, 20, 21) as lines:
        watcher.watch(20, 21)
        told: dict[str, Any] = {}
        for name, (flags, given, more) in bad.items():
            told[name] = [outcome(lines.configure, flags, *given, **more), chip.flags(20), chip.flags(21)]
        drive(20, 1, 0)
        told["afterwards"] = [lines.events(2), watcher.changes()]
        return told


@case
def config_short_queue() -> Any:
    """kfifo_alloc refuses a queue of one when edges are first asked for: info tells them, none are heard."""
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20, 21)
        with chip.lines(IN, 20, 21, size=1) as lines:
            told: list[Any] = [watcher.changes(2), outcome(lines.configure, IN | BOTH)]
            told += [chip.flags(20), chip.flags(21), watcher.changes()]
            drive(20, 1, 0)
            told += [lines.events(), lines.ready()]
            told += [outcome(lines.configure, IN, (FLAGS, IN | RISE, 0b10)), watcher.changes(1)]
            told += [chip.flags(20), chip.flags(21)]
            return told


@case
def debounce_info() -> Any:
    """supinfo_to_lineinfo tells a period that is not 0; it ends with the direction, a new one and release."""
    told: list[Any] = []
    with Chip() as chip:
        for period in (0, 1, 5000, (1 << 32) - 1, 1 << 32):
            with chip.lines(IN, 20, 21, attributes=[(DEBOUNCE, period, 0b10)]):
                told.append([chip.info(20)[3:], chip.info(21)[3:]])
        with chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 5000, 1)]) as lines:
            told.append(chip.info(20)[3:])
            lines.configure(IN | BOTH, (DEBOUNCE, 7000, 1))
            told.append(chip.info(20)[3:])
            lines.configure(IN | BOTH)
            told.append(chip.info(20)[3:])
            lines.configure(IN | RISE, (DEBOUNCE, 8000, 1))
            told.append(chip.info(20)[3:])
            lines.configure(OUT)
            told.append(chip.info(20)[3:])
            lines.configure(IN, (DEBOUNCE, 9000, 1))
            told.append(chip.info(20)[3:])
        told.append(chip.info(20)[3:])
    return told


@case
def debounced_events() -> Any:
    """debounce_work_func: levels faster than the period are not told, the one that stays is, once."""
    told: list[Any] = []
    with Chip() as chip, chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 50_000, 1)]) as lines:
        drive(20, 1, 0, 1)
        told.append(lines.events(1))
        told.append(lines.ready(ms=150))
        drive(20, 0, 1)
        told.append([lines.ready(ms=150), lines.events()])
        drive(20, 0)
        told.append(lines.events(1))
    return told


@case
def debounced_values() -> Any:
    """linereq_get_values of a debounced line is what has been stable."""
    with Chip() as chip, chip.lines(IN | BOTH, 20, attributes=[(DEBOUNCE, 100_000, 1)]) as lines:
        drive(20, 1)
        told = [lines.values(), lines.events(1), lines.values()]
        drive(20, 0)
        return [*told, lines.values(), lines.events(1), lines.values()]
