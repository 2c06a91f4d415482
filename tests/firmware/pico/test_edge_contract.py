"""One contract for all edges: what a host is told of the same job by the simulated box, by the Linux edge on
device nodes and by the coprocessor's firmware."""

from typing import Any

import pytest

from tests.support.edges import EDGES, do

PLAN = {"command": 5, "plan": 1, "line": 1, "period": 400, "phase": 100, "hold": 4, "count": 0}


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    """Each kind; the nodes need the rig."""
    if request.param == "nodes":
        from tests.rig.conftest import why_not

        pytest.importorskip("gpiod")
        pytest.importorskip("spidev")
        if why_not():
            pytest.skip(why_not())
    return str(request.param)


def job(**more: Any) -> dict[str, Any]:
    return {"rate_hz": 4000, "samples": 2000, "plans": [PLAN]} | more


def test_samples_tile_the_time_line_from_zero(edge: str) -> None:
    account = do(edge, job(plans=[], channels=4))
    assert account["samples"] == account["end"] >= 2000
    assert account["channels"] == 4
    assert account["gaps"] == account["faults"] == []
    if edge != "simulated":  # electrodes there are a patient's
        assert account["broken_at"] in ([], [1])
        assert account["same_on_all"]


@pytest.mark.parametrize("rate_hz", [250, 16000])
def test_every_rate_of_the_part(edge: str, rate_hz: int) -> None:
    plan = PLAN | {"period": rate_hz // 2, "phase": rate_hz // 4, "hold": max(2, rate_hz // 1000)}
    account = do(edge, job(rate_hz=rate_hz, samples=2 * rate_hz, plans=[plan]))
    assert account["faults"] == account["gaps"] == []
    assert [c % (rate_hz // 2) for _, c, _ in account["stimuli"]] == [rate_hz // 4] * len(account["stimuli"])
    assert len(account["stimuli"]) >= 3
    assert {seen - commanded for _, commanded, seen in account["stimuli"]} == {1}


def test_a_stimulus_falls_on_its_grid_and_is_proven_by_the_next_sample(edge: str) -> None:
    account = do(edge, job())
    assert [5, ""] in account["replies"]
    assert account["stimuli"][:4] == [[1, c, c + 1] for c in (100, 500, 900, 1300)]
    assert account["high_at"][:4] == [101, 501, 901, 1301]


def test_tests_of_one_rate_interleave(edge: str) -> None:
    plans = [PLAN | {"plan": k, "command": 10 + k, "line": k, "phase": 100 * k} for k in (1, 2, 3)]
    account = do(edge, job(plans=plans))
    assert account["faults"] == []
    first = [row[:2] for row in account["stimuli"] if row[1] >= 400][:6]
    assert first == [[1, 500], [2, 600], [3, 700], [1, 900], [2, 1000], [3, 1100]]


def test_a_train_is_whole_and_every_pulse_proven(edge: str) -> None:
    train = PLAN | {"pulses": 5, "interval": 10, "kind": 1, "period": 800, "phase": 400}
    account = do(edge, job(plans=[train], samples=2600))
    assert account["faults"] == []
    assert account["stimuli"][:5] == [[1, c, c + 1] for c in (400, 410, 420, 430, 440)]
    assert account["stimuli"][5:10] == [[1, c, c + 1] for c in (1200, 1210, 1220, 1230, 1240)]


def test_a_single_stimulus_fires_once(edge: str) -> None:
    account = do(edge, job(plans=[PLAN | {"period": 0, "phase": 0, "count": 1}]))
    assert len(account["stimuli"]) == 1
    assert [5, ""] in account["replies"]
    assert len(account["high_at"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line": 7}, "line 7 is not one of 1..4"),
        ({"hold": 1}, "hold of 1 samples is under 2: the status word could miss it"),
        ({"hold": 50}, "hold of 50 samples exceeds the limit of 10 ms"),
        ({"kind": 2}, "a pulse every 400 samples exceeds the rate limit of 1 Hz for transcranial"),
        ({"period": 39}, "a pulse every 39 samples exceeds the rate limit of 100 Hz for sensory"),
        (
            {"kind": 1, "current_ua": 100_001, "width_us": 200},
            "current of 100.001 mA exceeds the limit of 100",
        ),
        ({"pulses": 3, "interval": 5}, "interval of 5 samples is under 6: a pulse of 4 and 2 low"),
        ({"pulses": 11, "interval": 8}, "11 pulses in one stimulus exceed the limit of 10 for sensory"),
        ({"alternate": 1}, "alternate line 1 is not another one of 1..4"),
        ({"guard": 400}, "lockout of 400 samples is not over at the next stimulus"),
        ({"kind": 4, "current_ua": 1000, "width_us": 100}, "cortical stimulation needs the electrode's area"),
    ],
)
def test_what_the_limits_forbid_is_refused_in_the_same_words(
    change: dict[str, Any], words: str, refusals: dict[str, dict[int, str]]
) -> None:
    command = 100 + [case[0] for case in CHANGES].index(change)
    for kind, told in refusals.items():
        assert told[command].startswith(words), kind


CHANGES = test_what_the_limits_forbid_is_refused_in_the_same_words.pytestmark[0].args[1]


@pytest.fixture(scope="module")
def refusals() -> dict[str, dict[int, str]]:
    """What each kind answers to all of them, by command."""
    plans = [PLAN | {"plan": 10 + k, "command": 100 + k} | change for k, (change, _) in enumerate(CHANGES)]
    return {kind: dict(do(kind, job(plans=plans, samples=100))["replies"]) for kind in ("simulated", "pico")}
