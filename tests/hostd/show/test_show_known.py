"""What the terminal display knows: one daemon start at a time, newest wins, hostile messages change
nothing."""

import numpy as np
import pytest

from hostd import wire
from hostd.show.known import JOURNAL, Known
from tests.support.fakebus import average_fields, median_ssep, status_fields
from tests.support.shown import S, Said, alert, case, golden, known


@pytest.mark.control("H8.5")
def test_newest_wins_and_a_message_counts_once() -> None:
    said, k = Said(), Known()
    first, second = said("event", text="a", kind="note"), said("event", text="b", kind="note")
    assert k.accept(second, S)
    assert not k.accept(first, S) and not k.accept(second, S)
    assert [e.header["text"] for e in k.journal] == ["b"]


@pytest.mark.control("H8.5")
def test_a_new_start_of_the_box_empties_all_and_stragglers_of_the_old_one_are_refused() -> None:
    old, new = Said("a1"), Said("b2")
    old.at_s = 50.0
    k = known([*case(old), old("alert", alert()), old("event", text="x", kind="note")])
    assert k.tests() and k.open_alerts() and k.courses.of
    assert k.accept(new("beat", latest={}), 2 * S)
    assert not k.tests() and not k.open_alerts() and not k.journal and not k.courses.of and not k.frames
    assert k.newest_index == 0
    assert not k.accept(old("alert", alert()), 3 * S)
    assert k.boot == "b2" and k.malformed == 0


def test_malformed_messages_are_dropped_and_counted() -> None:
    said = Said()
    k = known(case(said))
    before = len(k.latest)
    good = average_fields(median_ssep(0.1), 0.1, 10, "x")
    bad = [
        wire.Message("event", {"seq": 1}),
        wire.Message("event", {"boot": 5, "seq": 1, "index": 0}),
        wire.Message("event", {"boot": "b00700", "seq": "x", "index": 0}),
        wire.Message("event", {"boot": "b00700", "seq": 1, "index": 1 << 70}),
        said("alert", alert(id=7)),
        said("average.x", good | {"dt_ms": 0.0}),
        said("average.x", good | {"derivations": ["one"]}),
        said("average.x", good | {"mean_uv": np.zeros(7, np.float32)}),
        said("average.x", good | {"mean_uv": {"dtype": "<f4", "shape": [9, 9], "part": 3}}),
        said("average.x", good | {"mean_uv": np.array([["a"]])}),
        said("average.x", good, stack_uv=np.zeros((2, 3, 4), np.float32)),
        said("wave.x", derivations=["a"], rate_hz=0.0, rows_per=1, first_index=0, uv=np.zeros((2, 1))),
        said("spectrum", test="x", derivations=["a"], hz=[1.0, 2.0], density_db=np.zeros((1, 3))),
        wire.Message("event", {"boot": "b00700", "seq": 9, "index": 0}, [bytes(5 << 20)]),
    ]
    assert not any(k.accept(message, S) for message in bad)
    assert k.malformed == len(bad)
    assert len(k.latest) == before


def test_it_is_live_only_while_samples_go_on() -> None:
    said = Said()
    k = Known()
    assert k.silence.age_s(99 * S) is None
    for k_s in range(5):  # beats come on, their sample stands still
        k.accept(said("beat", latest={}), k_s * S)
    assert k.silence.age_s(4 * S) == 4.0
    said.at_s = 1.0
    k.accept(said("beat", latest={}), 5 * S)
    assert k.silence.age_s(5 * S + S // 2) == 0.5


def test_open_alerts_are_the_worst_first_and_those_seen_last() -> None:
    said = Said()
    k = known(
        [
            *case(said),
            said("alert", alert(id="a", priority="low")),
            said("alert", alert(id="b", priority="high", state="acknowledged")),
            said("alert", alert(id="c", priority="medium")),
            said("alert", alert(id="d", priority="high")),
            said("alert", alert(id="e", priority="high")),
            said("alert", alert(id="e", state="cleared")),
        ]
    )
    assert [h["id"] for h in k.open_alerts()] == ["d", "c", "a", "b"]


def test_the_list_of_alarms_tells_of_alerts_that_were_missed_and_of_those_that_are_over() -> None:
    said = Said()
    k = known([*case(said), said("alert", alert(id="old"))])
    said.at_s = 5.0
    other = {"id": "other", "test": "", "kind": "storage", "priority": "medium", "state": "raised"}
    k.accept(said("alarms", open=[other, {"id": 5}, "x"], sounding="medium", flashing="medium"), S)
    assert [h["id"] for h in k.open_alerts()] == ["other"]


@pytest.mark.control("H11.7")
def test_an_open_alert_is_not_forgotten_for_many_that_are_over() -> None:
    said = Said()
    k = known([said("alert", alert(id="open"))])
    for n in range(JOURNAL + 50):
        k.accept(said("alert", alert(id=f"c{n}", state="cleared")), S)
    assert [h["id"] for h in k.open_alerts()] == ["open"]
    assert len(k.alerts) <= JOURNAL and len(k.journal) == JOURNAL


def test_bounds_hold_under_a_flood_of_names() -> None:
    said = Said()
    k = known(case(said))
    for n in range(400):
        k.accept(said(f"x{n}", a=1), S)
        k.accept(said("stim", test=f"t{n}", verified=True), S)
        k.accept(said("tof", test=f"t{n}", count=4), S)
    assert len(k.latest) <= 256 and len(k.stims) <= 64 and len(k.by_test) <= 64
    assert k.malformed > 0


def test_spikes_do_not_push_alerts_out_of_the_journal() -> None:
    said = Said()
    k = known([*case(said), said("alert", alert())])
    for n in range(1000):
        k.accept(said("emg", test="emg", derivation="TA", kind="spike", train="", first_index=n), S)
    train = {"test": "emg", "derivation": "TA", "kind": "train", "train": "A", "first_index": 5}
    k.accept(said("emg", train, ongoing=True, text="begins"), S)
    k.accept(said("emg", train, ongoing=False, text="over"), S)
    assert [(e.topic, e.header["text"]) for e in k.journal][1:] == [("emg", "over")]


def test_courses_follow_the_leading_peak_and_say_when_it_was_absent() -> None:
    said = Said()
    k = known(case(said))
    said.at_s = 10.0
    gone = {"name": "N20", "derivation": "CP4-CP3", "present": False, "latency_ms": None, "noise_uv": 0.1}
    k.accept(said("measure.left_median", peaks=[gone], leading="N20"), S)
    amplitude, latency = k.courses.of_test("left_median")
    assert (amplitude.name, amplitude.unit, latency.unit) == ("N20 amplitude", "µV", "ms")
    assert [p.value for p in amplitude.points] == [2.4, None]
    assert [p.at_s for p in latency.points] == [0.0, 10.0]


def test_courses_are_thinned_and_keep_their_whole_span() -> None:
    said = Said()
    k = known([said("status", status_fields({"tof": "running"}))])
    for n in range(5000):
        said.at_s = 2.0 * n
        k.accept(said("tof", test="tof", ratio=0.5, ratio_ci=[0.4, 0.6], count=4), S)
    points = k.courses.of["tof", "T4/T1"].points
    assert len(points) <= 1024
    assert points[0].at_s == 0.0 and points[-1].at_s == 9998.0


def test_lost_stretches_of_a_wave_are_holes_of_their_length() -> None:
    said = Said()
    k = Known()

    def wave(first: int, rows: int) -> wire.Message:
        uv = np.ones((rows, 1), np.float32)
        return said("wave.emg", derivations=["TA"], rate_hz=100.0, rows_per=40, first_index=first, uv=uv)

    k.accept(wave(0, 10), S)
    k.accept(wave(40 * 15, 10), S)
    k.accept(wave(40 * 5, 10), S)  # what comes late is not put in front
    high = k.courses.waves["emg"].high_uv[:, 0]
    assert np.isfinite(high).tolist() == [True] * 10 + [False] * 5 + [True] * 10


def test_a_cleared_baseline_is_none() -> None:
    said = Said()
    k = known(case(said))
    assert k.baseline("left_median") is not None
    empty = average_fields(np.zeros((0, 4), np.float32), None, 0, "left median")
    k.accept(said("baseline.left_median", empty, version=0), S)
    assert k.baseline("left_median") is None


def test_every_topic_of_a_real_case_is_taken() -> None:
    messages = [m for m in golden() if not m.topic.startswith(("raw", "sweep", "emg.audio", "ledger"))]
    k = Known()
    for message in messages:
        k.accept(message, S)
    assert k.malformed == 0
    kinds = {k.kind(test) for test in k.tests()}
    assert kinds >= {"average", "tof", "emg"} or kinds >= {"average", "tof", "eeg"}
