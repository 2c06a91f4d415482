"""How files are handed to processes: each whole to one, those that share a recorded session to the same.

A slow day is no failure: examples of hypothesis have no deadline, here as in CI.
"""

import gc
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "evokd", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("evokd")
ROOT = Path(__file__).parents[1]
SHARES_A_SESSION = "from tests.hostd.conftest import Live"


def pytest_collection_finish() -> None:
    """Seven thousand tests and all that they import stay until the end: the collector need not go through
    half a million objects again and again, which was every 25th second of processor time."""
    gc.collect()
    gc.freeze()


@cache
def scope(file: str) -> str:
    """What goes to one process with `file`: the session of tests/hostd/conftest.py is recorded once."""
    path = ROOT / file
    return "live" if path.is_file() and SHARES_A_SESSION in path.read_text(encoding="utf-8") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(super()._split_scope(nodeid))

    return Scheduling(config, log)
