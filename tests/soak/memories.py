"""What a case remembers of its past, module by module: how much at most, and short so that it is full soon.

A memory that is still filling looks like one that grows for ever. The slowest ones take days, so that whoever
asks what grows for ever within an hour makes them short (`make soak SOAK_ARGS="--short ..."`).
"""

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from dsp import sweeps
from hostd import circumstances, comparison, delivery, eeg_watch, series, stimulation, timebase, vitals
from hw.model import motor
from tests.soak import box


class Memory(NamedTuple):
    """`name` in `module` is the most of it; `short` is enough to go on with."""

    module: ModuleType
    name: str
    short: int


MEMORIES = (
    Memory(comparison, "RECENT", 64),  # sweeps of a test
    Memory(series, "KEPT", 64),  # what was seen of a response, by stimulus
    Memory(
        circumstances, "KEPT", 64
    ),  # artifacts and proofs by stimulus, suppression by second, trains of four
    Memory(sweeps, "MOST_STIMULI", 8),  # stimuli, by test
    Memory(timebase, "KEPT_REPORTS", 16),  # lines of time, one a second and more
    Memory(eeg_watch, "KEPT_S", 200),  # spectra, one a second; a baseline is made of 180
    Memory(vitals, "MOST_KEPT", 4),  # readings of each vital sign
    Memory(stimulation, "MOST_KEPT", 16),  # plans sent
    Memory(delivery, "MOST_PLANS", 16),  # plans whose delivery is measured
    Memory(motor, "KEPT", 4),  # of the model: what its muscles gave
    Memory(box, "FIRE_S", 10),  # and motor tests so often, whose memories go by the stimulus too
    Memory(box, "AGAIN_S", 600),  # baselines so often: a motor test's keeps its last answers
)


@contextlib.contextmanager
def shortened() -> Iterator[None]:
    """All of them short, for what is made meanwhile. Raises ValueError for one that would not be."""
    before = [getattr(memory.module, memory.name) for memory in MEMORIES]
    for memory, most in zip(MEMORIES, before, strict=True):
        if memory.short >= most:
            raise ValueError(f"{memory.module.__name__}.{memory.name} is {most}, shorter than {memory.short}")
        setattr(memory.module, memory.name, memory.short)
    try:
        yield
    finally:
        for memory, most in zip(MEMORIES, before, strict=True):
            setattr(memory.module, memory.name, most)
