"""The true edge on device nodes, as a program for the rig: one JSON job in, one JSON account out.

Job: rate_hz, samples, gain, wiring (as in the TOML file), channels, plans (each is armed first), spin (a
Python thread that never rests), at ({sample: [fault, value]} to inject once it was delivered), on ({fault's
code: the same}), levels (tell those of all lines behind the end, before anything is closed).
"""

import json
import math
import sys
import threading
from typing import Any

import numpy as np

from firmware.errors import EdgeError
from firmware.linux_source import LinuxSource
from firmware.rig.control import RigControl
from firmware.wiring import parse_wiring
from hw.link import Configure, Fault, Reply, StimArm, StimPlan, Stimulus
from hw.samples import SampleBlock


def spin() -> None:
    """Hold the interpreter as much as it lets one."""
    while True:
        sum(range(2000))


class Account:
    """What the source delivered; injects what the job wants while it goes on."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.items: list[Any] = []
        self.samples = 0
        self._at = sorted((int(at), fault) for at, fault in job.get("at", {}).items())

        self._on = dict(job.get("on", {}))

    def put(self, item: Any) -> None:
        self.items.append(item)
        if isinstance(item, SampleBlock):
            self.samples += len(item.counts)
        while self._at and self.samples >= self._at[0][0]:
            self._inject(self._at.pop(0)[1])
        if isinstance(item, Fault) and item.code in self._on:
            self._inject(self._on.pop(item.code))

    def _inject(self, order: list[Any]) -> None:
        with RigControl() as rig:
            if order[0] == "chip":
                rig.chip_fault(order[1], **(order[2] if len(order) > 2 else {}))
            elif order[0] == "clear":
                rig.clear()
            else:
                rig.fault(*order)

    def summary(self) -> dict[str, Any]:
        blocks = [item for item in self.items if isinstance(item, SampleBlock)]
        counts = np.concatenate([block.counts for block in blocks]) if blocks else np.zeros((0, 1), np.int32)
        bits = np.concatenate([block.trigger_bits for block in blocks]) if blocks else np.zeros(0, np.uint8)
        index = np.concatenate([np.arange(b.first_index, b.end_index) for b in blocks] or [np.zeros(0)])
        steps = np.diff(counts[:, 0].astype(np.int64))
        return {
            "samples": len(counts),
            "channels": counts.shape[1],
            "first": counts[:3].tolist(),
            "steps": sorted({int(step) for step in steps}),
            "same_on_all": bool((counts == counts[:, :1]).all()),
            "broken_at": index[1:][(steps < 180) | (steps > 195)].astype(int).tolist()[:50],
            "gaps": [[gap.index, gap.length, gap.reason] for block in blocks for gap in block.gaps],
            "end": blocks[-1].end_index if blocks else 0,
            "high_at": np.flatnonzero(np.diff(bits.astype(int), prepend=0) > 0).tolist(),
            "faults": [[i.code, i.text, i.fatal] for i in self.items if isinstance(i, Fault)],
            "replies": [[i.command, i.refusal] for i in self.items if isinstance(i, Reply) and i.command],
            "stimuli": [[i.line, i.commanded, i.seen] for i in self.items if isinstance(i, Stimulus)],
        }


def main() -> int:
    job = json.loads(sys.argv[1])
    said: list[str] = []
    rate_hz, channels = job["rate_hz"], job.get("channels", 8)
    account = Account(job)
    error, levels = "", {}
    if job.get("spin"):
        threading.Thread(target=spin, daemon=True).start()
    try:
        wiring = parse_wiring(job.get("wiring", {}))
        source = LinuxSource(wiring, job["samples"] / rate_hz, said.append)
        names = tuple(f"c{k}" for k in range(channels))
        none = ("",) * channels
        wanted = Configure(rate_hz, job.get("gain", 1), names, ("site",), none, "", math.nan, ())
        source.configure(wanted)
        for plan in job.get("plans", []):
            source.command(StimArm(0, plan["plan"], job.get("armed", round(rate_hz))))
            source.command(StimPlan(**plan))
        source.run(account.put, threading.Event())
        if job.get("levels"):
            with RigControl() as rig:
                levels = rig.levels()
    except EdgeError as failure:
        error = f"{type(failure).__name__}: {failure}"
    print(json.dumps(account.summary() | {"said": said, "error": error, "levels": levels}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
