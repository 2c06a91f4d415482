"""The list: every fault that is injected, what is promised of it, and how it is done from a seed.

Groups are electrode, converter, line, link, scheduling, memory, storage, power, time, peers, configuration
and process. `promise` is what is lost at most; the four invariants (no uncommanded pulse, no uncounted
sample, every recording opens, no loss above the promise) hold for each of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.faults import (
    afflictions,
    electrodes,
    files,
    mirrors,
    nodes,
    power,
    pressure,
    processes,
    pulses,
    tunnel,
    wall_clock,
)
from tests.faults.afflictions import Affliction
from tests.faults.drama import play
from tests.faults.measured import Measured
from tests.faults.oracle import Verdict
from tests.faults.stage import RATE_HZ

A_CASE = 8
"""Faults of one played case."""
A_BOX = 5
"""Faults of one box of real processes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the list. `inject` does it from a seed, several times in a run; `full` and `ci` are how
    many runs there are of it; `real`: with processes, in real time. `most_lost_s`: None: what could not be
    helped, reckoned per run by the oracle (`oracle.bearable`)."""

    group: str
    name: str
    promise: str
    inject: Callable[[int], Measured]
    full: int
    ci: int = 0
    real: bool = False
    most_lost_s: float | None = None


def played(afflicted: tuple[Affliction, ...], ring_s: float, seed: int) -> Measured:
    """A case of the virtual box (`drama.py`)."""
    done = play(seed, afflicted, A_CASE, ring_s=ring_s)
    return of_verdict(len(done.injected), done.verdict)


def of_verdict(injected: int, v: Verdict) -> Measured:
    """The oracle's verdict in the campaign's terms."""
    return Measured(
        injected=injected,
        uncommanded=v.uncommanded,
        uncounted=v.uncounted,
        unopened=v.unopened,
        above=int(v.lost > v.bearable),
        pulses=v.pulses,
        samples=v.samples,
        unanswered=v.unanswered,
        lost_s=v.lost / RATE_HZ,
        stops_ms=v.stops_ms,
        wrong=v.wrong,
    )


def case(group: str, affliction: Affliction, promise: str, ring_s: float = 10.0, full: int = 15) -> Fault:
    """A fault of the virtual box."""
    inject = partial(played, (affliction,), ring_s)
    return Fault(group, affliction.__name__, promise, inject, full, 1)


def real(group: str, injure: processes.Injure, promise: str, full: int, lost_s: float | None = None) -> Fault:
    """A fault of a box of processes."""
    n = (
        2 if injure is processes.host_killed else A_BOX
    )  # after the third early death its keeper gives a case up
    inject = partial(processes.run, injure=injure, n=n, web=injure is processes.web_killed)
    return Fault(group, f"real.{injure.__name__}", promise, inject, full, 0, True, lost_s)


def electrode(name: str, inject: Callable[[int], Measured], told: str) -> Fault:
    """A fault of electrodes."""
    return Fault("electrode", name, f"nothing lost; told as {told}", inject, 5, 0, True, 0.0)


def packets(what: str, promise: str, full: int = 1) -> Fault:
    """A fault of the packets between a real edge and a real host."""
    inject = partial(tunnel.troubled, what)
    return Fault("link", f"packets_{what}", promise, inject, full, 0, True, 0.0)


a, p, e = afflictions, processes, electrodes
TCP = "TCP mends it: nothing lost, nothing twice"
BOTH_KILLED = "never the keeper alone; serves and records again within 2 s"
AS_KILLED = "its keeper lives; serves and records again within 2 s"
NOTHING = "nothing lost; stimulation stops within 0.2 s"
NAMED = "what was not converted or did not arrive is a named gap"
STOPPED = "stimulation stops with the first pulse that is not proven; no sample lost"
SINGLE: tuple[Fault, ...] = (
    case("converter", a.frames_torn, NAMED),
    case("converter", a.edges_missed, NAMED),
    case("line", a.line_missing, STOPPED),
    case("line", a.line_stuck, STOPPED),
    case("line", a.line_glitch, STOPPED),
    case("link", a.link_cut, "a socket: nothing lost; a silent cable: what was under way is a gap"),
    case("link", a.link_still, NOTHING),
    case("link", a.link_delays, "nothing lost"),
    case("link", a.link_flips, NAMED),
    case("link", a.link_drops, NAMED),
    case("link", a.link_doubles, "nothing lost, nothing twice"),
    case("link", a.link_reorders, NAMED),
    case("scheduling", a.host_stopped, NOTHING),
    case("scheduling", a.edge_stopped, "what was not read is a gap"),
    case("memory", a.link_cut_long, "a ring of 0.5 s that runs over: the oldest are a named gap", 0.5),
    case("storage", a.disk_full, "nothing lost within 16 MiB; said, and recorded once it takes again"),
    case("storage", a.disk_fails, "as full"),
    case("storage", a.disk_read_only, "as full"),
    case("storage", a.disk_slow, "nothing lost"),
    case("storage", a.sync_hangs, "nothing lost"),
    case("time", a.clock_stepped, "nothing lost, no sample's time moves"),
    case("peers", a.client_garbage, "refused; every good request has one answer"),
    case("peers", a.client_replays, "judged as new"),
    case("peers", a.client_flood, "busy; stops are heard all the same"),
    case("process", a.host_killed, "at most 2 s of samples; stimulation stops within 0.2 s"),
    case("process", a.edge_killed, "until the next edge: a gap; nothing stimulates by itself"),
    case("process", a.both_killed, "every recording opens"),
)
EVERY: tuple[Affliction, ...] = tuple(
    getattr(a, fault.name) for fault in SINGLE if fault.name != "link_cut_long"
)
LIST: tuple[Fault, ...] = (
    *SINGLE,
    Fault("process", "all at once", "the four invariants", partial(played, EVERY, 10.0), 100, 4),
    Fault("line", "pulse", "found at its sample, none invented", pulses.inject, 50),
    Fault(
        "converter", "on_nodes", "a named gap; unplugged: ends, said; outputs low", nodes.inject, 20, 0, True
    ),
    Fault("storage", "recording_harmed", "told by its CRC", files.recording_harmed, 2500, 30),
    Fault("storage", "database_harmed", "said in a sentence", files.database_harmed, 1500, 30),
    Fault("power", "power_cut", "at most 2 s, every recording opens", power.inject, 12, 0, True, 2.0),
    electrode("electrode_off", e.off, "noise at it within 30 s, and by its impedance"),
    electrode("electrode_loose", e.loose, "its impedance when asked"),
    electrode("electrode_railed", e.railed, "a rail within 0.5 s; its sweeps are rejected"),
    electrode(
        "electrode_saturated", e.saturated, "electrosurgery within 0.5 s; no sweep meanwhile is averaged"
    ),
    electrode("mains_loud", e.mains, "noise within 30 s"),
    packets("lose", TCP),
    packets("double", TCP),
    packets("reorder", TCP),
    packets("flip", TCP),
    packets("late", TCP),
    packets("none", "nothing lost for 4.5 s; the last pulse within 0.2 s", 3),
    Fault("memory", "memory_taken", "who took it is ended", pressure.memory_taken, 3, 0, True, 0.0),
    Fault("memory", "host_out_of_memory", AS_KILLED, pressure.out_of_memory, 3, 0, True, 2.0),
    Fault("memory", "all_out_of_memory", BOTH_KILLED, pressure.all_out_of_memory, 3, 0, True, 2.0),
    Fault("time", "wall_clock", "nothing lost, no sample's time moves", wall_clock.stepped, 3, 0, True, 0.0),
    real("process", p.host_killed, "serves and records again within 2 s; last pulse within 0.2 s", 30, 2.0),
    real("process", p.keeper_killed, "the same, Python's start included", 8, 2.0),
    real("process", p.edge_killed, "the host outlives it; the time without an edge is a gap", 3),
    real("process", mirrors.box_gone, "its displays are at its mirror within 5 s, which knows the case", 1),
    real("process", p.web_killed, "the case does not notice", 3, 0.0),
    real("scheduling", p.host_stopped, "nothing lost", 3, 0.0),
    real("scheduling", p.edge_stopped, "nothing lost in the model, which waits", 3, 0.0),
    real("scheduling", p.hogs, "nothing lost", 3, 0.0),
    real("peers", p.strangers, "a good client waits less than 1 s", 3, 0.0),
    real("peers", p.slow_readers, "the host grows by less than 50 MB", 3, 0.0),
    real("configuration", p.configured_badly, "exit 2, a line for each error", 3, 0.0),
)


def find(name: str) -> Fault:
    """The fault of that name. Raises KeyError."""
    return {fault.name: fault for fault in LIST}[name]
