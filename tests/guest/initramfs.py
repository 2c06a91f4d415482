"""The guest's first file system: BusyBox, the modules in their order, and `init`; a newc archive."""

import gzip
import stat
from pathlib import Path
from typing import Final

from tests.guest.debian import MODULE

MODULES: Final = (
    "virtio_pci", "9pnet_virtio", "9p", "overlay", "configfs", "cuse", MODULE,
)  # fmt: skip
FOLDERS: Final = ("bin", "mod", "proc", "sys", "dev", "lower", "upper", "root")
INIT: Final = Path(__file__).with_name("init.sh")


def module_order(modules: Path) -> list[Path]:
    """Files of MODULES and what they need, each after its needs. What is built in has none."""
    needs = {}
    for line in (modules / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {Path(path).name.split(".ko")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for need in needs[path]:
            add(need)
        if path not in order:
            order.append(path)

    for name in MODULES:
        path = by_name.get(name.replace("-", "_"))
        if path is not None:
            add(path)
    return [modules / path for path in order]


def build(tree: Path, version: str, init: Path = INIT, busybox: Path = Path("/bin/busybox")) -> bytes:
    """The archive for the kernel unpacked in `tree`, with the script `init` as first process."""
    files = module_order(tree / "lib" / "modules" / version)
    names = [path.name for path in files]
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in FOLDERS]
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    entries.append(("init", stat.S_IFREG | 0o755, init.read_bytes()))
    entries += [(f"mod/{path.name}", stat.S_IFREG | 0o644, path.read_bytes()) for path in files]
    entries.append(("order", stat.S_IFREG | 0o644, "\n".join(names).encode()))
    entries.append(("TRAILER!!!", 0, b""))
    packed = b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))
    return gzip.compress(packed, 1)


def _entry(inode: int, name: str, mode: int, content: bytes) -> bytes:
    """One file: a header of 13 numbers in hexadecimal, the name, the content, each to a multiple of four."""
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + name.encode() + b"\0") + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
