"""Runs the true edge on a rig and reads its account: what the tests of the edge on nodes share."""

import json
import sys
from typing import Any

from tests.rig.conftest import ON_KERNEL, ROOT, spawn

# A kernel keeps real time, and the guest's processor is a slow one.
RATE_HZ, SEVERAL_HZ, PYTHON_HZ = (500, 250, 250) if ON_KERNEL else (4000, 1000, 1000)
SPUN, SEVERAL, MANY, LONG, LONGER = (
    (1_000, 1_000, 2_000, 2_000, 4_000) if ON_KERNEL else (8_000, 4_000, 20_000, 8_000, 60_000)
)
LOST_BY_PYTHON = 30 if ON_KERNEL else 0
"""A loop in Python is late now and then in real time: counted, a percent at most."""
PROGRAM = [sys.executable, str(ROOT / "tests" / "support" / "edge_on_nodes.py")]
PLAN = {"command": 5, "plan": 1, "line": 1, "period": 400, "phase": 100, "hold": 4, "count": 0}


def edge(
    job: dict[str, Any], *options: str, env: dict[str, str] | None = None, anew: bool = False
) -> dict[str, Any]:
    """The account of the edge doing `job` on a rig with `options`; electrodes see a ramp. See `spawn`."""
    ran = spawn("--body", "ramp", *options, "--", *PROGRAM, json.dumps(job), environment=env, anew=anew)
    account: dict[str, Any] = ran.said
    return account


def right(account: dict[str, Any]) -> bool:
    """Every sample is the one after the last, on all channels; a break only where a gap is."""
    after_gaps = {gap[0] + gap[1] for gap in account["gaps"]}
    return account["same_on_all"] and set(account["broken_at"]) <= after_gaps | {1}
