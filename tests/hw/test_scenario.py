"""Scenarios of the model patient: what they say at a time, and one clear line for what they cannot mean."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.model.scenario import NO_CHANGE, Change, Electrosurgery, NoiseChange, Scenario, parse_scenario

TEXT = """
[[change]]
at_s = 30
amplitude = 0.0
site = "left median"
response = "cortical"

[[change]]
at_s = 60.0
latency_ms = 2
ramp_s = 10

[[noise]]
at_s = 45.5
emg = 3

[[electrosurgery]]
at_s = 50
for_s = 4.5
mode = "coag"
"""


def test_a_document_becomes_a_scenario() -> None:
    assert parse_scenario(tomllib.loads(TEXT)) == Scenario(
        (
            Change(30, "left median", "cortical", amplitude=0.0),
            Change(60.0, "all", "all", latency_ms=2, ramp_s=10),
        ),
        (NoiseChange(45.5, emg=3),),
        (Electrosurgery(50, 4.5, level_uv=3000.0, mode="coag"),),
    )
    assert parse_scenario({}) == NO_CHANGE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[chnage]]\nat_s = 1", r"unknown table 'chnage'; use \[\[change\]\]"),
        ("[change]\nat_s = 1", r"change is not a list of tables; write \[\[change\]\]"),
        ("noise = [1, 2]", r"noise is not a list of tables"),
        ("[[change]]\nat_s = 1\namplitud = 0", "change 1: unknown key 'amplitud'; known keys: at_s, site"),
        (
            "[[noise]]\nat_s = 1\n[[noise]]\nat_s = 2\neog = 0",
            "noise 2: unknown key 'eog'; known keys: at_s, emg",
        ),
        ("[[change]]\namplitude = 0", "change 1: at_s is missing"),
        ("[[noise]]\nemg = 0", "noise 1: at_s is missing"),
        ("[[change]]\nat_s = '30'", "change 1: at_s = '30' is not a number"),
        ("[[change]]\nat_s = true", "change 1: at_s = True is not a number"),
        ("[[change]]\nat_s = -1", "change 1: at_s = -1 is impossible; give 0 to"),
        ("[[change]]\nat_s = nan", "change 1: at_s = nan is impossible"),
        ("[[change]]\nat_s = 1\namplitude = -0.5", "amplitude = -0.5 is impossible; give 0 to 100"),
        ("[[change]]\nat_s = 1\namplitude = inf", "amplitude = inf is impossible"),
        ("[[change]]\nat_s = 1\nlatency_ms = -9", "latency_ms = -9 is impossible; give -5 to 50"),
        ("[[change]]\nat_s = 1\nramp_s = -1", "ramp_s = -1 is impossible"),
        (
            "[[change]]\nat_s = 1\nsite = 'left elbow'",
            "site = 'left elbow' is unknown; use one of: all, left median",
        ),
        ("[[change]]\nat_s = 1\nsite = 3", "site = 3 is unknown"),
        ("[[change]]\nat_s = 1\nsite = ['all']", r"site = \['all'\] is unknown"),
        ("[[change]]\nat_s = 1\nresponse = 'N20'", "response = 'N20' is unknown; use one of: cortical"),
        ("[[noise]]\nat_s = 1\nmains = -1", "noise 1: mains = -1 is impossible"),
        ("[[noise]]\nat_s = 1\neeg = 'off'", "noise 1: eeg = 'off' is not a number"),
        ("[[electrosurgery]]\nat_s = 1", "electrosurgery 1: for_s is missing; say how long, in seconds"),
        ("[[electrosurgery]]\nfor_s = 1", "electrosurgery 1: at_s is missing; say when, in seconds"),
        ("[[electrosurgery]]\nat_s = 1\nfor_s = -1", "electrosurgery 1: for_s = -1 is impossible"),
        (
            "[[electrosurgery]]\nat_s = 1\nfor_s = 1\nmode = 'blend'",
            "mode = 'blend' is unknown; use one of: cut, coag",
        ),
        (
            "[[electrosurgery]]\nat_s = 1\nfor_s = 1\nlevel_uv = -1",
            "level_uv = -1 is impossible; give 0 to 1e",
        ),
        ("[[electrosurgery]]\nat_s = 1\nfor_s = 1\nlevel = 1", "electrosurgery 1: unknown key 'level'"),
    ],
)
def test_what_a_document_cannot_mean_is_said_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as fault:
        parse_scenario(tomllib.loads(text))
    assert str(fault.value).startswith("scenario") and "\n" not in str(fault.value)


def test_records_refuse_the_same() -> None:
    with pytest.raises(ValueError, match="amplitude"):
        Change(0.0, amplitude=-1.0)
    with pytest.raises(ValueError, match="emg"):
        NoiseChange(0.0, emg=float("nan"))


def test_changes_ramp_supersede_and_reach_only_their_own() -> None:
    scenario = Scenario(
        (
            Change(30.0, "left median", "cortical", amplitude=0.2, latency_ms=4.0, ramp_s=10.0),
            Change(35.0, "left median", "cortical", amplitude=1.0, ramp_s=2.0),
            Change(10.0, "right tibial", amplitude=0.0),
        )
    )
    left = [
        scenario.response("left median", "cortical", at_s) for at_s in (29.9, 30.0, 32.5, 35.0, 36.0, 37.0)
    ]
    for state, expected in zip(
        left, [(1, 0), (1, 0), (0.8, 1.0), (0.6, 2.0), (0.8, 1.0), (1, 0)], strict=True
    ):
        assert state == pytest.approx(expected)
    assert scenario.response("left median", "peripheral", 40.0) == (1.0, 0.0)
    assert scenario.response("right median", "cortical", 40.0) == (1.0, 0.0)
    for level in ("peripheral", "subcortical", "cortical"):
        assert scenario.response("right tibial", level, 10.0) == (0.0, 0.0)


@given(
    st.lists(
        st.builds(
            Change,
            at_s=st.floats(0, 100),
            amplitude=st.floats(0, 2),
            latency_ms=st.floats(-2, 5),
            ramp_s=st.floats(0, 30),
        ),
        max_size=4,
    ),
    st.floats(0, 150),
)
def test_a_state_lies_between_normal_and_what_was_asked(changes: list[Change], at_s: float) -> None:
    amplitude, latency_ms = Scenario(tuple(changes)).response("left median", "cortical", at_s)
    amplitudes = [1.0, *(change.amplitude for change in changes)]
    latencies_ms = [0.0, *(change.latency_ms for change in changes)]
    assert min(amplitudes) - 1e-9 <= amplitude <= max(amplitudes) + 1e-9
    assert min(latencies_ms) - 1e-9 <= latency_ms <= max(latencies_ms) + 1e-9
    last = max(changes, key=lambda change: change.at_s, default=None)
    if last is not None and at_s >= last.at_s + last.ramp_s:
        settled = [change for change in changes if change.at_s == last.at_s][-1]
        if at_s >= settled.at_s + settled.ramp_s:
            assert (amplitude, latency_ms) == (settled.amplitude, settled.latency_ms)
