"""What no box could have kept: reckoned from who was there when, on stages that were never played."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.stage import Life
from tests.faults.unavoidable import kept
from tests.faults.world import Process

MS = 1_000_000
BEGAN, DIED, END = 1000 * MS, 3000 * MS, 5000 * MS
STEPS = 5 * MS


@dataclass
class Played:
    """An edge that was killed, the hosts beside it, and what befell cable and disk."""

    hosts: list[Life]
    troubles: list[tuple[int, int, str]] = field(default_factory=list)
    disk: list[tuple[int, int]] = field(default_factory=list)

    def lost_ms(self) -> float:
        edge = life(BEGAN, DIED)
        stage: Any = SimpleNamespace(
            edges=[edge],
            hosts=self.hosts,
            boards=[SimpleNamespace(began_ns=BEGAN)],
            troubles=self.troubles,
            disk=SimpleNamespace(troubles=self.disk),
            world=SimpleNamespace(now_ns=END),
        )
        return kept(stage, edge).lost_ns / MS


def life(began_ns: int, ended_ns: int | None = None, *stops: tuple[int, int]) -> Life:
    return Life(Process("x"), began_ns, ended_ns, stops=list(stops))


ALWAYS = life(0)


@pytest.mark.parametrize(
    ("what", "played", "lost_ms"),
    [
        ("a host that was there all the time", Played([ALWAYS]), 0),
        (
            "a host that stood still, whose kernel holds it",
            Played([life(0, None, (2000 * MS, 4000 * MS))]),
            0,
        ),
        ("a cable that stood still holds it too", Played([ALWAYS], [(2000 * MS, 4000 * MS, "still")]), 0),
        ("a cable that was cut", Played([ALWAYS], [(2500 * MS, 4000 * MS, "cut")]), 500),
        ("one that was cut and is whole again", Played([ALWAYS], [(2000 * MS, 2500 * MS, "cut")]), 0),
        ("no host any more", Played([life(0, 2200 * MS)]), 800),
        ("the next host came in time", Played([life(0, 2200 * MS), life(2300 * MS)]), 0),
        ("the next host came too late", Played([life(0, 2200 * MS), life(2950 * MS)]), 800),
        ("a disk that refused, and takes again", Played([ALWAYS], disk=[(2000 * MS, 4000 * MS)]), 0),
        (
            "a disk that refused until the host died, and a next one that came too late",
            Played([life(0, 2200 * MS), life(2950 * MS)], disk=[(2000 * MS, 2500 * MS)]),
            1000,
        ),
        ("it refused until the host had died", Played([life(0, 3500 * MS)], disk=[(2000 * MS, END)]), 1000),
        (
            "a host that stood still and never went on",
            Played([life(0, 4000 * MS, (2000 * MS, END))]),
            1000,
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_an_edge_that_dies_takes_along_what_it_alone_had(what: str, played: Played, lost_ms: int) -> None:
    assert played.lost_ms() == pytest.approx(lost_ms, abs=STEPS / MS), what
