"""The link of a world: one cable, whose bytes are late, lost, bent, doubled or out of order.

Two kinds: a socket (in order, whole, and each end hears when the other is gone) and a serial cable (nobody is
told of anything). The product's framing, server and intake stand on both ends as they are.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hostd.errors import LinkError
from tests.faults.world import Process, Waiters, World, ns

HOLDS = 1 << 16
"""Bytes that wait on the way before who writes must wait."""
WRITE_S = 10.0


@dataclass(slots=True)
class Harm:
    """What happens to each piece that is sent: probabilities, a delay, and until when nothing passes."""

    flip: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    delay_ns: int = 0
    still_until_ns: int = 0
    pulled: bool = False

    @property
    def bends(self) -> bool:
        return bool(self.flip or self.drop or self.double or self.reorder)


class Pipe:
    """One direction."""

    def __init__(self, world: World, harm: Harm) -> None:
        self._world, self._harm = world, harm
        self._way: deque[tuple[int, bytes]] = deque()
        self._n = 0
        self._late = b""
        self._readers: Waiters = []
        self._writers: Waiters = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Send; EOFError when the other end takes nothing for ten seconds."""
        world, harm = self._world, self._harm
        world.maybe()
        end_ns = world.now_ns + round(WRITE_S * 1e9)
        while self._n >= HOLDS and not self.closed:
            if world.now_ns >= end_ns:
                raise EOFError("timed out")
            world.block(self._writers, end_ns - world.now_ns)
        if self.closed:
            raise EOFError("closed")
        chance = world.random
        if harm.pulled or chance.random() < harm.drop:
            return
        if chance.random() < harm.flip:
            bent = bytearray(data)
            bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
            data = bytes(bent)
        due_ns = world.now_ns + chance.randrange(50_000, 400_000) + harm.delay_ns
        due_ns = max(due_ns, self._way[-1][0] if self._way else 0, harm.still_until_ns)
        pieces = [data] * (2 if chance.random() < harm.double else 1)
        if self._late:  # what was overtaken comes behind this
            pieces.append(self._late)
            self._late = b""
        elif chance.random() < harm.reorder:
            self._late = pieces.pop()
        for piece in pieces:
            self._way.append((due_ns, piece))
            self._n += len(piece)
        world.wake(self._readers)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; b"" when nothing has in time. EOFError at the end."""
        world = self._world
        world.maybe()
        end_ns = world.now_ns + (ns(timeout_s) or 0)
        while True:
            if self._way and max(self._way[0][0], self._harm.still_until_ns) <= world.now_ns:
                out = bytearray()
                while self._way and self._way[0][0] <= world.now_ns:
                    out += self._way.popleft()[1]
                self._n -= len(out)
                world.wake(self._writers)
                return bytes(out)
            if self.closed and not self._way:
                raise EOFError("closed")
            if world.now_ns >= end_ns:
                return b""
            due_ns = max(self._way[0][0], self._harm.still_until_ns) if self._way else end_ns
            world.block(self._readers, min(due_ns, end_ns) - world.now_ns)

    def close(self, whole: bool = False) -> None:
        """No more comes; what is under way arrives, unless `whole`."""
        self.closed = True
        if whole:
            self._way.clear()
        self._world.wake(self._readers)
        self._world.wake(self._writers)


class EdgeEnd:
    """What the edge's server reads and writes (`firmware.transport.Stream`)."""

    def __init__(self, there: Pipe, back: Pipe, hangs_up: bool) -> None:
        self._there, self._back, self._hangs_up = there, back, hangs_up

    def read(self, timeout_s: float) -> bytes:
        return self._there.read(timeout_s)

    def write(self, data: bytes) -> None:
        self._back.write(data)

    def close(self) -> None:
        if self._hangs_up:
            self._there.close(True)
            self._back.close()


class HostEnd:
    """What the host's link reads and writes."""

    device = None

    def __init__(self, there: Pipe, back: Pipe, same_machine: bool) -> None:
        self._there, self._back, self.same_machine = there, back, same_machine

    def read(self, timeout_s: float) -> bytes:
        try:
            return self._back.read(timeout_s)
        except EOFError:
            raise ConnectionResetError("closed by the edge") from None

    def write(self, data: bytes) -> None:
        try:
            self._there.write(data)
        except EOFError:
            raise BrokenPipeError("gone") from None

    def close(self) -> None:
        if self.same_machine:
            self._back.close(True)
            self._there.close()


class Cable:
    """Where edge and host meet. `serial`: a pair of pipes that outlives both; else one per connection."""

    def __init__(self, world: World, serial: bool) -> None:
        self.world, self.serial, self.harm = world, serial, Harm()
        self.listening: Process | None = None
        self._backlog: deque[EdgeEnd] = deque()
        self._waiters: Waiters = []
        self._open: list[Pipe] = []
        self._wires = Pipe(world, self.harm), Pipe(world, self.harm)

    def accept(self, stopped: Callable[[], bool]) -> EdgeEnd | None:
        """The edge's next host (`firmware.transport.Listener`)."""
        if self.serial:
            self.world.pause(1_000_000)
            return None if stopped() else EdgeEnd(*self._wires, hangs_up=False)
        while not self._backlog:
            if stopped():
                return None
            self.world.block(self._waiters, 200_000_000)
        return self._backlog.popleft()

    def dial(self, within_s: float, host: Process) -> HostEnd:
        """The host's connection. Raises LinkError when nobody listens."""
        if self.serial:
            self.world.pause(1_000_000)
            if self.harm.pulled:
                raise LinkError("no edge at serial:/dev/sim: no such device")
            return HostEnd(*self._wires, same_machine=False)
        end_ns = self.world.now_ns + round(within_s * 1e9)
        while self.harm.pulled or self.listening is None or self.listening.dead:
            if self.world.now_ns >= end_ns:
                raise LinkError("no edge at unix:/sim: connection refused; start one or check the address")
            self.world.pause(50_000_000)
        there, back = Pipe(self.world, self.harm), Pipe(self.world, self.harm)
        self._open += [there, back]

        def hang_up() -> None:
            there.close()
            back.close(True)

        host.ending.append(hang_up)
        self._backlog.append(EdgeEnd(there, back, hangs_up=True))
        self.world.wake(self._waiters)
        return HostEnd(there, back, same_machine=True)

    def edge_died(self) -> None:
        """Its kernel hangs up for it: what it had written can still be read (Linux, unix and TCP)."""
        for there, back in zip(self._open[::2], self._open[1::2], strict=True):
            there.close(True)
            back.close()
        self._open.clear()
        self._backlog.clear()

    def cut(self) -> None:
        """Every connection breaks; what was under way is gone."""
        for pipe in self._open:
            pipe.close(True)
        self._open.clear()
        self._backlog.clear()
