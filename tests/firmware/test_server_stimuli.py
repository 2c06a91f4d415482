"""Stimulus commands at the link server: handed on once acquiring, answered by it, locks kept apart."""

from pathlib import Path

import pytest

from firmware.ports import Command
from firmware.simulated import SimulatedSource
from hw.link import (
    LOCK_HOST,
    LOCK_IMPEDANCE,
    Lockout,
    Reply,
    Start,
    StimArm,
    StimLimits,
    Stimulus,
)
from tests.support.edge import WITHIN_S, RawHost, ScriptedSource, poll_fast, served, unix, wanted
from tests.support.looped import armed, plan


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


@pytest.mark.parametrize(
    "command", [StimArm(6, 1, 100), StimLimits(7, 0, (1.0,) * 14), Lockout(8, LOCK_HOST, 1), plan()]
)
def test_every_stimulus_command_goes_to_the_source(tmp_path: Path, command: Command) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address)
        host.open(wanted())
        host.send(command)
        assert host.hear() == Reply(command.command, "not acquiring")
        host.send(Start(1), command)
        assert source.commands.get(timeout=WITHIN_S) == command
        host.hang_up()


@pytest.mark.parametrize("on", [0, 1])
def test_the_lock_of_an_impedance_measurement_is_the_edge_s_own(tmp_path: Path, on: int) -> None:
    source = ScriptedSource()
    with served(source, unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        host.send(Lockout(8, LOCK_IMPEDANCE, on), plan())
        assert host.hear() == Reply(8, "the edge itself locks while impedance is measured")
        assert source.commands.get(timeout=WITHIN_S) == plan()
        host.hang_up()


def test_a_whole_stimulation_over_the_link(tmp_path: Path) -> None:
    with served(SimulatedSource(None, None, 1), unix(tmp_path)) as edge:
        host = RawHost(edge.address).start(wanted())
        order = plan(period=400, phase=7, count=3)
        host.send(order, *armed(order))
        unarmed = Reply(order.command, "it is not armed; arm it first")
        assert [host.until(Reply) for _ in range(3)] == [unarmed, Reply(201, ""), Reply(order.command, "")]
        proofs = [host.until(Stimulus) for _ in range(3)]
        assert [p.number for p in proofs] == [1, 2, 3]
        assert all(p.commanded % 400 == 7 and p.seen == p.commanded + 1 for p in proofs)
        host.hang_up()
