"""Signatures of the kernels, for all who implement them: compiled at import, never after the first sample.

Inputs may be read-only: sample blocks are, once they are queued. Arrays are C order, (time, channel).
"""

from numba import types

F1, F2, F3 = (types.Array(types.float64, n, "C") for n in (1, 2, 3))
S1, S2, S3 = (types.Array(types.float32, n, "C") for n in (1, 2, 3))
U1 = types.Array(types.uint8, 1, "C")
I1, I2 = (types.Array(types.int32, n, "C") for n in (1, 2))
IN1, IN2 = (types.Array(types.float64, n, "C", readonly=True) for n in (1, 2))
SINGLE1, SINGLE2 = (types.Array(types.float32, n, "C", readonly=True) for n in (1, 2))
COUNTS = types.Array(types.int32, 2, "C", readonly=True)
PLACES = types.Array(types.int64, 1, "C", readonly=True)
BYTES = types.Array(types.uint8, 1, "C", readonly=True)

DERIVE_ROWS = 128
"""Rows that `derive` takes at once, in the nearest cache."""
DERIVE = types.void(COUNTS, PLACES, PLACES, IN1, IN1, F2, U1, F2)
BRIDGE = types.void(F2, IN1, IN1)
CASCADE = types.void(F2, IN2, F3)
TURN = types.void(SINGLE2, F2)
TURN_BACK = types.void(IN2, SINGLE1, S2)
FOLD = types.void(SINGLE2, SINGLE1, S2)
POWER = types.void(SINGLE2, types.int64, S1)
PEAK = types.void(SINGLE2, S1)
DECODE = types.void(BYTES, I1)
MICROVOLTS = types.void(COUNTS, PLACES, IN1, IN1, F2, F1)
LOUD = types.void(IN2, IN1, IN1, types.float64, types.int64, I2, I2)
NULLS = types.void(SINGLE2, S2, SINGLE1, SINGLE2, SINGLE2, S1, SINGLE2, S2)
SHARES = types.void(IN2, S2, S3, S3, S3)
