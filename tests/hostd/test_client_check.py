"""The displays of hostd/clients pass the check, and displays with one fault each fail where it is, and there
alone. All of them run side by side: they wait, most of the time."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from hostd import wire
from hostd.cli import main
from hostd.client_check import malformed, report
from hostd.client_check.judge import Finding
from hostd.client_check.script import Script, digest, proving, shown, topics
from hostd.client_check.stage import Stage
from hostd.client_check.steps import Check
from tests.support import displays
from tests.support.ports import free_block, free_bus

LANGUAGES = ("python", "javascript", "c")
WAIT_S = 30.0
HOLE = "            self.holes += seq - before - 1\n"
FAULTS: dict[str, tuple[str, str, str]] = {
    "takes the snapshot over what is newer": (
        "and self.is_new(topic, boot, seq)",
        "and (self.is_new(topic, boot, seq) or not live)",
        "late snapshot",
    ),
    "takes what is older": (
        "if seq <= before:",
        "if seq <= before and topic[:8] != 'measure.':",
        "late snapshot",
    ),
    "ignores boots": ("if boot != self.boot:", "if not self.boot:", "restart"),
    "takes stragglers": ("boot not in self.old_boots and", "", "straggler"),
    "never says stale": ("            self.stale = True\n", "", "stale"),
    "dies of malformed frames": (
        "except (ValueError, TypeError, KeyError, Index",
        "except (ZeroDivisionError, Index",
        "malformed",
    ),
    "does not ask again after a hole": (HOLE + "            self.ask = True\n", HOLE, "hole"),
    "reads another version": ('if header["v"] != VERSION:', "if False:", "version"),
}
"""What a display has right, what is wrong with the one that is checked, and the step that must tell."""


def checked(command: list[str], bus: str) -> list[Finding]:
    """What the check finds of a client on a bus of its own."""
    stage = Stage(bus, 1)
    process = subprocess.Popen(
        [*command, "--report", bus], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        gone = lambda: "" if process.poll() is None else "gone"  # noqa: E731
        return list(Check(stage, gone).run(WAIT_S))
    finally:
        process.kill()
        process.wait()
        stage.close()


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[list[Finding]]"]]:
    """Of every display that can be had here, and of every fault, while they are being checked."""
    commands: dict[str, list[str]] = {}
    for language in LANGUAGES:
        try:
            commands[language] = displays.command(language)
        except pytest.skip.Exception as why:
            commands[language] = ["", str(why)]
    source = displays.PYTHON.read_text("utf-8")
    for number, (name, (right, wrong, _)) in enumerate(FAULTS.items()):
        assert source.count(right) == 1, f"{name}: the display has no {right!r} any more"
        path = tmp_path_factory.mktemp("faulty") / f"display{number}.py"
        path.write_text(source.replace(right, wrong), "utf-8")
        commands[name] = [sys.executable, str(path)]
    with ThreadPoolExecutor(len(commands)) as pool:
        first = free_block(4 * len(commands))  # drawn one by one, two might be given the same
        buses = {name: f"tcp://127.0.0.1:{first + 4 * k}" for k, name in enumerate(commands)}
        here = {name: command for name, command in commands.items() if command[0]}
        yield {name: pool.submit(checked, command, buses[name]) for name, command in here.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_displays_pass(language: str, findings: dict[str, "Future[list[Finding]]"]) -> None:
    if language not in findings:
        displays.command(language)  # skips, with the reason
    found = findings[language].result()
    assert [f.line for f in found if not f.ok] == [] and len(found) == 14


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_where_it_is(name: str, findings: dict[str, "Future[list[Finding]]"]) -> None:
    found = findings[name].result()
    lines = [f.line for f in found]
    assert [f.name for f in found if f.ok is False] == [FAULTS[name][2]], "\n".join(lines)
    (failed,) = [f for f in found if f.ok is False]
    assert failed.line.startswith(f"FAIL  {failed.name}: ") and "; " in failed.text


def test_the_command_starts_a_program_and_tells_by_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    place = "import sys; assert sys.argv[1].startswith('--at=tcp://127.0.0.1:'); sys.exit(3)"
    words = ["client-check", "--bus", free_bus(), "--", sys.executable, "-c", place, "--at={bus}"]
    assert main(words) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "FAIL  connect: the client has ended, exit code 3"
    assert all(line.startswith("SKIP  ") for line in lines[1:]) and len(lines) == 14


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--wait", "0"], "--wait 0 is not 1 to 3600 s"),
        (["--seed", "-1"], "--seed -1 is not 0 or more"),
        (["--bus", "tcp://0.0.0.0:6000"], "open to other machines"),
        (["--bus", "nowhere"], "is not an endpoint"),
        (["--", "/no/such/program"], "cannot start /no/such/program: No such file or directory"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    free = [] if "--bus" in words else ["--bus", free_bus()]
    assert main(["client-check", *free, *words]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_nobody_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client-check", "--bus", free_bus(), "--wait", "1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("waiting at tcp://") and "nobody connects, and no report came within 1 s" in out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boot": 3}, "boot"),
        ({"holes": -1}, "holes"),
        ({"latest": {"alert": 3}}, "latest"),
        ({"latest": {"alert": [1, float("nan")]}}, "leave out what is not finite"),
        ({"more": 1}, "more"),
    ],
)
def test_a_report_that_is_none_is_told(change: dict[str, object], says: str) -> None:
    good = {"boot": "b", "latest": {"alert": [1, 0.0]}, "stale": False, "holes": 0}
    assert report.parse(good, 0.0).reads("raw") is False and report.parse(good, 0.0).reads("alert")
    with pytest.raises(ValueError, match=says):
        report.parse(good | change, 0.0)
    with pytest.raises(ValueError, match=report.COMMAND):
        report.parse(None, 0.0)


def test_the_script_has_a_message_of_every_topic_and_digests_its_arrays() -> None:
    script = Script("b", np.random.default_rng(1))
    told = [script.message(topic) for topic in topics()]
    assert {"raw", "alert", "emg.audio", "average.left_median"} <= {m.topic for m in told}
    dtypes = {v["dtype"] for m in told for v in m.header.values() if isinstance(v, dict) and "dtype" in v}
    assert dtypes == {"<f4", "<i2", "<i4", "|u1"}
    array = np.array([[1.0, 2.0], [np.nan, 4.0]], np.float32)
    fields, parts = wire.pack_arrays({"a": array, "b": np.array([3, 3], np.int16)})
    assert digest(wire.Message("t", fields, parts)) == (1 + 4 + 8 + 3 + 6, 22)
    again = Script("b", np.random.default_rng(1)).message(topics()[0])
    assert again == told[0] and shown(again).is_(1, 0.0) and not shown(again).is_(2, 0.0)


@pytest.mark.parametrize(
    ("reads", "tries"),
    [
        ([""], ("average", True)),
        (["wave."], ("wave", True)),
        (["emg.audio", "beat"], ("emg.audio", False)),
        (["alert"], ("alert", False)),
        (["nothing"], ("", False)),
    ],
)
def test_a_client_is_tried_on_what_it_reads(reads: list[str], tries: tuple[str, bool]) -> None:
    assert proving(reads) == tries


def test_our_own_decoder_drops_what_is_malformed_or_reads_it_as_no_array() -> None:
    good = Script("b", np.random.default_rng(1)).message("average.left_median")
    sent = list(malformed.frames(good))
    assert len(sent) > 30
    for frames in sent:
        try:
            message = wire.decode(frames)
            message.array("mean_uv")
        except ValueError:
            continue
        header = message.header
        assert not all(
            isinstance(header.get(k), kind) for k, kind in (("boot", str), ("seq", int), ("v", int))
        )
