"""The rig as a fixture: a program text in, what it printed out; skips, with the reason, where none runs."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rig.driver import ON_KERNEL
from tests.support.forking import Forks

ROOT = Path(__file__).parents[2]
WITHIN_S = 120


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program on the rig left behind; `said` is its last line of output, as JSON."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> Any:
        assert self.code == 0, self.err[-2000:]
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def counters(self) -> dict[str, int]:
        """The line of --stats."""
        line = next(line for line in self.err.splitlines() if line.startswith("evokd rig: notifications"))
        return {name: int(value) for name, value in (word.split("=") for word in line.split()[2:])}


_UNMET = tuple(name for name in ("spidev", "gpiod", "lgpio") if importlib.util.find_spec(name) is None)


@cache
def forks() -> Forks:
    """Where the rigs of these tests are forked."""
    return Forks("tests.rig.forking")


def spawn(*arguments: str, environment: dict[str, str] | None = None, anew: bool = False) -> Ran:
    """`python -m firmware.rig` with `arguments`, forked where everything is loaded (see tests.rig.forking).

    `anew`: rig and program are processes that start from nothing.
    """
    if ON_KERNEL:
        from tests.rig.forking import run_rig

        return Ran(*run_rig(["--kernel", *arguments], environment or {}))
    wanted = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
    if not anew and not _UNMET:
        return Ran(*forks().run(arguments, wanted, WITHIN_S))
    ran = subprocess.run(
        [sys.executable, "-m", "firmware.rig", *arguments],
        cwd=ROOT,
        env=wanted,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@cache
def why_not() -> str:
    """Why no rig can run here, "" when one can."""
    for package in _UNMET:
        return f"{package} is not installed: pip install -e '.[rig]' (spidev needs a C compiler)"
    ran = spawn("--", "true")
    return "" if ran.code == 0 else ran.err.strip()


@pytest.fixture
def needs_the_rig() -> None:
    """Skips with the reason where no rig can run."""
    pytest.importorskip("gpiod")
    pytest.importorskip("spidev")
    if why_not():
        pytest.skip(why_not())


def lockstep_only(reason: str) -> pytest.MarkDecorator:
    """Not on a real kernel, which keeps its own time."""
    return pytest.mark.skipif(ON_KERNEL, reason=f"a real kernel keeps its own time: {reason}")


@pytest.fixture
def rig() -> Callable[..., Ran]:
    """Runs Python text on the rig: rig(text, *options, path=[...])."""
    if why_not():
        pytest.skip(why_not())

    def run(
        text: str,
        *options: str,
        first_path: str = "",
        environment: dict[str, str] | None = None,
        anew: bool = False,
    ) -> Ran:
        paths = [first_path, str(ROOT)] if first_path else [str(ROOT)]
        changed = {"PYTHONPATH": ":".join(paths)} | (environment or {})
        program = textwrap.dedent(text)
        return spawn(*options, "--", sys.executable, "-c", program, environment=changed, anew=anew)

    return run
