"""The plug check: what is in order accuses nobody, what is exchanged is named, what cannot be told is not."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pytest

from dsp.nouns import Measurement
from dsp.presence import Evidence
from dsp.stream import Scale
from hostd import casefile, plug_collector, schema
from hostd.alerts import Alerts
from hostd.evoked import Evoked
from hostd.grading import grade
from hostd.outgoing import Outgoing
from hostd.pipeline import Pipeline
from hostd.plug_exchanges import Exchange, asked_of, mirrored
from hostd.plug_judge import findings, judge, state_of
from hostd.plug_readings import Found, Look, Reading, There
from hostd.plug_watch import PlugWatch
from hostd.schema_header import Header
from hostd.score.bedside import Shot, describe, monitored, recording
from hostd.timeline import Timeline
from hw.model.contacts import ElectrodeChange
from hw.model.patient import Patient
from hw.model.plugs import Plugs
from hw.model.scenario import NoiseChange, Scenario

QUIET = (NoiseChange(0.0, emg=0.03, eeg=0.1, mains=0.1),)
HEAD = 'name = "plugs"\n[acquisition]\nreference = "Fz"\ngain = 24\nrate_hz = {}\nchannels = {}\n'
SENSORY = (
    '[test.{0}_{1}]\nmodality = "{1}_ssep"\nside = "{0}"\nline = {2}\nrate_hz = 4.2017\n'
    "sweeps = 64\nbaseline_sweeps = 40\n"
)
ARMS = ["CP3", "CP4", "Fpz", "C5S", "EPL", "EPR"]
LEGS = ["CP3", "CP4", "CPz", "Cz", "Fpz", "T12S", "PFL", "PFR"]
MUSCLES = [f"{m}{s}{k}" for s in "LR" for m in ("APB", "TA", "AH") for k in (1, 2)]
SECONDS = {"median": 17.0, "tibial": 17.0, "mep": 16.0}
SHOTS = [
    Shot(1.0 + 3.0 * k + late, f"{side}_mep")
    for k in range(5)
    for side, late in (("left", 0), ("right", 1.5))
]


@lru_cache
def case_of(kind: str) -> Any:
    if kind == "mep":
        text = HEAD.format(2000, MUSCLES)
        for line, (side, s) in enumerate((("left", "R"), ("right", "L")), start=1):
            text += f'[test.{side}_mep]\nmodality = "tcmep"\nside = "{side}"\nline = {line}\nvolts = 800\n'
            text += f"derivations = {[f'{m}{s}1-{m}{s}2' for m in ('APB', 'TA', 'AH')]}\n"
    else:
        text = HEAD.format(1000, ARMS if kind == "median" else LEGS)
        text += SENSORY.format("left", kind, 1) + SENSORY.format("right", kind, 2)
    return casefile.parse(text.replace("'", '"'), "plugs.toml")


def pairs(*electrodes: tuple[str, str], lines: tuple[tuple[int, int], ...] = ()) -> Scenario:
    return Scenario(plugs=(Plugs(0.0, electrodes, lines),))


@lru_cache
def happened(kind: str, scenario: Scenario, seed: int = 1, block: int = 1024) -> tuple[Outgoing, ...]:
    scenario = replace(scenario, noise=QUIET)
    shots = SHOTS if kind == "mep" else []
    return tuple(monitored(case_of(kind), SECONDS[kind], seed, scenario, True, shots, block)[0])


def states(messages: tuple[Outgoing, ...]) -> dict[str, str]:
    return {m.fields["test"]: m.fields["state"] for m in messages if m.topic.startswith("plugs.")}


def alerts(messages: tuple[Outgoing, ...]) -> list[Outgoing]:
    return [m for m in messages if m.topic == "alert" and m.fields["kind"] == "plugs"]


@pytest.mark.control("H7.2")
@pytest.mark.parametrize("kind", ["median", "tibial", "mep"])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_in_order_accuses_nobody(kind: str, seed: int) -> None:
    messages = happened(kind, Scenario(), seed)
    assert set(states(messages).values()) == {"ok"}
    assert not alerts(messages)
    told = [m.fields["text"] for m in messages if m.topic == "event" and m.fields["kind"] == "plugs"]
    assert len(told) == 2 and all("are in order" in text for text in told)


BOTH = "swapped sides", "swapped sides"
WRONG: list[tuple[str, Scenario, tuple[str, str], str]] = [
    (
        "median",
        pairs(lines=((1, 2),)),
        BOTH,
        "the stimulators of left median and right median (lines 1 and 2) are ex",
    ),
    (
        "median",
        pairs(("EPL", "EPR")),
        BOTH,
        "the plugs of EPL and EPR are exchanged: N9 of left median is not in EPL-EPR",
    ),
    ("median", pairs(("CP3", "CP4")), BOTH, "the plugs of CP3 and CP4 are exchanged: N20 of left median"),
    ("median", pairs(("EPL", "C5S")), ("wrong jack", "wrong jack"), "the plugs of C5S and EPL are exchanged"),
    (
        "tibial",
        pairs(("CPz", "Fpz")),
        ("reversed", "reversed"),
        "the plugs of CPz and Fpz are exchanged: P37 of left",
    ),
    (
        "tibial",
        pairs(lines=((1, 2),)),
        BOTH,
        "(lines 1 and 2), or the plugs of PFL and PFR are exchanged: PF of",
    ),
    (
        "mep",
        pairs(lines=((1, 2),)),
        BOTH,
        "the stimulators of left hemisphere and right hemisphere (lines 1 and 2)",
    ),
    (
        "mep",
        pairs(("TAR1", "AHR1"), ("TAR2", "AHR2")),
        ("wrong jack", "ok"),
        "the plugs of TAR and AHR are exchanged: TAR of left hemisphere is not in TAR1-TAR2 but in AHR",
    ),
    (
        "mep",
        pairs(("TAL1", "TAR1"), ("TAL2", "TAR2")),
        BOTH,
        "the plugs of TAL and TAR are exchanged: TAR of left",
    ),
]


@pytest.mark.control("H7.2")
@pytest.mark.parametrize(("kind", "scenario", "found", "words"), WRONG, ids=[w[3][:40] for w in WRONG])
def test_exchanged_plugs_are_named(kind: str, scenario: Scenario, found: tuple[str, str], words: str) -> None:
    messages = happened(kind, scenario)
    said = states(messages)
    assert (said[f"left_{kind}"], said[f"right_{kind}"]) == found
    last = alerts(messages)[-1].fields
    assert words in last["text"] and (last["priority"], last["cause"], last["test"]) == (
        "medium",
        "technical",
        "",
    )
    if kind != "mep":  # without answers there is none
        assert "the baseline of left" in last["text"], "it was made with wrong plugs, and not refused"
        assert f"left_{kind}" in last["evidence"]["baselines"]
    texts = [m.fields["text"] for m in messages if m.topic == "event" and m.fields["kind"] == "plugs"]
    assert any(text.startswith(last["text"][:40]) for text in texts), "the plain log has the sentence"


@pytest.mark.parametrize(
    ("kind", "electrode"),
    [("median", name) for name in ("EPL", "CP4", "C5S")]
    + [("tibial", "CPz"), ("tibial", "PFL"), ("mep", "TAR1")],
)
def test_an_electrode_that_is_off_is_no_exchange(kind: str, electrode: str) -> None:
    messages = happened(kind, Scenario(electrode=(ElectrodeChange(0.0, electrode, "off"),)))
    assert not alerts(messages)
    assert not set(states(messages).values()) & {"reversed", "swapped sides", "wrong jack"}
    assert (states(messages)["left_tibial" if kind == "tibial" else f"left_{kind}"] == "ok") is (
        electrode == "C5S"
    )


def test_how_samples_are_cut_into_blocks_changes_nothing() -> None:
    def told(block: int) -> dict[str, list[tuple[int, Any]]]:
        found: dict[str, list[tuple[int, Any]]] = {}
        for m in happened("median", pairs(("EPL", "EPR")), block=block):
            shared = m.topic in ("alert", "event", "case", "alarms") and m.fields.get("phase") != "closed"
            if shared or m.topic.startswith("plugs."):  # closed: the last block ends elsewhere
                found.setdefault(m.topic, []).append((m.index, m.fields))
        return found

    whole = told(1024)
    assert len(whole["plugs.left_median"]) > 2 and whole["alert"]
    assert told(113) == whole
    assert all([i for i, _ in one] == sorted(i for i, _ in one) for one in whole.values()), (
        "no index runs back"
    )


def test_messages_are_what_is_declared_and_set_up_is_told_step_by_step() -> None:
    messages = happened("median", pairs(("EPL", "EPR")))
    head = dict.fromkeys(("boot", "case"), "x") | dict.fromkeys(("v", "seq", "index", "t_ns", "utc_ns"), 1)
    for m in messages:
        if m.topic.startswith("plugs.") or m.topic in ("case", "alert"):
            kind = schema.kind_of(m.topic)
            assert set(m.fields) == set(kind.__struct_fields__) - set(Header.__struct_fields__)
            msgspec.convert(head | dict(m.fields), kind, strict=True)
    case = [m.fields for m in messages if m.topic == "case"]
    first, last = case[0], case[-2]
    assert first["phase"] == "setup" and last["phase"] == "monitoring"
    names = [(s["step"], s["test"]) for s in first["steps"]]
    tests = ["left_median", "right_median"]
    assert names == [("impedance", ""), *(("plugs", t) for t in tests), *(("baseline", t) for t in tests)]
    assert [s["state"] for s in first["steps"]] == ["not measured", *["waiting"] * 4]
    assert [s["state"] for s in last["steps"][1:3]] == ["swapped sides"] * 2
    assert all(s["state"] in ("good", "fair", "poor") for s in last["steps"][3:])
    phases = [c["phase"] for c in case]
    assert phases[-1] == "closed" and "setup" not in phases[phases.index("monitoring") :]


class Room:
    """A pipeline beside a patient, and commands in between."""

    def __init__(self, kind: str, scenario: Scenario, seconds: float) -> None:
        case = case_of(kind)
        scenario = replace(scenario, noise=QUIET)
        patient = Patient(case.channels, case.rate_hz, 1, scenario=scenario)
        self.pipeline = Pipeline(case, describe(case))
        self._blocks = recording(case, patient, describe(case), seconds, 1, True, (), 1000)
        self.said: list[Outgoing] = []

    def ask(self, name: str, **args: Any) -> None:
        self.said += self.pipeline.command(name, {"author": ""} | args)

    def play(self, seconds: int) -> Iterator[Outgoing]:
        before = len(self.said)
        for _ in range(seconds):
            self.said += self.pipeline.feed(next(self._blocks))
        return iter(self.said[before:])


def test_plugs_put_right_are_found_so_when_asked_and_the_alert_ends() -> None:
    room = Room("median", Scenario(plugs=(Plugs(0.0, (("EPL", "EPR"),)), Plugs(17.0))), 40.0)
    for test in ("left_median", "right_median"):
        room.ask("test.start", test=test)
    list(room.play(17))
    assert alerts(tuple(room.said))[-1].fields["state"] == "raised"
    looking = [t.collector for t in room.pipeline._plugs._tests.values()]
    assert looking == [None, None], "what was judged costs nothing any more"
    after = list(room.play(1))
    assert not [m for m in after if m.topic.startswith("plugs.")]
    room.ask("plugs.check", test="")
    told = tuple(room.play(18))
    assert next(m.fields["state"] for m in told if m.topic == "plugs.left_median") == "waiting"
    assert states(told) == {"left_median": "ok", "right_median": "ok"}
    assert alerts(told)[-1].fields["state"] == "cleared"
    events = [m.fields["text"] for m in told if m.topic == "event" and m.fields["kind"] == "plugs"]
    assert (
        all("its baseline was made before that: set it anew" in text for text in events) and len(events) == 2
    )


def test_a_test_that_stops_waits_and_one_without_plugs_is_refused() -> None:
    room = Room("median", Scenario(), 30.0)
    room.ask("test.start", test="left_median")
    list(room.play(5))
    room.ask("test.stop", test="left_median")
    list(room.play(4))
    assert states(tuple(room.said)) == {"left_median": "waiting"}
    room.ask("test.start", test="left_median")
    list(room.play(13))
    assert states(tuple(room.said)) == {"left_median": "ok"}, "it went on where it was"
    with pytest.raises(
        ValueError, match="the plugs of 'tof' cannot be checked; those of left_median, right_"
    ):
        room.ask("plugs.check", test="tof")


def test_a_look_is_as_sharp_as_the_test_itself() -> None:
    """The own derivation, made of single electrodes, has the noise that the test's average has."""
    case = case_of("median")
    plan = case.tests[0]
    scale = Scale(describe(case).lsb_uv, describe(case).offset_uv)
    test = Evoked(plan, case.rate_hz, scale, -0.5)
    asked = asked_of(case)[plan.name]
    collector = plug_collector.Averaged(plan, asked, case.channels, case.rate_hz, scale, -0.5, 0)
    test.restart(0)
    test.start()
    collector.running = True
    pipeline = Pipeline(case, describe(case))
    patient = Patient(case.channels, case.rate_hz, 1)
    for block in recording(case, patient, describe(case), 16.0, 1, True, (), 1000):
        triggers = pipeline._pulses.find(block)
        test.append(block.counts, triggers)
        collector.append(block.counts, triggers)
    own, made = test._averager.average(), collector._averager.average()
    assert own.n_sweeps == made.n_sweeps >= 32
    for one in asked:
        k, at = plan.derivations.index(one.own), collector._made.index(one.own)
        assert made.noise_uv[at] == pytest.approx(own.noise_uv[k], rel=1e-3)
        assert np.allclose(made.mean_uv[:, at], own.mean_uv[:, k], atol=1e-3)


@pytest.mark.parametrize(("error_uv", "seen"), [(0.5, True), (1.7, True), (1.8, False), (None, False)])
def test_noise_that_hides_many_times_the_response_shows_none(error_uv: float | None, seen: bool) -> None:
    peak = Measurement("N13", "C5S-Fpz", True, 13.0, (12.8, 13.2), 30.0, (20.0, 40.0), 1.0)
    reading = plug_collector._of_peak(peak, Evidence(5.0, 30.0, error_uv), 10.0)
    assert reading.seen is seen and (reading.limit_uv is not None) is seen


def test_names_have_their_other_side() -> None:
    channels = ("CP3", "CP4", "EPL", "EPR", "PFLd", "PFRd", "VLL1", "VLR1", "A1")
    given = ("CP3", "EPR", "PFLd", "VLL1", "CPz", "C5S", "A1")
    assert [mirrored(name, channels) for name in given] == ["CP4", "EPL", "PFRd", "VLR1", "CPz", "C5S", ""]


def test_p37_tells_nothing_of_sides() -> None:
    for asked in asked_of(case_of("tibial")).values():
        for one in asked:
            if one.response == "P37":
                assert one.own.name == "CPz-Fpz"
                assert not any("CP3" in d.name or "CP4" in d.name for _, d in one.under)


SEEN, GONE, NOISY = (
    Reading(True, 20.0, 2.0, 4.0, 1.0),
    Reading(False, None, 0.0, 0.0, 1.0),
    Reading(False, None, 0, 0, 9.0),
)
SIDES = Exchange("electrodes", (("EPL", "EPR"),), "swapped sides", "the plugs of EPL and EPR")
LINES = Exchange("lines", (("a", "b"),), "swapped sides", "the stimulators")
JACK = Exchange("electrodes", (("C5S", "EPL"),), "wrong jack", "the plugs of C5S and EPL")


def found(
    name: str, own: Reading, under: dict[Exchange, Reading], electrodes: str = "EPL EPR", over: bool = True
) -> Found:
    there = {h: There("there", reading, over) for h, reading in under.items()}
    used = frozenset(electrodes.split())
    return Found(name, "own", used, frozenset(electrodes.split()[:1]), own, there, 2.0, True, True)


def look(*responses: Found, last: bool = False) -> Look:
    return Look("a", "left median", 64, last, responses)


def test_the_first_wave_tells_the_sign() -> None:
    later = replace(SEEN, latency_ms=24.0)
    (fault,) = judge([look(found("N20", later, {SIDES: SEEN}))])
    assert fault.verdict == "swapped sides" and fault.explains == {("a", "N20")}
    assert judge([look(found("N20", SEEN, {SIDES: later}))]) == []
    doubted = look(found("N20", later, {SIDES: replace(SEEN, low_uv=0.1, high_uv=6.0)}))
    assert judge([doubted]) == [] and state_of(findings(doubted, [])) == "waiting", "nor is it in order"


def test_noise_is_no_absence_and_a_lost_response_accuses_nobody() -> None:
    assert judge([look(found("N9", NOISY, {JACK: SEEN}, over=False))]) == []
    lost = look(found("N9", GONE, {SIDES: GONE, JACK: GONE}), last=True)
    assert judge([lost]) == [] and state_of(findings(lost, [])) == "nothing"
    hidden = look(found("N9", NOISY, {SIDES: GONE}), last=True)
    assert state_of(findings(hidden, [])) == "unsure"


def test_what_explains_more_is_named_and_what_is_in_place_contradicts() -> None:
    both = {SIDES: SEEN, LINES: SEEN}
    n9, n20 = found("N9", GONE, both), found("N20", GONE, {LINES: SEEN}, "CP4 CP3")
    (fault,) = judge([look(n9, n20)])
    assert fault.exchanges == (LINES,) and fault.explains == {("a", "N9"), ("a", "N20")}
    in_place = found("N20", SEEN, {LINES: GONE}, "CP4 CP3")
    assert [f.exchanges for f in judge([look(n9, in_place)])] == [(SIDES,)]
    unknown = found("N20", NOISY, {LINES: NOISY}, "CP4 CP3")
    assert judge([look(n9, unknown)]) == [], "N20 may still tell which"
    (fault,) = judge([look(n9, unknown, last=True)])
    assert set(fault.exchanges) == {SIDES, LINES}, "then both are named"


def test_a_wrong_jack_shows_both_ways() -> None:
    n9 = found("N9", GONE, {JACK: SEEN}, over=False)
    n13 = found("N13", GONE, {JACK: SEEN}, "C5S Fpz", over=False)
    (fault,) = judge([look(n9, n13)])
    assert fault.verdict == "wrong jack" and fault.exchanges == (JACK,)
    silent = found("N13", GONE, {JACK: GONE}, "C5S Fpz", over=False)
    assert judge([look(n9, silent)]) == [], "an electrode that is off gives its response to nobody"
    reference = found("N9", GONE, {JACK: SEEN}, "EPR EPL", over=False)
    assert judge([look(reference)]) == [], "another reference loses no response"


def test_what_one_look_says_is_believed_when_the_next_says_it_too() -> None:
    case = case_of("median")
    watch = PlugWatch(case, describe(case), Alerts(), Timeline(0), 3)
    name = "left_median"
    gone = replace(look(found("N9", GONE, {SIDES: SEEN})), test=name)
    fine = replace(look(found("N9", SEEN, {SIDES: GONE})), test=name)
    hidden = replace(look(found("N9", NOISY, {SIDES: NOISY})), test=name)

    def said(*looks: Look) -> Iterator[str]:
        watch._tests[name].check += 1
        watch._tests[name].state, watch._tests[name].suspected = "waiting", None
        for k, one in enumerate(looks):
            watch._take(10 * k, watch._tests[name].check, one)
            yield watch._tests[name].state

    assert list(said(gone, gone)) == ["waiting", "swapped sides"]
    assert list(said(fine, fine)) == ["waiting", "ok"]
    assert list(said(gone, hidden, gone, fine, fine)) == ["waiting"] * 4 + ["ok"]
    last = replace(gone, last=True)
    assert list(said(hidden, last)) == ["waiting", "unsure"], "one look alone accuses nobody"


def test_samples_that_hold_no_body_are_not_looked_at() -> None:
    room = Room("median", Scenario(), 17.0)
    room.ask("test.start", test="left_median")
    room.ask("impedance.span", first_index=0, end_index=7_000)
    list(room.play(17))
    told = [m for m in room.said if m.topic == "plugs.left_median"]
    assert told[0].fields["sweeps"] == 0
    assert told[1].index > 7_000 + 31 * 1000 / 4.3, "32 good sweeps take their time"


def test_what_a_reference_shows_alone_is_no_reversal() -> None:
    turned = Exchange("electrodes", (("C5S", "Fpz"),), "reversed", "the plugs of C5S and Fpz")
    (fault,) = judge([look(found("N13", GONE, {turned: SEEN}, "C5S Fpz"))])
    assert fault.verdict == "reversed"
    small = replace(SEEN, low_uv=1.1, high_uv=1.9)  # usual are 2 uV
    assert judge([look(found("N13", GONE, {turned: small}, "C5S Fpz"))]) == []


def muscles(**onsets: float | None) -> Look:
    def one(name: str, ms: float | None) -> Found:
        reading = GONE if ms is None else replace(SEEN, latency_ms=ms)
        return Found(
            name, name, frozenset({name}), frozenset({name}), reading, {}, 30.0, True, True, muscle=True
        )

    return Look("a", "left hemisphere", 5, False, tuple(one(name, ms) for name, ms in onsets.items()))


@pytest.mark.parametrize(
    ("onsets", "pair"),
    [
        ({"APBR": 24.0, "TAR": 33.0, "AHR": 42.0}, None),
        ({"APBR": 31.0, "TAR": 40.0, "AHR": 52.0}, None),  # a tall patient
        ({"APBR": 24.0, "TAR": 42.0, "AHR": 33.0}, ("TAR", "AHR")),
        ({"APBR": 42.0, "TAR": 33.0, "AHR": 24.0}, ("APBR", "AHR")),
        ({"APBR": 33.0, "TAR": 24.0, "AHR": None}, ("APBR", "TAR")),
        ({"APBR": 24.0, "TAR": 34.5, "AHR": 33.0}, None),  # within what weak answers are late
        ({"APBR": 33.0, "TAR": 42.0, "AHR": 24.0}, None),  # three of them in a ring
        ({"APBR": 26.0, "VLR": 24.0}, None),  # no order in everybody
    ],
)
def test_muscles_answer_in_the_order_of_their_way(
    onsets: dict[str, Any], pair: tuple[str, str] | None
) -> None:
    faults = judge([muscles(**onsets)])
    assert [f.exchanges[0].pairs for f in faults] == ([] if pair is None else [(pair,)])


@pytest.mark.control("H10.2")
def test_halves_that_do_not_agree_make_a_poor_baseline() -> None:
    assert [grade(0.05, r) for r in (None, 0.5, 0.49, -1.0)] == ["good", "good", "poor", "poor"]
    assert grade(None, 0.9) == "none" and grade(0.15, 0.9) == "fair"
    made = {m.topic: m.fields for m in happened("median", Scenario()) if m.topic.startswith("baseline.")}
    for fields in made.values():
        assert fields["replicates"] > 0.9 and fields["grade"] in ("good", "fair")
        assert fields["grade"] == grade(fields["error"], fields["replicates"])
    (answers,) = {
        m.fields["replicates"] for m in happened("mep", Scenario()) if m.topic.startswith("baseline.")
    }
    assert answers is None


def test_replicates_are_the_correlation_of_the_halves_over_the_response() -> None:
    case = case_of("median")
    scale = Scale(describe(case).lsb_uv, describe(case).offset_uv)
    test = Evoked(case.tests[0], case.rate_hz, scale, -0.5)
    average = test._averager.average()
    one = np.zeros_like(average.halves_uv)
    span = test._course._choosing.span
    wave = np.sin(np.arange(span.stop - span.start))
    one[0, span, 0], one[1, span, 0] = 3.0 + wave, 1.0 - wave
    one[:, : span.start] = [[[9.0]], [[9.0]]]  # what lies elsewhere does not count
    assert test._course.replicates(replace(average, halves_uv=one)) == pytest.approx(-1.0)
    assert test._course.replicates(replace(average, halves_uv=None)) is None
