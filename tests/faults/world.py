"""A virtual clock and a seeded scheduler: threads as greenlets, of which one runs, picked by the seed.

Owns what happens next. Everything that waits (locks, queues, events, sockets, disks) is a place where another
task may go on, where its process may be stopped, or killed for good. The same seed takes the same steps:
`World.trace` is a hash over all of them. Knows nothing of what runs in it.
"""

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

SWITCH_PART = 0.1
"""How often a place where nothing has to wait lets others go first all the same."""
STEP_NS = 20_000
"""What a step takes at most, so that deadlines fall between any two of them."""

Waiters = list[tuple["Task", int]]


class Process:
    """Tasks that are stopped and killed together. `ending` closes what a kernel closes for the dead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped_until_ns = 0
        self.ending: list[Callable[[], None]] = []


class Task:
    """One thread. `token` names its present wait; `signalled` tells whether that ended by a wake."""

    def __init__(self, process: Process, name: str, body: Callable[[], None], parent: greenlet) -> None:
        self.process, self.name = process, name
        self.token = 0
        self.signalled = self.ended = False
        self.joiners: Waiters = []
        self.greenlet = greenlet(body, parent)


class World:
    """Runs tasks until a moment of its own time. `crashes`: threads that ended by an error of their own."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ns = 1_000_000_000
        self.wall_ns = 1_800_000_000_000_000_000
        self.crashes: list[str] = []
        self.steps = 0
        self.place = "\0"
        self._trace = hashlib.blake2b(digest_size=8)
        self._ready: list[Task] = []
        self._timers: list[tuple[int, int, Task, int]] = []
        self._order = itertools.count()
        self._hub = getcurrent()
        self._all: list[Task] = []
        self._closed = False
        self.current: Task | None = None

    @property
    def trace(self) -> str:
        """A hash over every step so far and all that was noted."""
        return self._trace.hexdigest()

    def note(self, *what: object) -> None:
        """Have something in the trace; where its files lie makes no difference."""
        self._trace.update(repr((self.now_ns, what)).replace(self.place, "").encode())

    def start(self, process: Process, name: str, body: Callable[[], None]) -> Task:
        """A new task of `process`."""

        def run() -> None:
            try:
                if not process.dead:
                    body()
            except GreenletExit:
                pass
            except Exception as error:  # noqa: BLE001 (that is what is looked for)
                self.crashes.append(f"{process.name}/{name}: {type(error).__name__}: {error}")
            finally:
                task.ended = True
                self.wake(task.joiners)

        task = Task(process, name, run, self._hub)
        self._all.append(task)
        self._ready.append(task)
        return task

    def run(self, until_ns: int) -> None:
        """Let everything go on until `until_ns`."""
        while self._ready or self._timers:
            if not self._ready:
                at_ns, _, task, token = self._timers[0]
                if at_ns > until_ns:
                    break
                heapq.heappop(self._timers)
                if task.token != token or task.ended:
                    continue
                self.now_ns = max(self.now_ns, at_ns)
                self._make_ready(task)
                while self._timers and self._timers[0][0] <= self.now_ns:
                    _, _, other, token = heapq.heappop(self._timers)
                    if other.token == token and not other.ended:
                        self._make_ready(other)
            elif self.now_ns > until_ns:
                break
            self._step()
        self.now_ns = max(self.now_ns, until_ns)

    def _step(self) -> None:
        ready, at = self._ready, self.random.randrange(len(self._ready))
        ready[at], ready[-1] = ready[-1], ready[at]
        task = ready.pop()
        process = task.process
        if task.ended or process.dead:
            return
        if process.stopped_until_ns > self.now_ns:
            task.token += 1
            heapq.heappush(self._timers, (process.stopped_until_ns, next(self._order), task, task.token))
            return
        self.steps += 1
        self.now_ns += self.random.randrange(STEP_NS)
        self._trace.update(f"{self.now_ns} {task.name};".encode())
        self.current = task
        task.greenlet.switch()
        self.current = None

    def _make_ready(self, task: Task) -> None:
        task.token += 1
        self._ready.append(task)

    def block(self, waiters: Waiters | None, timeout_ns: int | None = None) -> bool:
        """Wait to be woken through `waiters`; False when `timeout_ns` came first."""
        task = self._alive()
        task.token += 1
        task.signalled = False
        if waiters is not None:
            waiters.append((task, task.token))
        if timeout_ns is not None:
            due_ns = self.now_ns + max(0, timeout_ns)
            heapq.heappush(self._timers, (due_ns, next(self._order), task, task.token))
        self._hub.switch()
        if task.process.dead:
            raise GreenletExit
        return task.signalled

    def pause(self, ns: int) -> None:
        """Wait so long."""
        self.block(None, ns)

    def maybe(self) -> None:
        """A place where others may go first."""
        task = self._alive()
        if self.random.random() < SWITCH_PART:
            self._make_ready(task)
            self._hub.switch()
            if task.process.dead:
                raise GreenletExit

    def _alive(self) -> Task:
        task = self.current
        if task is None or task.process.dead or self._closed:
            raise GreenletExit
        return task

    def wake(self, waiters: Waiters) -> None:
        """Let all go on that wait here."""
        for task, token in waiters:
            if task.token == token and not task.ended:
                task.signalled = True
                self._make_ready(task)
        waiters.clear()

    def kill(self, process: Process) -> None:
        """SIGKILL: none of its tasks takes another step, nothing of its own is tidied up."""
        process.dead = True
        self.note("killed", process.name)
        for end in process.ending:
            end()

    def stop(self, process: Process, ns: int) -> None:
        """SIGSTOP for so long."""
        self.note("stopped", process.name, ns)
        process.stopped_until_ns = self.now_ns + ns

    def close(self) -> None:
        """Unwind what is left, so that nothing goes on by itself when it is collected."""
        self._closed = True
        for task in self._all:
            if not task.ended and not task.greenlet.dead:
                task.greenlet.throw(GreenletExit)
        self._all.clear()


class Clock:
    """The module `time` of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic_ns(self) -> int:
        return self._world.now_ns

    def monotonic(self) -> float:
        return self._world.now_ns / 1e9

    def time_ns(self) -> int:
        return self._world.now_ns + self._world.wall_ns

    def time(self) -> float:
        return self.time_ns() / 1e9


def ns(seconds: float | None) -> int | None:
    """A time-out of a library as the world's."""
    return None if seconds is None else round(seconds * 1e9)


class Event:
    """threading.Event."""

    def __init__(self, world: World) -> None:
        self._world, self._set = world, False
        self._waiters: Waiters = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._world.wake(self._waiters)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._world.block(self._waiters, ns(timeout))
        return self._set


class Lock:
    """threading.Lock as it is used here: by `with`."""

    def __init__(self, world: World) -> None:
        self._world, self._held = world, False
        self._waiters: Waiters = []

    def __enter__(self) -> "Lock":
        self._world.maybe()
        while self._held:
            self._world.block(self._waiters)
        self._held = True
        return self

    def __exit__(self, *_: object) -> None:
        self._held = False
        self._world.wake(self._waiters)


class Condition(Lock):
    """threading.Condition."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._sleepers: Waiters = []

    def wait(self, timeout: float | None = None) -> bool:
        self._held = False
        self._world.wake(self._waiters)
        woken = self._world.block(self._sleepers, ns(timeout))
        while self._held:
            self._world.block(self._waiters)
        self._held = True
        return woken

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end_ns = None if timeout is None else self._world.now_ns + round(timeout * 1e9)
        while not (result := predicate()):
            left_s = None if end_ns is None else (end_ns - self._world.now_ns) / 1e9
            if left_s is not None and left_s <= 0:
                break
            self.wait(left_s)
        return result

    def notify_all(self) -> None:
        self._world.wake(self._sleepers)


class Thread:
    """threading.Thread; it belongs to the process of who starts it."""

    def __init__(
        self,
        world: World,
        target: Callable[..., None],
        args: tuple[Any, ...] = (),
        name: str = "",
        daemon: bool | None = None,
    ) -> None:
        self._world, self._body, self.name = world, lambda: target(*args), name
        self._task: Task | None = None

    def start(self) -> None:
        self._task = self._world.start(self._world._alive().process, self.name, self._body)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.ended

    def join(self, timeout: float | None = None) -> None:
        if self.is_alive() and self._task is not None:
            self._world.block(self._task.joiners, ns(timeout))


class Threading:
    """The module `threading` of the world."""

    def __init__(self, world: World) -> None:
        self.Event = lambda: Event(world)
        self.Lock = lambda: Lock(world)
        self.Condition = lambda: Condition(world)
        self.Thread = lambda *args, **more: Thread(world, *args, **more)
