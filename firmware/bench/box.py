"""What the bench needs of a machine: ports, time, lines, and what else can be done to the board.

Owns captures: so many samples with the number and time of their edges, a time-out instead of a hang. Judges
nothing and names no backend; `firmware.bench.sources` makes boxes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware.front_end import FrontEndInfo, StartPin
from firmware.ports import Clock, Edge, EdgePort, OutputPort, SpiPort
from hw.board import LINES_PER_CHIP
from hw.frames import BoardFrames, FrameLayout, decode_board

EDGE_TIMEOUT_S = 0.5


def nothing() -> None:
    """What closing a box without devices does."""


@dataclass(frozen=True, slots=True)
class Box:
    """One board and the machine that it hangs on.

    `edges` opens the first chip's data-ready line for samples of about that rate. `chips`: one for each port;
    in a `daisy` chain as many count as answer. `own_time`: a simulated box, whose time says nothing about a
    machine. `one_time`: stamps of edges and the clock can be compared; not so on nodes whose edges wait for
    their reader. `power_cycle`: supplies off and on, where wired.
    `connect`: plugs the jig's leads in (True) or out; `leads_on` says how they are without it, None unknown.
    `lead_ohm`: what the jig has from every lead to the reference. `pins_free`: nothing but pull-downs and
    series resistors drives the GPIO pins, so that the chip may drive them too. `timed_rows`: rows of a rate
    by the compiled loop, with their times (see `firmware.bench.stopwatch`); None on a simulated box.
    """

    source: str
    ports: tuple[SpiPort, ...]
    clock: Clock
    edges: Callable[[float], EdgePort]
    outputs: OutputPort
    start_pin: StartPin | None = None
    chips: int = 1
    daisy: bool = False
    lines: int = LINES_PER_CHIP
    sclk_hz: int = 4_000_000
    own_time: bool = False
    one_time: bool = True
    power_cycle: Callable[[], None] | None = None
    connect: Callable[[bool], None] | None = None
    leads_on: bool | None = None
    lead_ohm: float | None = None
    pins_free: bool = False
    timed_rows: Callable[[FrontEndInfo, float, int], NDArray[np.int64]] | None = None
    close: Callable[[], None] = field(default=nothing)


@dataclass(frozen=True, slots=True)
class Capture:
    """n rows as read: `rows` (n, bytes), decoded `frames`, edge number `index` (n,) and its time `t_ns` (n,).

    `told_ns` (>= n,): every edge that was told, with those that this machine was too late to read for.
    `timed_out`: edges ceased before all were there.
    """

    rate_hz: float
    rows: NDArray[np.uint8]
    frames: BoardFrames
    index: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    told_ns: NDArray[np.int64]
    timed_out: bool

    @property
    def read_late(self) -> int:
        """How many samples this machine was too late to read."""
        return len(self.told_ns) - len(self.t_ns)

    def __len__(self) -> int:
        """Rows captured."""
        return len(self.rows)

    def uv(self, lsb_uv: Sequence[float]) -> NDArray[np.float64]:
        """Microvolts (n, channel); `lsb_uv` one per channel."""
        scaled: NDArray[np.float64] = self.frames.counts.astype(np.float64) * np.asarray(lsb_uv, np.float64)
        return scaled


def capture(
    edges: EdgePort,
    read_frame: Callable[[], bytes],
    layout: FrameLayout,
    rate_hz: float,
    n: int,
    on_sample: Callable[[int, Edge], None] | None = None,
) -> Capture:
    """`n` samples, one frame read per edge; fewer when no edge comes for half a second (of the port's time).

    `on_sample` is called with the number of each row and its edge, after the row was read. Raises PortError
    as the ports do.
    """
    discard(edges)
    rows: list[bytes] = []
    index, t_ns, told_ns = [], [], []
    timeout_s = max(EDGE_TIMEOUT_S, 8 / rate_hz)
    while len(rows) < n:
        edge = edges.wait(timeout_s)
        if edge is None:
            break
        rows.append(read_frame())
        index.append(edge.seq)
        t_ns.append(edge.t_ns)
        told_ns += [*edge.passed_ns, edge.t_ns]
        if on_sample is not None:
            on_sample(len(rows) - 1, edge)
    raw = np.zeros((0, layout.row_bytes), np.uint8)
    if rows:
        raw = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    decoded = decode_board(raw, layout)
    seq, t, told = (np.array(numbers, np.int64) for numbers in (index, t_ns, told_ns))
    return Capture(rate_hz, raw, decoded, seq, t, told, len(rows) < n)


def discard(edges: EdgePort) -> None:
    """Forget edges that came while nobody was reading."""
    while edges.wait(0) is not None:
        pass
