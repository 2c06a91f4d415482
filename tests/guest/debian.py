"""What the guest is made of: Debian's kernel, its modules, gpio-sim built for it, BusyBox; cached.

Nothing is kept in this repository and the machine's own kernel is not touched: its image is unpacked into the
cache. gpio-sim is in no Debian kernel; it is built, unchanged but for one call, from Debian's own source.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

NEEDED: Final = {
    "qemu-system-x86": "usr/bin/qemu-system-x86_64",
    "busybox-static": "bin/busybox",
    "linux-headers-amd64": "usr/src/linux-headers-*-amd64/Makefile",
    "linux-source": "usr/src/linux-source-*.tar.xz",
    "kmod": "sbin/depmod",
    "gcc": "usr/bin/gcc",
    "make": "usr/bin/make",
}
"""Packages, and a file of each by which it is known to be there."""
SOURCES: Final = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
NOT_EXPORTED: Final = ("handle_simple_irq(irq_to_desc(", "generic_handle_irq((")
"""irq_to_desc is not exported to modules; the exported call does the same with the number."""
KBUILD: Final = "obj-m := gpio-sim-rig.o\ngpio-sim-rig-y := gpio-sim.o irq_sim.o\n"
MODULE: Final = "gpio-sim-rig"


class GuestError(Exception):
    """No guest can be had; one line that says why and what to do."""


def cache_folder() -> Path:
    """Where everything is kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "evokd" / "guest"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need_packages() -> None:
    """Install what is missing if this is root on Debian; otherwise GuestError with the command."""
    missing = [name for name, path in NEEDED.items() if not any(Path("/").glob(path))]
    if not missing:
        return
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise GuestError(f"the guest is made of Debian's packages {' '.join(missing)}; run it on Debian")
    if os.geteuid() != 0:
        raise GuestError(f"packages are missing; as root: {command}")
    print(f"guest: {command}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], env=environment)
    _run([*command.split(), "-y", "-qq"], env=environment)


def kernel_version() -> str:
    """Of the newest headers that are installed, for example 6.1.0-56-amd64."""
    found = [p.name.removeprefix("linux-headers-") for p in Path("/usr/src").glob("linux-headers-*-amd64")]
    if not found:
        raise GuestError("no headers of an amd64 kernel in /usr/src; reinstall linux-headers-amd64")
    return max(found, key=_natural)


def kernel_tree(version: str) -> Path:
    """The unpacked image of `version`, with gpio-sim among its modules."""
    tree = cache_folder() / version
    modules = tree / "lib" / "modules" / version
    if (modules / "modules.dep").exists():
        return tree
    print(f"guest: fetching the kernel {version} and building gpio-sim for it, once", flush=True)
    with tempfile.TemporaryDirectory(prefix="evokd-guest-") as name:
        work = Path(name)
        work.chmod(0o755)
        _run(["apt-get", "download", "-qq", f"linux-image-{version}"], cwd=work)
        (package,) = work.glob("*.deb")
        shutil.rmtree(tree, ignore_errors=True)
        _run(["dpkg-deb", "-x", str(package), str(tree)])
        (modules / "extra").mkdir()
        shutil.copy(_gpio_sim(work / "build", version), modules / "extra")
    _run(["depmod", "-b", str(tree), version])
    return tree


def _gpio_sim(folder: Path, version: str) -> Path:
    """Build the module in `folder`."""
    folder.mkdir()
    archives = sorted(Path("/usr/src").glob("linux-source-*.tar.xz"), key=lambda p: _natural(p.name))
    series = ".".join(version.split(".")[:2])
    archive = next((a for a in archives if f"-{series}." in a.name), None)
    if archive is None:
        raise GuestError(f"no source of Linux {series} in /usr/src; install linux-source-{series}")
    prefix = archive.name.removesuffix(".tar.xz")
    wanted = {f"{prefix}/{path}" for path in SOURCES}
    with tarfile.open(archive, "r:xz") as packed:
        for member in packed:
            if member.name in wanted:
                content = packed.extractfile(member)
                if content is not None:
                    (folder / Path(member.name).name).write_bytes(content.read())
                wanted.discard(member.name)
            if not wanted:
                break
    if wanted:
        raise GuestError(f"{archive} lacks {', '.join(sorted(wanted))}")
    source = folder / "irq_sim.c"
    source.write_text(source.read_text(encoding="utf-8").replace(*NOT_EXPORTED), encoding="utf-8")
    (folder / "Kbuild").write_text(KBUILD, encoding="ascii")
    _run(["make", "-s", "-C", f"/usr/src/linux-headers-{version}", f"M={folder}", "modules"])
    return folder / f"{MODULE}.ko"


def _natural(name: str) -> list[int]:
    """Its numbers, for sorting."""
    return [int(word) for word in "".join(c if c.isdigit() else " " for c in name).split()]


def _run(command: list[str], **options: object) -> None:
    """Raises GuestError with the last line that it said."""
    ran = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if ran.returncode:
        said = (ran.stderr.strip() or ran.stdout.strip() or "no word").splitlines()[-1]
        raise GuestError(f"{command[0]} {command[1]} failed: {said}")
