"""The machine as the doctor sees it: a file tree, programs to ask, a user, and probes that measure.

Everything a check may touch comes through a `Machine`, so that another machine can be laid out as a folder.
Judges nothing.
"""

import fcntl
import os
import pwd
import re
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firmware.doctor.probes import Probes

RUN_WITHIN_S = 20.0
_GPIO_GET_CHIPINFO_IOCTL = 0x8044B401  # linux/gpio.h: char name[32], label[32]; u32 lines
_CHIP_INFO = struct.Struct("32s32sI")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended; `code` None when there is no such program or it did not end in time."""

    code: int | None
    out: str = ""
    err: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Whose permissions are judged."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """One machine. Paths given to its methods are as on that machine, wherever `root` is.

    `data` is where cases are recorded, `package` where the edge's code lies. `may_use` says whether the user
    may read and write a path, `chip_label` reads a GPIO character device's label (raises OSError); these two
    and the probes get real paths.
    """

    root: Path
    data: Path
    package: Path
    architecture: str
    user: User
    environ: Mapping[str, str]
    run: Callable[[Sequence[str]], Ran]
    may_use: Callable[[Path], bool]
    chip_label: Callable[[Path], str]
    probes: Probes

    def path(self, path: Path | str) -> Path:
        """Where `path` really is."""
        return self.root / str(path).lstrip("/")

    def text(self, path: Path | str) -> str | None:
        """The file's words without its end (newline or NUL), None when it cannot be read."""
        try:
            return self.path(path).read_text(errors="replace").strip("\0\n\t ")
        except OSError:
            return None

    def text_exact(self, path: Path | str) -> str | None:
        """The file's text to the last byte, None when it cannot be read or is no text."""
        try:
            return self.path(path).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return None

    def glob(self, pattern: str) -> list[Path]:
        """Paths that match, as on that machine, in natural order (cpu2 before cpu10)."""
        found = (Path("/") / p.relative_to(self.root) for p in self.root.glob(pattern.lstrip("/")))
        return sorted(found, key=_natural)

    def exists(self, path: Path | str) -> bool:
        """Whether there is such a path, as far as this user may look."""
        try:
            self.path(path).stat()
        except OSError:
            return False
        return True

    def existing(self, path: Path) -> Path:
        """`path`, or its nearest parent that exists: where it would be made."""
        return next((p for p in (path, *path.parents) if self.exists(p)), Path("/"))

    def usable(self, path: Path) -> bool:
        """Whether the user may read and write it."""
        return self.may_use(self.path(path))

    def group(self, name: str) -> tuple[int, frozenset[str]] | None:
        """A group's id and the users that /etc/group lists in it; None when there is no such group."""
        for line in (self.text("/etc/group") or "").splitlines():
            words = line.split(":")
            if len(words) == 4 and words[0] == name and words[2].isdigit():
                return int(words[2]), frozenset(words[3].split(",")) - {""}
        return None


def this_machine(data: Path) -> Machine:
    """The machine we run on, judged for cases recorded under `data`."""
    return Machine(
        root=Path("/"),
        data=data.absolute(),
        package=Path(__file__).parents[1],
        architecture=os.uname().machine,
        user=_this_user(),
        environ=os.environ,
        run=run_program,
        may_use=lambda path: os.access(path, os.R_OK | os.W_OK),
        chip_label=read_chip_label,
        probes=Probes(),
    )


def machine_at(root: Path, data: Path) -> Machine:
    """Another machine's files, below `root`. Raises nothing for what is not there."""
    return replace(this_machine(data), root=root)


def run_program(argv: Sequence[str]) -> Ran:
    """Run a program to its end; what it said, in the C locale."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUN_WITHIN_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Ran(None, err=str(error))
    return Ran(done.returncode, done.stdout.strip(), done.stderr.strip())


def read_chip_label(path: Path) -> str:
    """A GPIO chip's label, asked of the kernel; no line is touched. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(fd, _GPIO_GET_CHIPINFO_IOCTL, bytes(_CHIP_INFO.size))
    finally:
        os.close(fd)
    label: bytes = _CHIP_INFO.unpack(answer)[1]
    return label.split(b"\0", 1)[0].decode(errors="replace")


def _this_user() -> User:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(name, uid, frozenset({os.getegid(), *os.getgroups()}))


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(word or -1), text) for text, word in re.findall(r"(\D*)(\d*)", str(path))]
