"""CURVE keys: one small text file each, in a directory that nobody else may write to.

`NAME.key` says name, role and public key and may be shown to anybody; `NAME.secret` is the client's half with
the box's public key beside it, and is all that a client needs; `server.key` and `server.secret` are the box's
own; `NAME.revoked` was a key. Refuses a secret that others may read, and a directory that others may write
to.
"""

import re
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85

from hostd.errors import UsageError
from hostd.peers import KEY_ROLES, Key, KeyRole

SERVER = "server"
RESERVED = (SERVER, "evokd", "unknown")
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Secret:
    """A client's key pair and the public key of the box that it is for; all Z85."""

    name: str
    role: str
    public: str
    secret: str
    server: str

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Make `socket` prove this key to the box, and the box prove its own, before it connects."""
        socket.curve_publickey = self.public.encode()
        socket.curve_secretkey = self.secret.encode()
        socket.curve_serverkey = self.server.encode()


def default_keys() -> Path:
    """Where keys are unless told otherwise."""
    return Path.home() / ".evokd" / "keys"


def new_server(folder: Path) -> str:
    """Make the box's own pair; its public key. Raises UsageError when there is one."""
    _make(folder)
    for path in (folder / f"{SERVER}.secret", folder / f"{SERVER}.key"):
        if path.exists():
            raise UsageError(
                f"{path} is there; every client knows it. To begin anew, remove {SERVER}.key and "
                f"{SERVER}.secret and make every client's key again"
            )
    public, secret = _pair()
    _write(folder / f"{SERVER}.secret", 0o600, {"name": SERVER, "public": public, "secret": secret})
    _write(folder / f"{SERVER}.key", 0o644, {"name": SERVER, "public": public})
    return public


def new_client(folder: Path, name: str, role: KeyRole) -> Path:
    """Make a client's pair; the path of its secret. Raises UsageError for a name that is taken or is none."""
    _check_name(name)
    server = server_secret(folder).public
    for taken in (folder / f"{name}.key", folder / f"{name}.secret", folder / f"{name}.revoked"):
        if taken.exists():
            raise UsageError(f"{taken} is there, and the record knows one key by this name; choose another")
    public, secret = _pair()
    said = {"name": name, "role": role, "public": public}
    path = folder / f"{name}.secret"
    _write(path, 0o600, said | {"secret": secret, "server": server})
    _write(folder / f"{name}.key", 0o644, said | {"made": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    return path


def revoke(folder: Path, name: str) -> None:
    """End a key: its public half becomes NAME.revoked, its secret, if it is here, is removed."""
    _check_name(name)
    path = folder / f"{name}.key"
    if not path.exists():
        known = ", ".join(key.name for key in listed(folder)) or "none"
        raise UsageError(f"no key {name!r} in {folder}; there are: {known}")
    try:
        path.rename(path.with_suffix(".revoked"))
        path.with_suffix(".secret").unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be revoked: {error.strerror}; run it as the directory's owner"
        ) from None


def listed(folder: Path) -> list[Key]:
    """Every client's public key, by name. Raises UsageError for the first file that is not one."""
    _check_folder(folder)
    known: dict[str, Key] = {}
    for path in sorted(folder.glob("*.key")):
        if path.stem != SERVER:
            _add(known, path)
    return list(known.values())


def server_secret(folder: Path) -> Secret:
    """The box's own pair. Raises UsageError when there is none, or others may read it."""
    _check_folder(folder)
    path = folder / f"{SERVER}.secret"
    if not path.exists():
        raise UsageError(f"no {path.name} in {folder}; make it with: evokd keys server --keys {folder}")
    said = _read_secret(path, ("name", "public", "secret"))
    return Secret(SERVER, SERVER, said["public"], said["secret"], said["public"])


def client_secret(where: Path, name: str | None = None) -> Secret:
    """A client's own pair: of the file `where`, or of the directory, by `name` unless it has only one.

    Raises UsageError, naming what is missing."""
    if where.is_dir():
        _check_folder(where)
        names = sorted(path.stem for path in where.glob("*.secret") if path.stem != SERVER)
        if name is None and len(names) != 1:
            which = f"it has {', '.join(names)}: say which by --as NAME" if names else "it has none"
            raise UsageError(f"{where} has not one client's secret; {which}")
        where = where / f"{name or names[0]}.secret"
    if not where.exists():
        raise UsageError(f"no secret {where}; evokd keys new makes one at the box")
    said = _read_secret(where, ("name", "role", "public", "secret", "server"))
    return Secret(**{field: said[field] for field in ("name", "role", "public", "secret", "server")})


def shown_secret(text: str) -> Secret:
    """A client's own pair from the text of its `.secret` file, as somebody shows it. Raises UsageError."""
    fields = ("name", "role", "public", "secret", "server")
    said = _parsed(text, "this key", fields)
    _check_pair(said, "this key")
    return Secret(**{field: said[field] for field in fields})


def own_display(folder: Path) -> Secret:
    """The observer's key that `evokd run` gives its own displays, made when there is none."""
    for name in ("display", *(f"display-{k}" for k in range(2, 100))):
        key, secret = folder / f"{name}.key", folder / f"{name}.secret"
        if key.exists() and secret.exists():
            return client_secret(secret)
        if not any(path.exists() for path in (key, secret, folder / f"{name}.revoked")):
            return client_secret(new_client(folder, name, "observer"))
    raise UsageError(f"{folder} has a hundred displays that were revoked; remove their .revoked files")


class KeyRing:
    """The keys that a running box knows. Follows its directory; one thread.

    A file that turns bad while it runs counts as no key, and is told in `faults`. Raises UsageError at first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = server_secret(folder)
        self.faults: list[str] = []
        self._by_public = {key.public: key for key in listed(folder)}
        self._seen = self._look()

    def of(self, public: str) -> Key | None:
        """The key with this public half, None when it is unknown or was revoked."""
        return self._by_public.get(public)

    def refresh(self) -> bool:
        """Read again what has changed; whether anything has. A directory that is gone changes nothing: nobody
        is locked out of a case by a disk."""
        if not self.folder.is_dir():
            self.faults = [f"keys: {self.folder} is gone; the keys known so far stay good"]
            return False
        seen = self._look()
        if seen == self._seen:
            return False
        known: dict[str, Key] = {}
        self._seen, self.faults = seen, []
        for path, *_ in seen:
            try:
                _add(known, Path(path))
            except UsageError as error:
                self.faults.append(f"keys: {error}")
        self._by_public = known
        return True

    def _look(self) -> list[tuple[str, int, int]]:
        found = []
        for path in sorted(self.folder.glob("*.key")):
            try:
                about = path.stat()
            except OSError:  # gone between the two
                continue
            if path.stem != SERVER:
                found.append((str(path), about.st_mtime_ns, about.st_size))
        return found


def _pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _check_name(name: str) -> None:
    if not re.fullmatch(_NAME, name):
        raise UsageError(f"{name!r} is no name for a key; up to 32 letters, digits, _ and -, e.g. anna")
    if name.lower() in RESERVED:
        raise UsageError(f"{name!r} is not free for a client; choose another name")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--keys {folder}: {error.strerror}; name a directory of yours") from None
    _check_folder(folder)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(
            f"no directory {folder}; make the box's keys with: evokd keys server --keys {folder}"
        )
    if folder.stat().st_mode & 0o022:
        raise UsageError(
            f"{folder} may be written to by others, who could add keys; cure: chmod 700 {folder}"
        )


def _write(path: Path, mode: int, said: Mapping[str, str]) -> None:
    text = "".join(f'{name} = "{value}"\n' for name, value in said.items())
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=mode, exist_ok=False)
        fresh.write_text(text, encoding="ascii")
        fresh.rename(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name a directory of yours") from None


def _read(path: Path, fields: tuple[str, ...]) -> dict[str, str]:
    """The fields of a key file, all of them text. Raises UsageError."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return _parsed(text, str(path), fields)


def _parsed(text: str, where: str, fields: tuple[str, ...]) -> dict[str, str]:
    """The fields of a key file's text; others may be there too. Raises UsageError, naming `where`."""
    try:
        said: dict[str, Any] = tomllib.loads(text[:_MOST_BYTES])
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no key file: {' '.join(str(error).split())}; make it again") from None
    for field in fields:
        if not isinstance(said.get(field), str):
            raise UsageError(f"{where} has no text {field!r}; make it again with evokd keys")
    for field in ("public", "secret", "server"):
        if field in fields and not _is_key(said[field]):
            raise UsageError(
                f"{where}: {field!r} is no key of 40 characters in Z85; make it again with evokd keys"
            )
    return said


def _check_pair(said: Mapping[str, str], where: str) -> None:
    if zmq.curve_public(said["secret"].encode()).decode() != said["public"]:
        raise UsageError(f"{where}: 'public' is not the key that belongs to 'secret'; make it again")


def _is_key(text: str) -> bool:
    if len(text) != 40 or not text.isascii():
        return False
    try:
        return bool(z85.encode(z85.decode(text)).decode() == text)
    except (ValueError, KeyError, struct.error):
        return False


def _read_secret(path: Path, fields: tuple[str, ...]) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise UsageError(f"{path} may be read by others and is no secret any more; cure: chmod 600 {path}")
    said = _read(path, fields)
    _check_pair(said, str(path))
    return said


def _add(known: dict[str, Key], path: Path) -> None:
    """One more public half, by itself. Raises UsageError for a file that is none, or another's again."""
    key = _client(path)
    if key.public in known:
        raise UsageError(f"{path} has the same key as {known[key.public].name}; remove one of them")
    known[key.public] = key


def _client(path: Path) -> Key:
    """The public half of a client's key."""
    said = _read(path, ("name", "role", "public"))
    if said["role"] not in KEY_ROLES:
        raise UsageError(f"{path}: role {said['role'][:40]!r} is not one of {', '.join(KEY_ROLES)}")
    if said["name"] != path.stem:
        raise UsageError(f"{path}: it is named {said['name'][:40]!r}; a key's file has its name")
    return Key(said["name"], said["role"], said["public"])
