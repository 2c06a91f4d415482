"""Checks of where cases are recorded: room, speed and evenness of safe writes, mount, device and its wear.

Owns the disk's budgets. Writes one small file that is gone afterwards.
"""

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from firmware.doctor.findings import Figure, Finding, fail, ok, skipped, warn
from firmware.doctor.machine import Machine

RAW_BYTES_PER_S = 32 * 4000 * 3
"""The most that a box records: 32 channels of 3 bytes at 4 kSPS."""
_LEAST_HOURS, _ENOUGH_HOURS = 1.0, 12.0
_LEAST_SPEED, _ENOUGH_SPEED = RAW_BYTES_PER_S, 5 * RAW_BYTES_PER_S
_SLOW_MS, _TOO_SLOW_MS = 500.0, 2000.0
"""A kill loses at most 2 s of a case, and each second of it must be on disk before the next."""
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")
_VOLATILE = ("tmpfs", "ramfs", "overlay")
_UNSAFE = ("vfat", "exfat", "msdos")
_WORN_STEP, _SPENT_STEP = 9, 11
_RESERVE = {1: "", 2: "80 % of its reserve blocks used", 3: "90 % of its reserve blocks used"}
_REPLACE = "move the cases (evokd export), then replace the device"


@dataclass(frozen=True, slots=True)
class Mount:
    """The line of mountinfo that a folder lies under (proc_pid_mountinfo(5))."""

    point: Path
    device: str
    options: frozenset[str]
    kind: str
    source: str


def room(machine: Machine) -> Finding:
    """Hours of the largest recording that still fit."""
    folder = machine.existing(machine.data)
    space = machine.probes.space(machine.path(folder))
    hours = space.free_bytes / RAW_BYTES_PER_S / 3600
    found = f"{space.free_bytes / 1e9:,.1f} of {space.total_bytes / 1e9:,.1f} GB free in {folder}: "
    found += (
        f"{hours:,.0f} h of 32 channels at 4 kSPS" if hours >= 1 else "not an hour of 32 channels at 4 kSPS"
    )
    figures = {"free_bytes": space.free_bytes, "total_bytes": space.total_bytes, "hours": round(hours, 2)}
    cure = "export old cases and remove them, or record elsewhere with --data"
    if hours < _LEAST_HOURS:
        return fail(found, cure, **figures)
    return warn(found, cure, **figures) if hours < _ENOUGH_HOURS else ok(found, **figures)


def writing(machine: Machine) -> Finding:
    """Small blocks reach the disk fast enough, and none waits long."""
    folder = machine.existing(machine.data)
    try:
        wrote = machine.probes.writing(machine.path(folder))
    except OSError as error:
        return _unwritable(machine, folder, error)
    found = f"{wrote.bytes_per_s / 1e6:.1f} MB/s in synced 64 kB blocks, "
    found += f"p50 {wrote.p50_ms:.1f}, p99 {wrote.p99_ms:.1f}, max {wrote.max_ms:.1f} ms"
    figures = {
        "bytes_per_s": round(wrote.bytes_per_s),
        "p50_ms": wrote.p50_ms,
        "p99_ms": wrote.p99_ms,
        "max_ms": wrote.max_ms,
    }
    cure = "an NVMe or USB SSD, or an A2 or industrial card; then record there with --data"
    if wrote.bytes_per_s < _LEAST_SPEED or wrote.p99_ms > _TOO_SLOW_MS:
        return fail(found, cure, **figures)
    if wrote.bytes_per_s < _ENOUGH_SPEED or wrote.p99_ms > _SLOW_MS:
        return warn(found, cure, **figures)
    return ok(found, **figures)


def mounted(machine: Machine) -> Finding:
    """A file system that keeps what it took, writable, without a write for each read."""
    mount = mount_of(machine)
    if mount is None:
        return skipped("/proc/self/mountinfo is not readable")
    shown = sorted(mount.options & {"ro", "rw", "noatime", "relatime", "strictatime", "sync"})
    found = f"{mount.kind} on {mount.point} ({', '.join(shown)})"
    figures = {"kind": mount.kind, "point": str(mount.point), "options": ",".join(sorted(mount.options))}
    elsewhere = "record on a local disk with --data"
    if "ro" in mount.options:
        return fail(
            f"{found}: nothing can be recorded",
            "look why it became read-only (dmesg), check it with fsck, then:",
            f"sudo mount -o remount,rw {mount.point}",
            **figures,
        )
    if mount.kind in _VOLATILE:
        return warn(f"{found}: gone when the power goes", elsewhere, **figures)
    if mount.kind in _NETWORK:
        return warn(f"{found}: stops with the network", elsewhere, **figures)
    if mount.kind in _UNSAFE:
        return warn(f"{found}: no journal, a power cut may cost the file system", elsewhere, **figures)
    if not mount.options & {"noatime", "relatime"}:
        cure = "add noatime to its line in /etc/fstab, and now:"
        return warn(found, cure, f"sudo mount -o remount,noatime {mount.point}", **figures)
    return ok(found, **figures)


def device(machine: Machine) -> Finding:
    """The device below, and its wear where the kernel shows it."""
    mount = mount_of(machine)
    block = _block(machine, mount) if mount else None
    if mount is None or block is None:
        return skipped(f"no block device below ({mount.source if mount else 'mount unknown'})")
    name = block.name
    if machine.text(block / "ro") == "1":
        return fail(
            f"{name} is write-protected", "move the card's lock switch, or replace the device", device=name
        )
    if name.startswith("mmcblk"):
        return _card(machine, block)
    words = [machine.text(block / "device" / part) or "" for part in ("vendor", "model")]
    kind = "NVMe" if name.startswith("nvme") else "spinning" if _spins(machine, block) else "solid state"
    if name.startswith("vd"):
        kind, words = "virtual", []
    state = machine.text(block / "device" / "state")
    found = " ".join(word for word in (name, kind, *words) if word and not word.startswith("0x"))
    if state not in (None, "live", "running"):
        return fail(f"{found}: its state is {state}", _REPLACE, device=name, state=state)
    wear = "; wear: sudo smartctl -A /dev/" + name if kind in ("NVMe", "solid state") else ""
    return ok(f"{found}{f', {state}' if state else ''}{wear}", device=name)


def mount_of(machine: Machine) -> Mount | None:
    """The mount that holds the recordings' folder, None when mountinfo cannot be read."""
    folder = machine.existing(machine.data)
    found: Mount | None = None
    for line in (machine.text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) < 6 or len(right) < 3:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), left[4]))
        options = frozenset(left[5].split(",")) | frozenset(right[2].split(","))
        # of two mounts on one point the later is seen
        if folder.is_relative_to(point) and (found is None or len(point.parts) >= len(found.point.parts)):
            found = Mount(point, left[2], options, right[0], right[1])
    return found


def _unwritable(machine: Machine, folder: Path, error: OSError) -> Finding:
    found = f"{folder} cannot be written: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return fail(
            found,
            "make the folder this user's, or record elsewhere with --data:",
            f"sudo install -d -o {machine.user.name} {machine.data}",
        )
    if error.errno == errno.EROFS:
        return fail(found, "see the mount; or record elsewhere with --data")
    return fail(found, "free some room, or record elsewhere with --data; look at dmesg")


def _block(machine: Machine, mount: Mount) -> Path | None:
    """The whole device's folder in sysfs below a mount: the partition's parent."""
    for entry in (f"/sys/dev/block/{mount.device}", f"/sys/class/block/{Path(mount.source).name}"):
        if machine.exists(entry):
            part = Path("/") / machine.path(entry).resolve().relative_to(machine.root.resolve())
            return part.parent if machine.exists(part / "partition") else part
    return None


def _spins(machine: Machine, block: Path) -> bool:
    return machine.text(block / "queue" / "rotational") == "1"


def _card(machine: Machine, block: Path) -> Finding:
    """An SD card, which tells nothing of its wear, or an eMMC, which does (JEDEC eMMC 5, EXT_CSD)."""
    kind, name = machine.text(block / "device" / "type"), machine.text(block / "device" / "name") or ""
    if kind == "SD":
        return warn(
            f"{block.name}, SD card {name}".rstrip(),
            "it shows no wear and may lose blocks at a power cut: record on an NVMe or USB SSD, or an eMMC",
            device=block.name,
        )
    steps = [
        int(word, 16)
        for word in re.findall(r"0x[0-9a-fA-F]+", machine.text(block / "device/life_time") or "")
    ]
    reserve = _RESERVE.get(int(machine.text(block / "device/pre_eol_info") or "0", 16), "")
    used = max(steps, default=0)
    said = f"up to {min(used, 10) * 10} % of its life used" if used else "it tells no wear"
    if used >= _SPENT_STEP:
        said = "past its rated life"
    found = f"{block.name}, eMMC {name}: {said}" + (f", {reserve}" if reserve else "")
    figures: dict[str, Figure] = {"device": block.name, "life_time_step": used}
    if used >= _SPENT_STEP or reserve == _RESERVE[3]:
        return fail(found, _REPLACE, **figures)
    return warn(found, _REPLACE, **figures) if used >= _WORN_STEP or reserve else ok(found, **figures)
