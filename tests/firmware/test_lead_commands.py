"""Commands about leads on the link: to sources that have electrodes, refused by others, ended with hosts."""

import queue
from pathlib import Path

import pytest

from firmware.ports import LeadCommand, LeadSource
from hw.link import ImpedanceStart, ImpedanceStop, LeadWatch, Reply, Start, hello
from tests.support.edge import WITHIN_S, RawHost, ScriptedSource, poll_fast, served, unix, wanted
from tests.support.links import true_block

COMMANDS = (ImpedanceStart(11, 6, 31.25, 0, 0), LeadWatch(12, 6), ImpedanceStop(13))


class Electrodes(ScriptedSource):
    """A scripted source with electrodes; keeps its `asked`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: queue.Queue[LeadCommand] = queue.Queue()

    def lead_command(self, command: LeadCommand) -> None:
        self.asked.put(command)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


def started(host: RawHost, source: ScriptedSource) -> None:
    """The host has had its first block."""
    host.open(wanted())
    source.items.put(true_block(0, 5))
    host.send(Start(1))
    host.hear()


def test_a_source_with_electrodes_gets_every_command_and_is_stopped_with_its_host(tmp_path: Path) -> None:
    source = Electrodes()
    assert isinstance(source, LeadSource)
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        started(host, source)
        host.send(*COMMANDS)
        assert tuple(source.asked.get(timeout=WITHIN_S) for _ in COMMANDS) == COMMANDS
        host.hang_up()
        assert source.asked.get(timeout=WITHIN_S) == ImpedanceStop(0)


def test_a_second_host_on_the_same_wire_ends_the_measurement_of_the_first(tmp_path: Path) -> None:
    source = Electrodes()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        started(host, source)
        host.send(hello("host", 8))
        assert source.asked.get(timeout=WITHIN_S) == ImpedanceStop(0)
        host.hang_up()


def test_a_source_without_electrodes_refuses_each(tmp_path: Path) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        started(host, source)
        host.send(*COMMANDS)
        replies = [host.hear() for _ in COMMANDS]
        why = "this source has no electrodes to measure"
        assert replies == [Reply(11, why), Reply(12, why), Reply(13, why)]
        host.hang_up()


def test_nothing_is_excited_before_start(tmp_path: Path) -> None:
    source = Electrodes()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.open(wanted())
        host.send(COMMANDS[0])
        assert host.hear() == Reply(11, "not acquiring")
        assert source.asked.empty()
        host.hang_up()
