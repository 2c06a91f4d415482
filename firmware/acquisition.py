"""The sample loop: one data-ready edge, one frame, one step of the sequencer; blocks out.

The index is the edge's own count, never a count of successful reads. A frame that was not read or lacks the
1100 header becomes a `Gap`, never a sample and never an exception; half a second without any good one ends
all stimulation, since nothing could prove it. Opens nothing, decides nothing about time.
"""

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from firmware.errors import PortError
from firmware.ports import Command, EdgePort, OutputPort, Put
from firmware.ring import joined
from firmware.sequencer import Sequencer
from hw.frames import decode_frames
from hw.link import Ended, Fault, Reply, StimPlan, Stimulus
from hw.samples import Gap, GapReason, SampleBlock

BLOCK_S = 0.01
EDGE_TIMEOUT_S = 0.5
HEADER_MASK, HEADER = 0xF0, 0xC0
TRIGGER_BITS = 0x0F


class Acquisition:
    """Reads frames into blocks of 10 ms of the first `channels`, and drives the stimulus lines."""

    def __init__(
        self,
        read_frame: Callable[[], bytes],
        edges: EdgePort,
        outputs: OutputPort,
        rate_hz: float,
        lines: int,
        channels: int,
    ) -> None:
        self._read_frame, self._edges, self._outputs = read_frame, edges, outputs
        self._channels = channels
        self._block_samples = max(1, round(rate_hz * BLOCK_S))
        self._most_torn = max(1, round(rate_hz * EDGE_TIMEOUT_S))
        self._sequencer = Sequencer(rate_hz, lines, self._report, self._fault)
        self._commands: deque[Command] = deque()
        self._put: Put = lambda item: None
        self._raw = bytearray()
        self._frame_bytes = 0
        self._first = self._expected = self._t_ns = 0
        self._gaps: list[Gap] = []
        self._driven = 0
        self._blind = False
        self._torn = 0

    def command(self, command: Command) -> None:
        """Queue a stimulus command for the loop."""
        self._commands.append(command)

    def run(self, put: Put, stop: threading.Event) -> None:
        """The loop, until `stop` or the last edge. Outputs are driven low however it ends.

        Raises PortError for an edge count that goes back, and whatever the ports raise.
        """
        self._put = put
        try:
            while not stop.is_set():
                edge = self._edges.wait(EDGE_TIMEOUT_S)
                if edge is not None:
                    self._sample(edge.seq, edge.t_ns)
                elif self._edges.exhausted:
                    break
                elif not stop.is_set():
                    self._silence()
            self._flush()
            if self._edges.exhausted:
                put(Ended(self._expected))
        finally:
            self._outputs.write(0)

    def _sample(self, index: int, t_ns: int) -> None:
        frame = self._read_frame()
        if index != self._expected:
            self._skip(index)
        self._expected = index + 1
        whole = frame[0] & HEADER_MASK == HEADER
        if not whole:
            self._lose(index, 1, "torn")
        if self._commands:
            self._obey()
        if not whole:
            self._tear()
            outputs = self._sequencer.outputs
        else:
            if not self._raw:
                self._first = index
                self._frame_bytes = len(frame)
            self._raw += frame
            self._t_ns = t_ns
            self._torn = 0
            self._blind = False
            outputs = self._sequencer.step(index, frame[2] & TRIGGER_BITS)
        if outputs != self._driven:
            self._drive(outputs)
        if self._raw and index + 1 - self._first >= self._block_samples:
            self._flush()

    def _drive(self, outputs: int) -> None:
        self._outputs.write(outputs)
        self._driven = outputs

    def _skip(self, index: int) -> None:
        """Edges were missed. PortError when their count goes back: no index can be believed any more."""
        if index < self._expected:
            text = f"the count of data-ready edges went back from {self._expected - 1} to {index}"
            raise PortError(f"{text}; restart the edge and check the driver of the edge line")
        self._lose(self._expected, index - self._expected, "missed")

    def _lose(self, index: int, length: int, reason: GapReason) -> None:
        self._flush()
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.reason == reason and last.index + last.length == index:
            self._gaps[-1] = Gap(last.index, last.length + length, reason)
        else:
            self._gaps.append(Gap(index, length, reason))
        self._sequencer.lost(index + length)

    def _flush(self) -> None:
        if not self._raw:
            return
        frames = np.frombuffer(bytes(self._raw), np.uint8).reshape(-1, self._frame_bytes)
        decoded = decode_frames(frames)
        counts = np.ascontiguousarray(decoded.counts[:, : self._channels])
        gaps = joined(self._gaps)
        self._put(SampleBlock(self._first, counts, decoded.trigger_bits, self._t_ns, gaps))
        self._raw.clear()
        self._gaps.clear()

    def _obey(self) -> None:
        while self._commands:
            command = self._commands.popleft()
            refusal = ""
            if isinstance(command, StimPlan):
                blind = "no samples are coming in; nothing can be stimulated"
                refusal = blind if self._blind else self._sequencer.start(command)
            else:
                self._sequencer.stop(command.plan)
            self._put(Reply(command.command, refusal))

    def _silence(self) -> None:
        self._go_blind(
            "no_data_ready",
            f"no data-ready edge for {EDGE_TIMEOUT_S:g} s; check the converter's clock, START and the line",
        )
        self._obey()

    def _tear(self) -> None:
        self._torn += 1
        if self._torn == self._most_torn:
            self._go_blind(
                "torn_frames",
                f"no frame with its header for {EDGE_TIMEOUT_S:g} s; check the chip's supply and SPI lines",
            )

    def _go_blind(self, code: str, text: str) -> None:
        """Nothing can be proven any more: end all plans, outputs low; said once until a sample comes in."""
        self._sequencer.stop()
        self._drive(0)
        if not self._blind:
            self._blind = True
            self._fault(code, text)

    def _report(self, stimulus: Stimulus) -> None:
        self._put(stimulus)

    def _fault(self, code: str, text: str) -> None:
        self._put(Fault(code, text, 0))
