"""Cases of removal: what the chip, and what was open of it, answer when it is gone.

Owns the end: nothing can be asked afterwards, so registry.py asks these last.
"""

from functools import cache
from typing import Any

from firmware.rig import uapi as u
from tests.rig.kernel_rules.chip import Chip
from tests.rig.kernel_rules.fd import IN, Handle, Lines, outcome
from tests.rig.kernel_rules.other_end import drive, rig
from tests.rig.kernel_rules.registry import case


@cache
def _removed() -> tuple[Chip, Lines, Handle]:
    """The chip is gone; what was open by then."""
    chip = Chip()
    chip.watch(22)
    drive(20, 0)
    lines, handle = chip.lines(IN, 20), chip.handle(u.V1_REQUEST_OUTPUT, 21)
    rig().fault("vanished")
    return chip, lines, handle


@case
def removal() -> Any:
    """gpiochip_remove: whatever is asked of the chip or of a line is ENODEV."""
    chip, lines, handle = _removed()
    return {
        "chip": [outcome(chip.info, 20), outcome(chip.lines, IN, 25), outcome(chip.unwatch, 22)],
        "lines": [outcome(lines.values), outcome(lines.put, 1), outcome(lines.configure, IN)],
        "handle": [outcome(handle.values), outcome(handle.put, 1)],
        "unknown": [outcome(fd.ioctl, 0xC00CB47F, bytes(12)) for fd in (chip, lines, handle)],
    }


@case
def removal_reads() -> Any:
    """gpiochip_remove: descriptors hang up, reads are ENODEV, the node cannot be opened."""
    chip, lines, _ = _removed()
    return {
        "poll": [chip.ready(), lines.ready()],
        "read": [chip.read_size(4096), lines.read_size(4096), lines.read_size(4096), lines.read_size(1)],
        "open": outcome(Chip),
    }
