"""The displays of hostd/clients on a real bus: averages, STALE once it is silent, keys, bad addresses."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from tests.support import displays
from tests.support.keys import made
from tests.support.session import LiveHost, until

LANGUAGES = ("python", "javascript", "c")
LINE = re.compile(
    r"(left|right)_median (?P<n>\d+) sweeps(, (?P<size>\d+\.\d\d) uV from top to bottom"
    r"| N20 (absent|present at (?P<ms>\d+\.\d\d) ms, (?P<uv>\d+\.\d\d) uV))"
)
OTHERS = re.compile(r"(ALERT \w+ \w+: .+|STALE: nothing for 2 s; what stands above is old)")


@dataclass(slots=True)
class Running:
    """A display, and what it has printed."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def listen(self) -> None:
        assert self.process.stdout is not None
        self.lines += (line.rstrip("\n") for line in iter(self.process.stdout.readline, ""))

    def seen(self, text: str) -> bool:
        assert self.process.poll() is None, self.lines
        return any(text in line for line in self.lines)


@contextlib.contextmanager
def running(*commands: list[str]) -> Iterator[list[Running]]:
    """Displays, ended with the block."""
    started = [
        Running(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        for command in commands
    ]
    threads = [Thread(target=one.listen, daemon=True) for one in started]
    for thread in threads:
        thread.start()
    try:
        yield started
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()
        for one, thread in zip(started, threads, strict=True):
            thread.join()
            assert one.process.stdout is not None
            one.process.stdout.close()


def had() -> dict[str, list[str]]:
    """The displays that can be had here."""
    found = {}
    for language in LANGUAGES:
        with contextlib.suppress(pytest.skip.Exception):
            found[language] = displays.command(language)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, list[str]]:
    """What each display prints of a session that ends."""
    commands = had()
    with contextlib.ExitStack() as box:
        host = box.enter_context(LiveHost(speed=8.0))
        with running(*([*command, host.bus] for command in commands.values())) as shown:
            until(lambda: all(one.seen("N20 present") for one in shown), "averages")
            box.close()
            until(lambda: all(one.seen("STALE") for one in shown), "displays that say stale")
    return {name: one.lines for name, one in zip(commands, shown, strict=True)}


@pytest.mark.control("H8.3")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_display_shows_averages_and_says_when_they_are_old(
    language: str, told: dict[str, list[str]]
) -> None:
    if language not in told:
        displays.command(language)  # skips, with the reason
    lines = told[language]
    assert [line for line in lines if not LINE.fullmatch(line) and not OTHERS.fullmatch(line)] == []
    assert [line.startswith("STALE") for line in lines].index(True) == len(lines) - 1
    found = [match for line in lines if (match := LINE.fullmatch(line))]
    present = [float(match["ms"]) for match in found if match["ms"]]
    sizes_uv = [float(match["size"]) for match in found if match["size"] and int(match["n"]) >= 16]
    assert present and all(18.0 < ms < 23.0 for ms in present)
    assert sizes_uv and all(1.0 < uv < 40.0 for uv in sizes_uv)


def test_displays_show_their_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made(keys)
    commands = had()
    keyed = [[*command, "--key", str(keys / "olli.secret")] for command in commands.values()]
    with LiveHost(speed=8.0, keys=keys) as host:
        stranger = [*commands["python"], host.bus]
        with running(stranger, *([*command, host.bus] for command in keyed)) as (without, *shown):
            until(lambda: all(one.seen(" sweeps") for one in shown), "averages")
            until(lambda: without.seen("STALE"), "the stranger's silence")
            assert not without.seen(" sweeps")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bad_address_is_refused_in_a_line(language: str) -> None:
    command = [*displays.command(language), "nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and "nowhere" in ended.stderr and "write tcp://HOST:PORT" in ended.stderr


def test_the_display_in_c_says_where_a_key_is_none() -> None:
    command = [*displays.command("c"), "--key", "/none"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and "no key public" in ended.stderr


def test_the_makefile_makes_and_cleans(tmp_path: Path) -> None:
    displays.command("c")  # skips, with the reason
    for name in ("display.c", "Makefile"):
        shutil.copy(displays.CLIENTS / "c" / name, tmp_path)
    for target, there in (("display", True), ("clean", False)):
        subprocess.run(["make", "-s", target], cwd=tmp_path, check=True)
        assert (tmp_path / "display").exists() is there
