"""The stimulus campaign: what may never happen, looked for in very many random sequences, pulses and faults.

`python -m tests.stimuli`, which `make faults` begins with; the ordinary suite runs slices of it. Its compiled
harness is forgotten when its own sources or those of the loop have changed.
"""

from pathlib import Path

import firmware.loop
from firmware.loop.freshness import forget_stale

_HERE = Path(__file__).parent
_LOOP = Path(firmware.loop.__file__).parent
_HW = _LOOP.parents[1] / "hw"
forget_stale(
    [*_HERE.glob("*.py"), *_LOOP.glob("*.py"), _HW / "limits.py", _HW / "link_messages.py"],
    [_HERE],
)
