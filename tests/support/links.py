"""Link frames from outside the package: put together by hand, messages of any content, sample blocks of known
counts and streams that are damaged on the way."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from hw import link
from hw.link import Hello, Message
from hw.link_fields import GAP_REASONS, layout
from hw.samples import Gap, SampleBlock


def stuff(data: bytes) -> bytes:
    """Byte stuffing of data without runs of 254 bytes or more."""
    runs = data.split(b"\0")
    assert all(len(run) < 254 for run in runs)
    return b"".join(bytes([len(run) + 1]) + run for run in runs)


def frame_by_hand(code: int, seq: int, payload: bytes) -> bytes:
    """A frame as the module's first lines describe it, made without its code."""
    body = struct.pack("<BI", code, seq) + payload
    return stuff(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def other_version(extra: bytes = b"and more", role: bytes = b"edge") -> bytes:
    """The first frame of a peer that speaks the next version, whose Hello has grown."""
    text = struct.pack("<H", len(role)) + role
    payload = struct.pack("<HIQ", link.VERSION + 1, 0xDEADBEEF, 42) + text + extra
    return frame_by_hand(Hello.CODE, 0, payload)


def _unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


_TEXT = st.text(max_size=20)
_FLOAT = st.floats(allow_nan=False)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "B": _unsigned(8),
    "H": _unsigned(16),
    "I": _unsigned(32),
    "Q": _unsigned(64),
    "q": st.integers(-(1 << 63), (1 << 63) - 1),
    "d": _FLOAT,
    "text": _TEXT,
    "texts": st.lists(_TEXT, max_size=5).map(tuple),
    "floats": st.lists(_FLOAT, max_size=5).map(tuple),
    "blob": st.binary(max_size=600),
    "gaps": st.lists(
        st.builds(Gap, _unsigned(64), _unsigned(32), st.sampled_from(GAP_REASONS)), max_size=4
    ).map(tuple),
}


def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of `kind` that is not NaN somewhere, within its fields' ranges."""
    fields = {name: _VALUES[code] for name, code in layout(kind)}
    if kind is Hello:
        fields["version"] = st.just(link.VERSION)
    return st.builds(kind, **fields)


ANY_MESSAGE = st.one_of(*(messages_of(kind) for kind in link.KINDS))


def true_counts(index: np.ndarray, channels: int) -> np.ndarray:
    """(n, channels) int32: 24-bit counts that name their sample index and channel, no two rows alike."""
    scrambled = (index[:, None].astype(np.int64) * 2654435761 + np.arange(channels) * 40503) % (1 << 24)
    return (scrambled - (1 << 23)).astype(np.int32)


def true_bits(index: np.ndarray) -> np.ndarray:
    """(n,) uint8: trigger bits that belong to a sample index."""
    return (index % 13 % 5).astype(np.uint8)


def true_block(first: int, n: int, channels: int = 3, gaps: tuple[Gap, ...] = ()) -> SampleBlock:
    """`n` samples from `first` on, each of them right only at its own index."""
    index = np.arange(first, first + n)
    return SampleBlock(first, true_counts(index, channels), true_bits(index), 1000 * (first + n), gaps)


def is_true(block: SampleBlock) -> bool:
    """Whether every sample of `block` stands at the index that it was made for."""
    index = np.arange(block.first_index, block.end_index)
    right = true_counts(index, block.counts.shape[1])
    return np.array_equal(block.counts, right) and np.array_equal(block.trigger_bits, true_bits(index))


def tiles(blocks: list[SampleBlock], start: int) -> bool:
    """Whether gaps and samples, in order, cover the time line from `start` on exactly once."""
    at = start
    for block in blocks:
        for gap in block.gaps:
            if gap.index != at or gap.length <= 0:
                return False
            at += gap.length
        if block.first_index != at or block.end_index <= at:
            return False
        at = block.end_index
    return True


def damaged(stream: bytes, rng: np.random.Generator, flips: int) -> bytes:
    """`stream` with `flips` bits flipped anywhere, delimiters too."""
    out = bytearray(stream)
    for bit in rng.choice(8 * len(stream), flips, replace=False):
        out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def chopped(stream: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """`stream` in pieces of 1 to 200 bytes, as a serial port hands it over."""
    at = 0
    while at < len(stream):
        size = int(rng.integers(1, 200))
        yield stream[at : at + size]
        at += size
