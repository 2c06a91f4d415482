"""Messages `raw` and `status` as a box publishes them, through their bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hostd import wire
from hostd.wire import Message

LSB_UV = 4.5e6 / 24 / 2**23
"""Of an ADS1299 at gain 24."""


def published(
    topic: str, seq: int, fields: Mapping[str, Any], boot: str = "b00700", t_ns: int = 0
) -> Message:
    """The message that a client decodes."""
    body, parts = wire.pack_arrays(fields)
    header = {
        "v": 1,
        "boot": boot,
        "seq": seq,
        "case": "2031-07",
        "index": 0,
        "t_ns": t_ns,
        "utc_ns": 0,
        **body,
    }
    return wire.decode(wire.encode(topic, header, parts))


def raw_fields(
    first: int,
    counts: np.ndarray,
    gaps: Sequence[Sequence[int]] = (),
    lsb_uv: float = LSB_UV,
    offset_uv: float = 0.0,
) -> dict[str, Any]:
    """The fields of a block of `counts` (time, channel), its trigger bits those of the row's index."""
    bits = ((first + np.arange(len(counts))) % 7 == 0).astype(np.uint8)
    n = counts.shape[1]
    return {
        "first_index": first,
        "counts": counts.astype(np.int32),
        "trigger_bits": bits,
        "gaps": [list(gap) for gap in gaps],
        "lsb_uv": [lsb_uv] * n,
        "offset_uv": [offset_uv] * n,
    }


def lsl_status(
    channels: Sequence[str], rate_hz: float, address: str = "unix:/run/edge.sock"
) -> dict[str, Any]:
    """What the LSL bridge reads of `status`."""
    return {
        "state": "running",
        "rate_hz": rate_hz,
        "channels": list(channels),
        "link": {"address": address, "connected": True},
        "timebase": {"rate_hz": rate_hz},
    }
