"""Plain lines: each change once, with its times; what did not change is not said."""

import re

from hostd.show.plain import Teller
from tests.support.fakebus import UTC_NS, peak_fields, status_fields
from tests.support.shown import S, Said, alert, golden

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +(\d+:\d\d:\d\d|–)  \S")


class Listener:
    """A teller, what it is told, and its lines without their times."""

    def __init__(self, test: str | None = None) -> None:
        self.teller, self.said = Teller(test), Said()
        self.hear("status", status_fields({"left_median": "running", "tof": "stopped"}))

    def hear(self, topic: str, fields: dict[str, object] | None = None, **over: object) -> list[str]:
        lines = self.teller.hear(self.said(topic, fields, **over), S)
        assert all(STAMP.match(line) for line in lines)
        return [line.split("  ", 1)[1].split("  ")[-1] if "  " in line else line for line in lines]


def measured(listener: Listener, peak: dict[str, object]) -> list[str]:
    return listener.hear("measure.left_median", peaks=[peak], leading="N20", n_sweeps=64)


def test_the_first_message_names_the_case_and_the_status_says_what_runs() -> None:
    lines = Teller().hear(Said()("status", status_fields({"a": "running", "b": "stopped"})), S)
    said = " | ".join(lines)
    assert "CASE 2031-07" in said and "STATE running, source simulated" in said
    assert "RECORDING ok /data/2031-07" in said and "TEST a running" in said and "LOST" not in said


def test_a_line_has_wall_time_and_the_time_in_the_case() -> None:
    listener = Listener()
    listener.said.at_s = 83.0
    (line,) = listener.teller.hear(listener.said("event", text="clip on", kind="surgeon", author="anna"), S)
    assert line == "2026-01-05T08:01:23Z  0:01:23  EVENT clip on (anna)"
    assert UTC_NS // S == 1767600000


def test_nothing_is_said_twice() -> None:
    listener = Listener()
    assert listener.hear("status", status_fields({"left_median": "running", "tof": "stopped"})) == []
    peak = peak_fields("N20", "a", 20.0, 2.0)
    assert len(measured(listener, peak)) == 1
    assert measured(listener, peak | {"latency_ms": 20.3}) == []
    assert listener.hear("average.left_median") == [] and listener.hear("beat", latest={}) == []


def test_a_peak_comes_goes_and_comes_back() -> None:
    listener = Listener()
    gone = peak_fields("N20", "a", None, None, noise_uv=0.12, baseline_amplitude_uv=2.0)
    assert measured(listener, peak_fields("N20", "a", None, None, noise_uv=None)) == []
    assert measured(listener, peak_fields("N20", "a", 20.0, 2.0)) == [
        "PEAK left median N20 present: 20.00 ±0.20 ms, 2.00 ±0.30 µV (64 sweeps)"
    ]
    assert measured(listener, gone) == [
        "!! PEAK left median N20 absent: noise 0.12 µV, was 2.00 µV (64 sweeps)"
    ]
    assert measured(listener, peak_fields("N20", "a", 20.0, 2.0))[0].startswith("PEAK left median N20 back")


def test_a_muscle_is_told_as_it_changes_and_not_where_it_was_not_read() -> None:
    listener = Listener()

    def answered(present: bool, **over: object) -> list[str]:
        answer = {
            "name": "TA",
            "present": present,
            "amplitude_uv": 120.0,
            "onset_ms": 34.2,
            "state": "steady",
        }
        return listener.hear("response.mep", {"accepted": True, "responses": [{**answer, **over}]})

    assert answered(True) == ["MUSCLE mep TA present: 120 µV, onset 34.2 ms"]
    assert answered(False, baseline_uv=150.0, state="lost") == ["!! MUSCLE mep TA LOST, was 150 µV"]
    assert listener.hear("response.mep", accepted=False, responses=[{"name": "TA", "present": True}]) == []
    assert answered(True)[0].startswith("MUSCLE mep TA back")


def test_an_alert_is_told_from_raised_to_cleared() -> None:
    listener = Listener()
    assert listener.hear("alert", alert()) == [
        "!!! ALERT high raised [change-1] left median: N20 down 72 % since 00:40, confirmed by a replicate., "
        "cause focal 82 %"
    ]
    for state in ("confirmed", "acknowledged", "cleared"):
        assert listener.hear("alert", alert(state=state))[0].startswith(f"!!! ALERT high {state} [change-1]")


def test_losses_faults_and_trouble_with_the_recording_are_told_as_they_come_and_go() -> None:
    listener = Listener()
    tests = {"left_median": "running", "tof": "stopped"}

    def status(**over: object) -> list[str]:
        return listener.hear("status", status_fields(tests, **over))

    assert status(lost_samples=40, gaps=1) == ["!! LOST 40 samples in 1 gaps"]
    recording = {"path": "/x", "bytes": 1, "state": "failing", "lost_samples": 0}
    assert status(lost_samples=40, recording=recording) == ["!! RECORDING failing /x"]
    assert status(lost_samples=40, recording=recording, faults=["host_silent"]) == ["!! FAULT host_silent"]
    assert status(lost_samples=40) == ["RECORDING ok /data/2031-07", "FAULT gone: host_silent"]
    assert status(lost_samples=40, link={"connected": False}) == ["!! EDGE not connected"]
    assert status(lost_samples=40, leads={"off": ["CP3+"], "railed": []}) == ["!! LEADS off: CP3+"]


def test_a_stimulus_that_is_not_proven_or_not_delivered_is_told_until_it_is_well() -> None:
    listener = Listener()

    def stim(**over: object) -> list[str]:
        return listener.hear(
            "stim", {"test": "left_median", "site": "wrist", "verified": True, "delivery": "ok"} | over
        )

    assert stim() == []
    assert stim(verified=False) == ["!! STIMULUS not proven: left median wrist"]
    assert stim(verified=False) == []
    assert stim() == ["STIMULUS proven again: left median wrist"]
    assert stim(delivery="open", delivery_text="no current") == ["!! STIMULUS no current: left median wrist"]
    assert stim() == ["STIMULUS delivered again: left median wrist"]


def test_silence_is_told_once_and_so_is_its_end() -> None:
    listener = Listener()
    assert listener.teller.silence(S, UTC_NS, "") == []
    (line,) = listener.teller.silence(5 * S, UTC_NS, "is it running?")
    assert line.endswith("!! NO DATA for 4 s: is it running?")
    assert listener.teller.silence(9 * S, UTC_NS, "") == []
    listener.said.at_s = 9.0
    listener.teller.hear(listener.said("beat", latest={}), 9 * S)
    assert listener.teller.silence(9 * S, UTC_NS, "")[0].endswith("LIVE data comes again")


def test_a_new_start_of_the_box_is_told_and_its_states_are_told_anew() -> None:
    listener = Listener()
    lines = listener.teller.hear(Said("b2")("status", status_fields({"x": "running"})), 2 * S)
    assert "was started anew" in lines[0] and any("TEST x running" in line for line in lines)


def test_one_test_alone_leaves_out_the_others_and_keeps_the_case() -> None:
    listener = Listener("tof")
    assert measured(listener, peak_fields("N20", "a", 20.0, 2.0)) == []
    assert listener.hear("alert", alert()) == []
    assert len(listener.hear("alert", alert(test="", id="storage-1"))) == 1
    assert listener.hear("tof", test="tof", count=3, text="3 of 4") == ["TOF 3 of 4"]
    assert len(listener.hear("event", text="clip on")) == 1


def test_a_line_is_one_line_whatever_it_says() -> None:
    listener = Listener()
    evil = "a\nb\x1b[2J\r\x00c"
    for lines in (
        listener.hear("event", text=evil, author=evil, values={evil: 1.0}),
        listener.hear("alert", alert(text=evil, id=evil, state=evil)),
        listener.hear("status", status_fields({evil: evil}, faults=[evil], source=evil, state=evil)),
    ):
        assert lines and all(line.isprintable() for line in lines)


def test_every_topic_of_a_real_case_is_told_or_left_out() -> None:
    teller = Teller()
    lines = [line for message in golden() for line in teller.hear(message, S)]
    words = {line[31:].removeprefix("!! ").split()[0] for line in lines}
    assert words >= {"CASE", "STATE", "TEST", "PHASE", "TOF", "IMPEDANCE", "EVENT", "PEAK", "MUSCLE"}
    assert all(STAMP.match(line) for line in lines)
