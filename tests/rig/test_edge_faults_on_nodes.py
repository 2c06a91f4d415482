"""The same edge on device nodes that fail: transfers, interrupts, chips, lines; what cannot be opened."""

from itertools import pairwise

import pytest

from tests.rig.conftest import ON_KERNEL
from tests.rig.on_nodes import LONG, LONGER, RATE_HZ, edge, right

pytestmark = pytest.mark.usefixtures("needs_the_rig")


def test_a_transfer_that_fails_is_one_gap_and_one_fault() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": LONG, "at": {"1000": ["transfer_error_in", 50]}})
    assert account["error"] == ""
    (gap,) = account["gaps"]
    assert gap[1:] == [1, "missed"]
    (fault,) = account["faults"]
    assert fault[0] == "spi_error" and "errno 5" in fault[1] and not fault[2]
    assert right(account)


def test_a_short_transfer_is_a_torn_sample() -> None:
    job = {"rate_hz": RATE_HZ, "samples": 3000, "at": {"1000": ["short_bytes", 9], "1001": ["short_in", 20]}}
    account = edge(job)
    assert [gap[1:] for gap in account["gaps"]] == [[1, "torn"]]
    assert right(account)


def test_interrupts_that_are_never_seen_are_gaps_at_their_index() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": 3500, "at": {"1000": ["missing_edge_every", 100]}})
    lost = [gap[0] for gap in account["gaps"]]
    assert len(lost) >= 20
    assert {gap[1] for gap in account["gaps"]} == {1}
    assert {b - a for a, b in pairwise(lost)} == {100}
    assert right(account)


def test_edges_told_twice_and_storms_move_no_index() -> None:
    job = {
        "rate_hz": RATE_HZ,
        "samples": 6000,
        "at": {"1000": ["double_edge_every", 7], "3000": ["storm_edges", 500]},
    }
    account = edge(job)
    assert account["error"] == ""
    assert right(account)
    assert sum(gap[1] for gap in account["gaps"]) <= (30 if ON_KERNEL else 2), (
        "a kernel's storm takes its time"
    )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("stale_frame", "torn"), ("header_corrupted", "torn"), ("lost_data_ready", "missed")],
)
def test_one_bad_sample_in_a_hundred_is_one_gap_in_a_hundred(fault: str, reason: str) -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": LONG, "at": {"500": ["chip", fault, {"value": 100}]}})
    gaps = [
        gap for gap in account["gaps"] if gap[0] >= 600 or not ON_KERNEL
    ]  # breaking the chip takes its time
    lost = [gap[0] for gap in gaps]
    assert {tuple(gap[1:]) for gap in gaps} == {(1, reason)}
    assert {b - a for a, b in pairwise(lost)} == {100}
    assert len(lost) >= (LONG - 700) // 100
    assert right(account)


@pytest.mark.parametrize("read", ["rdata", "rdatac"])
def test_a_chip_that_resets_itself_is_brought_up_anew_and_the_hole_is_a_gap(read: str) -> None:
    job = {"rate_hz": RATE_HZ, "samples": LONGER, "at": {"1000": ["chip", "chip_reset", {"value": 100}]}}
    account = edge(job | {"wiring": {"read": read}})
    assert account["error"] == ""
    codes = [fault[0] for fault in account["faults"]]
    assert codes[-1] == "chip_restarted"
    assert "brought up anew" in account["faults"][-1][1]
    assert account["end"] >= LONGER
    assert sum(gap[1] for gap in account["gaps"]) > 0
    assert right(account)


def test_data_ready_that_sticks_is_told_and_goes_on_when_it_is_freed() -> None:
    job = {"rate_hz": RATE_HZ, "samples": LONGER, "at": {"500": ["stuck_ready", 1]}}
    account = edge(job | {"on": {"no_data_ready": ["clear"]}})
    assert account["error"] == ""
    assert [fault[0] for fault in account["faults"]] == ["no_data_ready"]
    assert account["end"] >= LONGER
    (gap,) = account["gaps"]
    assert gap[1] > 0 and gap[2] == "missed"
    assert right(account)


def test_devices_that_vanish_end_the_edge_with_their_name() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": 1_000_000, "at": {"2000": ["vanished", True]}})
    devices = ["the SPI device is gone", "the data-ready line is gone"]
    assert account["error"].startswith(tuple(f"PortError: {device}; check" for device in devices))
    assert account["samples"] >= 2000
    assert right(account)


@pytest.mark.parametrize(
    ("options", "wiring", "words"),
    [
        (["--fault", "busy_lines=17"], {}, "data-ready (/dev/gpiochip"),
        (["--fault", "busy_lines=22"], {}, "stimulus lines (/dev/gpiochip"),
        (["--fault", "open_errno=EACCES"], {}, "add the user to the groups spi and gpio"),
        (
            ["--fault", "spi_max_hz=1000000"],
            {},
            "/dev/spidev0.0 at 8000000 Hz: Invalid argument; this kernel's",
        ),
        ([], {"spi": ["0.7"]}, "/dev/spidev0.7 at 8000000 Hz: No such file or directory"),
        ([], {"gpio": "pinctrl-none"}, "no GPIO chip labelled pinctrl-none; there is pinctrl-"),
        ([], {"lines": [99]}, "line 99"),
        (
            ["--fault", "vanished"],
            {},
            "there is none at all: its driver is not loaded, or the device is gone",
        ),
        (["--fault", "vanished"], {"gpio": "/dev/gpiochip0"}, "(/dev/gpiochip0 line 22"),
    ],
)
def test_what_cannot_be_opened_is_named_with_its_cure(options: list[str], wiring: dict, words: str) -> None:
    account = edge({"rate_hz": 1000, "samples": 100, "wiring": wiring}, *options)
    assert words in account["error"]
    assert "\n" not in account["error"]
    assert account["samples"] == 0
