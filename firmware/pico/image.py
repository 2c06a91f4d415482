"""The set of files that runs on the board: MicroPython sources, generated modules, a manifest over both.

Deterministic: the same sources give the same bytes, so that a hash names a set.
"""

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from firmware.errors import EdgeError
from hw.link import TABLE, VERSION

BOARD = Path(__file__).parent / "board"
PACKAGE = "evokd"
MANIFEST = "manifest.json"
GENERATOR = "firmware.pico.generate"
NEEDED = f"{PACKAGE}/edge.py"
"""What the board's main.py starts."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a set says of itself: package version, link version and table hash, SHA-256 by path, and `image`,
    the hash over all of these."""

    version: str
    link: int
    table: str
    files: Mapping[str, str]
    image: str


def build() -> dict[str, bytes]:
    """Path below the board's slot to content, the manifest last. Raises EdgeError for what is missing."""
    files = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted((BOARD / PACKAGE).glob("*.py"))}
    for name, text in sorted(_generated().items()):
        path = f"{PACKAGE}/{name.removeprefix(f'{PACKAGE}/').removesuffix('.py')}.py"
        if path in files:
            raise EdgeError(f"{path} is both a source and generated; remove {BOARD / path}")
        files[path] = text.encode()
    if NEEDED not in files:
        raise EdgeError(f"{BOARD / NEEDED} is missing; install evokd anew")
    return {**files, MANIFEST: as_json(manifest(files))}


def starter() -> bytes:
    """The board's main.py."""
    return (BOARD / "main.py").read_bytes()


def manifest(files: Mapping[str, bytes]) -> Manifest:
    """The manifest over `files`, of this package and its link."""
    hashes = {path: sha256(files[path]) for path in sorted(files)}
    version, table = metadata.version("evokd"), f"{TABLE:08x}"
    return Manifest(version, VERSION, table, hashes, image_hash(version, VERSION, table, hashes))


def image_hash(version: str, link: int, table: str, hashes: Mapping[str, str]) -> str:
    """The one hash of a set; the board's main.py reckons it alike."""
    lines = [
        f"evokd {version}",
        f"link {link} {table}",
        *(f"{hashes[path]}  {path}" for path in sorted(hashes)),
    ]
    return sha256("\n".join(lines).encode())


def as_json(told: Manifest) -> bytes:
    """The manifest as it lies on the board."""
    fields = {
        "version": told.version,
        "link": told.link,
        "table": told.table,
        "image": told.image,
        "files": dict(told.files),
    }
    return (json.dumps(fields, indent=1) + "\n").encode()


def read_manifest(text: str | bytes) -> Manifest | None:
    """What `as_json` wrote; None for anything else, one whose hash is wrong included."""
    try:
        told: Any = json.loads(text)
        files = {str(path): str(digest) for path, digest in told["files"].items()}
        read = Manifest(
            str(told["version"]), int(told["link"]), str(told["table"]), files, str(told["image"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return read if image_hash(read.version, read.link, read.table, files) == read.image else None


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _generated() -> Mapping[str, str]:
    """Of the generator, which is loaded only here: it reads half of the edge. Raises EdgeError."""
    try:
        generator = importlib.import_module(GENERATOR)
    except ModuleNotFoundError as error:
        raise EdgeError(f"{error.name} is missing; install evokd anew") from None
    modules: Mapping[str, str] = generator.modules()
    return modules
