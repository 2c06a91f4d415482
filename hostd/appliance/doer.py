"""Carries out a plan below a root, keeps a list of what it made, and takes all of it away again.

A file that is there and not ours is never overwritten. Nothing is decided here.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostd.appliance import places
from hostd.appliance.steps import Clear, File, Folder, Link, Plan, Run
from hostd.errors import EvokdError, UsageError

VERSION = 1
Runner = Callable[[Sequence[str], Mapping[str, str]], str]
Say = Callable[[str], None]


def run_program(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run a command to its end; why it failed in a line, "" when it did not."""
    try:
        ran = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", env={**os.environ, **environ}, check=False
        )
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
    if not ran.returncode:
        return ""
    said = (ran.stderr.strip() or ran.stdout.strip() or f"exit {ran.returncode}").splitlines()[-1]
    return f"{argv[0]}: {said}"


@dataclass(slots=True)
class Manifest:
    """What was made: files and links, folders that were not there before, trees, users."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)


class Doer:
    """Works below `root` ("" is this machine); `live`: this machine's systemd runs and is told."""

    def __init__(self, root: str, live: bool, say: Say, run: Runner = run_program) -> None:
        self._root, self._live, self._say, self._run = root.rstrip("/"), live, say, run
        self._manifest = Manifest()
        self._changed = 0

    def install(self, plan: Plan) -> int:
        """Carry out `plan`; how many things were changed, 0 when all was there. Raises EvokdError."""
        before = self._read() or Manifest()
        ours = {step.path for step in plan.steps if isinstance(step, File | Link)}
        strangers = [path for path in sorted(ours) if path not in before.files and self._stranger(path)]
        if strangers:
            raise UsageError(f"{strangers[0]} is there and not evokd's; move it away first")
        self._changed = 0
        folders = before.folders + self._missing(plan)
        users = before.users or list(plan.users)
        self._manifest = Manifest([], folders, list(plan.trees), users)
        stamped = self._text(places.STAMP) == plan.fingerprint
        with _one_line():
            # First what will be made, so that an installation that breaks off can be repeated or removed.
            intended = Manifest(sorted(ours | set(before.files)), folders, list(plan.trees), users)
            self._folder(places.ETC)
            if before != intended:
                self._write(places.MANIFEST, _as_json(intended), 0o644)
            for step in plan.steps:
                self._do(step, stamped)
            self._file(File(places.STAMP, plan.fingerprint))
            for path in before.files:
                if path not in self._manifest.files:
                    self._unlink(path)
            self._write(places.MANIFEST, _as_json(self._manifest), 0o644)
        return self._changed

    def remove(self, purge: bool) -> None:
        """Take away all that the manifest names; cases stay unless `purge`. Raises EvokdError."""
        found = self._read()
        if found is None:
            raise UsageError(f"{self._root}{places.MANIFEST} is not there: nothing is installed")
        with _one_line():
            self._live_run("systemctl", "stop", "evokd.target")
            self._live_run("systemctl", "reset-failed", "evokd-*")
            if purge:
                self._clear(places.STATE)
            else:
                self._keep_cases()
            for user in found.users:
                self._run_step(Run(("userdel", *(("--prefix", self._root) if self._root else ()), user)))
            # What holds the manifest goes last, so that a removal that was cut short can be repeated.
            for tree in sorted(found.trees, key=lambda tree: tree == places.ETC):
                if tree == places.ETC:
                    for path in found.files:
                        self._unlink(path)
                self._clear(tree)
            for folder in sorted(found.folders, key=len, reverse=True):
                with contextlib.suppress(OSError):  # somebody else's files are in it now
                    self._path(folder).rmdir()
            self._live_run("systemctl", "daemon-reload")
            self._live_run("udevadm", "control", "--reload")

    def _keep_cases(self) -> None:
        """Cases stay and become root's: their owner's number could be somebody else's one day."""
        cases = self._path(places.CASES)
        if cases.is_dir() and any(cases.iterdir()):
            state = f"{self._root}{places.STATE}"
            self._run_step(Run(("chown", "-R", "--no-dereference", "root:root", state), may_fail=True))
            self._say(f"kept   {places.CASES}; --purge takes the cases away too")
        else:
            self._clear(places.STATE)

    def _do(self, step: Folder | File | Link | Clear | Run, stamped: bool) -> None:
        if isinstance(step, Folder):
            self._folder(step.path, step.mode)
        elif isinstance(step, File):
            self._file(step)
        elif isinstance(step, Link):
            self._link(step)
        elif isinstance(step, Clear):
            if not (step.once and stamped):
                self._clear(step.path)
        elif not (step.once and stamped) and not (step.changed and not self._changed):
            self._run_step(step)

    def _run_step(self, step: Run) -> None:
        if step.live and not self._live:
            return
        words = [word.replace("{root}", self._root) for word in step.argv]
        environ = {name: word.replace("{root}", self._root) for name, word in step.environ.items()}
        if step.once:
            self._say(step.line)
            self._changed += 1
        why = self._run(words, environ)
        if why and not step.may_fail:
            raise EvokdError(f"{why}; cure that and run evokd install again, which goes on where it stopped")
        if why:
            self._say(f"note   {why}")

    def _live_run(self, *argv: str) -> None:
        self._run_step(Run(argv, live=True, may_fail=True))

    def _path(self, path: str) -> Path:
        return Path(self._root + path)

    def _missing(self, plan: Plan) -> list[str]:
        """Folders that the plan will make."""
        paths = [Path(s.path) for s in plan.steps if isinstance(s, File | Link)]
        paths = [parent for path in paths for parent in path.parents]
        paths += [
            p for s in plan.steps if isinstance(s, Folder) for p in (Path(s.path), *Path(s.path).parents)
        ]
        return sorted({str(path) for path in paths if not self._path(str(path)).exists()})

    def _stranger(self, path: str) -> bool:
        """Whether somebody else's file is there. A folder of our name is ours."""
        return not path.startswith(f"{places.ETC}/") and os.path.lexists(self._path(path))

    def _text(self, path: str) -> str | None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._path(path).read_text("utf-8")
        return None

    def _folder(self, path: str, mode: int = 0o755) -> None:
        """The folder and those above it."""
        missing = [p for p in (Path(path), *Path(path).parents) if not self._path(str(p)).exists()]
        for folder in reversed(missing):
            self._path(str(folder)).mkdir(mode=mode)
            self._did(f"made   {folder}")

    def _file(self, step: File) -> None:
        self._manifest.files.append(step.path)
        there = self._text(step.path)
        if there == step.text or (step.keep and there is not None):
            return
        self._folder(str(Path(step.path).parent))
        self._write(step.path, step.text, step.mode)
        self._did(f"wrote  {step.path}")

    def _write(self, name: str, text: str, mode: int) -> None:
        path = self._path(name)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text, "utf-8")
        beside.chmod(mode)
        beside.replace(path)

    def _link(self, step: Link) -> None:
        path = self._path(step.path)
        self._manifest.files.append(step.path)
        if path.is_symlink() and str(path.readlink()) == step.target:
            return
        self._folder(str(Path(step.path).parent))
        path.unlink(missing_ok=True)
        path.symlink_to(step.target)
        self._did(f"linked {step.path}")

    def _unlink(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(path).unlink()
            self._did(f"removed {path}")

    def _clear(self, path: str) -> None:
        if self._path(path).exists():
            shutil.rmtree(self._path(path))
            self._did(f"removed {path}")

    def _did(self, line: str) -> None:
        self._changed += 1
        self._say(line)

    def _read(self) -> Manifest | None:
        """What is installed, None for nothing. Raises UsageError for a manifest that is not ours."""
        text = self._text(places.MANIFEST)
        if text is None:
            return None
        try:
            said: dict[str, Any] = json.loads(text)
            if said.pop("version") != VERSION:
                raise ValueError("another version")
            return Manifest(**{name: [str(p) for p in said[name]] for name in Manifest.__slots__})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{self._root}{places.MANIFEST} cannot be read ({error})"
            raise UsageError(f"{what}; restore it, or remove it and install again") from None


def _as_json(manifest: Manifest) -> str:
    listed = {name: sorted(set(getattr(manifest, name))) for name in Manifest.__slots__}
    return json.dumps({"version": VERSION} | listed, indent=1) + "\n"


@contextlib.contextmanager
def _one_line() -> Any:
    """What the file system refuses, in one line. Raises EvokdError."""
    try:
        yield
    except OSError as error:
        raise EvokdError(f"{error.filename}: {error.strerror}; nothing else was done, run it again") from None
