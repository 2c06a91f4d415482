"""A board whose edges, frames and failures follow a script; its outputs come back in the next frame."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from firmware.acquisition import Acquisition
from firmware.ports import Command, Edge
from hw.frames import encode_frame
from hw.link import Message
from hw.samples import SampleBlock
from tests.support.links import true_counts

Said = TypeVar("Said")

CHANNELS = 8
PERIOD_NS = 250_000


@dataclass(frozen=True, slots=True)
class Torn:
    """An edge whose frame has no header."""

    seq: int


SILENCE = None
Step = int | Torn | None


class Board:
    """Edge port, output port and frames. Each step of the script: an edge number, a torn frame, or silence.

    `hooks` are called, by the number of edges so far, while the next one is waited for; `written` are
    (edges until then, bits); `items` is what the acquisition delivered. Unless it `loops`, the output lines
    are not wired back.
    """

    def __init__(
        self,
        script: Iterable[Step],
        hooks: Mapping[int, Callable[[], None]] | None = None,
        loops: bool = True,
    ) -> None:
        self.script = list(script)
        self.hooks = dict(hooks or {})
        self.exhausted = False
        self.written: list[tuple[int, int]] = []
        self.items: list[SampleBlock | Message] = []
        self.edges = 0
        self.read_error: BaseException | None = None
        self._loops = loops
        self._bits = 0
        self._now: Step = None

    def wait(self, timeout_s: float) -> Edge | None:
        """Edge port."""
        if hook := self.hooks.pop(self.edges, None):
            hook()
        if not self.script:
            self.exhausted = True
            return None
        self._now = self.script.pop(0)
        if self._now is None:
            return None
        seq = self._now.seq if isinstance(self._now, Torn) else self._now
        self.edges = seq + 1
        return Edge(seq, PERIOD_NS * seq)

    def read_frame(self) -> bytes:
        """The frame of the last edge."""
        if self.read_error is not None:
            raise self.read_error
        if not isinstance(self._now, int):
            return bytes(27)
        counts = true_counts(np.array([self._now]), CHANNELS)[0].tolist()
        return encode_frame(counts, self._bits if self._loops else 0)

    def write(self, bits: int) -> None:
        """Output port."""
        self._bits = bits
        self.written.append((self.edges, bits))

    def run(self, *commands: Command, stop: threading.Event | None = None, channels: int = CHANNELS) -> Self:
        """Acquire to the end of the script, `commands` queued before the first sample."""
        acquisition = Acquisition(self.read_frame, self, self, 4000.0, 4, channels)
        self.command = acquisition.command
        for command in commands:
            acquisition.command(command)
        acquisition.run(self.put, stop or threading.Event())
        return self

    def put(self, item: SampleBlock | Message) -> None:
        """Where the loop delivers."""
        self.items.append(item)

    @property
    def blocks(self) -> list[SampleBlock]:
        """Delivered blocks."""
        return [item for item in self.items if isinstance(item, SampleBlock)]

    def said(self, kind: type[Said]) -> list[Said]:
        """Delivered messages of one kind."""
        return [item for item in self.items if isinstance(item, kind)]
