"""What /proc says of the program's processes: which file a descriptor is, which thread waits for a line.

Owns parsing of /proc; refuses to stop or change a process. A process that is gone answers nothing, it is no
error.
"""

import contextlib
import os
import struct
from pathlib import Path
from typing import Final

from firmware.rig.arch import this_machine
from firmware.rig.kernel import read_memory

_MACHINE = this_machine()
_READ = _MACHINE.abis[0].read
_POLLFD = struct.Struct("<ihh")
_MOST_FDS: Final = 4096
FileKey = tuple[int, int]
"""Device and inode: the same file, however it was duplicated."""


def file_key(tid: int, fd: int) -> FileKey | None:
    """The file behind descriptor `fd` of thread `tid`, None when there is none."""
    try:
        status = Path(f"/proc/{tid}/fd/{fd}").stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def process_of(tid: int) -> int:
    """The process that thread `tid` belongs to; `tid` itself when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{tid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("Tgid:"):
                return int(line[5:])
    return tid


def resolve(tid: int, directory_fd: int, path: str) -> str:
    """`path` as `tid` means it, absolute; `directory_fd` below 0 is its working directory."""
    if not path.startswith("/"):
        base = f"/proc/{tid}/cwd" if directory_fd < 0 else f"/proc/{tid}/fd/{directory_fd}"
        with contextlib.suppress(OSError):
            path = str(Path(base).readlink() / path)
    return os.path.normpath(path)


def find_file(pids: set[int], key: FileKey) -> tuple[int, int] | None:
    """A process of `pids` and its descriptor that is the file `key`."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                if file_key(pid, int(entry.name)) == key:
                    return pid, int(entry.name)
    return None


def family(root: int) -> set[int]:
    """Process `root` and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = set(), [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        todo += children.get(pid, [])
    return found


def threads(pid: int) -> list[int]:
    """The threads of process `pid`."""
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def is_running(tid: int) -> bool:
    """True while thread `tid` computes, or would if it had a processor."""
    try:
        state = Path(f"/proc/{tid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in (b"R", b"D")


def switches(tid: int) -> int:
    """How often thread `tid` has been put on or off a processor; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{tid}/status").read_bytes().splitlines()
        return sum(int(line.split()[1]) for line in lines if b"voluntary_ctxt_switches" in line)
    except (OSError, ValueError, IndexError):
        return 0


def waits_for(tid: int, keys: set[FileKey]) -> bool:
    """True while thread `tid` sleeps in read, poll, select or epoll on one of the files `keys`."""
    try:
        words = Path(f"/proc/{tid}/syscall").read_text(encoding="ascii").split()
        number, args = int(words[0]), [int(word, 16) for word in words[1:7]]
    except (OSError, ValueError, IndexError):  # "running"
        return False
    with contextlib.suppress(OSError):
        return any(file_key(tid, fd) in keys for fd in _waited_fds(tid, number, args))
    return False


def _waited_fds(tid: int, number: int, args: list[int]) -> list[int]:
    """The descriptors that the system call waits for. Raises OSError when the thread has gone on."""
    if number == _READ:
        return [args[0]]
    if number in _MACHINE.poll:
        listed = read_memory(tid, args[0], _POLLFD.size * min(args[1], _MOST_FDS)) if args[1] else b""
        return [fd for fd, _, _ in _POLLFD.iter_unpack(listed)]
    if number in _MACHINE.select and args[1]:
        count = min(args[0], _MOST_FDS)
        bits = int.from_bytes(read_memory(tid, args[1], (count + 63) // 64 * 8), "little")
        return [fd for fd in range(count) if bits >> fd & 1]
    if number in _MACHINE.epoll:
        text = Path(f"/proc/{tid}/fdinfo/{args[0]}").read_text(encoding="ascii")
        return [int(line.split()[1]) for line in text.splitlines() if line.startswith("tfd:")]
    return []
