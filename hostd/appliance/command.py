"""`evokd install` and `evokd uninstall`: options, what this machine is, and the plan carried out on it."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hostd.appliance import places
from hostd.appliance.doer import Doer
from hostd.appliance.plan import Facts, Wanted, plan
from hostd.errors import UsageError

TREE = Path(__file__).parents[2]
PACKAGES = ("hw", "firmware", "dsp", "hostd")
UPLOT = "hostd/web/npm/node_modules/uplot/dist"


def add_install_options(p: argparse.ArgumentParser) -> None:
    """Of `evokd install`."""
    _root_option(p)
    p.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    p.add_argument(
        "--source",
        metavar="SOURCE",
        help="pi (usual on a Pi), simulated, serial:/dev/..., or mirror:tcp://HOST:PORT of another box",
    )
    p.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NETWORK",
        help="an address or network that host and web display may talk with, beside this machine; repeatable",
    )
    p.add_argument("--wiring", type=Path, metavar="FILE.toml", help="pins of the board, for --source pi")
    p.add_argument("--tree", type=Path, metavar="DIR", help="evokd's source (usually where this runs from)")
    p.add_argument(
        "--environment", type=Path, metavar="DIR", help="use this Python environment instead of making one"
    )
    p.add_argument("--remove", action="store_true", help="uninstall instead")
    p.add_argument("--purge", action="store_true", help="with --remove: the cases too")


def add_uninstall_options(p: argparse.ArgumentParser) -> None:
    """Of `evokd uninstall`."""
    _root_option(p)
    p.add_argument("--purge", action="store_true", help="the recorded cases too")


def _root_option(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="of a system that is elsewhere"
    )


def install(args: argparse.Namespace) -> int:
    """Raises EvokdError."""
    if args.remove:
        return uninstall(args)
    if args.purge:
        raise UsageError("--purge belongs to --remove: it takes the cases away")
    root = _root(args.root)
    tree = _tree(args.tree) if args.environment is None else None
    environment = None if args.environment is None else _environment(args.environment)
    source = args.source or ("pi" if is_pi(root) else "simulated")
    wanted = Wanted(tree, root, environment, source, _wiring(args.wiring), tuple(args.allow))
    to_do = plan(wanted, _facts(wanted))
    if args.dry_run:
        _say(f"to install on {root or 'this machine'}, in this order:")
        for line in to_do.lines:
            _say(line)
        return 0
    _must_be_root(root)
    live = _live(root)
    if live and _runs() and _installed() != to_do.fingerprint:
        raise UsageError("monitoring runs; stop it when no case does: systemctl stop evokd.target")
    changed = Doer(root, live, _say).install(to_do)
    for note in to_do.notes:
        _say(f"note   {note}")
    if not live and not root:
        _say("note   systemd does not run here; evokd starts with the machine's next start")
    _say(f"installed, {changed} changes" if changed else "installed already, nothing changed")
    return 0


def uninstall(args: argparse.Namespace) -> int:
    """Raises EvokdError."""
    root = _root(args.root)
    _must_be_root(root)
    Doer(root, _live(root), _say).remove(args.purge)
    _say("removed" if args.purge else f"removed, but for the cases in {places.CASES}, if there are any")
    return 0


def is_pi(root: str) -> bool:
    """Whether this machine is a Raspberry Pi; an image's is not known."""
    model = Path("/proc/device-tree/model")
    return not root and model.exists() and "Raspberry Pi" in model.read_text(errors="replace")


def fingerprint(tree: Path | None, *words: str) -> str:
    """Names the content of the source that is installed, and how."""
    digest = hashlib.sha256("\0".join(words).encode())
    if tree is not None:
        files = [path for name in PACKAGES for path in (tree / name).rglob("*") if path.is_file()]
        files += [tree / "pyproject.toml", tree / "constraints.txt"]
        for path in sorted(files):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(tree)}\0".encode() + path.read_bytes())
    return digest.hexdigest() + "\n"


def _facts(wanted: Wanted) -> Facts:
    root = Path(wanted.root or "/")
    beside = ("usr/sbin/chronyd", "lib/systemd/systemd-timesyncd", "usr/lib/systemd/systemd-timesyncd")
    found = next((path for path in beside if (root / path).exists()), "")
    keeps = {"chronyd": "chrony", "systemd-timesyncd": "systemd-timesyncd", "": ""}[Path(found).name]
    passwd = root / "etc" / "passwd"
    lines = passwd.read_text(errors="replace").splitlines() if passwd.exists() else []
    has_user = any(line.startswith(f"{places.USER}:") for line in lines)
    words = (wanted.source.partition(":")[0], str(wanted.environment), sys.version)
    environment = wanted.environment or Path(sys.prefix)
    python = (environment / "bin" / "python").resolve()
    needed = (python,) if wanted.environment is None else (python, wanted.environment)
    return Facts(sys.executable, fingerprint(wanted.tree, *words), keeps, has_user, needed)


def _root(path: Path) -> str:
    if not path.is_dir():
        raise UsageError(f"--root {path} is no folder; name the system's root")
    return "" if path.resolve() == Path("/") else str(path.resolve())


def _tree(given: Path | None) -> Path | None:
    tree = given.resolve() if given is not None else TREE
    if not (tree / "pyproject.toml").exists() or not (tree / "hostd").is_dir():
        if given is None:
            return None
        raise UsageError(f"--tree {given} is not evokd's source")
    if not (tree / UPLOT).is_dir():
        raise UsageError(f"{tree / UPLOT} is missing, which the web display draws with; run make setup first")
    return tree


def _environment(given: Path) -> Path:
    if not os.access(given / "bin" / "python", os.X_OK):
        raise UsageError(f"--environment {given} has no bin/python; name a Python environment with evokd")
    return given.absolute()


def _wiring(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--wiring {path}: {getattr(error, 'strerror', error)}; check the path") from None


def _must_be_root(root: str) -> None:
    if not root and os.geteuid() != 0:
        raise UsageError("this changes the system: run it as root (sudo make install)")


def _live(root: str) -> bool:
    return not root and Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def _runs() -> bool:
    names = ("evokd-edge", "evokd-host")
    ran = subprocess.run(["systemctl", "is-active", "--quiet", *names], check=False)
    return ran.returncode == 0


def _installed() -> str | None:
    stamp = Path(places.STAMP)
    return stamp.read_text("utf-8") if stamp.exists() else None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
