"""The displays of `hostd/clients`, each as the command that runs it; skips, with the reason, what is absent."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.session import ROOT

CLIENTS = ROOT / "hostd" / "clients"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
PYTHON = CLIENTS / "python" / "display.py"


@functools.lru_cache
def javascript(folder: Path) -> list[str]:
    """Node's, copied into `folder`, beside the modules that are installed for the tests."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here")
    if not NODE_MODULES.is_dir():
        pytest.skip("no tests/node/node_modules: npm install --prefix tests/node --no-package-lock")
    shutil.copy(CLIENTS / "javascript" / "display.mjs", folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    return [program, str(folder / "display.mjs")]


@functools.lru_cache
def c(folder: Path) -> list[str]:
    """The C display, built in `folder` with every access checked."""
    for tool, package in (("make", "make"), ("cc", "gcc libc6-dev"), ("pkg-config", "pkg-config")):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here: apt-get install {package}")
    for library, package in ((("libzmq",), "libzmq3-dev"), (("msgpack", "msgpack-c"), "libmsgpack-dev")):
        if not any(subprocess.run(["pkg-config", "--exists", name]).returncode == 0 for name in library):
            pytest.skip(f"no {library[0]} here: apt-get install {package}")
    for name in ("display.c", "Makefile"):
        shutil.copy(CLIENTS / "c" / name, folder)
    made = subprocess.run(["make", "checked"], cwd=folder, capture_output=True, text=True)
    if "cannot find -lasan" in made.stderr:
        pytest.skip("no libasan here: it comes with gcc")
    assert made.returncode == 0, made.stderr
    return [str(folder / "display")]


def command(language: str, folder: Path) -> list[str]:
    """What runs the display of a language."""
    if language == "python":
        return [sys.executable, str(PYTHON)]
    return javascript(folder) if language == "javascript" else c(folder)
