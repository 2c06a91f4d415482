"""The edge of a soak in a process of its own, a block ahead of the host: two processors, each its memory.

It has the shape of `tests.soak.edge.FastEdge`. What it is told comes with the block after the next, as a real
edge hears of it when the host has done with a block. It ends with its host.
"""

import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import numpy as np

from firmware.ports import Command
from tests.soak.edge import FastEdge

END_S = 10.0


def _serve(edge: FastEdge, here: Connection, hosts: Connection) -> None:
    """Blocks as they are asked for; the host that is gone is the end."""
    hosts.close()
    try:
        while True:
            for command in here.recv():
                edge.command(command)
            here.send_bytes(edge.frames())
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


class EdgeApart:
    """`edge` in a process of its own, from the first block on. Raises EOFError when it has died."""

    def __init__(self, edge: FastEdge) -> None:
        self._edge = edge
        self.rate_hz, self.block, self.description = edge.rate_hz, edge.block, edge.description
        self._told: list[Command] = []
        context = multiprocessing.get_context("fork")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(edge, far, self._pipe), daemon=True)
        self._process.start()
        far.close()
        self._ask()

    @property
    def pid(self) -> int:
        """Whose memory is the edge's."""
        return self._process.pid or 0

    def command(self, message: Command) -> None:
        """To be carried out before the next block that is not under way yet."""
        self._told.append(message)

    def edges_ns(self, index: np.ndarray) -> np.ndarray:
        """When the data-ready edges of these samples really fell."""
        return self._edge.edges_ns(index)

    def frames(self) -> bytes:
        """Everything of the next block; the one after it is begun."""
        frames = self._pipe.recv_bytes()
        self._ask()
        return frames

    def _ask(self) -> None:
        self._pipe.send(self._told)
        self._told = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
