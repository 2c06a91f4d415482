"""The rig in lockstep: frames a second, and samples and edges lost over a million."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "tests" / "bench" / "rig_client.py"
FRAMES = 1_000_000
WITHIN_S = 300


def measure(frames: int = FRAMES) -> dict[str, float] | str:
    """`frames_per_s` and `lost` with a compiled client on the ramp; why not, where no rig can run."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "firmware.rig",
            "--body",
            "ramp",
            "--",
            sys.executable,
            str(CLIENT),
            str(frames),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1]
    said = json.loads(ran.stdout)
    lost = said["lost"] + said["lost_edges"] + frames - said["frames"]
    return {"frames_per_s": said["frames"] / said["seconds"], "lost": float(lost)}
