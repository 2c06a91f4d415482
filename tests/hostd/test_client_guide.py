"""The guide for authors of displays is so: its code runs, its message is one, its commands are ours."""

import json
import re
import struct
import subprocess
import sys
import threading
from pathlib import Path

import msgpack
import pytest

from hostd import cli, control, schema
from hostd.client_check import report
from hostd.endpoints import parse_bus
from hostd.fixture.play import Player
from tests.support import displays
from tests.support.ports import free_bus
from tests.support.session import DEADLINE_S, ROOT

GUIDE = (displays.CLIENTS / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, flags=re.M | re.S)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fixture that is being played."""
    out = tmp_path_factory.mktemp("guide") / "fixture.jsonl"
    assert cli.main(["record-fixture", "--seconds", "6", "--out", str(out)]) == 0
    address, stop, ready = free_bus(), threading.Event(), threading.Event()
    player = Player(out, address, 2.0)
    threading.Thread(target=player.play, args=(stop, ready.set), daemon=True).start()
    assert ready.wait(DEADLINE_S)
    return address


def test_the_code_runs_as_printed(bus: str, tmp_path: Path) -> None:
    at, told = parse_bus(bus), []
    for code in blocks("python"):
        code = code.replace("tcp://127.0.0.1:5752", at.traces).replace("tcp://127.0.0.1:5751", at.control)
        path = tmp_path / "block.py"
        path.write_text(code, "utf-8")
        run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=DEADLINE_S)
        assert run.returncode == 0, run.stderr
        told.append(run.stdout)
    averages, replies, nothing = told
    assert len(re.findall(r"^average\.\w+ \d+ sweeps of \S+ from -?\d.* to -?\d", averages, flags=re.M)) == 10
    assert re.search(r"^hello .*'tests'", replies) and "\nmark []\n" in replies
    assert "observers may not stim.fire" in replies and nothing == ""


def test_the_message_shown_is_one() -> None:
    (dump,) = blocks("hex")
    topic, header, part = (
        b"".join(bytes.fromhex(line[:49].split("   ")[0]) for line in block.splitlines())
        for block in dump.split("\n\n")
    )
    h = msgpack.unpackb(header)
    assert topic == b"emg.audio" and set(h) == set(schema.EmgSound.__struct_fields__)
    assert h["samples"] == {"dtype": "<i2", "shape": [160], "part": 0}
    assert str(h["samples"]).replace("'", '"') in GUIDE and len(part) + 304 == 160 * 2
    assert struct.unpack("<2h", part[:4]) == (-123, -99)


def test_the_commands_are_ours() -> None:
    said = [line.partition("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    ours = [words[1:] for words in said if words and words[0] == "evokd"]
    assert len(ours) >= 5
    for words in ours:
        cli._parser().parse_args(words)
    for path in re.findall(r"(?:hostd|tests)/[\w/.-]+\.\w+", GUIDE):
        assert (ROOT / path).exists(), path


def test_the_display_in_node_is_tried_with_the_modules_that_it_asks_for() -> None:
    asked, tried = (
        json.loads(path.read_text("utf-8"))["dependencies"]
        for path in (
            displays.CLIENTS / "javascript" / "package.json",
            ROOT / "tests" / "node" / "package.json",
        )
    )
    assert asked.items() <= tried.items()  # the coprocessor's tests want an emulator besides


def test_topics_and_requests_that_it_names_are_there() -> None:
    families = {topic.partition(".")[0] for topic in schema.TOPICS}
    table = GUIDE.partition("## 5.")[2].partition("## 6.")[0]
    rows = re.findall(r"^\| [^|]+ \| (.+) \|$", table, flags=re.M)
    named = {word for row in rows for word in re.findall(r"`(\w+)[.`]", row)}
    fields = {"accepted", "reason", "verdict", "leading", "change", "stack_uv"}
    assert named - fields <= families and len(named & families) > 15
    for code in ("unknown_command", "bad_request", "busy"):
        assert code in control.CODES
    assert f'"command": "{report.COMMAND}"' in GUIDE
