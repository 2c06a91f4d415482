"""The host of a world: the product's daemon whole, but for what reaches outside of it.

The bus has no sockets, the pipeline counts instead of averaging and is not kept in checkpoints; link, intake,
succession, recorder, database, queues, state machine, desk, stimulation and the taking up of a case are the
product's own.
"""

import os
import sqlite3
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hostd.daemon import Daemon, HostOptions
from hostd.errors import EvokdError
from hostd.outgoing import Outgoing
from hostd.peers import LOCAL
from hw.samples import SampleBlock
from tests.faults.world import Event, Process, Waiters, World


class Bus:
    """The bus without sockets: clients put requests into `requests`, messages are counted."""

    def __init__(self, world: World, case_id: str) -> None:
        self._world, self.case_id = world, case_id
        self.addresses: dict[str, str] = {}
        self._posted: deque[Any] = deque()
        self.requests: deque[tuple[bytes, Callable[[dict[str, Any]], None]]] = deque()
        self.waiters: Waiters = []
        self.latest_seq: dict[str, int] = {}
        self.clients: dict[str, int] = {}
        self.faults: list[str] = []
        self.raw_wanted = False
        self.statuses: deque[dict[str, Any]] = deque(maxlen=3)

    def post(self, *items: Any) -> None:
        self._posted.extend(items)
        self._world.wake(self.waiters)
        self._world.maybe()

    def serve(self, timeout_ms: int, handle: Callable[..., None]) -> None:
        if not self._posted and not self.requests:
            self._world.block(self.waiters, timeout_ms * 1_000_000)
        self._publish()
        for _ in range(min(64, len(self.requests))):
            body, answer = self.requests.popleft()
            handle(body, answer, LOCAL)
        self._publish()

    def _publish(self) -> None:
        while self._posted:
            item = self._posted.popleft()
            if isinstance(item, Outgoing):
                self.publish(item)
            else:
                item()

    def publish(self, message: Outgoing) -> None:
        self.latest_seq[message.topic] = self.latest_seq.get(message.topic, 0) + 1
        if message.topic == "status":
            self.statuses.append(dict(message.fields))

    def snapshot(self) -> list[dict[str, Any]]:
        return []

    def close(self) -> None:
        self._publish()


class Databases:
    """The module `sqlite3`: what the dead had open is closed, and what they had not committed is gone."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)

    def connect(self, *args: Any, **more: Any) -> sqlite3.Connection:
        opened = sqlite3.connect(*args, **more | {"check_same_thread": False})
        self._world._alive().process.ending.append(opened.close)
        return opened


class Memory:
    """No checkpoints: a case that goes on is computed anew from its files."""

    def __init__(self, *_: Any) -> None:
        """Nothing is kept."""

    def look(self, *_: Any) -> None:
        """Nothing is kept."""

    def take_fault(self) -> None:
        """Nothing fails."""

    def close(self, *, over: bool) -> None:
        """Nothing is open."""


class Pipeline:
    """Counts samples and gaps as the real one does, and interprets none. `torn`: places where what came does
    not follow what came before it by gaps that were named."""

    def __init__(self, *_: Any) -> None:
        self.torn: list[int] = []
        self.next_index: int | None = None
        self.samples = self.lost_samples = self.gaps = self.proven = 0
        self.leads = SimpleNamespace(status={})

    def feed(self, block: SampleBlock) -> list[Outgoing]:
        at = block.first_index if self.next_index is None else self.next_index
        for gap in block.gaps if self.next_index is not None else ():
            if gap.index != at:
                self.torn.append(at)
            at = gap.index + gap.length
        if at != block.first_index:
            self.torn.append(at)
        self.next_index = block.end_index
        self.samples += len(block.counts)
        self.lost_samples += sum(gap.length for gap in block.gaps)
        self.gaps += len(block.gaps)
        return []

    def prove(self, stimulus: Any) -> list[Outgoing]:
        self.proven += 1
        return []

    def command(self, name: str, args: dict[str, Any]) -> list[Outgoing]:
        return []

    def finish(self) -> list[Outgoing]:
        return []


class Disk:
    """How the disk does: `error` is what it answers until `until_ns`, each write or sync takes so long.
    `troubles`: when it refused or was slow to write."""

    def __init__(self) -> None:
        self.error = 0
        self.write_ns = self.sync_ns = 0
        self.until_ns = 0
        self.troubles: list[tuple[int, int]] = []


class Files:
    """The module `os` for the recording's files: it may refuse, be slow, tear what the dead wrote."""

    def __init__(self, world: World, disk: Disk) -> None:
        self._world, self._disk = world, disk
        self._open: dict[Process, set[int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, *args: Any) -> int:
        self._refuse()
        fd = os.open(*args)
        process = self._process
        if process not in self._open:
            self._open[process] = set()
            process.ending.append(lambda: self._died(process))
        self._open[process].add(fd)
        return fd

    def close(self, fd: int) -> None:
        for held in self._open.values():
            held.discard(fd)
        os.close(fd)

    def _died(self, process: Process) -> None:
        """The kernel closes what the dead had open, locks with it."""
        for fd in self._open.pop(process, ()):
            os.close(fd)

    @property
    def _process(self) -> Process:
        return self._world._alive().process

    def _refuse(self) -> None:
        disk, world = self._disk, self._world
        if disk.error and world.now_ns < disk.until_ns:
            raise OSError(disk.error, os.strerror(disk.error))

    def pwrite(self, fd: int, content: bytes, at: int) -> int:
        world, disk = self._world, self._disk
        if disk.write_ns and world.now_ns < disk.until_ns:
            world.pause(disk.write_ns)
        self._refuse()
        if len(content) > 600 and world.random.random() < 0.2:
            half = world.random.randrange(1, len(content))
            os.pwrite(fd, content[:half], at)
            world.pause(1000)  # who is killed here leaves half of it
            return half + os.pwrite(fd, content[half:], at + half)
        return os.pwrite(fd, content, at)

    def fsync(self, fd: int) -> None:
        world, disk = self._world, self._disk
        world.pause(disk.sync_ns if disk.sync_ns and world.now_ns < disk.until_ns else 300_000)
        self._refuse()

    fdatasync = fsync


def host_main(world: World, options: HostOptions, ended: Callable[[str], None]) -> None:
    """The host's process, to its end; `ended` hears why."""
    try:
        Daemon(options, Event(world)).run()  # type: ignore[arg-type]
    except EvokdError as error:
        ended(str(error))
    else:
        ended("")
