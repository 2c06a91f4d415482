"""Writes the examples of `evokd schema` and the byte vectors beside this file, from seeded simulated cases.

    python -m tests.hostd.golden

Examples are written anew; a vector that is there is never touched, since old bytes are what it is kept for:
a message that has got further fields is a further file (`average.TEST-2.msgpack`). The box's time of day,
paths and random names are replaced by fixed ones.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgpack

from firmware.simulated import SimulatedSource
from hostd import casefile, schema, wire
from hostd.case_folder import new_case_id
from hostd.client import request
from hostd.outgoing import Outgoing
from hostd.timebase import Timebase
from tests.hostd.test_deviations import hurt_early
from tests.support.recorded import CASE_ID, START, TEXT, record
from tests.support.session import DEADLINE_S, ROOT, Ear, LiveHost

HERE = Path(__file__).parent
EXAMPLES = ROOT / "hostd" / "schema_examples.json"
BOOT = "0f3a9c5e7b214d68"
BUS = "tcp://127.0.0.1:575"
UTC_NS = round(START.timestamp() * 1e9)
OF_AN_INJURY = ("alert", "ledger", "alarms", "case")
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hello", {"name": "ward display"}),
    ("config.get", {}),
    ("mark", {"text": "dura opened", "kind": "surgeon", "author": "tech"}),
    ("test.stop", {"test": "left_median"}),
    ("stim.arm", {"test": "left_median"}),
    ("test.start", {"test": "left_median"}),
    ("test.rate", {"test": "left_median", "rate_hz": 5.0}),
    ("stim.fire", {"test": "left_mep", "current_ma": 20_000.0}),
    ("baseline.set", {"test": "left_median"}),
    ("baseline.clear", {"test": "left_median"}),
    ("alert.acknowledge", {"id": "stimulus-1", "author": "tech"}),
    ("alert.note", {"id": "change-1", "step": "told", "text": "surgeon", "author": "tech"}),
    ("alarm.signal", {"what": "audio", "state": "paused", "seconds": 60, "author": "tech"}),
    ("case.critical", {"on": True, "text": "distraction", "author": "tech"}),
    ("plugs.check", {}),
    ("impedance.start", {"current_na": 24}),
    ("impedance.stop", {}),
    ("leads.watch", {"current_na": 0}),
    ("case.start", {}),
    ("snapshot", {}),
    ("stim.stop", {}),
    ("case.close", {}),
)


def best(messages: Iterable[Outgoing]) -> dict[str, Outgoing]:
    """One message of each declared topic: the last, but for those that say more before."""
    found: dict[str, Outgoing] = {}
    for message in messages:
        family, dot, _ = message.topic.partition(".")
        topic = message.topic if message.topic in schema.TOPICS else f"{family}.TEST" if dot else family
        f = message.fields
        dull = (topic == "tof" and f["count"] is None) or (topic == "event" and f["kind"] != "surgeon")
        dull |= topic == "alert" and (f["state"] != "confirmed" or f["kind"] != "change")
        dull |= topic == "case" and f["phase"] != "alert"
        dull |= topic == "plugs.TEST" and f["state"] == "waiting"
        dull |= topic in ("eeg", "spectrum") and any(f["artifact"])
        if not dull:
            found[topic] = message
    return found


def frames_of(message: Outgoing) -> list[bytes]:
    """A message as the bus sends it, at a fixed time."""
    fields, parts = wire.pack_arrays(message.fields)
    t_ns, _ = Timebase(2000.0, 1.5, (0, 3_000_000_000)).at(message.index)
    head = {"v": wire.SCHEMA_VERSION, "boot": BOOT, "seq": 7, "case": CASE_ID, "index": message.index}
    return wire.encode(message.topic, head | {"t_ns": t_ns, "utc_ns": UTC_NS + t_ns} | fields, parts)


def live() -> tuple[dict[str, list[bytes]], dict[str, list[Any]]]:
    """Beat, status and raw of a host that runs, and a request and its reply of every command."""
    source = SimulatedSource(4.0, None, 1)
    replies: dict[str, list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        case = casefile.parse(TEXT, "recorded.toml")
        with LiveHost(case, source, Path(folder)) as host, Ear(host.bus, raw=True) as ear:
            for topic in ("raw", "status", "beat"):
                ear.until(lambda m, topic=topic: m.topic == topic and m.header["index"] > 6000, topic)
            for command, args in ASKED:
                asked = {"id": 1, "command": command, "args": args}
                replies[command] = [asked, plain(request(host.bus, command, args), host.bus)]
            host.join()
    found = {}
    for topic in ("raw", "status", "beat"):
        message = next(m for m in ear.heard if m.topic == topic and m.header["index"] > 6000)
        header = dict(message.header) | {"boot": BOOT, "case": CASE_ID, "t_ns": 6_000_000_000, "seq": 7}
        header |= {"utc_ns": UTC_NS + 6_000_000_000}
        if topic == "status":
            header["recording"] |= {"path": f"/var/lib/evokd/{CASE_ID}", "bytes": 301_568}
            header["timebase"] |= {"edge_ns": 6_000_750_000, "sample_ns": 6_000_000_000}
        found[topic] = wire.encode(topic, header, message.parts)
    return found, replies


def plain(reply: Any, bus: str) -> Any:
    """A reply without what is of the day; the snapshot's messages are those of the topics."""
    result = reply.get("result", {})
    if "messages" in result:
        result["messages"] = [{"topic": "beat", "header": {"latest": {}}, "parts": []}]
    names = {"boot": BOOT, "case": CASE_ID, "toml": 'name = "Everything, shortly"\n'}
    result |= {key: value for key, value in names.items() if key in result}
    text = json.dumps(reply)
    port = int(bus.rpartition(":")[2])
    for k in range(4):
        text = text.replace(f"tcp://127.0.0.1:{port + k}", f"{BUS}{k}")
    return json.loads(text)


def main() -> int:
    """Write what is missing."""
    with tempfile.TemporaryDirectory() as folder:
        messages = [
            *(m for m in hurt_early(1024) if m.topic in OF_AN_INJURY or m.topic.startswith("plugs.")),
            *record(Path(folder), new_case_id())[1],
        ]
    frames = {topic: frames_of(message) for topic, message in best(messages).items()}
    others, replies = live()
    frames |= others
    missing = set(schema.TOPICS) - set(frames)
    if missing:
        raise SystemExit(f"no message of {', '.join(sorted(missing))} within {DEADLINE_S:g} s")
    headers = {topic: wire.decode_map(frames[topic][1]) for topic in schema.TOPICS}
    said = {"topics": headers, "control": replies}
    EXAMPLES.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for topic in schema.TOPICS:
        known = sorted(HERE.glob(f"{topic}.msgpack")) + sorted(HERE.glob(f"{topic}-*.msgpack"))
        kept = [set(wire.decode_map(msgpack.unpackb(p.read_bytes())[1])) for p in known]
        if set(headers[topic]) not in kept:
            name = f"{topic}-{len(known) + 1}" if known else topic
            (HERE / f"{name}.msgpack").write_bytes(msgpack.packb(frames[topic]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
