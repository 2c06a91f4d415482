"""The schema and the messages are held together: all that a whole session says is what it declares."""

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from hostd import casefile, schema, wire
from hostd.cli import main
from hostd.wire import Message
from tests.hostd.conftest import Live

# The fixed core of the contract: what every display may rely on.
COMMON = {"v", "boot", "seq", "case", "index", "t_ns", "utc_ns"}
CORE: dict[str, set[str]] = {
    "beat": {"latest"},
    "status": {
        "state",
        "source",
        "rate_hz",
        "channels",
        "samples",
        "lost_samples",
        "gaps",
        "link",
        "recording",
        "tests",
        "faults",
    },
    "raw": {"first_index", "counts", "trigger_bits", "gaps", "lsb_uv"},
    "stim": {"test", "site", "command_id", "verified", "lag_samples"},
    "sweep.TEST": {"derivations", "t0_ms", "dt_ms", "sweep_uv", "weight", "accepted", "reason"},
    "average.TEST": {
        "derivations",
        "t0_ms",
        "dt_ms",
        "mean_uv",
        "noise_uv",
        "n_sweeps",
        "n_rejected",
        "n_effective",
        "first_index",
        "last_index",
        "rate_hz",
        "band_hz",
        "final",
    },
    "measure.TEST": {"peaks"},
    "alert": {"id", "test", "kind", "priority", "state", "cause", "likelihood", "text", "evidence"},
    "event": {"text", "author", "kind"},
    "impedance": {"leads", "first_index", "last_index"},
}
CORE_PEAK = {
    "name",
    "derivation",
    "present",
    "latency_ms",
    "latency_ci_ms",
    "amplitude_uv",
    "amplitude_ci_uv",
    "baseline_latency_ms",
    "baseline_amplitude_uv",
    "change_pct",
}
ENDPOINTS = {
    "beat": "events",
    "raw": "raw",
    "sweep.TEST": "traces",
    "average.TEST": "traces",
    "stim": "events",
}
ON_OCCASION = {"impedance", "alert", "ledger", "alarms"}
# Of modalities that this session does not have; held where they are tried.
OTHERS = {"response.TEST", "tof", "emg", "eeg", "spectrum", "wave.TEST", "emg.audio"}
DTYPES = {"counts": "<i4", "trigger_bits": "|u1", "mean_uv": "<f4", "sweep_uv": "<f4", "halves_uv": "<f4"}


def declared_name(topic: str) -> str:
    family, dot, _ = topic.partition(".")
    return f"{family}.TEST" if dot else family


def check(message: Message) -> None:
    """The header has exactly the fields declared, each of its kind, and arrays that fit their buffers."""
    kind = schema.kind_of(message.topic)
    assert set(message.header) == set(kind.__struct_fields__), message.topic
    msgspec.convert(dict(message.header), kind, strict=True)
    parts = []
    for key, value in message.header.items():
        if isinstance(value, dict) and "part" in value:
            array = message.array(key)
            assert array.dtype.str == DTYPES[key]
            parts.append(value["part"])
    assert parts == list(range(len(message.parts))), "every buffer is described, in order"


def test_every_message_of_a_session_is_what_the_schema_declares(live: Live) -> None:
    for message in live.heard:
        check(message)
    assert {declared_name(topic) for topic in live.topics} == set(schema.TOPICS) - ON_OCCASION - OTHERS


def test_a_message_that_drifts_is_found(live: Live) -> None:
    good = live.of("average.left_median")[0]
    for change in ({"n_sweeps": "3"}, {"noise_uv": 1.0}, {"final": None}, {"weighting": "none at all"}):
        with pytest.raises(msgspec.ValidationError):
            check(Message(good.topic, {**good.header, **change}, good.parts))
    with pytest.raises(AssertionError):
        check(Message(good.topic, {**good.header, "more": 1}, good.parts))
    with pytest.raises(AssertionError):
        check(Message(good.topic, good.header, [*good.parts, b""]))


@pytest.mark.parametrize("topic", CORE)
def test_the_contracts_core_is_declared(topic: str) -> None:
    endpoint, kind = schema.TOPICS[topic]
    assert COMMON | CORE[topic] <= set(kind.__struct_fields__)
    assert endpoint == ENDPOINTS.get(topic, "events")
    assert set(schema.Peak.__struct_fields__) >= CORE_PEAK


def test_the_endpoints_declared_are_those_that_carry_them(live: Live) -> None:
    for topic, endpoints in live.endpoint_of.items():
        assert endpoints == {schema.TOPICS[declared_name(topic)][0]}, topic


def test_what_the_messages_say_fits_together(live: Live) -> None:
    case = casefile.procedure("median_ssep")
    for test in case.tests:
        names = [d.name for d in test.derivations]
        for m in live.of(f"average.{test.name}"):
            h = m.header
            mean = m.array("mean_uv")
            assert h["derivations"] == names and mean.shape[1] == len(names)
            assert h["t0_ms"] >= test.window_ms[0]
            assert h["t0_ms"] + (len(mean) - 1) * h["dt_ms"] < test.window_ms[1]
            assert h["dt_ms"] == 0.25 and np.isfinite(mean).all() and mean.any() == (h["n_sweeps"] > 0)
            assert (h["noise_uv"][0] is None) == (h["n_sweeps"] < 16)
            assert h["n_effective"] <= h["n_sweeps"] + 1e-6 and h["n_effective"] == h["n_effective_each"][0]
            assert h["first_index"] <= h["last_index"]
            assert (h["rate_hz"], h["sweeps_target"]) == (test.stimulus_hz, test.sweeps)
        for m in live.of(f"sweep.{test.name}"):
            rows, columns = m.array("sweep_uv").shape
            assert columns == len(names) and (rows > 0 or m.header["reason"] in ("gap", "settling"))
            assert m.header["accepted"] == (m.header["reason"] == "") == any(m.header["weights"])
            assert m.header["weight"] == m.header["weights"][0]
        for m in live.of(f"measure.{test.name}"):
            assert [p["name"] for p in m.header["peaks"]] == [p.name for p in test.peaks]
            for p in m.header["peaks"]:
                if p["present"]:
                    assert p["latency_ci_ms"][0] <= p["latency_ms"] <= p["latency_ci_ms"][1]
                    assert math.isfinite(p["amplitude_uv"]) and p["noise_uv"] > 0
                else:
                    assert (
                        p["latency_ms"]
                        is p["latency_ci_ms"]
                        is p["amplitude_uv"]
                        is p["amplitude_ci_uv"]
                        is None
                    )


def test_headers_are_plain_messagepack_of_every_language(live: Live) -> None:
    """Text keys, no extension types, no integer beyond what a double holds but the nanoseconds."""

    def walk(value: Any, at: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert isinstance(key, str), at
                walk(inner, f"{at}.{key}")
        elif isinstance(value, list):
            for inner in value:
                walk(inner, at)
        else:
            assert value is None or isinstance(value, bool | int | float | str), (at, value)
            if isinstance(value, int) and not at.endswith("_ns"):
                assert abs(value) < 2**53, at
            assert not isinstance(value, float) or math.isfinite(value), at

    for message in live.heard[::7]:
        walk(dict(message.header), message.topic)
        assert wire.decode(wire.encode(message.topic, message.header, message.parts)) == message


def test_the_schema_as_json_is_json_schema_of_every_topic(capsys: Any) -> None:
    assert main(["schema", "--format", "json"]) == 0
    topics = json.loads(capsys.readouterr().out)
    assert set(topics.pop("control")) == {"endpoint", "commands", "codes"}
    assert set(topics) == set(schema.TOPICS)
    for topic, (endpoint, kind) in schema.TOPICS.items():
        assert topics[topic]["endpoint"] == endpoint
        ref = topics[topic]["header"]["$ref"].rpartition("/")[2]
        declared = topics[topic]["header"]["$defs"][ref]
        assert set(declared["properties"]) == set(kind.__struct_fields__) == set(declared["required"])


def test_the_schema_as_a_page_names_every_field(capsys: Any) -> None:
    assert main(["schema"]) == 0
    page = capsys.readouterr().out
    for topic, (endpoint, kind) in schema.TOPICS.items():
        section = page.partition(f"## `{topic}` ({endpoint})")[2].partition("\n## ")[0]
        assert section, topic
        for field in set(kind.__struct_fields__) - set(schema.Header.__struct_fields__):
            assert f"- `{field}`: " in section, (topic, field)


def test_an_unknown_topic_is_a_key_error() -> None:
    for topic in ("nothing", "average", "nothing.left"):
        with pytest.raises(KeyError):
            schema.kind_of(topic)
