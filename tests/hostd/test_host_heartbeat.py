"""The host's heartbeat: as long as it is alive, from a thread of its own, never of a host that hangs."""

import threading
import time
from pathlib import Path

import pytest

from hostd import casefile, daemon, intake
from hostd.daemon import Daemon, HostOptions
from hostd.errors import LinkError
from hostd.intake import Intake
from hw.limits import HEARTBEAT_EVERY_S, HEARTBEAT_TIMEOUT_S
from hw.link import Heartbeat
from tests.support.fake_edge import FakeEdge

ENOUGH = 5


def _listen(edge: FakeEdge) -> None:
    while sum(isinstance(m, Heartbeat) for m in edge.heard) < ENOUGH:
        edge.heard += edge.receiver.feed(edge.host.recv(4096))


def test_it_beats_by_itself_although_nobody_receives(tmp_path: Path) -> None:
    edge = FakeEdge(tmp_path, _listen)
    intake = Intake(edge.address, threading.Event())
    intake.begin()
    edge._thread.join(60)
    assert sum(isinstance(m, Heartbeat) for m in edge.heard) >= ENOUGH
    intake.close()
    assert not any(t.name == "heartbeat" for t in threading.enumerate())


@pytest.mark.control("H1.4")
def test_a_host_that_hangs_does_not_beat(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)

    def alive() -> bool:
        asked.release()
        return False

    edge = FakeEdge(tmp_path, lambda edge: edge.heard.extend(edge.receiver.feed(edge.host.recv(4096))))
    intake = Intake(edge.address, threading.Event())
    intake.alive = alive
    intake.begin()
    for _ in range(ENOUGH):
        assert asked.acquire(timeout=60)
    edge._thread.join(60)
    intake.close()
    assert not any(isinstance(m, Heartbeat) for m in edge.heard)


def test_several_beats_fit_into_the_edges_patience() -> None:
    assert HEARTBEAT_TIMEOUT_S <= 0.2 and 4 * HEARTBEAT_EVERY_S < HEARTBEAT_TIMEOUT_S


class Link:
    """A link that counts beats; those in `broken` fail."""

    def __init__(self, *_: object, broken: tuple[int, ...] = (), **__: object) -> None:
        self.beats, self.broken = 0, broken

    def beat(self) -> None:
        self.beats += 1
        if self.beats in self.broken:
            raise LinkError("cut")


class Rounds:
    """An event that is waited for `n` times in vain; `at` is called before each time but the first."""

    def __init__(self, n: int) -> None:
        self.waits: list[float] = []
        self._n = n
        self.at = lambda k: None

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.at(len(self.waits))
        return len(self.waits) > self._n


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> tuple[Intake, Link, Rounds]:
    """An intake whose thread is the test's own, its link, and ten rounds to go."""
    monkeypatch.setattr(intake, "EdgeLink", Link)
    made, rounds = Intake("unix:none", threading.Event()), Rounds(10)
    made._hung_up = rounds  # type: ignore[assignment]
    return made, made._link, rounds  # type: ignore[return-value]


def test_one_beat_every_forty_milliseconds(beating: tuple[Intake, Link, Rounds]) -> None:
    made, link, rounds = beating
    made._beat()
    assert link.beats == 10 and set(rounds.waits) == {HEARTBEAT_EVERY_S} == {0.04}


def test_none_while_it_hangs_and_again_when_it_goes_on(beating: tuple[Intake, Link, Rounds]) -> None:
    made, link, _ = beating
    alive = iter([True, True, False, False, False, False, False, False, False, True])
    made.alive = lambda: next(alive)
    made._beat()
    assert link.beats == 3


def test_a_broken_link_ends_no_heartbeat_and_a_new_one_hears_it(beating: tuple[Intake, Link, Rounds]) -> None:
    made, link, rounds = beating
    link.broken = (2, 3, 4)
    new = Link()

    def replaced(k: int) -> None:
        if k == 6:
            made._link = new  # type: ignore[assignment]

    rounds.at = replaced
    made._beat()
    assert (link.beats, new.beats) == (5, 5)


def test_a_host_is_alive_that_served_within_the_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    options = HostOptions(casefile.procedure("median_ssep"), "case", "unix:none", "tcp://127.0.0.1:1", None)
    now_ns = time.monotonic_ns()
    host = Daemon(options, threading.Event())
    host._served_ns = now_ns
    for after_ns, alive in ((0, True), (999_999_999, True), (1_000_000_000, False), (10**12, False)):
        monkeypatch.setattr(daemon.time, "monotonic_ns", lambda at=now_ns + after_ns: at)
        assert host._alive() is alive
