"""Cases of watching: what an open of the chip hears of lines taken, configured and released.

Owns both versions' news: who hears them, in which order, how many are kept and how they are read.
"""

from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import BOTH, DEBOUNCE, DRAIN, FLAGS, IN, LOW, OUT, WITHIN_MS, outcome
from tests.rig.kernel_rules.other_end import N_LINES, drive, levels
from tests.rig.kernel_rules.registry import case


@case
def watch() -> Any:
    """lineinfo_changed_notify: requested, configured, released, with what info tells then."""
    with Chip() as chip, Chip() as watcher, Chip() as deaf:
        told: dict[str, Any] = {"asked": watcher.info(20, u.GPIO_V2_GET_LINEINFO_WATCH_IOCTL)}
        told["quiet"] = [watcher.ready(), watcher.read_size(4096)]
        with chip.lines(IN | BOTH, 20, consumer=b"one", attributes=[(DEBOUNCE, 5000, 1)]) as lines:
            told["ready"] = watcher.ready(ms=WITHIN_MS)
            lines.configure(OUT | LOW | DRAIN)
            lines.configure(IN | u.V2_PULL_UP | u.V2_CLOCK_REALTIME)
        told["v2"] = watcher.changes(4)
        with chip.handle(u.V1_REQUEST_OUTPUT | u.V1_OPEN_SOURCE, 20, consumer=b"two") as handle:
            handle.configure(u.V1_REQUEST_INPUT | u.V1_ACTIVE_LOW)
        told["v1"] = watcher.changes(3)
        chip.event(20, consumer=b"three").close()
        told["event"] = watcher.changes(2)
        chip.lines(IN, 21).close()
        told["other line"] = watcher.changes()
        told["other open"] = [deaf.ready(), deaf.changes()]
        drive(20, 1, 0)
    return told


@case
def watch_many() -> Any:
    """Lines of one request are told one by one, in the request's order, when taken, set and released."""
    with Chip() as chip, Chip() as watcher, Chip() as second:
        watcher.watch(20, 21, 22)
        second.watch(21)
        with chip.lines(IN, 22, 20, 21) as lines:
            lines.configure(OUT, (FLAGS, 0, 0b010))
        first = [change[:2] for change in watcher.changes(8)]
        return [first, [change[:2] for change in second.changes(3)]]


@case
def watch_twice() -> Any:
    """EBUSY for a line watched already or not at all; unwatching leaves what is queued, adds nothing."""
    with Chip() as chip, Chip() as watcher:
        told: list[Any] = [outcome(watcher.unwatch, 20)]
        told += [outcome(watcher.watch, 20), outcome(watcher.watch, 20), outcome(chip.watch, 20)]
        chip.lines(IN, 20).close()
        levels()
        told += [outcome(watcher.unwatch, 20), outcome(watcher.unwatch, 20), outcome(chip.unwatch, 20)]
        chip.lines(IN, 20).close()
        told += [[change[0] for change in watcher.changes(2)], [change[0] for change in chip.changes()]]
        told += [outcome(watcher.watch, 20), [change[0] for change in watcher.changes()]]
        return told


@case
def watch_versions() -> Any:
    """lineinfo_ensure_abi_version: an open of the chip watches in one version, for good."""
    told: dict[str, Any] = {}
    for name in ("v2", "v1"):
        with Chip() as watcher:
            first, other = watcher.watch, watcher.watch_v1
            if name == "v1":
                first, other = other, first
            told[name] = [
                *(outcome(first, 20), outcome(other, 20), outcome(other, 21), outcome(first, 21)),
                *(outcome(watcher.info, 20), outcome(watcher.info_v1, 20)),
                *(outcome(watcher.unwatch, 20), outcome(watcher.unwatch, 21), outcome(other, 20)),
                *(outcome(other, N_LINES), outcome(first, 20)),
            ]
    with Chip() as watcher:
        told["refused first"] = [outcome(watcher.watch, N_LINES), outcome(watcher.watch_v1, 20)]
    return told


@case
def watch_v1() -> Any:
    """gpio_v2_line_info_changed_to_v1: the same news in version 1's form, whoever makes it."""
    with Chip() as chip, Chip() as watcher:
        told: dict[str, Any] = {"asked": watcher.info_v1(20, u.GPIO_GET_LINEINFO_WATCH_IOCTL)}
        told["quiet"] = [watcher.ready(), watcher.read_size(4096)]
        with chip.lines(OUT | LOW | DRAIN, 20) as lines:
            lines.configure(IN | BOTH, (DEBOUNCE, 5000, 1))
        told["v2"] = watcher.changes_v1(3)
        with chip.handle(u.V1_REQUEST_OUTPUT, 20) as handle:
            handle.configure(u.V1_REQUEST_INPUT)
        told["v1"] = watcher.changes_v1(3)
        return told


@case
def watch_overflow() -> Any:
    """32 changes are kept, in either version; a full queue loses the newest."""
    told = []
    with Chip() as chip:
        for watch_one in (Chip.watch, Chip.watch_v1):
            with Chip() as watcher:
                watch_one(watcher, 20)
                for k in range(20):
                    chip.lines(IN, 20, consumer=f"n{k}".encode()).close()
                ask = watcher.changes if watch_one is Chip.watch else watcher.changes_v1
                kept = ask(1)
                chip.lines(IN, 20, consumer=b"more").close()
                told.append([len(kept), kept[0][:3], kept[-2][:3], [change[:3] for change in ask(2)]])
    return told


@case
def watch_reads() -> Any:
    """lineinfo_watch_read gives whole changes, as many as there are and fit; none are EAGAIN."""
    size = u.GPIO_V2_LINE_INFO_CHANGED.size
    with Chip() as chip, Chip() as watcher:
        watcher.watch(20)
        for _ in range(3):
            chip.lines(IN, 20).close()
        levels()
        told: list[Any] = [size]
        for wanted in (size, 2 * size, 16 * size, 16 * size):
            told += [watcher.ready(), watcher.read_size(wanted)]
        return told


@case
def watch_reads_odd() -> Any:
    """lineinfo_watch_read: too small is EINVAL only once something is there; a part that does not fit stays.

    In version 1 it looks whether a change of version 2 would fit.
    """
    told = []
    with Chip() as chip:
        for name, sizes in (("v2", (0, 104, 287, 289, 600)), ("v1", (0, 103, 104, 208, 391, 392))):
            for size in sizes:
                with Chip() as watcher:
                    (watcher.watch if name == "v2" else watcher.watch_v1)(20)
                    empty = watcher.read_size(size)
                    chip.lines(IN, 20).close()
                    chip.lines(IN, 20).close()
                    levels()
                    told.append([name, size, empty, watcher.read_size(size), watcher.read_size(4096)])
    return told
