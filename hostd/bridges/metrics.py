"""A box's health as Prometheus metrics: fed with bus messages, read as an exposition.

Owns what is known of one start of the daemon; a new one begins anew. Never waveforms, never names of people.
Refuses to let old figures look live: once the bus has been silent for `ALIVE_S`, `evokd_up` is 0 and nothing
is told but for how long. Figures that a message lacks are left out, not invented.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hostd.bridges import families
from hostd.bridges.families import Known
from hostd.wire import Message

ALIVE_S = 2.0
"""The bus beats ten times a second; a display says so after one second of silence."""
TOPICS = (
    "beat",
    "status",
    "case",
    "alert",
    "alarms",
    "mains",
    "impedance",
    "tof",
    "average.",
    "measure.",
    "response.",
)
MOST_TESTS = 64
MOST_ALERTS = 1000


class Metrics(Collector):
    """What is known of a box; `accept` and `collect` may be called from any thread. `now_s` is monotonic."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._boot = ""
        self._old_boots: deque[str] = deque(maxlen=32)
        self._heard_s: float | None = None
        self._refused = 0
        self._known = Known()

    def accept(self, message: Message) -> bool:
        """Take a message in if it is well formed and of interest; False when it is not."""
        topic, header = message.topic, message.header
        boot, t_ns = header.get("boot"), header.get("t_ns")
        with self._lock:
            if not isinstance(boot, str) or not boot or type(t_ns) is not int:
                self._refused += 1
                return False
            if boot in self._old_boots:
                return False
            if boot != self._boot:
                self._old_boots.append(self._boot)
                self._boot, self._known = boot, Known()
            self._heard_s = self._now_s()
            self._known.newest_ns = max(self._known.newest_ns, t_ns)
            return topic.startswith(TOPICS) and self._take(topic, header)

    def _take(self, topic: str, header: Mapping[str, Any]) -> bool:
        kind, _, test = topic.partition(".")
        known = self._known
        if kind == "alert":
            if isinstance(header.get("id"), str) and (
                header["id"] in known.alerts or len(known.alerts) < MOST_ALERTS
            ):
                known.alerts[header["id"]] = header
        elif kind == "alarms":
            told = header.get("open")
            open_now = told if isinstance(told, list) else []
            known.alerts = {str(a.get("id")): a for a in open_now[:MOST_ALERTS] if isinstance(a, Mapping)}
        elif test or kind == "tof":
            test = test or str(header.get("test"))
            of_kind = known.tests.setdefault(kind, {})
            if test not in of_kind and len(of_kind) >= MOST_TESTS:
                self._refused += 1
                return False
            of_kind[test] = header
            if families.is_good(kind, header):
                known.good_ns[test] = header["t_ns"]
        else:
            known.latest[kind] = header
        return True

    def collect(self) -> Iterable[Metric]:
        """The metrics now."""
        with self._lock:
            age_s = None if self._heard_s is None else max(0.0, self._now_s() - self._heard_s)
            up = age_s is not None and age_s <= ALIVE_S
            told = list(families.of(self._known, age_s)) if up and age_s is not None else []
            refused = self._refused
        yield GaugeMetricFamily("evokd_up", "1 while the box's bus speaks, else 0.", value=float(up))
        if age_s is not None:
            text = "Since the bus was last heard."
            yield GaugeMetricFamily("evokd_bus_age_seconds", text, value=age_s)
        text = "Messages that were malformed, or of more tests than are followed."
        yield CounterMetricFamily("evokd_refused_messages", text, value=refused)
        yield from told


def exposition(metrics: Collector) -> bytes:
    """The text of `/metrics`, format 0.0.4 (`prometheus_client.CONTENT_TYPE_LATEST`)."""
    return generate_latest(metrics)
