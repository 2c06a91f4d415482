"""The device nodes and files that the program sees: a /dev, parts of /sys and /proc of its own.

Owns mounts and nodes inside the child's mount namespace; refuses to answer calls on them. The kernel never
opens our spidev and gpiochip nodes: calls are stopped before. Folders are handed out as descriptors, through
which the rig, which is outside, makes and takes away nodes.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.rig.gpiomem import BLOCK_BYTES
from firmware.rig.kernel import MS_BIND, MS_REC, mount

SPIDEV_MAJOR: Final = 153
GPIOCHIP_MAJOR: Final = 254
_KEPT: Final = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "console")
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "fd/0",
    "stdout": "fd/1",
    "stderr": "fd/2",
    "core": "/proc/kcore",
}
_MODE: Final = 0o660
_HIDDEN: Final = ".rig"
_NULL: Final = (1, 3)
"""/dev/null."""


@dataclass(frozen=True, slots=True)
class GpioNode:
    """One /dev/gpiochip: `compatible` is what its device tree node says, by which programs tell a Pi's."""

    name: str
    label: str
    compatible: str


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What to make: names of the SPI nodes in /dev, the GPIO chips, the board revision for RPi.GPIO."""

    spi: tuple[str, ...]
    gpio: tuple[GpioNode, ...]
    revision: str


def enter(plan: NodePlan) -> list[int]:
    """Change what this process sees, already in a mount namespace of its own. Raises OSError.

    Returns descriptors: of gpiomem, of /dev and of a folder that the process cannot see.
    """
    root = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    base = root / f"evokd-rig-{os.getpid()}"
    base.mkdir()
    mount("tmpfs", str(base), "tmpfs", 0, "mode=755")
    fds = _fill_dev(base, plan)
    dev, proc, sysfs = base / "dev", base / "proc", base / "sys"
    _fill_sys(sysfs, plan)
    _fill_proc(proc, plan.revision)
    for name in ("bus", "dev/char"):
        mount(str(sysfs / name), f"/sys/{name}", "", MS_BIND | MS_REC)
    if (proc / "cpuinfo").exists():
        mount(str(proc / "cpuinfo"), "/proc/cpuinfo", "", MS_BIND)
    mount(str(dev), "/dev", "", MS_BIND | MS_REC)
    return fds


def make_nodes(dev: int, plan: NodePlan) -> None:
    """SPI's and GPIO's nodes in the folder `dev`, unless somebody has put something there. Raises OSError."""
    for major, names in _nodes_of(plan):
        for minor, name in enumerate(names):
            with contextlib.suppress(FileExistsError):
                os.mknod(name, stat.S_IFCHR | _MODE, os.makedev(major, minor), dir_fd=dev)
                os.chmod(name, _MODE, dir_fd=dev)


def remove_nodes(dev: int, plan: NodePlan) -> None:
    """Take them away, where they still are. Raises OSError."""
    for _, names in _nodes_of(plan):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=dev)


def stand_ins(hidden: int, name: str) -> tuple[int, int, int]:
    """What a program holds instead of SPI node `name`: descriptors for both ways, for reading, for writing.

    Each time a /dev/null with an inode of its own, by which it is known; in the folder `hidden`. Raises
    OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=hidden)
    os.mknod(name, stat.S_IFCHR | _MODE, os.makedev(*_NULL), dir_fd=hidden)
    both, reads, writes = (os.open(name, way, dir_fd=hidden) for way in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY))
    return both, reads, writes


def tidy(child_pid: int) -> None:
    """Remove the empty mount point that `enter` in process `child_pid` has left behind."""
    for root in ("/dev/shm", "/tmp"):
        place = Path(root) / f"evokd-rig-{child_pid}"
        if place.is_dir():
            place.rmdir()


def _fill_dev(base: Path, plan: NodePlan) -> list[int]:
    dev = base / "dev"
    dev.mkdir()
    for name in _KEPT:
        _keep(Path("/dev") / name, dev / name)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    memory = dev / "gpiomem"
    memory.write_bytes(bytes(BLOCK_BYTES))
    memory.chmod(_MODE)
    hidden = base / _HIDDEN
    hidden.mkdir()
    folders = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (dev, hidden)]
    make_nodes(folders[0], plan)
    return [os.open(memory, os.O_RDWR), *folders]


def _nodes_of(plan: NodePlan) -> tuple[tuple[int, list[str]], ...]:
    """Major number and names, in the order of minor numbers."""
    return (SPIDEV_MAJOR, list(plan.spi)), (GPIOCHIP_MAJOR, [node.name for node in plan.gpio])


def _keep(source: Path, target: Path) -> None:
    """The machine's own node, folder or link."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        mount(str(source), str(target), "", MS_BIND | MS_REC)
    elif source.exists():
        target.touch()
        mount(str(source), str(target), "", MS_BIND)


def _fill_sys(sysfs: Path, plan: NodePlan) -> None:
    """/sys/bus and /sys/dev/char as they are, with our chips: libgpiod looks up their subsystem there."""
    char = sysfs / "dev" / "char"
    char.mkdir(parents=True)
    for entry in Path("/sys/dev/char").iterdir():
        (char / entry.name).symlink_to(entry.readlink())
    bus = sysfs / "bus"
    bus.mkdir()
    for entry in Path("/sys/bus").iterdir():
        if entry.name != "gpio":
            _keep(entry, bus / entry.name)
    for minor, node in enumerate(plan.gpio):
        device = bus / "gpio" / "devices" / node.name
        (device / "of_node").mkdir(parents=True)
        (device / "dev").write_text(f"{GPIOCHIP_MAJOR}:{minor}\n", encoding="ascii")
        (device / "of_node" / "compatible").write_text(node.compatible + "\0", encoding="ascii")
        place = char / f"{GPIOCHIP_MAJOR}:{minor}"
        place.unlink(missing_ok=True)
        place.mkdir()
        (place / "subsystem").symlink_to("/sys/bus/gpio")


def _fill_proc(proc: Path, revision: str) -> None:
    """The machine's cpuinfo with a Pi's last lines, unless it is a Pi's."""
    proc.mkdir()
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    if "Revision" not in text:
        ours = f"\nHardware\t: BCM2711\nRevision\t: {revision}\nSerial\t\t: 0000000000000000\n"
        (proc / "cpuinfo").write_text(text.rstrip("\n") + "\n" + ours, encoding="utf-8")
