"""Raw messages of the bus as blocks of samples, for who keeps them: a reader's memory, a mirror's file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hostd.wire import Message
from hw.samples import Gap, SampleBlock


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A block of one start of a box: uV = counts * lsb_uv + offset_uv, per channel."""

    block: SampleBlock
    boot: str
    lsb_uv: tuple[float, ...]
    offset_uv: tuple[float, ...]
    latency_offset_samples: float


def raw_block(message: Message) -> RawBlock:
    """What a `raw` message holds. Raises ValueError for one that holds none."""
    header = message.header
    try:
        block = _block(message)
        lsb_uv, offset_uv = _floats(header["lsb_uv"]), _floats(header["offset_uv"])
        boot, latency = str(header["boot"]), float(header.get("latency_offset_samples", 0.0))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no raw message: {error!r}") from None
    if not len(lsb_uv) == len(offset_uv) == block.counts.shape[1]:
        raise ValueError("a scale for other channels")
    return RawBlock(block, boot, lsb_uv, offset_uv, latency)


def _block(message: Message) -> SampleBlock:
    counts, bits = message.array("counts"), message.array("trigger_bits")
    first, gaps = message.header["first_index"], message.header["gaps"]
    if (
        counts.dtype != np.int32
        or counts.ndim != 2
        or bits.dtype != np.uint8
        or bits.shape != counts.shape[:1]
    ):
        raise ValueError("no block of samples")
    if type(first) is not int or first < 0 or not len(counts):
        raise ValueError("no place in the case")
    return SampleBlock(first, counts, bits, 0, tuple(Gap(int(at), int(n), "link") for at, n in gaps))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
