"""Ports on a machine that lacks the device or the binding: one line with the cure. The devices: tests/rig."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware import linux
from firmware.errors import PortError
from firmware.linux import GpiodEdges, MonotonicClock, SpidevPort, binding, edge_grid, gpio_chip, port_error


def one_line(caught: pytest.ExceptionInfo[PortError]) -> str:
    """The message, which is one line."""
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_missing_spi_device_says_how_to_enable_it() -> None:
    pytest.importorskip("spidev")
    with pytest.raises(PortError) as caught:
        SpidevPort("9.9", 1_000_000)
    assert "/dev/spidev9.9 at 1000000 Hz: No such file or directory; enable it" in one_line(caught)


def test_a_missing_gpio_chip_names_what_was_looked_for() -> None:
    pytest.importorskip("gpiod")
    with pytest.raises(PortError) as caught:
        gpio_chip("no-such-label")
    assert "no GPIO chip labelled no-such-label" in one_line(caught)


def test_no_gpio_chip_at_all_says_where_to_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A chip that was removed leaves its other names behind: links that lead nowhere."""
    pytest.importorskip("gpiod")
    (tmp_path / "gpiochip4").symlink_to(tmp_path / "gpiochip0")
    monkeypatch.setattr(linux, "Path", lambda path: tmp_path)
    with pytest.raises(PortError) as caught:
        gpio_chip("")
    assert one_line(caught).endswith(
        "there is none at all: its driver is not loaded, or the device is gone; see dmesg"
    )


def test_a_path_is_taken_as_it_is() -> None:
    pytest.importorskip("gpiod")
    assert gpio_chip("/dev/gpiochip7") == "/dev/gpiochip7"


def test_a_missing_binding_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(PortError) as caught:
        binding("spidev", "spidev")
    assert one_line(caught).endswith("pip install spidev")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "groups spi and gpio"),
        (errno.EBUSY, "gpioinfo"),
        (errno.EIO, "wiring and supply"),
        (errno.EINVAL, "lower the speed"),
        (errno.ENODEV, "overlay"),
        (errno.ESHUTDOWN, "the device is gone: check overlay"),
        (errno.ENOENT, "dtparam=spi=on"),
        (errno.EXDEV, "check the device"),
    ],
)
def test_every_refusal_of_the_kernel_has_its_cure(number: int, words: str) -> None:
    text = str(port_error("thing", OSError(number, "x")))
    assert text.startswith("thing: ")
    assert words in text


def test_every_cure_is_for_an_errno_that_exists() -> None:
    assert set(linux.CURES) <= set(errno.errorcode.values())


@pytest.mark.parametrize("duration_ns", [0, 2_000, 50_000, 3_000_000])
def test_a_wait_is_never_too_short(duration_ns: int) -> None:
    clock = MonotonicClock()
    before = clock.now_ns()
    clock.wait_ns(duration_ns)
    assert clock.now_ns() - before >= duration_ns


class Told:
    """A line request that has `events` of (line_seqno, timestamp_ns) queued, one a read."""

    def __init__(self, events: list[tuple[int, int]]) -> None:
        self.events = events

    def wait_edge_events(self, timeout_s: float) -> bool:
        return bool(self.events)

    def read_edge_events(self) -> list[SimpleNamespace]:
        seqno, t_ns = self.events.pop(0)
        return [SimpleNamespace(line_seqno=seqno, timestamp_ns=t_ns)]


def test_edges_after_a_new_start_are_told_although_their_number_is_in_doubt() -> None:
    """STOP and START shift the phase: no index can be given at once, but no edge is missing on the line."""
    shifted = [4_000_000 * k + (2_000_000 if k > 40 else 0) for k in range(1, 61)]
    edges = GpiodEdges.__new__(GpiodEdges)
    edges.exhausted, edges._last, edges._served_ns = False, None, 0
    edges._grid, edges._clock = edge_grid(250.0)
    edges._request = Told(list(enumerate(shifted, 1)))
    edge = edges.wait(0.0)
    assert edge is not None and [*edge.passed_ns, edge.t_ns] == shifted
    edges._request = Told([(61, shifted[-1] + 2_000)])
    assert edges.wait(0.0) is None, "a bounce is no edge"
