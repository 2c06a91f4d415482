"""What every message's header has: the base of all declarations of `hostd.schema`."""

import msgspec


class Header(msgspec.Struct, kw_only=True):
    """What every header has. Unknown keys are to be ignored.

    `t_ns` is when sample `index` was taken, on the edge's monotonic clock and less the filter's delay.
    """

    v: int
    boot: str
    seq: int
    case: str
    index: int
    t_ns: int
    utc_ns: int


class Array(msgspec.Struct):
    """An array in buffer `part` (from 0) after the header."""

    dtype: str
    shape: list[int]
    part: int
