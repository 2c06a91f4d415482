"""The steps that an installation is made of, as values; nothing is done here."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that must be there."""

    path: str
    mode: int = 0o755

    @property
    def line(self) -> str:
        """For people."""
        return f"folder {self.path}"


@dataclass(frozen=True, slots=True)
class File:
    """A file with this text. `keep`: what is there already is somebody's and stays."""

    path: str
    text: str
    mode: int = 0o644
    keep: bool = False

    @property
    def line(self) -> str:
        """For people."""
        return f"file   {self.path}" + (" (kept if there)" if self.keep else "")


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str

    @property
    def line(self) -> str:
        """For people."""
        return f"link   {self.path} -> {self.target}"


@dataclass(frozen=True, slots=True)
class Clear:
    """A folder of ours with everything in it goes, so that it is made anew."""

    path: str
    once: bool = True

    @property
    def line(self) -> str:
        """For people."""
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class Run:
    """A command. `{root}` in a word is the root installed to, "" for this machine.

    `live`: only where this machine's systemd runs; `once`: only when what is installed is another; `changed`:
    only when something was changed before it; `may_fail`: what it says is told and the rest goes on.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    live: bool = False
    once: bool = False
    changed: bool = False
    may_fail: bool = False

    @property
    def line(self) -> str:
        """For people, as a shell has it."""
        words = [f"{name}={word}" for name, word in self.environ.items()]
        words.append(shlex.join(self.argv))
        where = " (where systemd runs)" if self.live else ""
        return f"run    {' '.join(words).replace('{root}', '')}{where}"


Step = Folder | File | Link | Clear | Run


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in which order, what a person should know besides, and what is ours as a whole: folders that
    go with everything in them (`trees`; `cases` only when asked to), and the user."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    fingerprint: str
    trees: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [step.line for step in self.steps] + [f"note   {note}" for note in self.notes]
