"""Metrics of a box: what Prometheus reads, what hostile names come to, and what a dead box says."""

import math
import socket
import threading
import time
import urllib.request
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hostd.bridges import scrape
from hostd.bridges.metrics import ALIVE_S, MOST_TESTS, Metrics, exposition
from hostd.errors import BusError
from hostd.wire import Message
from tests.support.fakebus import FakeBus, free_block, status_fields

HOSTILE = 'a"b\\c\nd{le="1"} 7 μ'
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes) -> Samples:
    """Every sample of an exposition, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class Box:
    """Metrics fed by hand, with a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s, self.boot, self.seq = 100.0, "b1", 0
        self.metrics = Metrics(lambda: self.now_s)

    def say(self, topic: str, t_s: float = 0.0, **fields: Any) -> bool:
        header = {"boot": self.boot, "seq": 1, "case": "2031-07", "t_ns": round(t_s * 1e9), **fields}
        return self.metrics.accept(Message(topic, header))

    def get(self, name: str, **labels: str) -> float | None:
        return read(exposition(self.metrics)).get((name, tuple(sorted(labels.items()))))


def full() -> Box:
    box = Box()
    stimulation = {"tests": {HOSTILE: {"fired": 9, "left_out": 2}}, "never_seen": 1}
    timebase = {"rate_hz": 4000.1, "residual_us": 2.5, "ppm": 25.0, "settled": True, "refused": 0}
    link = {"connected": True, "frames": 470, "bad_frames": 3, "lost_frames": 0, "repeated_samples": 0}
    box.say(
        "status",
        **status_fields({HOSTILE: "running", "y": "stopped"}, samples=8060, lost_samples=12, gaps=2)
        | {"stimulation": stimulation, "timebase": timebase, "link": link, "faults": ["f"]}
        | {"clients": {"events": 2, "refused": 4}, "leads": {"off": ["CP3+"], "railed": []}},
    )
    box.say("average." + HOSTILE, n_sweeps=20, n_rejected=3)
    box.say("mains", hz=50.01, amplitude_uv=[2.5, 0.5])
    box.say("impedance", leads=[{"lead": "CP3+", "ohm": 2300.0}, {"lead": "CP4+", "ohm": None}])
    box.say("alarms", open=[{"id": "a", "priority": "high", "state": "acknowledged"}])
    box.say("alert", id="b", priority="medium", state="raised")
    box.say("tof", test="tof", count=4, ratio=0.93)
    return box


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("evokd_up", {}, 1.0),
        ("evokd_bus_age_seconds", {}, 0.0),
        ("evokd_samples_total", {}, 8060.0),
        ("evokd_lost_samples_total", {}, 12.0),
        ("evokd_link_bad_frames_total", {}, 3.0),
        ("evokd_link_connected", {}, 1.0),
        ("evokd_recording_state", {"state": "ok"}, 1.0),
        ("evokd_recording_state", {"state": "failing"}, 0.0),
        ("evokd_test_state", {"test": HOSTILE, "state": "running"}, 1.0),
        ("evokd_test_state", {"test": "y", "state": "running"}, 0.0),
        ("evokd_stimuli_fired_total", {"test": HOSTILE}, 9.0),
        ("evokd_stimuli_left_out_total", {"test": HOSTILE}, 2.0),
        ("evokd_average_rejected_sweeps", {"test": HOSTILE}, 3.0),
        ("evokd_clock_residual_seconds", {}, 2.5e-6),
        ("evokd_mains_volts", {"harmonic": "1"}, 2.5e-6),
        ("evokd_electrode_impedance_ohms", {"lead": "CP3+"}, 2300.0),
        ("evokd_electrode_impedance_ohms", {"lead": "CP4+"}, None),
        ("evokd_electrodes_not_measurable", {}, 1.0),
        ("evokd_electrodes", {"state": "off"}, 1.0),
        ("evokd_alerts", {"priority": "high", "acknowledged": "true"}, 1.0),
        ("evokd_alerts", {"priority": "high", "acknowledged": "false"}, 0.0),
        ("evokd_alerts", {"priority": "medium", "acknowledged": "false"}, 1.0),
        ("evokd_faults", {}, 1.0),
        ("evokd_clients", {"endpoint": "events"}, 2.0),
        ("evokd_clients", {"endpoint": "raw"}, None),
        ("evokd_clients_refused_total", {}, 4.0),
        ("evokd_train_of_four_ratio", {"test": "tof"}, 0.93),
        ("evokd_info", {"boot": "b1", "case": "2031-07", "source": "simulated"}, 1.0),
    ],
)
def test_each_figure_is_where_it_should_be(name: str, labels: dict[str, str], value: float | None) -> None:
    got = full().get(name, **labels)
    assert got == (None if value is None else pytest.approx(value))


def test_every_metric_has_its_prefix_help_and_type() -> None:
    for family in text_string_to_metric_families(exposition(full().metrics).decode()):
        assert family.name.startswith("evokd_") and family.documentation.endswith(".")
        assert family.type == (
            "counter" if family.samples and family.samples[0].name.endswith("_total") else "gauge"
        )


@pytest.mark.control("H8.4")
def test_a_silent_box_is_down_and_none_of_its_old_figures_are_told() -> None:
    box = full()
    box.now_s += ALIVE_S + 0.1
    assert {name for name, _ in read(exposition(box.metrics))} == {
        "evokd_up",
        "evokd_bus_age_seconds",
        "evokd_refused_messages_total",
    }
    assert box.get("evokd_up") == 0.0 and box.get("evokd_bus_age_seconds") == pytest.approx(ALIVE_S + 0.1)
    box.say("beat")
    assert box.get("evokd_up") == 1.0 and box.get("evokd_samples_total") == 8060.0


def test_a_box_that_was_never_heard_is_down() -> None:
    assert Box().get("evokd_up") == 0.0 and Box().get("evokd_bus_age_seconds") is None


def test_a_new_start_forgets_the_old_one_and_stragglers_are_refused() -> None:
    box = full()
    box.boot = "b2"
    box.say("beat")
    assert box.get("evokd_samples_total") is None
    assert box.get("evokd_alerts", priority="high", acknowledged="true") == 0.0
    box.boot = "b1"
    assert box.say("status", samples=1) is False and box.get("evokd_samples_total") is None


def test_a_good_response_ages_by_the_boxs_clock_and_by_silence() -> None:
    box = Box()
    peaks = [{"name": "N20", "present": True}, {"name": "N9", "present": True}]
    box.say("measure.m", t_s=10.0, leading="N20", peaks=peaks)
    box.say("measure.m", t_s=12.0, leading="N20", peaks=[{"name": "N20", "present": False}, peaks[1]])
    box.say("response.r", t_s=11.0, accepted=True, control=False, responses=[{"present": True}])
    box.say("response.r", t_s=12.0, accepted=True, control=True, responses=[{"present": True}])
    box.say("response.r", t_s=12.5, accepted=False, control=False, responses=[{"present": True}])
    box.say("beat", t_s=13.0)
    box.now_s += 0.5
    assert box.get("evokd_good_response_age_seconds", test="m") == pytest.approx(3.5)
    assert box.get("evokd_good_response_age_seconds", test="r") == pytest.approx(2.5)


def test_alerts_that_clear_are_closed() -> None:
    box = full()
    box.say("alert", id="b", priority="medium", state="cleared")
    assert box.get("evokd_alerts", priority="medium", acknowledged="false") == 0.0
    box.say("alarms", open=[])
    assert box.get("evokd_alerts", priority="high", acknowledged="true") == 0.0


@pytest.mark.parametrize("odd", [None, 3, "x", [], {}, [None, {"priority": 5}], {"a": {"b": 1}}, math.nan])
def test_nonsense_is_left_out_and_breaks_nothing(odd: Any) -> None:
    box = Box()
    box.say("status", link=odd, recording=odd, tests=odd, stimulation=odd, leads=odd, clients=odd, faults=odd)
    for topic in (
        "mains",
        "impedance",
        "alarms",
        "alert",
        "tof",
        "case",
        "measure.m",
        "response.r",
        "average.a",
    ):
        box.say(topic, amplitude_uv=odd, leads=odd, open=odd, id=odd, peaks=odd, responses=odd, n_sweeps=odd)
    assert box.get("evokd_up") == 1.0


def test_the_number_of_tests_is_bounded_and_headers_must_be_some() -> None:
    box = Box()
    for k in range(MOST_TESTS + 5):
        box.say(f"average.t{k}", n_sweeps=k)
    assert box.metrics.accept(Message("status", {"boot": 1, "t_ns": 0})) is False
    assert box.metrics.accept(Message("status", {"boot": "b", "t_ns": None})) is False
    assert box.get("evokd_refused_messages_total") == 7.0
    assert box.get("evokd_average_sweeps", test=f"t{MOST_TESTS}") is None


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return read(answer.read())


def test_the_bridge_serves_before_there_is_a_box_and_when_there_is_one() -> None:
    first = free_block(5)
    port, stop = first + 4, threading.Event()
    args = (f"tcp://127.0.0.1:{first}", f"127.0.0.1:{port}", stop)
    serving = threading.Thread(target=scrape.serve, args=args, daemon=True)
    tick, end_s = threading.Event(), time.monotonic() + 30
    serving.start()
    try:
        while True:
            assert time.monotonic() < end_s
            try:
                assert scraped(port)[("evokd_up", ())] == 0.0
                break
            except OSError:
                tick.wait(0.01)
        with pytest.raises(BusError, match="stop the program"):
            scrape.serve(*args)
        with FakeBus(first) as bus:
            bus.publish("status", status_fields({"x": "armed"}, samples=77))
            while scraped(port).get(("evokd_samples_total", ())) != 77.0:
                assert time.monotonic() < end_s
                tick.wait(0.01)
    finally:
        stop.set()
        serving.join()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
