"""The host's heartbeat: as long as it is alive, from a thread of its own, never of a host that hangs."""

import threading
from pathlib import Path

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
    edge._thread.join(20)
    assert sum(isinstance(m, Heartbeat) for m in edge.heard) >= ENOUGH
    intake.close()
    assert not any(t.name == "heartbeat" for t in threading.enumerate())


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
        assert asked.acquire(timeout=20)
    edge._thread.join(20)
    intake.close()
    assert not any(isinstance(m, Heartbeat) for m in edge.heard)


def test_several_beats_fit_into_the_edges_patience() -> None:
    assert HEARTBEAT_TIMEOUT_S <= 0.2 and 4 * HEARTBEAT_EVERY_S < HEARTBEAT_TIMEOUT_S
