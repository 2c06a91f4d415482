"""Control: every request is answered once and properly, whatever it is, and the next good one still works."""

import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from hostd import casefile, control, wire
from hostd.bus import MAX_REQUEST_BYTES
from hostd.client import request
from hostd.control import COMMANDS, RequestError, parse
from hostd.edge_link import EdgeLink
from hostd.endpoints import parse_bus
from hostd.errors import BusError, LinkError
from hw.link import Message, StimPlan, StimStop
from tests.support.session import Bench, Ear, LiveHost, until

CASE = casefile.procedure("median_ssep")
LEFT, RIGHT = CASE.tests
CONTRACT_COMMANDS = {
    "hello",
    "snapshot",
    "case.start",
    "case.close",
    "test.start",
    "test.stop",
    "stim.arm",
    "stim.fire",
    "stim.stop",
    "baseline.set",
    "baseline.clear",
    "mark",
    "alert.acknowledge",
    "impedance.start",
    "config.get",
}


@pytest.fixture(scope="module")
def live() -> Iterator[LiveHost]:
    with LiveHost() as host:
        yield host


def code_of(body: bytes) -> tuple[Any, str, str]:
    """Id, code and message of the refusal of `body`."""
    with pytest.raises(RequestError) as caught:
        parse(body)
    reply = caught.value.reply
    assert reply["ok"] is False and set(reply) == {"id", "ok", "error"}
    assert "\n" not in reply["error"]["message"]
    return reply["id"], reply["error"]["code"], reply["error"]["message"]


def packed(**fields: Any) -> bytes:
    return msgpack.packb(fields)


BAD_REQUESTS: dict[str, tuple[bytes, tuple[Any, str, str]]] = {
    "no MessagePack": (b"\xc1", (None, "bad_request", "not MessagePack")),
    "nothing": (b"", (None, "bad_request", "not MessagePack")),
    "JSON": (b'{"command": "hello"}', (None, "bad_request", "MessagePack")),
    "a list": (msgpack.packb(["hello"]), (None, "bad_request", "a map is expected, got list")),
    "no command": (packed(id=7), (7, "bad_request", "command is missing")),
    "command a number": (packed(id=7, command=3), (7, "bad_request", "command is missing")),
    "unknown command": (
        packed(id="a", command="stim.everything"),
        ("a", "unknown_command", "stim.everything"),
    ),
    "empty command": (packed(id="a", command=""), ("a", "unknown_command", "hello, snapshot")),
    "args a list": (packed(id=1, command="hello", args=[1]), (1, "bad_request", "hello: Expected `object`")),
    "args null": (packed(id=1, command="hello", args=None), (1, "bad_request", "hello: Expected `object`")),
    "an argument too many": (
        packed(id=1, command="hello", args={"x": 1}),
        (1, "bad_request", "unknown field `x`"),
    ),
    "an argument missing": (
        packed(id=1, command="test.start"),
        (1, "bad_request", "missing required field `test`"),
    ),
    "an argument of another kind": (
        packed(id=1, command="test.start", args={"test": 1}),
        (1, "bad_request", "test.start: Expected `str`, got `int`"),
    ),
    "a key that is no text": (
        packed(id=1, command="mark", args={1: "x"}),
        (1, "bad_request", "mark"),
    ),
    "mark too long": (packed(id=1, command="mark", args={"text": "x" * 2001}), (1, "bad_request", "2000")),
    "mark of a long kind": (
        packed(id=1, command="mark", args={"text": "x", "kind": "k" * 2001}),
        (1, "bad_request", "2000"),
    ),
    "too long": (
        packed(id=1, command="mark", args={"text": "x" * MAX_REQUEST_BYTES}),
        (None, "bad_request", f"the limit is {MAX_REQUEST_BYTES}"),
    ),
}


@pytest.mark.parametrize("body,expected", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_what_is_no_request_is_refused_with_its_reason(body: bytes, expected: tuple[Any, str, str]) -> None:
    request_id, code, text = code_of(body)
    assert (request_id, code) == expected[:2]
    assert expected[2] in text and len(text) < 400


@pytest.mark.parametrize("body", [b for b, _ in BAD_REQUESTS.values()], ids=BAD_REQUESTS.keys())
def test_a_live_host_answers_every_bad_request_and_then_a_good_one(live: LiveHost, body: bytes) -> None:
    socket = zmq.Context.instance().socket(zmq.REQ)
    socket.linger = 0
    socket.connect(parse_bus(live.bus).control)
    socket.send(body)
    assert socket.poll(5000), "no answer"
    reply = msgpack.unpackb(socket.recv(), strict_map_key=False)
    assert reply["ok"] is False
    assert reply["error"]["code"] == code_of(body)[1]
    socket.send(packed(id="next", command="hello"))
    assert socket.poll(5000), "no answer to the good one"
    assert msgpack.unpackb(socket.recv())["ok"] is True
    socket.close()


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_a_proper_refusal(body: bytes) -> None:
    try:
        asked = parse(body)
    except RequestError as error:
        assert error.reply["error"]["code"] in ("bad_request", "unknown_command")
        wire.encode_map(error.reply)
        return
    assert asked.command in COMMANDS


@given(
    st.dictionaries(
        st.sampled_from(["id", "command", "args", "more"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.text(max_size=5)
            | st.binary(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["test", "text", "kind", "id", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        )
        | st.sampled_from(sorted(COMMANDS)),
    )
)
def test_any_map_is_a_request_or_a_proper_refusal(fields: dict[str, Any]) -> None:
    body = msgpack.packb(fields)
    try:
        asked = parse(body)
    except RequestError as error:
        reply = wire.decode_map(wire.encode_map(error.reply))
        assert reply["id"] == fields.get("id")
        return
    assert asked.command == fields["command"] and asked.id == fields.get("id")


@pytest.mark.parametrize(
    "request_id", [None, 0, -1, 2**64 - 1, "x", b"\xff", [1, [2]], {"a": {"b": None}}, 1.5, True]
)
def test_the_id_comes_back_whatever_it_is(live: LiveHost, request_id: Any) -> None:
    for command, args in (("hello", {}), ("mark", {"text": "x"}), ("frobnicate", {})):
        assert exchange(live, packed(id=request_id, command=command, args=args))["id"] == request_id


def exchange(live: LiveHost, body: bytes) -> dict[str, Any]:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    try:
        socket.connect(parse_bus(live.bus).control)
        socket.send(body)
        assert socket.poll(5000), "no answer"
        return wire.decode_map(socket.recv())
    finally:
        socket.close()


def test_ids_nested_to_the_edge_of_what_can_be_read_end_nothing(live: LiveHost) -> None:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(parse_bus(live.bus).control)
    for command in ("hello", "mark", "test.stop", "snapshot"):
        args = {"mark": {"text": "x"}, "test.stop": {"test": "none"}}.get(command, {})
        head = b"\x83\xa7command" + msgpack.packb(command) + b"\xa4args" + msgpack.packb(args) + b"\xa2id"
        for depth in range(900, 1010):
            socket.send(head + b"\x91" * depth + b"\xc0")
    for _ in range(4 * 110):
        assert socket.poll(5000), "no answer"
        socket.recv()
    socket.close()
    assert live.ok("hello")
    assert live.running


def test_names_of_no_test_are_refused_by_every_command_about_one(live: LiveHost) -> None:
    for command, form in COMMANDS.items():
        if form is control.TestArgs:
            code, text = live.error(command, test="n" * 10_000)
            assert code == "bad_request" and "left_median, right_median" in text and len(text) < 200


def test_hello_tells_all_that_a_client_needs(live: LiveHost) -> None:
    hello = live.ok("hello")
    at = parse_bus(live.bus)
    assert hello["endpoints"] == {
        "events": at.events,
        "control": at.control,
        "traces": at.traces,
        "raw": at.raw,
    }
    assert hello["tests"] == {"left_median": LEFT.site, "right_median": RIGHT.site}
    assert hello["schema"] == wire.SCHEMA_VERSION and hello["source"] == "simulated"
    assert int(hello["boot"], 16) >= 0
    assert set(hello["commands"]) >= CONTRACT_COMMANDS


def test_config_is_the_case_file_as_given(live: LiveHost) -> None:
    config = live.ok("config.get")
    assert config["toml"] == CASE.text and config["case"] == live.ok("hello")["case"]


def test_a_mark_becomes_an_event_with_its_words(live: LiveHost) -> None:
    nasty = "dura opened \x00\x14\x15\n\x1b[31m " + "\N{BONE}" * 1000
    with Ear(live.bus, ("event", "beat")) as ear:
        ear.until(lambda m: m.topic == "beat", "the bus")
        for words in ({"text": nasty}, {"text": "", "kind": "", "author": "Dr. No"}):
            live.ok("mark", **words)
            event = ear.until(
                lambda m, t=words["text"]: m.topic == "event" and m.header["text"] == t, "the event"
            )
            assert event.header["kind"] == words.get("kind", "note")
            assert event.header["author"] == words.get("author", "")


def test_a_mark_brings_numbers_and_what_is_none_is_refused(live: LiveHost) -> None:
    with Ear(live.bus, ("event",)) as ear:
        live.ok("mark", text="pressure", kind="vitals", values={"map_mmhg": 62, "mac": "0.9"})
        told = ear.until(lambda m: m.header["kind"] == "vitals", "the mark").header
    assert told["values"] == {"map_mmhg": 62.0, "mac": 0.9} and told["test"] == ""
    for values, why in (
        ({"map_mmhg": math.nan}, "no number"),
        ({"map_mmhg": "low"}, "map_mmhg|float"),
        ({f"v{k}": 1.0 for k in range(33)}, "32 at most"),
        ({"x" * 41: 1.0}, "length"),
    ):
        code, text = live.error("mark", text="x", values=values)
        assert code == "bad_request" and re.search(why, text), text


def test_alarm_signals_and_notes_go_through_the_queue_and_say_why_not(live: LiveHost) -> None:
    with Ear(live.bus, ("alarms",)) as ear:
        live.ok("alarm.signal", what="audio", state="paused", seconds=0.5)
        paused = ear.until(lambda m: m.header["audio"] == "paused", "paused").header
        on = ear.until(lambda m: m.header["audio"] == "on", "on again", True).header
        assert on["index"] == paused["audio_until"], "to the sample, whatever the blocks"
        live.ok("alarm.signal", what="latching", state="on")
        assert ear.until(lambda m: m.header["latching"], "latching").header["alarm"] == "on"
        live.ok("alarm.signal", what="latching", state="off")
    assert live.error("alarm.signal", what="latching", state="paused") == (
        "bad_state",
        "latching is on or off",
    )
    assert live.error("alarm.signal", what="audio", state="paused", seconds=300)[0] == "bad_request"
    code, text = live.error("alert.note", id="change-9", step="told")
    assert code == "bad_state" and "it has none" in text
    assert live.error("alert.note", id="x", step="recovered")[0] == "bad_request"


def test_baseline_commands_say_why_not(live: LiveHost) -> None:
    assert live.error("baseline.clear", test="left_median") == (
        "bad_state",
        "test left_median has no baseline",
    )
    live.ok("test.stop", test="right_median")
    live.ok("test.start", test="right_median")
    code, text = live.error("baseline.set", test="right_median")
    assert code == "bad_state" and text.startswith("a baseline needs 16 sweeps, there are ")


def test_what_this_source_cannot_do_is_said(live: LiveHost) -> None:
    assert live.error("impedance.start")[0] == "bad_state"
    code, text = live.error("alert.acknowledge", id="a1")
    assert code == "bad_state" and "a1" in text
    assert live.error("case.start")[0] == "bad_state"


def test_tests_stop_and_start_and_status_shows_it(live: LiveHost) -> None:
    def shown(ear: Ear, state: str) -> None:
        ear.until(
            lambda m: m.topic == "status" and m.header["tests"]["left_median"] == state,
            f"status {state}",
            True,
        )

    with Ear(live.bus, ("status", "stim")) as ear:
        live.ok("test.stop", test="left_median")
        assert live.error("test.stop", test="left_median")[0] == "bad_state"
        shown(ear, "stopped")
        stopped_at = ear.heard[-1].header["index"]
        live.ok("test.start", test="left_median")
        assert live.error("test.start", test="left_median")[0] == "bad_state"
        shown(ear, "running")
        ear.until(
            lambda m: (
                m.topic == "stim" and m.header["test"] == "left_median" and m.header["index"] > stopped_at
            ),
            "stimuli again",
        )


@pytest.mark.control("H1.2")
def test_on_hardware_nothing_fires_unarmed_and_stop_ends_everything() -> None:
    with LiveHost(source=Bench(8.0, None, 1)) as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.header["index"] > 4000, "a second of samples")
        code, text = host.error("test.start", test="left_median")
        assert code == "refused" and "stim.arm" in text
        assert host.error("stim.fire", test="left_median")[0] == "refused"
        code, text = host.error("stim.arm", test="left_median")
        assert code == "refused" and "run impedance.start" in text
        assert ear.of("stim") == [] and set(ear.heard[-1].header) > {"v"}
        host.arm("left_median")
        assert host.error("stim.arm", test="left_median")[0] == "bad_state"
        host.fire("left_median")
        single = ear.until(lambda m: m.topic == "stim", "the single stimulus").header
        assert (
            single["test"] == "left_median" and single["verified"] is True and single["lag_samples"] in (1, 2)
        )
        host.ok("test.start", test="left_median")
        ear.until(lambda m: m.topic == "sweep.left_median" and m.header["accepted"], "an accepted sweep")
        host.ok("stim.stop")
        host.ok("stim.stop")
        last = ear.until(
            lambda m: m.topic == "status" and m.header["tests"]["left_median"] == "stopped", "stopped", True
        )
        ear.until(lambda m: m.header["index"] > last.header["index"] + 8000, "two seconds")
        fired = [m.header["index"] for m in ear.of("stim")]
        on_its_way = 3000  # samples between the edge and the bus when the stop was sent
        assert max(fired) < last.header["index"] + on_its_way, "stimuli after stim.stop"
        assert {m.header["command_id"] for m in ear.of("stim")} > {single["command_id"]}
        assert host.error("test.start", test="left_median")[0] == "refused", "stopping disarms"


@pytest.mark.control("H3.1")
def test_a_pulse_that_does_not_come_back_stops_all_tests_and_is_told() -> None:
    source = Bench(4.0, None, 1)
    with LiveHost(source=source) as host, Ear(host.bus) as ear:
        host.arm("left_median", "right_median")
        for test in ("left_median", "right_median"):
            host.ok("test.start", test=test)
        ear.until(lambda m: m.topic == "stim" and m.header["verified"], "a proven stimulus")
        source.wired = False
        fault = ear.until(lambda m: m.topic == "event" and m.header["kind"] == "fault", "the fault").header
        assert fault["author"] == "edge" and fault["text"].startswith("missing: ")
        missing = ear.until(lambda m: m.topic == "stim" and not m.header["verified"], "the pulse").header
        assert missing["lag_samples"] is None and missing["pulse"] == 1
        alert = ear.until(lambda m: m.topic == "alert", "the alert").header
        assert alert["priority"] == "high" and alert["state"] == "raised" and alert["text"] in fault["text"]
        stopped = {"left_median": "stopped", "right_median": "stopped"}
        status = ear.until(
            lambda m: m.topic == "status" and m.header["tests"] == stopped, "all stopped", True
        ).header
        assert any("missing" in text for text in status["faults"])
        assert host.error("test.start", test="left_median")[0] == "refused"


def test_case_close_ends_the_host_and_is_answered() -> None:
    with LiveHost() as host, Ear(host.bus) as ear:
        ear.until(lambda m: m.topic == "status", "the bus")
        host.ok("case.close")
        host.join()
        until(lambda: ear.listen() == [], "the last messages")
        assert ear.of("status")[-1].header["state"] == "closed"
        assert set(ear.of("status")[-1].header["tests"].values()) == {"stopped"}
        assert host.failure is None
        with pytest.raises(BusError):
            request(host.bus, "hello", {}, timeout_ms=50)


def test_every_request_is_answered_while_the_case_closes() -> None:
    with LiveHost() as host:
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(parse_bus(host.bus).control)
        bodies = [packed(id=k, command="mark", args={"text": "x"}) for k in range(30)]
        bodies.insert(10, packed(id="close", command="case.close", args={}))
        for body in bodies:
            socket.send(body)
        replies = []
        while len(replies) < 31 and socket.poll(5000):
            replies.append(wire.decode_map(socket.recv()))
        assert [r["id"] for r in replies if r["id"] == "close"] == ["close"]
        said = {r["id"]: r for r in replies}
        assert len(said) == len(replies) == 31, "each answered once"
        assert all(said[k]["ok"] for k in range(10))
        assert {said[k]["error"]["code"] for k in range(10, 30)} == {"bad_state"}
        socket.close()


def test_on_a_broken_link_every_command_is_answered_and_what_needs_no_link_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = EdgeLink.send

    def broken(link: EdgeLink, message: Message) -> None:
        if isinstance(message, StimPlan | StimStop):
            raise LinkError("the wire is cut")
        send(link, message)

    with LiveHost() as host, Ear(host.bus, ("status",)) as ear:
        ear.until(lambda m: True, "the bus")
        monkeypatch.setattr(EdgeLink, "send", broken)
        cut = ("internal", "the wire is cut")
        assert host.error("test.stop", test="left_median") == cut
        assert host.error("stim.stop") == cut
        assert host.error("test.start", test="right_median") == cut
        status = ear.until(lambda m: True, "status", fresh=True).header
        assert status["tests"] == {"left_median": "stopped", "right_median": "stopped"}, (
            "stopped all the same"
        )
        assert status["faults"] == ["the wire is cut"] * 3
        assert host.error("case.close") == cut
        host.join()
        assert host.failure is None, "told to who asked; an edge without a host stops by itself"


def test_answers_come_from_one_thread_only() -> None:
    """Commands of many clients at once: none is lost, none answered twice."""
    with LiveHost() as host:
        failed: list[Any] = []

        def client(number: int) -> None:
            for k in range(10):
                reply = host.ask("mark", text=f"{number}.{k}")
                if not reply["ok"]:
                    failed.append(reply)

        with Ear(host.bus, ("event", "beat")) as ear:
            ear.until(lambda m: m.topic == "beat", "the bus")
            threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            marks = [f"{n}.{k}" for n in range(8) for k in range(10)]
            until(
                lambda: (
                    ear.listen() is not None
                    and sorted(m.header["text"] for m in ear.of("event") if m.header["kind"] == "note")
                    == sorted(marks)
                ),
                "every mark once",
            )
        assert failed == []
