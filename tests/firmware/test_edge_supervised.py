"""What the edge tells its supervisor: ready when hosts can come, fed while acquisition, server and reader are
alive, and no longer once one of them is not."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import firmware.notify
import hostd.notify
from firmware.ports import Put
from firmware.server import Server
from firmware.transport import Listener
from hw.link import Start
from hw.stages import Stages
from tests.support.edge import RawHost, ScriptedSource, poll_fast, unix, wanted
from tests.support.links import true_block
from tests.support.supervisor import FakeSupervisor, supervisor

FED_S = 0.04
STAGE_S = 0.3
ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("notify", [firmware.notify, hostd.notify])


@pytest.mark.control("H16.7")
@BOTH
@pytest.mark.parametrize("abstract", [False, True])
def test_a_frozen_stage_ends_the_feeding_and_is_named(
    notify: ModuleType, abstract: bool, tmp_path: Path
) -> None:
    where = f"@evokd-test-{os.getpid()}-{notify.__name__}" if abstract else tmp_path
    with supervisor(where, FED_S) as fake:
        ours = notify.Supervisor(Stages(STAGE_S), fake.environ)
        ours.says("waits")
        assert fake.hear() == ["STATUS=waits"]
        ours.beat("stage", 60.0)
        ours.ready("serves")
        assert fake.hear() == ["READY=1", "STATUS=serves"]
        fake.until("WATCHDOG=1")
        ours.beat("stage", 0.0)
        assert not fake.fed_after("STATUS=stage is ", 5 * FED_S)
        ours.beat("stage", 60.0)
        assert fake.hear() == ["WATCHDOG=1", "STATUS=serves"]
        ours.stopping()
        fake.until("STOPPING=1")


@BOTH
def test_without_a_supervisor_or_with_one_that_is_gone_nothing_happens(
    notify: ModuleType, tmp_path: Path
) -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "watchdog"}
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        ours = notify.Supervisor(Stages(STAGE_S), environ)
        ours.ready("serves")
        ours.stopping()
    feeding = {thread for thread in threading.enumerate() if thread.name == "watchdog"}
    assert feeding <= before, "no watchdog, no thread"


@BOTH
def test_a_supervisor_that_reads_nothing_stops_nobody(notify: ModuleType, tmp_path: Path) -> None:
    with supervisor(tmp_path) as fake:
        ours = notify.Supervisor(Stages(STAGE_S), fake.environ)
        for _ in range(2000):  # more than a socket holds
            ours.says("x" * 150)


class _Slow(ScriptedSource):
    """Delivers one block and then hangs, until `go`; `quiet` is said meanwhile if wanted."""

    def __init__(self, says_quiet: bool) -> None:
        super().__init__()
        self.says_quiet, self.go = says_quiet, threading.Event()
        self.quiet: Callable[[], None] = lambda: None

    def _run(self, put: Put, stop: threading.Event) -> None:
        put(true_block(0, 5))
        while not (self.go.wait(0.02) or stop.is_set()):
            if self.says_quiet:
                self.quiet()
        super()._run(put, stop)


def _fed_beyond_a_stage(fake: FakeSupervisor) -> None:
    """Four feeds come in the watchdog's time: so many that a silent stage would have been missed twice."""
    for _ in range(2 * 4 * round(STAGE_S / FED_S)):
        fake.until("WATCHDOG=1")


def _serving(server: Server) -> threading.Thread:
    thread = threading.Thread(target=server.run)
    thread.start()
    return thread


def _edge(fake: FakeSupervisor, source: ScriptedSource, tmp_path: Path) -> tuple[Server, str, Listener]:
    listener = Listener(unix(tmp_path))
    ours = firmware.notify.Supervisor(Stages(STAGE_S), fake.environ)
    return Server(source, listener, threading.Event(), ours), unix(tmp_path), listener


@pytest.mark.parametrize("says_quiet", [True, False])
def test_a_loop_without_samples_is_alive_only_if_it_says_so(
    says_quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_fast(monkeypatch)
    source = _Slow(says_quiet)
    with supervisor(tmp_path, FED_S) as fake:
        server, address, listener = _edge(fake, source, tmp_path)
        thread = _serving(server)
        try:
            fake.until("READY=1")
            host = RawHost(address)
            host.open(wanted())
            host.send(Start(1))
            fake.until("STATUS=acquires")
            if says_quiet:
                _fed_beyond_a_stage(fake)
            else:
                assert not fake.fed_after("STATUS=acquisition is ", 5 * FED_S)
        finally:
            source.go.set()
            server._stop.set()
            thread.join()
            listener.close()
        fake.until("STOPPING=1")


def test_a_server_that_waits_for_a_host_is_alive_and_one_that_hangs_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    real = Server._still_waits

    def still_waits(self: Server) -> bool:
        if hangs.is_set():
            self._stop.wait()
        return real(self)

    monkeypatch.setattr(Server, "_still_waits", still_waits)
    monkeypatch.setattr("firmware.transport.ACCEPT_POLL_S", 0.02)
    with supervisor(tmp_path, FED_S) as fake:
        server, _, listener = _edge(fake, ScriptedSource(), tmp_path)
        thread = _serving(server)
        try:
            fake.until("READY=1")
            _fed_beyond_a_stage(fake)
            hangs.set()
            assert not fake.fed_after("STATUS=server is ", 5 * FED_S)
        finally:
            server._stop.set()
            thread.join()
            listener.close()


def test_the_process_says_when_it_is_ready_and_that_it_stops(tmp_path: Path) -> None:
    with supervisor(tmp_path, 0.4) as fake:
        link = tmp_path / "edge.sock"
        command = [sys.executable, "-m", "firmware", "--link", f"unix:{link}"]
        with subprocess.Popen(command, cwd=ROOT, env=os.environ | fake.environ) as process:
            fake.until("READY=1", 60.0)
            with socket.socket(socket.AF_UNIX) as host:
                host.connect(str(link))
            fake.until("WATCHDOG=1")
            process.terminate()
            fake.until("STOPPING=1")
            assert process.wait(60) == 0
