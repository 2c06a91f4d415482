"""A whole box in a world: an edge, a host, a supervisor that starts both anew, and clients who ask at random.

Owns the processes and the truth about them; what goes wrong is for `afflictions.py` to do and for `oracle.py`
to judge. `stage` gives the product the world's clock, threads, queues and files.
"""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

import firmware.acquisition
import firmware.ring
import firmware.server
import firmware.session
import hostd.case_folder
import hostd.control_desk
import hostd.daemon
import hostd.edge_link
import hostd.intake
import hostd.past_time
import hostd.processing
import hostd.record_file
import hostd.record_writer
import hostd.resume
import hostd.stimulation
import hostd.store
import hostd.timebase
from hostd import casefile
from hostd.case import Case
from hostd.clients import Clients
from hostd.daemon import HostOptions
from hostd.recorder import Recorder
from tests.faults.box_edge import Board, Rise, Spoil, edge_main
from tests.faults.box_host import Bus, Databases, Disk, Files, Memory, Pipeline, host_main
from tests.faults.wires import Cable
from tests.faults.world import Clock, Process, Threading, World
from tests.faults.world_queue import Queues

RATE_HZ = 250.0
TIMED = (
    firmware.acquisition,
    firmware.server,
    firmware.session,
    hostd.case_folder,
    hostd.control_desk,
    hostd.daemon,
    hostd.edge_link,
    hostd.intake,
    hostd.past_time,
    hostd.resume,
    hostd.store,
    hostd.timebase,
)
THREADED = (
    firmware.ring,
    firmware.server,
    firmware.session,
    hostd.edge_link,
    hostd.intake,
    hostd.processing,
    hostd.record_writer,
    hostd.stimulation,
    hostd.store,
)
QUEUED = (firmware.session, hostd.intake, hostd.processing, hostd.store)
COMMANDS = (
    "test.start",
    "stim.arm",
    "test.stop",
    "stim.fire",
    "stim.stop",
    "mark",
    "hello",
    "impedance.start",
)
TO_RUN = ("impedance.start", "hello", "stim.arm", "test.start", "stim.arm", "test.start")


@functools.cache
def case() -> Case:
    """Two tests on two lines, five stimuli a second each."""
    base = casefile.procedure("median_ssep")
    tests = tuple(replace(t, stimulus_hz=4.0, window_ms=(-10.0, 60.0)) for t in base.tests)
    return replace(base, rate_hz=RATE_HZ, tests=tests)


@dataclass(slots=True)
class Asked:
    """One request: what, of which test, when it was sent and answered (None: not), and how."""

    command: str
    test: str
    sent_ns: int
    host: int
    answers: list[tuple[int, bool, str]] = field(default_factory=list)


@dataclass(slots=True)
class Life:
    """One start of a process: when it began and ended, and why (None: killed)."""

    process: Process
    began_ns: int
    ended_ns: int | None = None
    why: str | None = None
    bus: Bus | None = None
    pipeline: Pipeline | None = None
    stops: list[tuple[int, int]] = field(default_factory=list)


class Stage:
    """One box. `free`: a simulated source, whose tests start by themselves; `serial`: over a serial cable."""

    def __init__(self, world: World, data: Path, serial: bool, free: bool) -> None:
        self.world, self.data, self.free = world, data, free
        self.cable = Cable(world, serial)
        self.disk, self.spoil = Disk(), Spoil()
        self.rises: list[Rise] = []
        self.boards: list[Board] = []
        self.edges: list[Life] = []
        self.hosts: list[Life] = []
        self.asked: list[Asked] = []
        self.outside = Process("outside")
        self.troubles: list[tuple[int, int, str]] = []
        self.bits_spoilt = False
        self.ring_s = 10.0
        self._end = False
        world.start(self.outside, "supervisor", self._supervise)
        world.start(self.outside, "client", self._ask_on)

    def start_edge(self) -> None:
        """Another start of the edge."""
        world, start = self.world, len(self.boards)
        board = Board(world, start, RATE_HZ, self.spoil, self.rises)
        process = Process(f"edge-{start}")
        self.boards.append(board)
        life = Life(process, world.now_ns)
        self.edges.append(life)

        def body() -> None:
            try:
                edge_main(world, process, board, self.cable, "simulated" if self.free else "bench")
            finally:
                if not process.dead:
                    life.ended_ns, life.why = world.now_ns, "ended"
                    world.kill(process)

        world.start(process, "main", body)

    def start_host(self) -> None:
        """Another start of the host."""
        world = self.world
        process = Process(f"host-{len(self.hosts)}")
        life = Life(process, world.now_ns)
        self.hosts.append(life)

        def ended(why: str) -> None:
            life.ended_ns, life.why = world.now_ns, why
            world.note("host ended", why)
            process.dead = True
            for end in process.ending:
                end()

        options = HostOptions(case(), "case", "unix:/sim", "tcp://127.0.0.1:5750", self.data)
        world.start(process, "main", lambda: host_main(world, options, ended))

    def kill(self, life: Life) -> None:
        """SIGKILL of a start of edge or host."""
        if not life.process.dead:
            life.ended_ns = self.world.now_ns
            self.world.kill(life.process)
            if life in self.edges:
                self.troubled(0, "cut")
                self.cable.edge_died()

    def stop(self, life: Life, ns: int) -> None:
        """SIGSTOP of it for so long."""
        life.stops.append((self.world.now_ns, self.world.now_ns + ns))
        self.world.stop(life.process, ns)

    def troubled(self, span_ns: int, what: str) -> None:
        """The link has `what` from now on for so long: "cut", "still" or "bent"."""
        self.troubles.append((self.world.now_ns, self.world.now_ns + span_ns, what))

    @property
    def host(self) -> Life:
        return self.hosts[-1]

    @property
    def edge(self) -> Life:
        return self.edges[-1]

    def end(self) -> None:
        """No more restarts and requests: the case is closed."""
        self._end = True

    def _supervise(self) -> None:
        """What systemd does: who has ended is started anew at once."""
        world = self.world
        self.start_edge()
        self.start_host()
        while not self._end:
            world.pause(20_000_000)
            if self.edge.process.dead:
                world.pause(world.random.randrange(50_000_000, 400_000_000))
                self.start_edge()
            if self.host.process.dead and not self._end:
                world.pause(world.random.randrange(50_000_000, 700_000_000))
                self.start_host()

    def _ask_on(self) -> None:
        """Clients who mostly want a test to run, and do anything else in between."""
        world = self.world
        names = [t.name for t in case().tests]
        wanted = 0
        while not self._end:
            world.pause(world.random.randrange(20_000_000, 150_000_000))
            name = names[0] if wanted % 2 else world.random.choice(names)
            if world.random.random() < 0.7:
                self.ask(TO_RUN[wanted % len(TO_RUN)], name)
                wanted += 1
            else:
                self.ask(world.random.choice(COMMANDS), name)

    def ask(self, command: str, test: str = "") -> Asked | None:
        """Send one request to the host, if it has a bus."""
        bus = self.host.bus
        if bus is None or self.host.process.dead:
            return None
        args: dict[str, Any] = {}
        if command.startswith("test.") or command in ("stim.arm", "stim.fire"):
            args = {"test": test}
        elif command == "mark":
            args = {"text": "noted", "kind": "note"}
        one = Asked(command, args.get("test", ""), self.world.now_ns, len(self.hosts) - 1)
        self.asked.append(one)
        body = msgspec.msgpack.encode({"id": len(self.asked), "command": command, "args": args})

        def answer(reply: dict[str, Any]) -> None:
            said = "" if reply["ok"] else reply["error"]["message"]
            one.answers.append((self.world.now_ns, bool(reply["ok"]), said))
            self.world.note("answer", command, test, said)

        bus.requests.append((body, answer))
        self.world.wake(bus.waiters)
        return one

    def new_bus(self, at: object, boot: str, case_id: str, *_: Any) -> Bus:
        """The bus of the host that is starting."""
        bus = Bus(self.world, case_id)
        self.host.bus = bus
        return bus

    def new_pipeline(self, *_: Any) -> Pipeline:
        """The pipeline of the host that is starting."""
        self.host.pipeline = pipeline = Pipeline()
        return pipeline


@contextlib.contextmanager
def staged(
    seed: int, serial: bool | None = None, free: bool | None = None, ring_s: float = 10.0
) -> Iterator[Stage]:
    """A box on its stage, the product living in the world's time; nothing of it is left behind."""
    world = World(seed)
    serial = world.random.random() < 0.5 if serial is None else serial
    free = world.random.random() < 0.5 if free is None else free
    clock, threads, queues = Clock(world), Threading(world), Queues(world)
    folder = Path(tempfile.mkdtemp(prefix="evokd-faults-", dir=_memory()))
    world.place = str(folder)
    stage = Stage(world, folder, serial, free)
    stage.ring_s = ring_s
    hex_ids = (f"{n:08x}" for n in range(1 << 20))

    def dial(address: str, give_up: object, within_s: float, usb: str) -> Any:
        return stage.cable.dial(within_s, world._alive().process)

    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        undo.callback(world.close)
        for module in TIMED:
            undo.enter_context(mock.patch.object(module, "time", clock))
        for module in THREADED:
            undo.enter_context(mock.patch.object(module, "threading", threads))
        for module in QUEUED:
            undo.enter_context(mock.patch.object(module, "queue", queues))
        recorder = functools.partial(Recorder, now_ns=clock.monotonic_ns)
        for module, name, other in (
            (hostd.edge_link, "_open", dial),
            (hostd.daemon, "Bus", stage.new_bus),
            (hostd.daemon, "Pipeline", stage.new_pipeline),
            (firmware.server, "RING_S", ring_s),
            (hostd.daemon, "new_case_id", lambda: f"20260101-000000-{next(hex_ids)}"),
            (hostd.processing, "Memory", Memory),
            (hostd.store, "sqlite3", Databases(world)),
            (hostd.case_folder, "Recorder", recorder),
            (hostd.control_desk, "Clients", functools.partial(Clients, clock.monotonic_ns)),
            (hostd.record_file, "os", Files(world, stage.disk)),
        ):
            undo.enter_context(mock.patch.object(module, name, other))
        yield stage


def _memory() -> str | None:
    """Where files cost least."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
