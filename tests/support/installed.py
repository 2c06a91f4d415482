"""A system to install to: a folder with what a Debian root has of what the installer looks at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hostd.appliance.doer import Doer
from hostd.appliance.plan import Facts, Wanted

ENVIRONMENT = Path("/somewhere/venv")


def debian(root: Path) -> Path:
    """Folders and files that are there before, one of them of somebody else."""
    for folder in ("etc/udev/rules.d", "etc/systemd/system", "usr/local/bin", "var/lib", "etc/sysusers.d"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/udev/rules.d/10-theirs.rules").write_text("# theirs\n")
    return root


def listing(root: Path) -> dict[str, str]:
    """Every path below `root` with its content, target or kind."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_text() if path.is_file() else "folder"
    return found


class Programs:
    """Instead of running programs: notes them, does what matters of a few, fails those in `broken`."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.broken = root, list[tuple[str, ...]](), dict[str, str]()

    def __call__(self, argv: Sequence[str], environ: Mapping[str, str]) -> str:
        self.ran.append(tuple(argv))
        if (name := Path(argv[0]).name) in self.broken:
            return f"{name}: {self.broken[name]}"
        if argv[0] == "systemd-tmpfiles":
            (self.root / "var/lib/evokd/cases").mkdir(parents=True, exist_ok=True)
            (self.root / "var/lib/evokd/compiled").mkdir(exist_ok=True)
        if "NUMBA_CACHE_DIR" in environ:
            (Path(environ["NUMBA_CACHE_DIR"]) / "kernel.nbi").write_text("code")
        return ""


class Installer:
    """A doer on a folder, with what it said."""

    def __init__(self, root: Path, live: bool = False) -> None:
        self.said: list[str] = []
        self.programs = Programs(root)
        self.doer = Doer(str(root), live, self.said.append, self.programs)

    def names(self) -> list[str]:
        """Programs in their order."""
        return [Path(argv[0]).name for argv in self.programs.ran]


def wanted(root: Path, **over: object) -> Wanted:
    """With an environment that is there."""
    values = {"tree": None, "root": str(root), "environment": ENVIRONMENT} | over
    return Wanted(**values)  # type: ignore[arg-type]


def facts(fingerprint: str = "one\n", **over: object) -> Facts:
    """Of a machine."""
    return Facts(**({"python": "/usr/bin/python3", "fingerprint": fingerprint} | over))  # type: ignore[arg-type]
