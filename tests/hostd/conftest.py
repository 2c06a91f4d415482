"""One session for all: recorded by `evokd run` as its user starts it, with commands in its middle.

It runs as fast as it goes and ends when everything has been done, however slow the machine is today.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hostd.client import request
from hostd.wire import Message
from tests.support.session import DEADLINE_S, Ear, session, until

RATE_HZ = 4000


@dataclass(frozen=True, slots=True)
class Live:
    """What was heard of a whole session, and what it left behind."""

    heard: list[Message]
    endpoint_of: dict[str, set[str]]
    replies: dict[str, Any]
    exit_code: int
    stdout: str
    stderr: str
    data: Path
    case: Path
    children: set[int]

    def of(self, topic: str) -> list[Message]:
        """Messages of one topic in the order heard."""
        return [m for m in self.heard if m.topic == topic]

    @property
    def samples(self) -> int:
        """How many samples it took."""
        return int(self.of("status")[-1].header["samples"])

    @property
    def clock(self) -> str:
        """The time that its displays showed last."""
        return f"00:{self.samples // RATE_HZ:02d}"

    @property
    def topics(self) -> list[str]:
        """Every topic heard."""
        return sorted({m.topic for m in self.heard})


def operate(bus: str, ear: Ear) -> dict[str, Any]:
    """What somebody at the controls does, each when the average has come so far; the replies by command."""
    replies: dict[str, Any] = {}

    def when(test: str, n_sweeps: int) -> None:
        ear.until(
            lambda m: m.topic == f"average.{test}" and m.header["n_sweeps"] >= n_sweeps,
            f"{n_sweeps} sweeps of {test}",
            fresh=True,
        )

    def do(command: str, **args: Any) -> None:
        replies[command] = request(bus, command, args)
        ear.listen(0)

    when("left_median", 5)
    do("mark", text="dura opened", kind="note", author="tech")
    when("left_median", 18)
    do("baseline.set", test="left_median")
    do("test.stop", test="right_median")
    do("mark", text="clip on; \N{GREEK SMALL LETTER MU}V \n second line", kind="surgeon")
    do("plugs.check", test="")
    when("left_median", 24)
    do("test.start", test="right_median")
    do("hello")
    do("snapshot")
    do("config.get")
    when("right_median", 17)
    do("baseline.set", test="right_median")
    do("baseline.clear", test="left_median")
    when("right_median", 24)
    do("case.close")
    return replies


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("live")
    with session("--speed", "max", data=data) as run, Ear(run.bus, raw=True) as ear:
        ear.until(lambda m: m.topic == "status", "the bus")
        run.children()
        replies = operate(run.bus, ear)
        until(
            lambda: ear.listen(50) is not None and run.process.poll() is not None, "the end", 3 * DEADLINE_S
        )
        until(lambda: ear.listen(50) == [], "the last messages")
        code = run.wait()
        yield Live(
            ear.heard, ear.endpoint_of, replies, code, run.stdout, run.stderr, data, run.case, run.pids
        )
