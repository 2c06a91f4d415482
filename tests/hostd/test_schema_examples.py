"""The reference shows real messages that are what is declared; bytes of old are read by today's code.

Where this fails after a field or topic was added: `python -m tests.hostd.golden` writes the examples anew and
adds a byte vector beside the old ones, which stay.
"""

import json
import types
import typing
from pathlib import Path
from typing import Any, get_args, get_origin

import msgpack
import msgspec
import pytest

from hostd import control, schema, schema_page, wire
from hostd.cli import main
from hostd.client import Subscription
from hostd.progress import Progress
from tests.support.fakebus import FakeBus
from tests.support.session import until

EXAMPLES = schema_page.examples()
VECTORS = sorted((Path(__file__).parent / "golden").glob("*.msgpack"))


@pytest.mark.parametrize("topic", schema.TOPICS)
def test_every_topic_has_an_example_that_is_what_is_declared(topic: str) -> None:
    header = EXAMPLES["topics"][topic]
    kind = schema.TOPICS[topic][1]
    assert set(header) == set(kind.__struct_fields__), "python -m tests.hostd.golden writes it anew"
    msgspec.convert(header, kind, strict=True)


def test_there_are_no_examples_of_what_is_gone() -> None:
    assert set(EXAMPLES) == {"topics", "control"}
    assert set(EXAMPLES["topics"]) == set(schema.TOPICS)
    assert set(EXAMPLES["control"]) == set(control.COMMANDS) == set(control.DOES)
    assert set(control.CODES) == set(get_args(control.Code))


@pytest.mark.parametrize("command", control.COMMANDS)
def test_every_command_has_a_request_that_is_taken_and_a_reply(command: str) -> None:
    asked, reply = EXAMPLES["control"][command]
    assert asked["command"] == command and asked["id"] == reply["id"]
    if reply["ok"]:
        assert set(reply) == {"id", "ok", "result"}
    else:
        assert set(reply) == {"id", "ok", "error"} and reply["error"]["code"] in control.CODES
    try:
        request = control.parse(wire.encode_map(asked))
    except control.RequestError as error:
        assert error.reply == reply
    else:
        assert request.command == command and (reply["ok"] or reply["error"]["code"] != "bad_request")


def test_the_page_shows_all_of_it(capsys: Any) -> None:
    assert main(["schema"]) == 0
    page = capsys.readouterr().out
    shown = [json.loads(block.partition("```")[0]) for block in page.split("```json")[1:]]
    assert shown == [
        *(EXAMPLES["topics"][topic] for topic in schema.TOPICS),
        *(said for command in control.COMMANDS for said in EXAMPLES["control"][command]),
    ]
    for topic, (endpoint, _) in schema.TOPICS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {endpoint} | tcp://")]
        assert f"`{topic}`" in row
    for code in control.CODES:
        assert f"| `{code}` |" in page
    requests = page.partition("\n## Control")[2].partition("### `hello`")
    for command, form in control.COMMANDS.items():
        section = "".join(requests[1:]).partition(f"### `{command}`")[2].partition("\n### ")[0]
        assert all(f"- `{field}`: " in section for field in form.__struct_fields__), command
    assert "- `current_ma`: float, at least 0, at most 10000, default 0.0" in page
    for part in ("Peak", "StimulatedTest", "Sequential", "Answer", "LeadImpedance"):
        section = page.partition(f"### {part}\n")[2].partition("\n### ")[0]
        assert section.count("\n- `") >= 3, part
    assert "hostd." not in "".join(line for line in page.splitlines() if line.startswith("- `"))


def fits(value: Any, kind: Any) -> bool:
    """Whether all that is in `value` is still declared, and of its kind; what came later may be missing."""
    inner = get_args(kind)
    match get_origin(kind):
        case types.UnionType | typing.Union:
            return any(fits(value, arm) for arm in inner)
        case origin if origin is list:
            return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
        case origin if origin is tuple:
            return isinstance(value, list) and all(map(fits, value, inner)) and len(value) == len(inner)
        case origin if origin is dict:
            return isinstance(value, dict) and all(fits(one, inner[1]) for one in value.values())
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        declared = {f.name: f.type for f in msgspec.structs.fields(kind)}
        known = isinstance(value, dict) and set(value) <= set(declared)
        return known and all(fits(one, declared[name]) for name, one in value.items())
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def test_what_was_removed_renamed_or_became_another_kind_is_found() -> None:
    header = EXAMPLES["topics"]["measure.TEST"]
    kind = schema.TOPICS["measure.TEST"][1]
    (peak, *_) = header["peaks"]
    assert fits(header, kind) and fits({k: v for k, v in header.items() if k != "rules"}, kind)
    for peaks in ([peak | {"gone": 1}], [peak | {"present": "yes"}], peak, [peak | {"latency_ci_ms": [1.0]}]):
        assert not fits(header | {"peaks": peaks}, kind), peaks
    assert not fits(header | {"gone": 1}, kind) and not fits(header | {"final": None}, kind)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_bytes_of_old_are_still_read(path: Path) -> None:
    """Whatever was said in this version once keeps its place, its name and its kind."""
    frames = msgpack.unpackb(path.read_bytes())
    message = wire.decode(frames)
    topic = path.stem.partition("-")[0]
    assert fits(dict(message.header), schema.TOPICS[topic][1]), "fields are only added, and keep their kind"
    for name, value in message.header.items():
        if isinstance(value, dict) and "part" in value:
            array = message.array(name)
            assert (array.dtype.str, list(array.shape)) == (value["dtype"], value["shape"])
    assert wire.encode(message.topic, message.header, message.parts) == frames, "byte for byte"
    assert schema.kind_of(message.topic) is schema.TOPICS[topic][1]


def test_there_is_a_vector_of_every_topic_as_it_is_today() -> None:
    kept = [set(wire.decode(msgpack.unpackb(path.read_bytes())).header) for path in VECTORS]
    for topic in schema.TOPICS:
        assert set(EXAMPLES["topics"][topic]) in kept, f"{topic}: python -m tests.hostd.golden adds it"


@pytest.mark.parametrize("topic", schema.TOPICS)
def test_a_decoder_passes_over_what_it_does_not_know(topic: str) -> None:
    """Today's decoder, given a message of a later time, sees what it knew."""
    header = EXAMPLES["topics"][topic]
    later = header | {"of_a_later_time": {"x": [1, None]}, "another": "y"}
    read = wire.decode(wire.encode(topic, later, []))
    assert read.header["of_a_later_time"] == {"x": [1, None]}
    kind = schema.TOPICS[topic][1]
    assert msgspec.convert(dict(read.header), kind) == msgspec.convert(header, kind)


def test_another_version_is_refused_in_words() -> None:
    header = EXAMPLES["topics"]["event"]
    for other in (0, 2, 99):
        with pytest.raises(wire.VersionError) as caught:
            wire.decode(wire.encode("event", header | {"v": other}, []))
        assert (
            str(caught.value) == f"schema version {other}, this client reads 1; update the older of the two"
        )
    assert wire.decode(wire.encode("event", {"text": "of nobody"}, [])).header == {"text": "of nobody"}


def test_a_display_says_that_it_is_too_old() -> None:
    with FakeBus() as bus, Subscription(bus.address, ["event"]) as subscription:
        assert subscription.connected(5000) and subscription.refused == ""
        header = {"text": "x", "kind": "note", "author": "", "v": 2}

        def told() -> str:
            bus.publish("event", header)
            assert subscription.receive(20) == []
            return subscription.refused

        until(told, "the refusal")
    progress = Progress({})
    progress.refused = subscription.refused
    assert "schema version 2, this client reads 1" in progress.line()
