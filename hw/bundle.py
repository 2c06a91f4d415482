"""What an update is: the bundle's bytes and what its manifest may say. Pure; no I/O, no cryptography.

A bundle is its head, then every file's bytes in the manifest's order and nothing else. The head is
`MAGIC`, the manifest's length (u32, little-endian), the manifest (JSON), the signer's public key (32 bytes)
and the Ed25519 signature over `signed(manifest)` (64 bytes). Who may sign is for the edge to say.
"""

import json
import re
import struct
from dataclasses import dataclass
from typing import Any

MAGIC = b"evokd bundle 1\n"
NAME = "evokd-edge"
KEY_BYTES, SIGNATURE_BYTES = 32, 64
MOST_HEAD = 512 * 1024
MOST_FILES = 4000
MOST_FILE_BYTES = 16 << 20
MOST_BYTES = 128 << 20
MOST_PATH, MOST_DEPTH = 200, 10
MOST_BUILD = (1 << 53) - 1
_LENGTH = struct.Struct("<I")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9_.+<>=!~, \[\];'-]{1,100}")
_KEYS = {"name", "version", "build", "may_replace", "link", "python", "requires", "files"}


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file: where below a slot's tree, how long, with which SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is signed. `build` only ever grows; `may_replace` (0: none) is the newest build that this older
    one may take the place of. `python` and `requires` ("numpy>=2.1") have to be on the box already."""

    version: str
    build: int
    files: tuple[BundleFile, ...]
    may_replace: int = 0
    link: str = "0 0"
    python: str = "3.11"
    requires: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.version} (build {self.build})"

    def encode(self) -> bytes:
        """The bytes that are signed, as `decode_manifest` reads them."""
        told = {
            "name": NAME,
            "version": self.version,
            "build": self.build,
            "may_replace": self.may_replace,
            "link": self.link,
            "python": self.python,
            "requires": list(self.requires),
            "files": [[f.path, f.size, f.sha256] for f in self.files],
        }
        return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Head:
    """A bundle's first bytes: the manifest as it was signed, by whom, and the signature."""

    manifest: bytes
    key: bytes = bytes(KEY_BYTES)
    signature: bytes = bytes(SIGNATURE_BYTES)

    def encode(self) -> bytes:
        """As it stands in the file."""
        return MAGIC + _LENGTH.pack(len(self.manifest)) + self.manifest + self.key + self.signature


def signed(manifest: bytes) -> bytes:
    """What the signature is over: nothing else that a key may ever sign begins like this."""
    return MAGIC + manifest


def head_size(start: bytes) -> int:
    """How long the head is, from its first `HEAD_START` bytes. Raises ValueError when it is none."""
    if not start.startswith(MAGIC) or len(start) < HEAD_START:
        raise ValueError("it does not begin as a bundle does")
    size = HEAD_START + int(_LENGTH.unpack_from(start, len(MAGIC))[0]) + KEY_BYTES + SIGNATURE_BYTES
    if size > MOST_HEAD:
        raise ValueError(f"its manifest is longer than {MOST_HEAD} bytes")
    return size


HEAD_START = len(MAGIC) + _LENGTH.size


def decode_head(data: bytes) -> Head:
    """The head that is exactly `data`. Raises ValueError."""
    if len(data) != head_size(data[:HEAD_START]):
        raise ValueError(f"its head is {len(data)} bytes long and should be {head_size(data[:HEAD_START])}")
    manifest_end = len(data) - KEY_BYTES - SIGNATURE_BYTES
    key_end = manifest_end + KEY_BYTES
    return Head(data[HEAD_START:manifest_end], data[manifest_end:key_end], data[key_end:])


def decode_manifest(data: bytes) -> Manifest:
    """What a manifest says. Raises ValueError for everything that it must not say."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("its manifest is not JSON") from None
    if not isinstance(told, dict) or not set(told) >= _KEYS:  # of what is to come nothing is known here
        raise ValueError(f"its manifest must have {', '.join(sorted(_KEYS))}")
    if told["name"] != NAME:
        raise ValueError(f"it is for {told['name']!r}, not for {NAME}")
    words = [told["version"], told["link"], told["python"]]
    if not isinstance(told["requires"], list) or len(told["requires"]) > 100:
        raise ValueError("its manifest's requires is no list")
    for word in [*words, *told["requires"]]:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ValueError(f"its manifest holds {str(word)[:50]!r} where a plain text should be")
    for key in ("build", "may_replace"):
        if not _is_count(told[key], MOST_BUILD):
            raise ValueError(f"its manifest's {key} is no number")
    files = _files(told["files"])
    return Manifest(
        told["version"],
        told["build"],
        files,
        told["may_replace"],
        told["link"],
        told["python"],
        tuple(told["requires"]),
    )


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _files(rows: Any) -> tuple[BundleFile, ...]:
    """Files with paths that stay below the tree, each once and none below another. Raises ValueError."""
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_FILES:
        raise ValueError(f"its manifest must list 1 to {MOST_FILES} files")
    files = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 3:
            raise ValueError("its manifest must give path, size and SHA-256 of each file")
        path, size, sha256 = row
        if not isinstance(path, str) or not _is_path(path):
            raise ValueError(f"path {str(path)[:50]!r} is not allowed in a bundle")
        if not _is_count(size, MOST_FILE_BYTES):
            raise ValueError(f"{path} is longer than {MOST_FILE_BYTES} bytes, or has no length")
        if not isinstance(sha256, str) or not _HASH.fullmatch(sha256):
            raise ValueError(f"{path} has no SHA-256")
        files.append(BundleFile(path, size, sha256))
    paths = {file.path for file in files}
    above = {folder for path in paths for folder in folders_of(path)}
    if len(paths) != len(files) or paths & above:
        raise ValueError("a path stands twice in its manifest, or is a file and a folder")
    if sum(file.size for file in files) > MOST_BYTES:
        raise ValueError(f"its files are more than {MOST_BYTES} bytes")
    return tuple(files)


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return len(path) <= MOST_PATH and len(parts) <= MOST_DEPTH and all(map(_PART.fullmatch, parts))


def folders_of(path: str) -> list[str]:
    """The folders that hold `path`, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]
