"""The sample loop, compiled: what an edge, a row and a pulse mean, and the loop on device nodes that asks.

`state` is its memory, `grid`, `samples` and `pulses` its steps, shared by every backend; `nodes` runs them on
descriptors without interpreter, `runner` is its Python half. Opens no device.
"""

from pathlib import Path

from firmware.loop.freshness import forget_stale

_HERE = Path(__file__).parent
_BENCH, _HW = _HERE.parent / "bench", _HERE.parents[1] / "hw"
COMPILES = forget_stale(
    [
        *_HERE.glob("*.py"),
        _BENCH / "stopwatch.py",
        _HW / "limits.py",
        _HW / "link_messages.py",
        _HW / "frames.py",
    ],
    [_HERE, _BENCH],
)
"""True when what is imported from here must be compiled first, which takes some seconds."""
