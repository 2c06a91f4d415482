"""The displays of `hostd/clients`, each as the command that runs it; what is absent skips with the reason."""

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.session import ROOT

CLIENTS = ROOT / "hostd" / "clients"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
PYTHON = CLIENTS / "python" / "display.py"


@functools.cache
def _folder() -> Path:
    """Where they are made, once for all tests of a process."""
    path = Path(tempfile.mkdtemp(prefix="evokd-displays-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def _javascript() -> list[str]:
    """Node's, beside the modules that are installed for the tests."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here")
    if not NODE_MODULES.is_dir():
        pytest.skip("no tests/node/node_modules: npm install --prefix tests/node --no-package-lock")
    shutil.copy(CLIENTS / "javascript" / "display.mjs", _folder())
    (_folder() / "node_modules").symlink_to(NODE_MODULES)
    return [program, str(_folder() / "display.mjs")]


@functools.cache
def _c() -> list[str]:
    """The C display, with every access checked."""
    for tool, package in (("make", "make"), ("cc", "gcc libc6-dev"), ("pkg-config", "pkg-config")):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here: apt-get install {package}")
    for names, package in ((("libzmq",), "libzmq3-dev"), (("msgpack", "msgpack-c"), "libmsgpack-dev")):
        if not any(subprocess.run(["pkg-config", "--exists", name]).returncode == 0 for name in names):
            pytest.skip(f"no {names[0]} here: apt-get install {package}")
    for name in ("display.c", "Makefile"):
        shutil.copy(CLIENTS / "c" / name, _folder())
    made = subprocess.run(["make", "checked"], cwd=_folder(), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return [str(_folder() / "display")]


def command(language: str) -> list[str]:
    """What runs the display of a language."""
    if language == "python":
        return [sys.executable, str(PYTHON)]
    return _javascript() if language == "javascript" else _c()
