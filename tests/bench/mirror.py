"""How soon the displays of a box that is gone are at its mirror, and what a mirror adds to a message's way.

Real processes in real time: a box (edge, host), its mirror, two displays that know the box alone; edge and
host are killed at once, as by a power cut. From the kill until both displays have joined at the mirror, until
a display that comes only then knows the case, and until all is heard from the box again after its next start.
"""

import time
from functools import partial

from hostd.client import Joined, Subscription, snapshot
from tests.faults import mirrors
from tests.faults.box import box
from tests.faults.measured import percentile
from tests.support.session import until

BOXES = 5
DELAY_S = 10.0


def measure() -> dict[str, float]:
    """Seconds: `away` and `late` (worst and p50 of `n`), `back`; `delay_p99` in ms; `wrong` takings over."""
    away: list[float] = []
    late: list[float] = []
    back: list[float] = []
    delays: list[float] = []
    wrong: list[str] = []
    for seed in range(BOXES):
        with box(seed) as one, mirrors.mirror(one, wrong) as bus, mirrors.displays(one, bus) as displays:
            if not seed:
                delays = _delays(one.bus, bus)
            boot = str(one.beating("a beat")["boot"])
            told = {m.topic for m in snapshot(one.bus)}
            killed_s = mirrors.gone(one)
            until(partial(mirrors.all_at, displays, bus, killed_s), "the displays at the mirror")
            away += [at_s - killed_s for d in displays if (at_s := d.at(bus, killed_s)) is not None]
            came_s = time.monotonic()
            with Joined(bus) as newcomer:
                known = {m.topic for m in newcomer.receive(1000)}
            if told <= known:
                late.append(time.monotonic() - came_s)
            for name in ("edge", "host"):
                one.start(name)
            one.beating("the next start", lambda h, boot=boot: h["boot"] != boot)  # type: ignore[misc]
            again_s = time.monotonic()
            until(partial(mirrors.all_at, displays, one.bus, killed_s), "the displays at home")
            back += [
                max(0.0, at_s - again_s) for d in displays if (at_s := d.at(one.bus, killed_s)) is not None
            ]
    return {
        "n": float(len(away)),
        "p50": percentile(away, 0.5),
        "worst": max(away),
        "late": max(late, default=float("inf")),
        "back": max(back),
        "delay_p50": percentile(delays, 0.5),
        "delay_p99": percentile(delays, 0.99),
        "wrong": float(BOXES - len(late) + len(wrong)),
    }


def _delays(bus: str, mirror: str) -> list[float]:
    """Milliseconds by which a message comes later by the mirror than from the box, on one clock."""
    came: dict[tuple[str, int], float] = {}
    delays: list[float] = []
    with Subscription(bus) as here, Subscription(mirror) as there:
        here.connected(3000), there.connected(3000)
        end_s = time.monotonic() + DELAY_S
        while time.monotonic() < end_s:
            for own, subscription in ((True, here), (False, there)):
                for message in subscription.receive(0 if own else 1):
                    key, now_s = (message.topic, int(message.header["seq"])), time.monotonic()
                    if own:
                        came[key] = now_s
                    elif key in came:
                        delays.append(1e3 * (now_s - came[key]))
    return delays
