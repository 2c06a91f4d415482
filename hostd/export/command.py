"""`evokd export` and `evokd identity`: which exporter, where to, whole or not at all.

An export is written under another name in the folder where it is to be and renamed when it is whole; what
fails or is interrupted leaves nothing behind. Refuses to write over anything.
"""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from hostd.errors import EvokdError, RecordingError, UsageError
from hostd.export import identity
from hostd.export.identity import Identity
from hostd.export.record import Record

Writer = Callable[[Record, Path, tuple[str, ...], Identity | None], None]
FORMS: dict[str, tuple[str, str]] = {
    "edf": ("edf_averages.write_folder", "_edf"),
    "bdf": ("raw_files.write_folder", "_bdf"),
    "bids": ("bids.write_folder", "_bids"),
    "csv": ("csv_tables.write_folder", "_csv"),
    "html": ("html.write_file", ".html"),
    "pdf": ("pdf.write_file", ".pdf"),
}
"""Function and default ending of each form; those without a dot are folders."""


def export(folder: Path, to: str, out: Path | None, test: str | None, with_identity: bool) -> Path:
    """Export the case in `folder`; the path written. Raises UsageError, RecordingError, one line each."""
    function, ending = FORMS[to]
    if with_identity and to == "bids":
        raise UsageError("--to bids never holds an identity; leave --identity out")
    record = Record(folder)
    who = identity.read(folder) if with_identity else None
    out = folder / "export" / f"{record.id}{ending}" if out is None else out
    tests = _tests(record, test)
    module, _, name = function.partition(".")
    write: Writer = getattr(import_module(f"hostd.export.{module}"), name)
    with _whole(out, private=who is not None) as temporary:
        write(record, temporary, tests, who)
    return out


def _tests(record: Record, chosen: str | None) -> tuple[str, ...]:
    known = tuple(plan.name for plan in record.plans)
    if chosen is None:
        return known
    if chosen not in known:
        raise UsageError(f"--test {chosen!r} is not in the case; it has {', '.join(known)}")
    return (chosen,)


@contextlib.contextmanager
def _whole(out: Path, private: bool) -> Iterator[Path]:
    """A path to write to, which becomes `out` at the end, or is removed. `private`: for the owner alone."""
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists; remove it, or choose another --out")
    temporary: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".evokd-export-", dir=out.parent))
        with _interruptible():
            yield temporary / out.name
            if private:
                for path in (temporary / out.name, *(temporary / out.name).rglob("*")):
                    path.chmod(0o700 if path.is_dir() else 0o600)
            (temporary / out.name).rename(out)
    except EvokdError:
        raise
    except OSError as error:
        if temporary is None:
            raise UsageError(f"--out {out}: {error.strerror or error}; choose another place") from None
        raise RecordingError(
            f"{out} cannot be written: {error.strerror or error}; nothing is left of it"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the export as a fault does."""

    def stop(number: int, frame: object) -> NoReturn:
        raise EvokdError("export interrupted; nothing is left of it")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
