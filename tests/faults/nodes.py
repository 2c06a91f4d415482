"""Faults of chips, buses and interrupts: the Linux edge on simulated device nodes (`tests/rig`), in lockstep.

Each run is one fault at a sample that the seed picks, while a line stimulates. The electrodes see a ramp, so
that every sample tells whether it is the one after the last. Needs the rig (Linux, root, gpiod and spidev).
"""

import random

from tests.faults.measured import Measured
from tests.rig.on_nodes import LONGER, PLAN, RATE_HZ, edge, right

FREED = {"no_data_ready": ["clear"]}
FAULTS = (
    "transfer_error_in",
    "short_in",
    "missing_edge_every",
    "double_edge_every",
    "stuck_ready",
    "vanished",
    "stale_frame",
    "header_corrupted",
    "lost_data_ready",
    "chip_reset",
)
CHIP = FAULTS[6:]


def inject(seed: int) -> Measured:
    """One fault: transfers that fail, interrupts lost or doubled or stuck, devices unplugged, a chip that
    says nonsense or resets itself."""
    chance, measured = random.Random(seed), Measured(1)
    name, at = FAULTS[seed % len(FAULTS)], chance.randrange(500, 3000)
    order = [name, chance.choice((50, 100, 333))]
    if name in CHIP:
        order = ["chip", name, {"value": chance.choice((50, 100))}]
    elif name == "vanished":
        order = [name, True]
    job = {"rate_hz": RATE_HZ, "samples": LONGER if name in ("stuck_ready", "chip_reset") else 8000}
    job |= {"at": {str(at): order}, "on": FREED, "plans": [PLAN]}
    if name == "short_in":
        job["at"] = {str(at): ["short_bytes", chance.randrange(1, 27)], str(at + 1): order}
    account = edge(job)
    _judge(name, account, measured)
    measured.wrong = [f"{name} at {at}: {text}" for text in measured.wrong]
    return measured


def _judge(name: str, account: dict[str, object], measured: Measured) -> None:
    gaps, high = account["gaps"], account["high_at"]
    stimuli, faults = account["stimuli"], account["faults"]
    assert isinstance(gaps, list) and isinstance(high, list)
    assert isinstance(stimuli, list) and isinstance(faults, list)
    missing = sum(gap[1] for gap in gaps)
    measured.samples, measured.pulses = int(str(account["samples"])), len(high)
    measured.lost_s = missing / RATE_HZ
    if measured.samples + missing != account["end"] or not right(account):
        measured.uncounted += 1
        measured.wrong.append(f"{measured.samples} samples and {missing} missing of {account['end']}")
    if len(high) > len(stimuli):
        measured.uncommanded += len(high) - len(stimuli)
        measured.wrong.append(f"{len(high)} rises in the samples, {len(stimuli)} pulses told")
    if bool(account["error"]) != (name == "vanished"):
        measured.wrong.append(f"the edge ended: {account['error']!r}")
    if not (gaps or faults or account["error"]) and name != "double_edge_every":
        measured.wrong.append("nothing was told of it")
