"""Boxes: the simulated board in time of its own, or the board on this machine's device nodes.

The only place of the bench that knows which one is in use. A simulated box proves the bench and the driver,
and nothing about a machine.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.bench.box import Box
from firmware.bench.rig_board import give_noise, on_rig
from firmware.errors import ConfigError
from firmware.front_end import FrontEndInfo
from firmware.ports import Edge, EdgePort
from firmware.wiring import Wiring
from hw.chips import ADS1299
from hw.frames import MOST_CHIPS
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.model.electrodes import BOARD_SERIES_OHM, Electrode

JIG_OHM = 5_000.0
"""What the simulated jig has at every lead, behind the board's own resistor."""


class SimulatedPort:
    """SPI port: one chip select of a modelled board."""

    def __init__(self, board: BoardModel, select: int) -> None:
        self._board, self._select = board, select

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """One chip-select window; it takes time on the wire when `speed_hz` is given."""
        return self._board.transfer(self._select, mosi, speed_hz)


class SimulatedEdges:
    """Edge port: the first chip's data-ready line; waiting makes the board's time pass."""

    exhausted = False

    def __init__(self, board: BoardModel) -> None:
        self._board = board
        self._waiting: deque[Edge] = deque()

    def wait(self, timeout_s: float) -> Edge | None:
        """The next edge of the first chip, or None after `timeout_s` of the board's time."""
        end_ns = self._board.now_ns() + int(timeout_s * 1e9)
        while True:
            for edge in self._board.edges():
                if edge.chip == 0:
                    self._waiting.append(Edge(edge.seq, edge.t_ns))
            if self._waiting:
                return self._waiting.popleft()
            due_ns = self._board.next_ready_ns()
            if due_ns is None or due_ns > end_ns:
                self._board.advance(end_ns)
                return None
            self._board.advance(due_ns)


class SimulatedLines:
    """Output port: the stimulus lines."""

    def __init__(self, board: BoardModel) -> None:
        self._board = board

    def write(self, bits: int) -> None:
        """Drive all lines at once."""
        self._board.set_stimulus(bits)


class SimulatedStart:
    """The START line of all chips."""

    def __init__(self, board: BoardModel) -> None:
        self._board = board

    def write(self, bits: int) -> None:
        """1: high."""
        self._board.set_start(bool(bits))


class SimulatedClock:
    """Clock port: the board's time, which passes at once."""

    def __init__(self, board: BoardModel) -> None:
        self._board = board

    def now_ns(self) -> int:
        """The board's time."""
        return self._board.now_ns()

    def wait_ns(self, duration_ns: int) -> None:
        """Time passes."""
        self._board.advance(self._board.now_ns() + duration_ns)


def simulated_board(seed: int = 1, chips: int = 1) -> BoardModel:
    """A sound board as it might come from the workshop: noise, its own oscillator, usual tolerances."""
    spread = np.random.default_rng(seed).uniform(-1, 1, 4)
    around = Surroundings(
        avdd_v=5.0 + 0.05 * spread[0], dvdd_v=3.3 + 0.03 * spread[1], temperature_c=30.0 + 6 * spread[2]
    )
    return BoardModel(
        BoardSetup(
            chips=(ADS1299,) * chips,
            around=around,
            options=ChipOptions(noise=True, seed=seed, lead_off_tolerance=0.15),
            oscillator_ppm=3000.0 * spread[3],
            wander_ppm=40.0,
        )
    )


def simulated_box(board: BoardModel) -> Box:
    """`board` behind ports, with a jig that plugs a resistor into every lead."""
    chips = len(board.chips)
    plugged = [False]

    def connect(on: bool) -> None:
        if plugged[0] is on:
            return
        plugged[0] = on
        electrode = Electrode(JIG_OHM, 0.0, 0.0, off=not on)
        channel = 0
        for chip in board.setup.chips:
            for _ in range(chip.channels):
                board.set_electrode(channel, "p", electrode)
                board.set_electrode(channel, "n", electrode)
                channel += 1

    connect(True)
    return Box(
        source="simulated",
        ports=tuple(SimulatedPort(board, select) for select in range(chips)),
        clock=SimulatedClock(board),
        edges=lambda rate_hz: SimulatedEdges(board),
        outputs=SimulatedLines(board),
        start_pin=SimulatedStart(board) if chips > 1 else None,
        chips=chips,
        own_time=True,
        power_cycle=board.power_cycle,
        connect=connect,
        lead_ohm=JIG_OHM + BOARD_SERIES_OHM,
        pins_free=True,
    )


@dataclass(frozen=True, slots=True)
class Plugged:
    """What the operator says is plugged in: `leads_on` None: unknown; `lead_ohm` from lead to reference."""

    leads_on: bool | None = None
    lead_ohm: float | None = None
    pins_free: bool = False


def linux_box(wiring: Wiring, plugged: Plugged) -> Box:
    """The board that `wiring` describes. Raises ConfigError and PortError in one line."""
    from firmware.linux import (
        GpiodEdges,
        GpiodOutputs,
        MonotonicClock,
        RpiGpioOutputs,
        SpidevPort,
        gpio_chip,
    )
    from firmware.loop.runner import ChipRead
    from firmware.realtime import claim

    if wiring.start is None and len(wiring.spi) > 1:
        raise ConfigError(f"{len(wiring.spi)} chip selects need a START line: name it in the wiring")
    opened: list[Callable[[], None]] = []

    def close() -> None:
        while opened:
            opened.pop()()

    try:
        path = gpio_chip(wiring.gpio)
        outputs: GpiodOutputs | RpiGpioOutputs
        if wiring.outputs == "gpiod":
            outputs = GpiodOutputs(path, wiring.lines)
        else:
            outputs = RpiGpioOutputs(wiring.lines)
        opened.append(outputs.close)
        start = None
        if wiring.start is not None:
            start = GpiodOutputs(path, [wiring.start], "START line")
            opened.append(start.close)
        ports: Sequence[SpidevPort] = [SpidevPort(address, wiring.spi_hz) for address in wiring.spi]
        opened.extend(port.close for port in ports)
    except BaseException:
        close()
        raise
    line: list[GpiodEdges] = []

    def timed(info: FrontEndInfo, rate_hz: float, n: int) -> NDArray[np.int64]:
        from firmware.bench.stopwatch import timed_rows

        reads = [
            ChipRead(port.fd, read.mosi, read.skip, read.length, wiring.spi_hz)
            for port, read in zip(ports, info.frame_reads, strict=True)
        ]

        def run() -> NDArray[np.int64]:
            claim(wiring.priority, wiring.cpu)
            return timed_rows(line[0].fd, reads, info.layout, rate_hz, n)

        with ThreadPoolExecutor(1) as thread:  # priority and CPU are a thread's own, and end with it
            return thread.submit(run).result()

    def close_line() -> None:
        while line:
            line.pop().close()

    def edges(rate_hz: float) -> EdgePort:
        close_line()
        line.append(GpiodEdges(path, wiring.data_ready, rate_hz))
        return line[0]

    opened.append(close_line)
    rig = on_rig()
    if rig:
        give_noise(MOST_CHIPS if wiring.daisy else len(wiring.spi))
    return Box(
        source="rig" if rig else "pi",
        ports=tuple(ports),
        clock=MonotonicClock(),
        edges=edges,
        outputs=outputs,
        start_pin=start,
        chips=len(wiring.spi),
        daisy=wiring.daisy,
        lines=len(wiring.lines),
        sclk_hz=wiring.spi_hz,
        leads_on=plugged.leads_on,
        lead_ohm=plugged.lead_ohm,
        pins_free=plugged.pins_free,
        own_time=rig,
        one_time=not rig,
        timed_rows=None if rig else timed,
        close=close,
    )
