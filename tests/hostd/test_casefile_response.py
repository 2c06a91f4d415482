"""Keys of single responses: the window moves with the train, and what cannot be has its line and its cure."""

import pytest

from hostd import casefile
from hostd.case import ResponsePlan
from hostd.errors import CaseFileError

MEP = """\
name = "Case"
[acquisition]
channels = ["APBR1", "APBR2", "TAR1", "TAR2"]
[test.mep]
modality = "tcmep"
side = "left"
line = 1
volts = 400
"""
TOF = """
[test.tof]
modality = "train_of_four"
side = "right"
line = 2
derivations = ["APBR1-APBR2"]
"""


def response(more: str) -> ResponsePlan:
    (test,) = casefile.parse(MEP + more, "case.toml").tests
    assert test.response is not None
    return test.response


@pytest.mark.parametrize(
    ("more", "search_ms"),
    [
        ("", (15.5, 95.0)),
        ("pulses = 3", (9.5, 89.0)),
        ("pulses = 7", (21.5, 101.0)),
        ("interval_ms = 2", (11.5, 91.0)),
        ("trains = 2\ngap_ms = 20", (47.5, 127.0)),
        ("blank_ms = 5", (17.0, 95.0)),
        ("search_ms = [20, 80]", (20.0, 80.0)),
    ],
)
def test_where_a_response_is_looked_for_moves_with_the_train(
    more: str, search_ms: tuple[float, float]
) -> None:
    told = response(more)
    assert told.search_ms == pytest.approx(search_ms)
    assert all(high <= 0 or low >= told.search_ms[1] for low, high in told.quiet_ms)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "pulses = 9\nsearch_ms = [18, 95]",
            "case.toml:10: [test.mep] search_ms: 18..95 ms reaches into the 3 ms that are blanked behind the "
            "last pulse at 24 ms; begin it at 27 or later",
        ),
        (
            "pulses = 1\nsearch_ms = [2, 95]",
            "case.toml:10: [test.mep] search_ms: 2..95 ms reaches into the 3 ms that are blanked behind the "
            "pulse; begin it at 3 or later",
        ),
        ("search_ms = [95, 18]", "case.toml:9: [test.mep] search_ms: 95..18 ms ends before it starts; "),
        (
            "search_ms = [18, 500]",
            "case.toml:9: [test.mep] search_ms: 18..500 ms is outside the test's window",
        ),
        (
            "window_ms = [-50, 90]",
            "case.toml:9: [test.mep] window_ms: it ends at 90 ms, and responses are sought at 15.5..95 ms; "
            "end it at 95 or later",
        ),
        ("window_ms = [-0.5, 100]", "case.toml:9: [test.mep] window_ms: -0.5..100 ms leaves too little"),
        ("drop_pct = 130", "case.toml:9: [test.mep] drop_pct: 130 % is no fall; "),
        ("confirm = 0", "case.toml:9: [test.mep] confirm: 0 is none; write 1 to 10"),
        ("smallest_uv = 0", "case.toml:9: [test.mep] smallest_uv: 0 uV is no response; "),
        ("sweeps = 100", "case.toml:9: [test.mep] sweeps: tcmep reads single responses, which have no such"),
        ("track = [800, 200, 20]", "case.toml:9: [test.mep] track: 800 to 200 by 20 is no range"),
        (
            'fire = "repeat"\nrate_hz = 0.0251\ncontrol_pulse = true',
            "control_pulse: only a stimulus on demand",
        ),
        ('allowed_by = "tof"', "case.toml:9: [test.mep] allowed_by: tof is no train-of-four test of this"),
        (
            f"{TOF}pulses = 3",
            "case.toml:15: [test.tof] pulses: 3 pulses are no train of four; leave pulses out",
        ),
    ],
)
def test_what_cannot_be_has_its_line_and_its_cure(more: str, said: str) -> None:
    with pytest.raises(CaseFileError) as told:
        casefile.parse(MEP + more, "case.toml")
    assert said in str(told.value) and str(told.value).count("\n") == 0, told.value


def test_a_train_of_four_is_read_pulse_by_pulse() -> None:
    tof = casefile.parse(MEP + TOF, "case.toml").tests[1]
    assert tof.response is not None
    assert tof.response.search_ms[0] < tof.stimulus.interval_ms < tof.stimulus.train_ms
