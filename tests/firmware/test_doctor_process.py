"""The doctor as its user starts it: exit codes, the report, one line of complaint, a clean end by signal."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firmware.doctor import __main__ as doctor
from firmware.doctor.checks import CHECKS
from firmware.doctor.writing import PREFIX
from hostd.cli import main as evokd
from tests.support.machines import Layout, healthy, laptop, stock_pi4

ROOT = Path(__file__).parents[2]


def warned() -> Layout:
    """A Pi 4 with warnings and no failure."""
    return stock_pi4().but(files={"/dev/spidev0.0": ""})


@pytest.mark.parametrize(("make", "code"), [(healthy, 0), (laptop, 0), (warned, 0), (stock_pi4, 1)])
def test_only_a_failure_is_exit_1(capsys: Any, tmp_path: Path, make: Any, code: int) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert doctor.main([], make().build(tmp_path)) == code
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert said.err == "" and "\x1b" not in said.out
    assert lines[0] == "board" and "\nverdict: " in said.out
    assert all(any(f" {check.name} " in line for line in lines) for check in CHECKS)


def test_the_report_holds_everything(capsys: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert doctor.main(["--json", str(report)], stock_pi4().build(tmp_path / "pi")) == 1
    said = json.loads(report.read_text())
    assert said["machine"] == {
        "model": "Raspberry Pi 4 Model B Rev 1.4",
        "soc": "bcm2711",
        "kernel": "6.12.47+rpt-rpi-v8",
        "architecture": "aarch64",
        "user": "pi",
        "data": "/home/pi/.local/share/evokd",
    }
    assert [check["name"] for check in said["checks"]] == [check.name for check in CHECKS]
    (governor,) = (check for check in said["checks"] if check["name"] == "governor")
    assert governor == {
        "name": "governor",
        "topic": "kernel",
        "state": "warn",
        "found": "ondemand on 4 of 4",
        "why": "a clock that must first rise wakes late",
        "cure": "append cpufreq.default_governor=performance to the line in /boot/firmware/cmdline.txt and "
        "restart; until then:",
        "commands": ["echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"],
        "figures": {"governor": "ondemand"},
    }
    (wakeup,) = (check for check in said["checks"] if check["name"] == "wake-up")
    assert wakeup["figures"]["fifo_p99_us"] == 190.0 and wakeup["figures"]["normal_missed"] == 2
    assert said["verdict"] == {
        "fitness": "not fit",
        "text": "not fit until cured: SPI devices",
        "reasons": ["SPI devices"],
    }
    assert capsys.readouterr().out.endswith("verdict: not fit until cured: SPI devices\n")


def bad(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Options that must be refused, and what the line says."""
    (folder / "file").write_text("")
    return {
        "unknown": (["--frob"], "unrecognized arguments: --frob; see python -m firmware.doctor --help"),
        "no file": (["--json"], "argument --json: expected one argument"),
        "nowhere": (
            ["--json", f"{folder}/none/x"],
            f"--json {folder}/none/x: No such file or directory; choose",
        ),
        "folder": (["--json", str(folder)], f"--json {folder}: Is a directory; choose another file"),
        "no folder": (["--data", f"{folder}/file"], f"--data {folder}/file is not a directory; name one"),
        "fix": (["--repair"], "unrecognized arguments: --repair"),
    }


@pytest.mark.parametrize("name", ["unknown", "no file", "nowhere", "folder", "no folder", "fix"])
def test_bad_options_are_exit_2_and_one_line(capsys: Any, tmp_path: Path, name: str) -> None:
    args, text = bad(tmp_path)[name]
    assert doctor.main(args, healthy().build(tmp_path / "pi")) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("evokd doctor: ") and text in said.err


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_only_on_a_terminal_that_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], coloured: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environ, "COLUMNS": "72"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    assert doctor.main([], healthy().build(tmp_path)) == 0
    text = out.getvalue()
    assert ("\x1b[32mok" in text) is coloured
    if not coloured:
        assert 60 < max(map(len, text.splitlines())) <= 72


def test_nobody_reading_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    class Closed(io.StringIO):
        def writelines(self, _: Any) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert doctor.main([], healthy().build(tmp_path)) == 1
    assert capsys.readouterr().err == ""


def test_a_signal_while_writing_leaves_nothing_behind(tmp_path: Path, capsys: Any) -> None:
    """The second signal comes while the first is being obeyed, as with Ctrl-C on a whole process group."""

    def interrupted(folder: Path) -> Any:
        left = folder / f"{PREFIX}x"
        left.write_text("")
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("the signal was not heard")
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            left.unlink()

    layout: Layout = healthy().but(probes={"writing": interrupted})
    assert doctor.main([], layout.build(tmp_path)) == 1
    said = capsys.readouterr()
    assert said.err == "evokd doctor: stopped by SIGTERM before the end\n"
    assert not list(tmp_path.rglob(f"{PREFIX}*")) and "verdict" not in said.out


def test_evokd_doctor_passes_what_its_child_says(tmp_path: Path, capfd: Any) -> None:
    """On this machine; nothing can be recorded in /proc, so that it is not fit."""
    report = tmp_path / "report.json"
    assert evokd(["doctor", "--json", str(report), "--data", "/proc"]) == 1
    said = capfd.readouterr()
    assert said.err == "" and "verdict: " in said.out
    states = {check["name"]: check["state"] for check in json.loads(report.read_text())["checks"]}
    assert states["writes"] == "fail"
    assert list(states) == [check.name for check in CHECKS]


def test_evokd_doctor_passes_its_childs_refusal(tmp_path: Path, capfd: Any) -> None:
    assert evokd(["doctor", "--json", f"{tmp_path}/none/report.json"]) == 2
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "evokd doctor: --json" in said.err


def test_evokd_doctor_refuses_what_it_does_not_know(capsys: Any) -> None:
    assert evokd(["doctor", "--repair"]) == 2
    assert "unrecognized arguments: --repair" in capsys.readouterr().err


def test_evokd_doctor_hands_a_signal_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from hostd.cli import main; sys.exit(main())"]
    command += ["doctor", "--data", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "board\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "evokd doctor: stopped by SIGTERM before the end\n")
    assert "verdict" not in out and list(tmp_path.iterdir()) == []


STRANGER = """
import os, sys
from firmware.doctor.__main__ import main
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(["--data", sys.argv[1]]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_closed_folder_is_a_finding(tmp_path: Path) -> None:
    """Stating below a closed folder is refused, which is not the same as its not being there."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    command = [sys.executable, "-c", STRANGER, str(closed / "cases")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "cannot be written: Permission denied" in " ".join(done.stdout.split())
