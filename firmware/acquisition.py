"""The sample loop over ports: one data-ready edge, one frame, one step of the sequencer; blocks out.

For backends whose edges come to Python (simulation, an output library without a descriptor). What an edge
and a frame mean is decided by the compiled steps, as in the loop on device nodes. Decides nothing about time.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from firmware.blocks import Assembler, Decode
from firmware.errors import PortError
from firmware.loop import arbiter
from firmware.loop import pulses as loop_pulses
from firmware.loop import samples as loop_samples
from firmware.loop.state import EDGE_TIMEOUT_S, EXPECTED, NOTIFY, OUTPUTS, LoopState, loop_state
from firmware.orders import Order, Orders, prepare
from firmware.ports import Command, EdgePort, OutputPort, Put
from firmware.timebase import TimebaseReporter
from hw import limits
from hw.frames import decode_frames
from hw.link import Ended, Reply

RING_S = 10.0
TIMEOUT_NS = round(limits.HEARTBEAT_TIMEOUT_S * 1e9)
LEAST_SLOTS = 1 << 16
"""A slow converter's ten seconds are few rows, and to hold more of them costs little memory."""


def acquisition_state(
    rate_hz: float, lines: int, row_bytes: int, headers: tuple[int, ...] = (0,)
) -> LoopState:
    """Memory for ten seconds of rows or more; half a second without a good one makes the loop blind."""
    most_torn = max(1, round(rate_hz * EDGE_TIMEOUT_S))
    slots = max(round(rate_hz * RING_S) + 2, LEAST_SLOTS)
    state = loop_state(lines, slots, row_bytes, headers, most_torn)
    prepare(state, rate_hz)
    return state


class Acquisition:
    """Reads rows into blocks of 10 ms of the first `channels`, and drives the stimulus lines."""

    def __init__(
        self,
        read_frame: Callable[[], bytes],
        edges: EdgePort,
        outputs: OutputPort,
        rate_hz: float,
        lines: int,
        channels: int,
        row_bytes: int = 27,
        headers: tuple[int, ...] = (0,),
        decode: Decode = decode_frames,
    ) -> None:
        self._read_frame, self._edges, self._outputs = read_frame, edges, outputs
        self._rate_hz = rate_hz
        self._state = acquisition_state(rate_hz, lines, row_bytes, headers)
        watch = TimebaseReporter(rate_hz).watch
        self._assembler = Assembler(self._state, rate_hz, channels, decode, watch)
        self._orders = Orders(self._state, rate_hz)
        self._commands: deque[Command] = deque()
        self._heard_ns = 0
        self._driven = 0
        self.quiet: Callable[[], None] = lambda: None

    def command(self, command: Command) -> None:
        """Queue a stimulus command for the loop."""
        self._commands.append(command)

    def heard(self, t_ns: int) -> None:
        """The host was heard at `t_ns`; 0: none is watched."""
        self._heard_ns = t_ns

    def run(self, put: Put, stop: threading.Event) -> None:
        """The loop, until `stop` or the last edge. Outputs are driven low however it ends.

        Raises PortError for an edge count that goes back, and whatever the ports raise.
        """
        scalars = self._state.scalars
        try:
            while not stop.is_set():
                edge = self._edges.wait(EDGE_TIMEOUT_S)
                if edge is not None:
                    self._sample(edge.seq, edge.t_ns, put)
                elif self._edges.exhausted:
                    break
                elif not stop.is_set():
                    self.quiet()
                    loop_samples.silence(self._state)
                    self._obey(put)
                    self._drive()
                if scalars[NOTIFY]:
                    self._assembler.drain(put)
            self._assembler.drain(put, flush=True)
            if self._edges.exhausted:
                put(Ended(int(scalars[EXPECTED])))
        finally:
            self._outputs.write(0)

    def _sample(self, index: int, t_ns: int, put: Put) -> None:
        frame = self._read_frame()
        expected = int(self._state.scalars[EXPECTED])
        if index < expected:
            text = f"the count of data-ready edges went back from {expected - 1} to {index}"
            raise PortError(f"{text}; restart the edge and check the driver of the edge line")
        if self._commands:
            self._obey(put)
        heard_ns = self._heard_ns  # read once: another thread writes it meanwhile
        if heard_ns and time.monotonic_ns() - heard_ns > TIMEOUT_NS:
            self._heard_ns = 0
            loop_pulses.hush(self._state)
        outputs = loop_samples.arrive(self._state, index, t_ns, np.frombuffer(frame, np.uint8))
        if outputs != self._driven:
            self._drive()

    def _drive(self) -> None:
        outputs = int(self._state.scalars[OUTPUTS])
        if outputs != self._driven:
            self._outputs.write(outputs)
            self._driven = outputs

    def _obey(self, put: Put) -> None:
        while self._commands:
            command = self._commands.popleft()
            order = self._orders.take(command)
            if isinstance(order, Order):
                arbiter.obey(self._state, order.row, order.verb)
            else:
                self._assembler.say(put)  # answers come in the order of the commands
                put(Reply(command.command, order))
