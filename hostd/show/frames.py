"""An average or a baseline as it is drawn: its array held against what is said of it.

Refuses (ValueError) arrays that do not fit their derivations, so that views never meet one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd.show.words import interval, number, strings, whole
from hostd.wire import Message

MOST_ROWS = 200_000
MOST_STACKED = 8
MOST_DERIVATIONS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """`mean_uv` (time, derivation); row k lies `t0_ms` + k * `dt_ms` after the stimulus. `stack_uv` (sweep,
    time, derivation): single answers behind the mean, the newest last; None where the mean is of averaged
    sweeps."""

    derivations: tuple[str, ...]
    t0_ms: float
    dt_ms: float
    mean_uv: NDArray[np.float64]
    stack_uv: NDArray[np.float64] | None
    blanked_ms: tuple[float, float] | None
    n_sweeps: int
    modality: str
    site: str
    header: Mapping[str, Any]

    @property
    def end_ms(self) -> float:
        """The time of the last row."""
        return self.t0_ms + self.dt_ms * (len(self.mean_uv) - 1)


def array(message: Message, key: str, dimensions: int) -> NDArray[np.float64]:
    """A bounded array of numbers. Raises ValueError."""
    made = message.array(key)
    if made.ndim != dimensions or made.dtype.kind not in "fiu" or made.size > MOST_ROWS * MOST_DERIVATIONS:
        raise ValueError(f"{message.topic}: {key} is not an array of {dimensions} dimensions")
    return made.astype(np.float64)


def frame(message: Message) -> Frame:
    """What an `average` or a `baseline` message holds. Raises ValueError when its parts disagree."""
    header = message.header
    names = tuple(strings(header.get("derivations")))[:MOST_DERIVATIONS]
    t0_ms, dt_ms = number(header.get("t0_ms")), number(header.get("dt_ms"))
    mean_uv = array(message, "mean_uv", 2)
    if t0_ms is None or dt_ms is None or not 1e-6 <= dt_ms <= 1e6 or abs(t0_ms) > 1e7:
        raise ValueError(f"{message.topic}: no time axis")
    if (len(mean_uv) and mean_uv.shape[1] != len(names)) or len(mean_uv) > MOST_ROWS:
        raise ValueError(f"{message.topic}: {mean_uv.shape} of {len(names)} derivations")
    stack_uv = array(message, "stack_uv", 3) if isinstance(header.get("stack_uv"), Mapping) else None
    if stack_uv is not None and stack_uv.shape[1:] != mean_uv.shape:
        raise ValueError(f"{message.topic}: {stack_uv.shape} beside {mean_uv.shape}")
    modality, site = header.get("modality"), header.get("site")
    return Frame(
        names,
        t0_ms,
        dt_ms,
        mean_uv,
        stack_uv[-MOST_STACKED:] if stack_uv is not None and len(stack_uv) else None,
        interval(header.get("blanked_ms")),
        max(whole(header.get("n_sweeps")) or 0, 0),
        modality if isinstance(modality, str) else "",
        site if isinstance(site, str) else "",
        header,
    )
