"""The densest pulses through the edge on the rig's device nodes, as a program for the rig; JSON out.

Usage: on_nodes.py PULSES. The rig runs in lockstep: every edge waits until the program has read.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from firmware.linux_source import LinuxSource
from firmware.wiring import parse_wiring
from tests.stimuli.pulses import RATE_HZ, Matched, samples_for, through

ROOT = Path(__file__).parents[2]


def main() -> int:
    n = int(sys.argv[1])
    source = LinuxSource(parse_wiring({}), samples_for(n) / RATE_HZ, lambda said: None)
    print(json.dumps(asdict(through(source, n))))
    return 0


def measure(n: int, within_s: float = 600) -> Matched | str:
    """`n` pulses on a rig of its own; why not, where none can run."""
    ran = subprocess.run(
        [sys.executable, "-m", "firmware.rig", "--body", "ramp", "--", sys.executable, __file__, str(n)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=within_s,
    )
    if ran.returncode:
        return (ran.stderr.strip() or "the rig said nothing").splitlines()[-1]
    return matched(ran.stdout)


def matched(out: str) -> Matched:
    """From the program's output."""
    said = json.loads(out.strip().splitlines()[-1])
    return Matched(said["pulses"], tuple(said["wrong"]), {int(k): n for k, n in said["lags"].items()})


if __name__ == "__main__":
    sys.exit(main())
