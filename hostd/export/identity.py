"""Who the patient is: `patient.toml` beside a case, kept apart from everything else of it.

Written by `evokd identity`, read by an export that was asked for it by `--identity`, and by nothing else: no
other file of a case, no message and no other export holds any of it. Refuses a file that others may read.
"""

import os
import re
import stat
import tomllib
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from hostd.errors import RecordingError, UsageError
from hw.raw_bdf import edf_date

NAME = "patient.toml"
LONGEST = 200
_SEX = ("F", "M", "X")


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known; "" is not. `born` is YYYY-MM-DD, `sex` F, M or X."""

    name: str = ""
    id: str = ""
    born: str = ""
    sex: str = ""
    note: str = ""

    def fields(self) -> list[tuple[str, str]]:
        """What is known, by name, in order."""
        return [(k, v) for k, v in msgspec.structs.asdict(self).items() if v]

    def edf_field(self) -> str:
        """As EDF+ writes a patient: code, sex, birthdate, name; X where something is not known. 80 characters
        of ASCII at most."""
        born = edf_date(date.fromisoformat(self.born)) if self.born else "X"
        sex = self.sex if self.sex in ("F", "M") else "X"
        parts = (_word(self.id) or "X", sex, born, _word(self.name) or "X")
        return " ".join(parts)[:80]


def _word(text: str) -> str:
    plain = unicodedata.normalize("NFKD", "_".join(text.split()))
    return "".join(c if c.isascii() else "?" for c in plain if not unicodedata.combining(c))


def read(folder: Path) -> Identity:
    """The identity beside a case. Raises UsageError, one line, when there is none or it is no good."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise UsageError(f"{path} can be read by others (mode {mode:04o}); chmod 600 it first")
            return _checked(tomllib.loads(file.read(1 << 16).decode()), str(path))
    except FileNotFoundError:
        raise UsageError(f"{folder} has no {NAME}; evokd identity {folder} name=... writes one") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is no TOML: {error}; write it by evokd identity") from None


def write(folder: Path, given: Mapping[str, str]) -> Identity:
    """Put `given` beside the case in `folder`, over what is there; an empty value takes a field away.

    Mode 0600 from its first moment, and whole or not at all. Raises UsageError, RecordingError.
    """
    if not (folder / "case.sqlite").is_file():
        raise UsageError(f"{folder} is no case: it has no case.sqlite; name the directory of a case")
    before = msgspec.structs.asdict(read(folder)) if (folder / NAME).exists() else {}
    identity = _checked({**before, **given}, "evokd identity")
    lines = ["# Who the patient is: read by evokd export --identity and by nothing else.\n"]
    lines += [f"{key} = {_quoted(value)}\n" for key, value in identity.fields()]
    temporary = folder / f".{NAME}.{os.getpid()}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(fd)
        temporary.replace(folder / NAME)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecordingError(f"{folder / NAME} cannot be written: {error.strerror}") from None
    return identity


def _checked(values: Mapping[str, object], where: str) -> Identity:
    known = [f.name for f in msgspec.structs.fields(Identity)]
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{where}: {key!r} is not one of {', '.join(known)}")
        if not isinstance(value, str | date) or len(str(value)) > LONGEST or not str(value).isprintable():
            raise UsageError(f"{where}: {key} is one line of text, {LONGEST} characters at most")
    identity = Identity(**{key: str(value).strip() for key, value in values.items()})
    if identity.sex and identity.sex not in _SEX:
        raise UsageError(f"{where}: sex is one of {', '.join(_SEX)}")
    if identity.born:
        try:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", identity.born):
                raise ValueError
            date.fromisoformat(identity.born)
        except ValueError:
            raise UsageError(f"{where}: born is a date, as 1980-02-29") from None
    return identity


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
