"""The health check: it finds what would keep an edge from working."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from firmware.errors import EdgeError
from firmware.update import health
from firmware.update.health import HealthError, come_from, flows, needs
from hw.bundle import Manifest
from hw.link import Block, Description, Ended, Fault, Hello, Message, hello
from hw.samples import Gap

DESCRIPTION = Description("scripted", 1000.0, ("a",), (1.0,), (0.0,), 0.0, 1)


class Answers:
    """An edge that says what the test lists."""

    def __init__(self, said: Iterable[Message]) -> None:
        self._said = iter(said)

    def send(self, message: Message) -> None:
        """Not listened to."""

    def hear(self) -> Message:
        return next(self._said)


def block(first: int, n: int, gaps: tuple[Gap, ...] = ()) -> Block:
    return Block(first, 0, 1, bytes(3 * n), bytes(n), gaps)


def told(*blocks: Message) -> Any:
    return Answers((hello("edge", 1), DESCRIPTION, *blocks, Ended(0)))


def test_samples_are_counted_over_gaps() -> None:
    assert flows(told(block(0, 10), block(12, 5, (Gap(10, 2, "missed"),)), Fault("x", "y", 0))) == 15


@pytest.mark.parametrize(
    "said",
    [
        (DESCRIPTION,),
        (Hello(9, 9, 9, "edge"),),
        (hello("edge", 1), Ended(0)),
        (hello("edge", 1), DESCRIPTION, block(0, 10), block(11, 1)),
        (hello("edge", 1), DESCRIPTION, block(0, 10), block(0, 10)),
    ],
)
def test_an_edge_that_answers_otherwise_is_not_healthy(said: tuple[Message, ...]) -> None:
    with pytest.raises(HealthError):
        flows(Answers(said))  # type: ignore[arg-type]


def test_a_whole_edge_is_healthy_and_one_that_cannot_be_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert health.main(["--", "--link", "tcp:127.0.0.1:1"]) == 0
    assert health.main(["--", "--link", "x", "--sauce"]) == 1
    wiring = str(tmp_path / "none.toml")
    assert health.main(["--", "--link", "x", "--source", "pi", "--wiring", wiring]) == 1
    monkeypatch.setenv(health.TREE, str(tmp_path))
    assert health.main(["--", "--link", "x"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "healthy"
    assert "--sauce" in lines[1]
    assert "none.toml" in lines[2]
    assert "not from the slot" in lines[3]
    assert len(lines) == 4


def test_too_few_samples_are_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "flows", lambda host: 449)
    with pytest.raises(HealthError, match="449 samples came of 500"):
        health.link_and_samples(["--link", "x"])


def test_a_server_that_breaks_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(block: object) -> None:
        raise ZeroDivisionError("a broken release")

    monkeypatch.setattr("firmware.session.block_message", broken)
    with pytest.raises(HealthError, match="ZeroDivisionError: a broken release"):
        health.link_and_samples(["--link", "x"])


def test_a_part_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MODULES", ("firmware.no_such_part",))
    with pytest.raises(HealthError, match="no_such_part cannot be loaded: ModuleNotFoundError"):
        come_from(Path(health.__file__).parents[2])


def test_every_part_is_where_it_should_be() -> None:
    come_from(Path(health.__file__).parents[2])


@pytest.mark.parametrize(
    ("python", "requires", "why"),
    [
        ("3.99", (), "the update needs 3.99"),
        ("3.11", ("numpy>=99.1",), r"numpy>=99.1 is needed and \d"),
        ("3.11", ("no-such-thing",), "no-such-thing is needed and none is here"),
    ],
)
def test_what_is_needed_and_not_here_is_named(python: str, requires: tuple[str, ...], why: str) -> None:
    with pytest.raises(EdgeError, match=why):
        needs(Manifest("1", 1, (), python=python, requires=requires))


def test_what_is_here_is_enough() -> None:
    needs(Manifest("1", 1, (), requires=("numpy>=2.1", "numba", "pynacl>=1.5")))
