"""What a case was told beside its samples, each at its sample: commands and proofs of stimulation. Pure.

The one order in which a pipeline hears of samples, commands and proofs that are on record: in replay, and
when a host that was started anew computes what the one before it knew. Knows no file.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol

from hostd.outgoing import Outgoing
from hw.link import Stimulus
from hw.samples import SampleBlock

Recorded = tuple[int, str, dict[str, Any]]
"""A command: before which sample, its name, its arguments."""


class Told(Protocol):
    """A pipeline, as far as it is told things."""

    def feed(self, block: SampleBlock) -> list[Outgoing]:
        """The next samples."""

    def command(self, name: str, args: dict[str, Any]) -> list[Outgoing]:
        """A command between two samples. Raises ValueError when it cannot be carried out."""

    def prove(self, stimulus: Stimulus) -> list[Outgoing]:
        """The edge's proof of a pulse."""


class Inputs:
    """`commands` and `proofs` in the order recorded, waiting for the samples at which they take effect."""

    def __init__(self, commands: Iterable[Recorded] = (), proofs: Iterable[Stimulus] = ()) -> None:
        self._commands, self._proofs = deque(commands), deque(proofs)

    @property
    def waiting(self) -> bool:
        """Whether any of them has not been told yet."""
        return bool(self._commands or self._proofs)

    def feed(self, pipeline: Told, block: SampleBlock) -> Iterator[Outgoing]:
        """`block` through `pipeline`, cut where commands fall, each told before its sample."""
        for piece in _split(block, [index for index, _, _ in self._commands]):
            while self._commands and self._commands[0][0] <= piece.first_index:
                yield from _carried_out(pipeline, *self._commands.popleft()[1:])
            while self._proofs and self._proofs[0].commanded < piece.end_index:
                yield from pipeline.prove(self._proofs.popleft())
            yield from pipeline.feed(piece)

    def rest(self, pipeline: Told) -> Iterator[Outgoing]:
        """No more samples come: what is left is told now."""
        while self._commands:
            yield from _carried_out(pipeline, *self._commands.popleft()[1:])
        while self._proofs:
            yield from pipeline.prove(self._proofs.popleft())


def _carried_out(pipeline: Told, name: str, args: dict[str, Any]) -> list[Outgoing]:
    """What the command says; nothing when another case than the one recorded cannot do it."""
    try:
        return pipeline.command(name, args)
    except ValueError:
        return []


def _split(block: SampleBlock, at: list[int]) -> Iterator[SampleBlock]:
    """`block` in pieces that begin at every index of `at` inside it."""
    cuts = sorted({i for i in at if block.first_index < i < block.end_index})
    edges = [block.first_index, *cuts, block.end_index]
    for first, end in pairwise(edges):
        rows = slice(first - block.first_index, end - block.first_index)
        gaps = block.gaps if first == block.first_index else ()
        yield replace(
            block,
            first_index=first,
            counts=block.counts[rows],
            trigger_bits=block.trigger_bits[rows],
            gaps=gaps,
        )
