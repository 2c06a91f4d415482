"""Faults that this machine cannot have are skipped with a reason; packets are harmed as they should be."""

import random
from pathlib import Path

import pytest

from tests.faults import pressure, tunnel, wall_clock
from tests.faults.measured import SkippedError
from tests.faults.tunnel import Trouble, Tunnel


def test_without_ip_no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel.shutil, "which", lambda name: None)
    with pytest.raises(SkippedError, match="iproute2"):
        Tunnel(1)


def test_where_no_namespace_may_be_made_no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: str) -> None:
        raise tunnel.subprocess.CalledProcessError(1, ["ip", *words])

    monkeypatch.setattr(tunnel.shutil, "which", lambda name: "/sbin/ip")
    monkeypatch.setattr(tunnel.os, "access", lambda path, mode: True)
    monkeypatch.setattr(tunnel.os, "geteuid", lambda: 0)
    monkeypatch.setattr(tunnel, "_ip", refused)
    with pytest.raises(SkippedError, match="network namespace"):
        Tunnel(1)


def test_without_the_library_no_other_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wall_clock, "LIBRARIES", tmp_path)
    with pytest.raises(SkippedError, match="apt-get install libfaketime"):
        wall_clock.Clock(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_without_a_cgroup_no_pressure(there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None can be made, or one without a memory controller."""
    monkeypatch.setattr(pressure, "_ours", lambda: tmp_path if there else tmp_path / "none")
    with pytest.raises(SkippedError, match="controller is not enabled" if there else "No such file"):
        pressure.Group()
    assert list(tmp_path.iterdir()) == []


def test_the_units_have_the_edge_ended_last_and_a_stranger_first() -> None:
    assert 0 == pressure.score("edge") < pressure.score("host") < pressure.CHEAP < pressure.ORDINARY


@pytest.mark.parametrize(
    ("trouble", "arrive", "late_s"),
    [
        (Trouble(), 1, 0.0),
        (Trouble(lose=1.0), 0, 0.0),
        (Trouble(none=True), 0, 0.0),
        (Trouble(double=1.0), 2, 0.0),
        (Trouble(reorder=1.0), 1, tunnel.BEHIND_S),
        (Trouble(late_s=0.3), 1, 0.3),
    ],
    ids=str,
)
def test_packets_are_harmed_as_they_should_be(trouble: Trouble, arrive: int, late_s: float) -> None:
    assert tunnel.harmed(b"packet", trouble, random.Random(1)) == [(late_s, b"packet")] * arrive


def test_a_bent_packet_has_one_bit_of_another_value() -> None:
    ((_, bent),) = tunnel.harmed(bytes(100), Trouble(flip=1.0), random.Random(1))
    assert sum(byte.bit_count() for byte in bent) == 1 and len(bent) == 100
