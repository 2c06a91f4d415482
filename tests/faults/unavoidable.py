"""What no box could have kept, given what befell it: reckoned in its own steps from who was there when.

The rules are the product's promises and no more. What an edge converts is at its host at once while the cable
carries, be the host stopped (its kernel holds it). A host has it on file at once while it runs and the disk
takes. What a host that died had not on file the edge gives again. So two things cost samples: an edge that
dies with what it could not hand over, and a host that dies behind its edge with what the disk did not take.
"""

from dataclasses import dataclass

from tests.faults.stage import Life, Stage

STEP_NS = 4_000_000
"""A sample's time."""
STARTS_NS = 150_000_000
"""A host that was started looks for its case, shakes hands and configures; then the edge gives again."""
REDIALS_NS = 150_000_000
"""A connection that broke is tried again every 0.1 s, and hands are shaken."""
NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one edge: what was lost by its death or its host's, and up to when what it converted is on file."""

    lost_ns: int
    on_file_ns: int


def kept(stage: Stage, edge: Life) -> Kept:
    """The walk through the life of `edge`, and on until all that it handed over is on file or lost."""
    began_ns = stage.boards[stage.edges.index(edge)].began_ns
    end_ns = edge.ended_ns or NEVER_NS
    if not began_ns:
        return Kept(0, 0)
    at_host_ns = on_file_ns = began_ns
    host = _there(stage.hosts, began_ns)
    for now_ns in range(began_ns, stage.world.now_ns + STEP_NS, STEP_NS):
        lives = now_ns < end_ns
        was, host = host, _there(stage.hosts, now_ns)
        if host is not was:
            at_host_ns = on_file_ns
        if host is not None and lives and now_ns >= host.began_ns + STARTS_NS and _carries(stage, now_ns):
            at_host_ns = now_ns
        if host is not None and not _within(host.stops, now_ns) and not _within(stage.disk.troubles, now_ns):
            on_file_ns = at_host_ns
            if not lives:
                break
    return Kept(max(0, end_ns - on_file_ns) if edge.ended_ns else 0, on_file_ns)


def _there(lives: list[Life], now_ns: int) -> Life | None:
    """Who of them is alive then."""
    found = [one for one in lives if one.began_ns <= now_ns < (one.ended_ns or NEVER_NS)]
    return found[-1] if found else None


def _carries(stage: Stage, now_ns: int) -> bool:
    """Whether the cable takes what the edge has. One that stands still holds it, a cut one does not."""
    cuts = ((from_ns, to_ns) for from_ns, to_ns, what in stage.troubles if what == "cut" and to_ns > from_ns)
    return not any(from_ns <= now_ns < to_ns + REDIALS_NS for from_ns, to_ns in cuts)


def _within(spans: list[tuple[int, int]], now_ns: int) -> bool:
    return any(from_ns <= now_ns < to_ns for from_ns, to_ns in spans)
