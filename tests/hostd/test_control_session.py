"""Whole sessions of a train and the single pulse before it: one request, both recorded, replayed alike."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hostd import casefile
from hostd.edge_link import EdgeLink
from hostd.store import read_rows
from hw.link import Message, StimPlan
from tests.hostd.test_replay import identical, replayed
from tests.hostd.test_schema import check as as_declared
from tests.hostd.test_stim_session import Client, closed, one_to_one
from tests.support.session import Bench, Ear, LiveHost, until

CASE = casefile.parse(
    """name = "face"
[acquisition]
rate_hz = 4000
channels = ["OORR1", "OORR2", "MENR1", "MENR2"]
[test.face]
modality = "comep"
side = "left"
line = 1
current_ma = 400
width_us = 200
""",
    "face.toml",
)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


def plans_of(case: Path) -> list[dict[str, Any]]:
    """The plans that the audit tells of, in order."""
    rows = read_rows(case / "case.sqlite", "SELECT detail FROM audit WHERE action = 'stim.plan' ORDER BY n")
    return [json.loads(detail) for (detail,) in rows]


def fired(host: LiveHost) -> dict[str, Any]:
    """The reply to a request to fire, asked for again while the lock of the measurement before it lasts."""
    found: list[dict[str, Any]] = []

    def free() -> bool:
        found.append(host.ask("stim.fire", test="face"))
        return "wait until that has ended" not in str(found[-1])

    until(free, "no lock")
    return found[-1]


@contextlib.contextmanager
def between(host: LiveHost, ear: Ear) -> Iterator[Future[dict[str, Any]]]:
    """The time from when a control has been seen; what will be the reply to the request to fire."""
    host.arm("face")
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(fired, host)
        ear.until(lambda m: m.topic == "stim", "the control")
        yield reply


def test_one_request_fires_the_control_and_then_the_train(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LiveHost(CASE, Bench(4.0, None, 1), data) as host, Ear(host.bus) as ear:
        host.arm("face")
        host.ok("test.start", test="face")
        at = ear.until(lambda m: m.topic == "status", "status", True).header["index"]
        ear.until(lambda m: m.header["index"] > at + 16000, "no sample of the measurement in any sweep", True)
        for k in (1, 2):
            host.fire("face")
            until(lambda k=k: ear.listen() is not None and len(ear.of("response.face")) == 2 * k, "both")
        for message in ear.of("response.face"):
            as_declared(message)
        closed(host, ear)
    told = [m.header for m in ear.of("response.face")]
    assert [one["control"] for one in told] == [True, False, True, False]
    assert [{row["spread"] for row in one["responses"]} for one in told] == [{None}, {True}] * 2
    assert "OORR1-OORR2, MENR1-MENR2 answer a single pulse too: spread, not cortex" in told[1]["text"]
    for control, train in (told[:2], told[2:]):
        assert 4000 <= train["trigger_index"] - control["trigger_index"] <= 4010, (
            "a second, as the line rests"
        )
    assert [m.header["n_sweeps"] for m in ear.of("average.face")] == [1, 2]
    case = one_to_one(data, capsys)
    plans = plans_of(case)
    assert [(plan["pulses"], plan.get("control", False)) for plan in plans] == [(1, True), (4, False)] * 2
    assert {plan["current_ua"] for plan in plans} == {400_000}
    commands = read_rows(
        case / "case.sqlite", "SELECT sample, args FROM commands WHERE name = 'stim.plan' ORDER BY n"
    )
    assert [json.loads(args)["control"] for _, args in commands] == [True, False, True, False]
    seen = [one["trigger_index"] for one in told]
    assert all(at <= trigger for (at, _), trigger in zip(commands, seen, strict=True))
    said = replayed(case, out=tmp_path / "out")
    assert identical(ear.heard, said) > 20


def test_a_stop_between_control_and_train_answers_and_no_train_is_fired(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        LiveHost(CASE, Bench(1.0, None, 1), data) as host,
        Ear(host.bus) as ear,
        Client(host) as screen,
    ):
        with between(host, ear) as reply:
            screen.send("stim.stop")
            screen.send("stim.arm", test="face")  # at once: it is armed again before anybody looks
            assert [screen.hear()["ok"] for _ in range(2)] == [True, True]
            refused = reply.result()["error"]
        assert refused["code"] == "refused" and refused["message"].startswith("the train was not fired: ")
        at = ear.of("stim")[-1].header["index"]
        ear.until(lambda m: m.header["index"] > at + 4800, "a second and more", True)
        assert len(ear.of("stim")) == 1
        closed(host, ear)
    plans = plans_of(one_to_one(data, capsys))
    assert {plan.get("control", False) for plan in plans} == {True}


def test_a_link_that_breaks_between_answers_and_the_train_is_not_fired_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: list[EdgeLink] = []
    plans: list[StimPlan] = []
    send = EdgeLink.send

    def watched(link: EdgeLink, message: Message) -> None:
        links.append(link)
        if isinstance(message, StimPlan):
            plans.append(message)
        send(link, message)

    monkeypatch.setattr(EdgeLink, "send", watched)
    with LiveHost(CASE, Bench(1.0, None, 1)) as host, Ear(host.bus) as ear:
        with between(host, ear) as reply:
            del plans[:-1]  # what the lock of the measurement refused
            links[-1].close()
            refused = reply.result()["error"]
        assert refused["code"] == "refused" and refused["message"]
        ear.until(
            lambda m: m.topic == "status" and m.header["link"]["connected"] and m.header["faults"],
            "again",
            True,
        )
        ear.until(lambda m: m.topic == "status", "a second later", True)
    assert [plan.pulses for plan in plans] == [1]


def test_a_pulse_that_never_comes_back_has_no_train() -> None:
    source = Bench(4.0, None, 1)
    with LiveHost(CASE, source) as host, Ear(host.bus, ("alert",)) as ear:
        host.arm("face")
        source.wired = False
        refused = fired(host)["error"]
        assert refused["code"] == "refused" and "control pulse" in refused["message"]
        raised = ear.until(lambda m: m.topic == "alert" and m.header["state"] == "raised", "the alert").header
        assert "never came back" in raised["text"]


@pytest.mark.control("H19.1")
def test_an_unarmed_test_has_neither() -> None:
    with LiveHost(CASE, Bench(8.0, None, 1)) as host, Ear(host.bus, ("stim",)) as ear:
        assert host.error("stim.fire", test="face") == (
            "refused",
            "test face is stopped, not armed; stim.arm it first",
        )
        assert ear.listen(50) == []
