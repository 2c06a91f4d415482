"""One case on the stage from a seed: over which link, what befalls it when, how it ends; the verdict."""

from dataclasses import dataclass, field

from tests.faults.afflictions import Affliction
from tests.faults.oracle import Verdict, judge
from tests.faults.stage import Stage, staged

SECOND_NS = 1_000_000_000
STILL_NS = 9 * SECOND_NS
"""What every trouble is over in, and every request answered."""


@dataclass(frozen=True, slots=True)
class Played:
    """A case that was played: faults injected, by name; the trace's hash; the verdict."""

    injected: tuple[str, ...]
    trace: str
    steps: int
    verdict: Verdict = field(compare=False)


def play(
    seed: int,
    afflictions: tuple[Affliction, ...],
    n: int,
    seconds: float = 3.0,
    serial: bool | None = None,
    ring_s: float = 10.0,
) -> Played:
    """`n` faults out of `afflictions` at random moments of a case of so many seconds of its own time."""
    injected: list[str] = []
    with staged(seed, serial, ring_s=ring_s) as stage:
        world = stage.world
        chance = world.random

        def afflict() -> None:
            for _ in range(n):
                world.pause(chance.randrange(round(2 * seconds / (n + 1) * SECOND_NS)))
                one = chance.choice(afflictions)
                name = getattr(one, "__name__", "fault")
                world.note("fault", name)
                injected.append(name)
                one(stage)

        begun_ns = world.now_ns
        world.run(begun_ns + SECOND_NS // 2)
        fate = world.start(stage.outside, "fate", afflict)
        while not fate.ended:
            world.run(world.now_ns + SECOND_NS // 10)
        world.run(max(world.now_ns, begun_ns + round(seconds * SECOND_NS)))
        _finish(stage)
        return Played(tuple(injected), world.trace, world.steps, judge(stage))


def _finish(stage: Stage) -> None:
    """Half of the cases are closed as they should be, half end with everything killed."""
    world = stage.world
    closes = world.random.random() < 0.5
    stage.end()
    if closes:
        stage.ask("case.close")
        end_ns = world.now_ns + STILL_NS
        while not stage.host.process.dead and world.now_ns < end_ns:
            world.run(world.now_ns + SECOND_NS // 10)
    for life in (*stage.hosts, *stage.edges):
        stage.kill(life)
