"""Bundles from a source tree, and what a bundle file holds.

A bundle has the edge's own packages as source: `hw`, `firmware`, and a `vendor` folder if there is one. What
they need of others is installed on the box, named in the manifest with its least version and looked for by
the health check. The same tree makes the same bytes.
"""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from firmware.errors import ConfigError
from firmware.update.disk import FolderDisk, replace
from hw.bundle import (
    HEAD_START,
    BundleFile,
    Head,
    Manifest,
    decode_head,
    decode_manifest,
    head_size,
)

PACKAGES = ("hw", "firmware", "vendor")
EDGE_NEEDS = ("numpy", "numba", "pyserial", "pynacl")
"""The distributions that an edge imports whatever its source."""
SAY_LINK = "from hw.link import TABLE, VERSION; print(f'{VERSION} {TABLE:08x}')"


def make(tree: Path, build: int, may_replace: int = 0) -> tuple[Manifest, bytes]:
    """Manifest and payload of the tree. Raises ConfigError for what is no source tree of evokd."""
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        version, python, wanted = project["version"], project["requires-python"], project["dependencies"]
    except OSError as error:
        raise ConfigError(f"{tree}/pyproject.toml: {error.strerror}; name evokd's source tree") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, LookupError) as error:
        raise ConfigError(f"{tree}/pyproject.toml is not evokd's: {error}") from None
    requires = tuple(w for w in wanted if re.split(r"[^A-Za-z0-9_-]", w)[0].lower() in EDGE_NEEDS)
    files, payload = [], bytearray()
    for path in _sources(tree):
        data = path.read_bytes()
        name = path.relative_to(tree).as_posix()
        files.append(BundleFile(name, len(data), hashlib.sha256(data).hexdigest()))
        payload += data
    link = _link(tree)
    manifest = Manifest(version, build, tuple(files), may_replace, link, python.lstrip(">="), requires)
    try:
        decode_manifest(manifest.encode())
    except ValueError as error:
        raise ConfigError(f"{tree} cannot be a bundle: {error}") from None
    return manifest, bytes(payload)


def _link(tree: Path) -> str:
    """The link's version and message table, as the tree itself says. Raises ConfigError."""
    said = subprocess.run(
        [sys.executable, "-P", "-c", SAY_LINK],
        env={**os.environ, "PYTHONPATH": str(tree.absolute()), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        why = (said.stderr.strip().splitlines() or ["it ended"])[-1]
        raise ConfigError(f"{tree}/hw/link.py does not say which link it speaks: {why}")
    return said.stdout.strip()


def _sources(tree: Path) -> Iterator[Path]:
    for package in PACKAGES:
        if package != "vendor" and not (tree / package).is_dir():
            raise ConfigError(f"{tree} has no folder {package}; name evokd's source tree")
        for path in sorted((tree / package).rglob("*")):
            if path.is_symlink():
                raise ConfigError(f"{path} is a link, which a bundle cannot hold; put the file there")
            hidden = any(
                part.startswith(".") or part == "__pycache__" for part in path.parts[len(tree.parts) :]
            )
            if path.is_file() and not hidden and path.suffix != ".pyc":
                yield path


def write(path: Path, head: Head, payload: bytes) -> None:
    """The bundle, whole or not at all. Raises ConfigError."""
    try:
        replace(FolderDisk(path.absolute().parent), f"./{path.name}", head.encode() + payload)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; check the path") from None


def read(path: Path) -> tuple[Head, Manifest, bytes]:
    """A bundle's parts, every file with its hash. Raises ConfigError for a damaged one."""
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_START)
            head = decode_head(start + file.read(head_size(start) - len(start)))
            manifest = decode_manifest(head.manifest)
            payload = file.read(manifest.size + 1)
    except OSError as error:
        raise ConfigError(f"bundle {path}: {error.strerror}; check the path") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no bundle: {error}") from None
    if len(payload) != manifest.size:
        raise ConfigError(f"{path} is not as long as its manifest says; get it anew")
    at = 0
    for one in manifest.files:
        if hashlib.sha256(payload[at : at + one.size]).hexdigest() != one.sha256:
            raise ConfigError(f"{path}: {one.path} is damaged; get it anew")
        at += one.size
    return head, manifest, payload
