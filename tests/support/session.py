"""A whole evokd for tests: `LiveHost` as threads of the test, `Session` as the processes of `evokd run`.

Nothing here waits by the clock alone: everything is polled for, up to a deadline that no good run reaches.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zmq

from firmware import acquisition
from firmware.ports import Source
from firmware.server import Server
from firmware.session import STALE
from firmware.simulated import SimulatedSource
from firmware.transport import Listener
from hostd import casefile, wire
from hostd.case import Case
from hostd.client import request
from hostd.daemon import Daemon, HostOptions
from hostd.endpoints import parse_bus
from hostd.errors import EvokdError
from hostd.keys import Secret
from hostd.wire import Message
from hw.link import Configure, Description
from tests.support.ports import free_bus

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of `condition`; AssertionError with `what` when there is none in time."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.005)
    return value


class Ear:
    """Everything that a bus says from when it opens, in order of arrival, as raw as it came."""

    def __init__(
        self, bus: str, topics: tuple[str, ...] = ("",), raw: bool = False, key: Secret | None = None
    ) -> None:
        at = parse_bus(bus)
        self._poller = zmq.Poller()
        self._sockets: dict[Any, str] = {}
        ends = {"events": at.events, "traces": at.traces} | ({"raw": at.raw} if raw else {})
        for name, address in ends.items():
            socket = zmq.Context.instance().socket(zmq.SUB)
            socket.linger, socket.rcvhwm, socket.reconnect_ivl = 0, 0, 1
            if key is not None:
                key.apply(socket)
            for topic in topics:
                socket.subscribe(topic)
            socket.connect(address)
            self._sockets[socket] = name
            self._poller.register(socket, zmq.POLLIN)
        self.heard: list[Message] = []
        self.endpoint_of: dict[str, set[str]] = {}

    def listen(self, timeout_ms: int = 20) -> list[Message]:
        """What has arrived since, also appended to `heard`; malformed messages are an error."""
        new = []
        for socket, _ in self._poller.poll(timeout_ms):
            with contextlib.suppress(zmq.Again):
                while True:
                    message = wire.decode(socket.recv_multipart(zmq.NOBLOCK))
                    self.endpoint_of.setdefault(message.topic, set()).add(self._sockets[socket])
                    new.append(message)
        self.heard += new
        return new

    def until(self, wanted: Callable[[Message], bool], what: str, fresh: bool = False) -> Message:
        """The first message that is `wanted`: heard already or to come, with `fresh` to come."""
        found = [m for m in self.heard if not fresh and wanted(m)]

        def listened() -> list[Message]:
            found.extend(m for m in self.listen() if wanted(m))
            return found

        until(lambda: found or listened(), what)
        return found[0]

    def of(self, topic: str) -> list[Message]:
        """Messages heard of one topic, or of all that begin with it when it ends with a dot."""
        return [m for m in self.heard if m.topic == topic or (topic[-1] == "." and m.topic.startswith(topic))]

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(0)

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LiveHost:
    """The real host and the real edge server over a real unix socket, as threads of the test.

    `source` None is the simulated patient at `speed`. Use as a context manager; leaving stops both and
    raises nothing: what the host died of is in `failure`. The edge waits `patience_s` for a heartbeat: on a
    machine that is busy with other tests a thread may stand still for longer than a real edge allows. `keys`:
    its directory of keys; the host's own questions (`ask`) are then asked with the key of `asks`.
    """

    def __init__(
        self,
        case: Case | None = None,
        source: Source | None = None,
        data: Path | None = None,
        speed: float | None = 4.0,
        seconds: float | None = None,
        patience_s: float = DEADLINE_S,
        keys: Path | None = None,
        asks: Secret | None = None,
    ) -> None:
        self.key = asks
        self._patience_ns = round(patience_s * 1e9)
        self._folder = Path(tempfile.mkdtemp(prefix="evokd-test-"))
        self.bus = free_bus()
        self.data = data
        self.source = source or SimulatedSource(speed, None, 1)
        self.failure: EvokdError | None = None
        self._link = f"unix:{self._folder / 'edge.sock'}"
        self._stop, self._edge_stop = threading.Event(), threading.Event()
        self._ready = threading.Event()
        case = case or casefile.procedure("median_ssep")
        options = HostOptions(case, "case", self._link, self.bus, data, seconds, keys=keys)
        self._daemon = Daemon(options, self._stop)
        self._listener = Listener(self._link)
        self._server = Server(self.source, self._listener, self._edge_stop)
        self._host = threading.Thread(target=self._run, name="test-host", daemon=True)
        self._edge = threading.Thread(target=self._serve, name="test-edge", daemon=True)

    def _run(self) -> None:
        try:
            self._daemon.run(self._ready.set)
        except EvokdError as error:
            self.failure = error
        finally:
            self._ready.set()

    def _serve(self) -> None:
        with contextlib.suppress(Exception):  # how the edge ends is seen at the host
            self._server.run()

    def __enter__(self) -> "LiveHost":
        self._usual_ns, acquisition.TIMEOUT_NS = acquisition.TIMEOUT_NS, self._patience_ns
        self._edge.start()
        self._host.start()
        assert self._ready.wait(DEADLINE_S), "the host did not open its bus"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._host.join(DEADLINE_S)
        self._edge_stop.set()
        self._edge.join(DEADLINE_S)
        acquisition.TIMEOUT_NS = self._usual_ns
        self._listener.close()
        shutil.rmtree(self._folder)
        assert not self._host.is_alive(), "the host does not end"
        assert not self._edge.is_alive(), "the edge does not end"

    def lose_edge(self) -> None:
        """The edge is gone, without a word."""
        self._edge_stop.set()
        self._edge.join(DEADLINE_S)

    def new_edge(self, source: Source) -> None:
        """Another start of an edge, where the one that was lost was."""
        self._edge_stop = threading.Event()
        self._server = Server(source, self._listener, self._edge_stop)
        self._edge = threading.Thread(target=self._serve, name="test-edge", daemon=True)
        self._edge.start()

    @property
    def running(self) -> bool:
        """Whether the host is."""
        return self._host.is_alive()

    def join(self) -> None:
        """Wait until the host has ended by itself."""
        self._host.join(DEADLINE_S)
        assert not self.running, "the host does not end"

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        """One control request's reply."""
        return request(self.bus, command, args, key=self.key)

    def error(self, command: str, **args: Any) -> tuple[str, str]:
        """Code and message of a request that must fail."""
        reply = self.ask(command, **args)
        assert reply["ok"] is False and set(reply) == {"id", "ok", "error"}, reply
        return reply["error"]["code"], reply["error"]["message"]

    def ok(self, command: str, **args: Any) -> Any:
        """Result of a request that must succeed."""
        reply = self.ask(command, **args)
        assert reply["ok"] is True and set(reply) == {"id", "ok", "result"}, reply
        return reply["result"]

    def arm(self, *tests: str) -> None:
        """Arm `tests`; on hardware the electrodes are measured first."""
        if self.ask("stim.arm", test=tests[0])["ok"]:
            tests = tests[1:]
        else:
            self.ok("impedance.start")
        for test in tests:
            until(lambda t=test: self.ask("stim.arm", test=t)["ok"], f"{test} armed")

    def fire(self, test: str, **args: Any) -> None:
        """One stimulus of an armed test, once the lock of the measurement before it is over, and a host that
        a busy machine kept silent is believed again."""
        end = time.monotonic() + DEADLINE_S
        passing = ("wait until that has ended", STALE)
        while not (reply := self.ask("stim.fire", test=test, **args))["ok"]:
            assert any(why in reply["error"]["message"] for why in passing), reply
            assert time.monotonic() < end, reply
            time.sleep(0.01)


class Bench(SimulatedSource):
    """The simulated box under the name of a real one, so that nothing runs unarmed; `wired` False cuts the
    stimulus line's way back into the status word."""

    wired = True

    def configure(self, wanted: Configure) -> Description:
        described = replace(super().configure(wanted), source="bench")
        box, write = self._box, self._box.write

        def cut(bits: int) -> None:
            write(bits)
            if not self.wired:
                box.board.chips[0].gpio_pins = 0

        box.write = cut  # type: ignore[method-assign]
        return described


@dataclass(slots=True)
class Session:
    """`evokd run` as its user starts it; `stdout` and `stderr` once it has ended."""

    process: "subprocess.Popen[str]"
    bus: str
    data: Path
    stdout: str = ""
    stderr: str = ""
    pids: set[int] = field(default_factory=set)

    @property
    def case(self) -> Path:
        """The directory of the one case recorded."""
        (case,) = self.data.iterdir()
        return case

    def children(self) -> dict[int, str]:
        """Process id and command line of every process that it has started and that is still there."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    if parent == self.process.pid:
                        found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        self.pids |= set(found)
        return found

    def child(self, word: str) -> int:
        """The process whose command line holds `word`."""
        (pid,) = [pid for pid, line in self.children().items() if word in line]
        return pid

    def wait(self) -> int:
        """Its exit code, in time."""
        self.stdout, self.stderr = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode


def gone(pid: int) -> bool:
    """Whether a process is there no longer (one that waits to be collected is gone as well)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def evokd(*args: object) -> list[str]:
    """The command line that runs evokd with `args`."""
    return [sys.executable, "-m", "hostd", *map(str, args)]


@contextlib.contextmanager
def session(*args: object, data: Path, bus: str | None = None, http: str = "off") -> Iterator[Session]:
    """`evokd run ARGS` with all that it needs; whatever happens, nothing of it is left behind."""
    bus = bus or free_bus()
    command = evokd("run", *args, "--data", data, "--bus", bus, "--http", http)
    folder = tempfile.mkdtemp(prefix="evokd-test-")  # what a killed supervisor cannot tidy up
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": folder},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    running = Session(process, bus, data)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(DEADLINE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(folder, ignore_errors=True)
