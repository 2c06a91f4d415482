"""Updates over the link server: from hosts of any version, never beside a case, with outputs left alone."""

from pathlib import Path

import pytest

from firmware.update.launched import Launched
from firmware.update.selector import INSTALLED
from firmware.update.slots import Slots
from firmware.update.talk import ACQUIRING, WRITING, Updates
from hw.link import ALL_PLANS, Fault, Hello, Lockout, Reply, Start, StimStop, hello
from hw.link_update import UpdateAsk, UpdateInstall, UpdateOffer, UpdatePart, UpdateState
from hw.samples import SampleBlock
from tests.support.cut_disk import CutDisk
from tests.support.edge import HandedOver, RawHost, ScriptedSource, Served, heard_block, poll_fast, wanted
from tests.support.links import other_version, true_block
from tests.support.looped import plan
from tests.support.updates import Made, files, keys


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


class Edge:
    """A served edge with slots, hosts handed over."""

    def __init__(self, folder: Path) -> None:
        self.source, self.listener = ScriptedSource(), HandedOver()
        self.slots = Slots(CutDisk())
        told = Launched(folder, keys(folder), INSTALLED, ("launch",))
        self.updates = Updates(told, self.slots)
        self.served = Served(self.source, self.listener, self.updates)
        self.made = Made(folder, 1, files(1))

    def host(self) -> RawHost:
        host = self.listener.host()
        host.send(hello("update", 3))
        assert isinstance(host.hear(), Hello)
        return host


@pytest.fixture
def edge(tmp_path: Path):  # type: ignore[no-untyped-def]
    edge = Edge(tmp_path)
    yield edge
    edge.served.close()


def stage(host: RawHost) -> tuple[str, int]:
    state = host.hear()
    assert isinstance(state, UpdateState)
    return state.stage, state.at


def send_all(host: RawHost, made: Made) -> None:
    host.send(UpdateOffer(1, made.head))
    assert stage(host) == ("receiving", 0)
    host.send(UpdatePart(0, made.payload))
    assert stage(host) == ("receiving", len(made.payload))


def test_an_update_ends_the_edge_once_the_host_has_been_told(edge: Edge) -> None:
    host = edge.host()
    send_all(host, edge.made)
    host.send(UpdateInstall(2))
    assert stage(host) == ("installed", 0)
    host.hang_up()
    assert edge.served.ended()
    assert edge.served.failure is None
    assert edge.served.server.finished
    selector = edge.slots.selector()
    assert selector is not None
    assert (selector.slot, selector.trial) == ("a", True)


def test_an_edge_that_is_stopped_after_an_update_does_not_start_anew_by_itself(edge: Edge) -> None:
    host = edge.host()
    edge.updates.installed = True  # as when the signal came just now
    edge.served.stop.set()
    assert edge.served.ended()
    assert not edge.served.server.finished
    host.hang_up()


def test_a_host_of_another_version_can_update_but_not_acquire(edge: Edge) -> None:
    host = edge.listener.host()
    host.socket.sendall(other_version(role=b"update"))
    assert isinstance(host.hear(), Hello)
    refusal = host.hear()
    assert isinstance(refusal, Fault)
    assert refusal.code == "version"
    host.send(wanted(), Start(1))
    send_all(host, edge.made)
    assert edge.source.configured == []


def test_who_did_not_say_hello_is_not_answered(edge: Edge) -> None:
    host = edge.listener.host()
    host.send(UpdateAsk(1), UpdateOffer(2, edge.made.head), hello("update", 1))
    assert isinstance(host.hear(), Hello)
    host.send(UpdateAsk(3))
    state = host.hear()
    assert isinstance(state, UpdateState)
    assert state.command == 3


@pytest.mark.control("H17.6")
def test_no_case_begins_and_nothing_fires_while_an_update_is_written(edge: Edge) -> None:
    host = edge.host()
    host.send(UpdateOffer(1, edge.made.head))
    assert stage(host) == ("receiving", 0)
    host.send(wanted(), Start(2), plan(), StimStop(4, ALL_PLANS))
    answers = [host.hear() for _ in range(4)]
    busy = Fault("busy", WRITING, 1)
    assert answers == [busy, busy, Reply(101, "not acquiring"), Reply(4, "not acquiring")]
    assert edge.source.configured == []
    assert edge.source.commands.empty()
    host.send(UpdatePart(0, edge.made.payload))
    assert stage(host) == ("receiving", len(edge.made.payload))
    assert edge.source.commands.empty()


def test_the_next_host_has_its_case_when_the_one_with_the_update_is_gone(edge: Edge) -> None:
    host = edge.host()
    host.send(UpdateOffer(1, edge.made.head), UpdatePart(0, edge.made.payload[:800]))
    assert [stage(host), stage(host)] == [("receiving", 0), ("receiving", 800)]
    host.hang_up()
    case = edge.listener.host()
    case.open(wanted())
    edge.source.items.put(true_block(0, 5))
    case.send(Start(1))
    assert isinstance(heard_block(case.hear()), SampleBlock)
    case.send(UpdateAsk(1), UpdateOffer(2, edge.made.head))
    told = [case.hear(), case.hear()]
    assert [m.stage for m in told if isinstance(m, UpdateState)] == ["idle", "refused"]
    case.hang_up()
    later = edge.host()  # while samples are still acquired
    later.send(UpdateOffer(3, edge.made.head))
    state = later.hear()
    assert isinstance(state, UpdateState)
    assert (state.stage, state.text) == ("refused", ACQUIRING)
    only = {type(c) for c in list(edge.source.commands.queue)}
    assert only <= {StimStop, Lockout}  # what takes outputs low and frees locks; nothing that fires


def test_a_hello_in_between_begins_anew_and_the_offer_goes_on(edge: Edge) -> None:
    host = edge.host()
    host.send(UpdateOffer(1, edge.made.head), UpdatePart(0, edge.made.payload[:800]))
    assert [stage(host), stage(host)] == [("receiving", 0), ("receiving", 800)]
    host.send(hello("update", 4), UpdatePart(800, b"late"), UpdateOffer(2, edge.made.head))
    assert isinstance(host.hear(), Hello)
    assert stage(host) == ("receiving", 730)
