"""The guest as a QEMU machine whose time is its own: one virtual nanosecond an instruction.

`-icount`: the guest's clocks count instructions, not the host's seconds. It is a computer of one processor
at 1,000 million instructions a second, however busy the host is; timing in it is repeatable enough to test.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.guest import initramfs
from tests.guest.debian import GuestError

WITHIN_S: Final = 3600
_ENDED = re.compile(rb"guest: ended with (\d+) ")
_LAST_WORDS: Final = 1000
_MEMORY_MB: Final = 3072


def run(
    tree: Path,
    version: str,
    command: Path | None,
    results: Path,
    init: Path = initramfs.INIT,
    words: Sequence[str] = (),
) -> int:
    """Boot `tree`, run the shell script `command` (a path of the host), show what it says; its exit code.

    `init` is the first process and `words` are for the kernel's command line, where that is another guest.

    The guest sees the host's root, and keeps its changes to itself but for the folder `results`. Raises
    GuestError when it does not come to an end.
    """
    archive = results / "initramfs.gz"
    archive.write_bytes(initramfs.build(tree, version, init))
    process = subprocess.Popen(
        _arguments(
            tree / "boot" / f"vmlinuz-{version}", archive, results, [f"guest.command={command}", *words]
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    killer = threading.Timer(WITHIN_S, process.kill)
    killer.daemon = True
    killer.start()
    said = b""
    while process.stdout is not None and (piece := os.read(process.stdout.fileno(), 1 << 16)):
        sys.stdout.write(piece.decode(errors="replace"))
        sys.stdout.flush()
        said = (said + piece)[-_LAST_WORDS:]
    process.wait()
    killer.cancel()
    ended = _ENDED.search(said)
    if ended is None:
        raise GuestError("the guest stopped before the command had ended; its last lines say why")
    return int(ended[1])


def _arguments(kernel: Path, archive: Path, results: Path, more: Sequence[str]) -> list[str]:
    words = " ".join(["console=ttyS0 quiet panic=-1", f"guest.results={results}", *more])
    share = "security_model=none,multidevs=remap"
    return [
        "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MB),
        "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-rtc", "clock=vm",
        "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
        "-kernel", str(kernel), "-initrd", str(archive), "-append", words,
        "-fsdev", f"local,id=root,path=/,readonly=on,{share}",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-fsdev", f"local,id=results,path={results},{share}",
        "-device", "virtio-9p-pci,fsdev=results,mount_tag=results",
    ]  # fmt: skip
