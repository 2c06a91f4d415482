"""The module `queue` of a world (`world.py`)."""

import queue
from collections import deque
from typing import Any

from tests.faults.world import Waiters, World, ns


class WorldQueue:
    """queue.Queue and queue.SimpleQueue, of at most `maxsize` items; 0: of any number."""

    def __init__(self, world: World, maxsize: int = 0) -> None:
        self._world, self._most = world, maxsize
        self._items: deque[Any] = deque()
        self._takers: Waiters = []
        self._givers: Waiters = []

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._world.maybe()
        end_ns = None if timeout is None else self._world.now_ns + round(timeout * 1e9)
        while self._most and len(self._items) >= self._most:
            left_ns = None if end_ns is None else end_ns - self._world.now_ns
            if not block or (left_ns is not None and left_ns <= 0):
                raise queue.Full
            self._world.block(self._givers, left_ns)
        self._items.append(item)
        self._world.wake(self._takers)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        end_ns = None if timeout is None else self._world.now_ns + (ns(timeout) or 0)
        while not self._items:
            left_ns = None if end_ns is None else end_ns - self._world.now_ns
            if not block or (left_ns is not None and left_ns <= 0):
                raise queue.Empty
            self._world.block(self._takers, left_ns)
        item = self._items.popleft()
        self._world.wake(self._givers)
        return item

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def put_nowait(self, item: Any) -> None:
        self.put(item, block=False)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class Queues:
    """The module."""

    Empty, Full = queue.Empty, queue.Full

    def __init__(self, world: World) -> None:
        self.Queue = lambda maxsize=0: WorldQueue(world, maxsize)
        self.SimpleQueue = lambda: WorldQueue(world)
