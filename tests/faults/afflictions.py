"""What can befall a box on its stage (`stage.py`): one function a fault, done when the seed says.

Each injects and returns; how long the trouble lasts is in what it does. Knows nothing of what is promised.
"""

import errno
from collections.abc import Callable

import msgspec

from tests.faults.stage import Stage
from tests.faults.wires import Harm

MS = 1_000_000
Affliction = Callable[[Stage], None]


def host_killed(stage: Stage) -> None:
    stage.kill(stage.host)


def edge_killed(stage: Stage) -> None:
    stage.kill(stage.edge)


def both_killed(stage: Stage) -> None:
    """The power of the box fails, the disk's does not: nothing is written any more."""
    stage.kill(stage.host)
    stage.kill(stage.edge)


def host_stopped(stage: Stage) -> None:
    stage.stop(stage.host, stage.world.random.randrange(10 * MS, 2500 * MS))


def edge_stopped(stage: Stage) -> None:
    stage.stop(stage.edge, stage.world.random.randrange(10 * MS, 1500 * MS))


def link_cut(stage: Stage) -> None:
    """A connection breaks, a cable is pulled and put in again."""
    stage.troubled(stage.world.random.randrange(1 * MS, 800 * MS), "cut")
    harm = stage.cable.harm
    harm.pulled = True
    stage.cable.cut()
    stage.world.pause(stage.troubles[-1][1] - stage.troubles[-1][0])
    harm.pulled = False


def link_still(stage: Stage) -> None:
    """Nothing passes for a while, then everything does."""
    span_ns = stage.world.random.randrange(10 * MS, 1500 * MS)
    stage.troubled(span_ns, "still")
    stage.cable.harm.still_until_ns = stage.world.now_ns + span_ns


def _harmed(stage: Stage, change: Callable[[Harm, float], None]) -> None:
    """Bytes are harmed for a while, as on a serial cable or by a relay."""
    harm, chance = stage.cable.harm, stage.world.random
    share = chance.choice((0.02, 0.1, 0.4))
    span_ns = chance.randrange(50 * MS, 800 * MS)
    stage.troubled(span_ns, "bent")
    change(harm, share)
    stage.world.pause(span_ns)
    change(harm, 0.0)


def link_flips(stage: Stage) -> None:
    _harmed(stage, lambda harm, share: setattr(harm, "flip", share))


def link_drops(stage: Stage) -> None:
    _harmed(stage, lambda harm, share: setattr(harm, "drop", share))


def link_doubles(stage: Stage) -> None:
    _harmed(stage, lambda harm, share: setattr(harm, "double", share))


def link_reorders(stage: Stage) -> None:
    _harmed(stage, lambda harm, share: setattr(harm, "reorder", share))


def link_delays(stage: Stage) -> None:
    _harmed(stage, lambda harm, share: setattr(harm, "delay_ns", round(share * 300 * MS)))


def disk_full(stage: Stage) -> None:
    _disk(stage, error=errno.ENOSPC)


def disk_fails(stage: Stage) -> None:
    _disk(stage, error=errno.EIO)


def disk_read_only(stage: Stage) -> None:
    _disk(stage, error=errno.EROFS)


def disk_slow(stage: Stage) -> None:
    _disk(stage, write_ns=stage.world.random.randrange(10 * MS, 400 * MS))


def sync_hangs(stage: Stage) -> None:
    _disk(stage, sync_ns=stage.world.random.randrange(500 * MS, 2000 * MS))


def _disk(stage: Stage, error: int = 0, write_ns: int = 0, sync_ns: int = 0) -> None:
    disk = stage.disk
    disk.error, disk.write_ns, disk.sync_ns = error, write_ns, sync_ns
    disk.until_ns = stage.world.now_ns + stage.world.random.randrange(50 * MS, 1500 * MS)
    if error or write_ns:  # a sync that hangs keeps nothing from the kernel
        disk.troubles.append((stage.world.now_ns, disk.until_ns))


def clock_stepped(stage: Stage) -> None:
    """The wall clock jumps by an hour; the monotonic one does not."""
    stage.world.wall_ns += stage.world.random.choice((-1, 1)) * 3_600_000_000_000


def _bits(stage: Stage, show: int, hide: int, least: int, most: int) -> None:
    spoil = stage.spoil
    spoil.show, spoil.hide = show, hide
    spoil.bits_until_ns = stage.world.now_ns + stage.world.random.randrange(least * MS, most * MS)
    stage.bits_spoilt = True


def line_missing(stage: Stage) -> None:
    """The stimulus line's way back is broken."""
    _bits(stage, 0, 0xF, 100, 900)


def line_stuck(stage: Stage) -> None:
    """A line is seen high all the time."""
    _bits(stage, 1 << stage.world.random.randrange(2), 0, 100, 900)


def line_glitch(stage: Stage) -> None:
    """A rise that nobody ordered."""
    _bits(stage, 1 << stage.world.random.randrange(2), 0, 4, 9)


def _frames(stage: Stage, torn: float, missed: float) -> None:
    spoil = stage.spoil
    spoil.torn, spoil.missed = torn, missed
    span_ns = stage.world.random.randrange(20 * MS, 300 * MS)
    stage.troubled(span_ns, "frames")
    spoil.frames_until_ns = stage.world.now_ns + span_ns


def frames_torn(stage: Stage) -> None:
    """Frames without their header."""
    _frames(stage, stage.world.random.choice((0.05, 0.5, 1.0)), 0.0)


def edges_missed(stage: Stage) -> None:
    """Data-ready edges that the kernel never told."""
    _frames(stage, 0.0, stage.world.random.choice((0.05, 0.5)))


def client_garbage(stage: Stage) -> None:
    """Requests that are none, over and over."""
    chance, bus = stage.world.random, stage.host.bus
    if bus is None or stage.host.process.dead:
        return
    for _ in range(chance.randrange(1, 60)):
        body = chance.randbytes(chance.randrange(200))
        if chance.random() < 0.5:
            body = msgspec.msgpack.encode(
                {"id": 1, "command": "stim.fire", "args": {"test": chance.random()}}
            )
        bus.requests.append((body, lambda reply: None))
    stage.world.wake(bus.waiters)


def client_replays(stage: Stage) -> None:
    """An old request is sent once more: it is judged as if it were new."""
    if stage.asked:
        old = stage.world.random.choice(stage.asked)
        stage.ask(old.command, old.test)


def client_flood(stage: Stage) -> None:
    """As many requests at once as a client may have, and more."""
    for _ in range(150):
        stage.ask(stage.world.random.choice(("mark", "hello", "stim.arm")), "left_median")


def link_cut_long(stage: Stage) -> None:
    """A connection is away for longer than a small ring holds."""
    stage.troubled(1200 * MS, "cut")
    harm = stage.cable.harm
    harm.pulled = True
    stage.cable.cut()
    stage.world.pause(1200 * MS)
    harm.pulled = False
