"""The true edge with its driver, compiled loop and bindings, on device nodes served by the chip model."""

import json
import sys
from itertools import pairwise
from typing import Any

import pytest

from tests.rig.conftest import ON_KERNEL, ROOT, spawn, why_not

# A kernel keeps real time, and the guest's processor is a slow one.
RATE_HZ, SEVERAL_HZ, PYTHON_HZ = (500, 250, 250) if ON_KERNEL else (4000, 1000, 1000)
SPUN, SEVERAL, MANY, LONG, LONGER = (
    (1_000, 1_000, 2_000, 2_000, 4_000) if ON_KERNEL else (8_000, 4_000, 20_000, 8_000, 60_000)
)
LOST_BY_PYTHON = 30 if ON_KERNEL else 0
"""A loop in Python is late now and then in real time: counted, a percent at most."""
PROGRAM = [sys.executable, str(ROOT / "tests" / "support" / "edge_on_nodes.py")]


@pytest.fixture(autouse=True)
def needs_the_rig() -> None:
    pytest.importorskip("gpiod")
    pytest.importorskip("spidev")
    if why_not():
        pytest.skip(why_not())


def edge(job: dict[str, Any], *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The account of the edge doing `job` on a rig with `options`; electrodes see a ramp."""
    ran = spawn("--body", "ramp", *options, "--", *PROGRAM, json.dumps(job), environment=env)
    account: dict[str, Any] = ran.said
    return account


def right(account: dict[str, Any]) -> bool:
    """Every sample is the one after the last, on all channels; a break only where a gap is."""
    after_gaps = {gap[0] + gap[1] for gap in account["gaps"]}
    return account["same_on_all"] and set(account["broken_at"]) <= after_gaps | {1}


def test_every_sample_in_order_and_none_lost() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": MANY})
    assert account["error"] == ""
    assert account["samples"] >= MANY
    assert account["gaps"] == account["faults"] == []
    assert right(account)
    assert account["said"][0].startswith("sample loop: ")


@pytest.mark.parametrize("rate_hz", [250, RATE_HZ if ON_KERNEL else 16_000])
def test_another_python_thread_that_never_rests_costs_no_sample(rate_hz: int) -> None:
    account = edge({"rate_hz": rate_hz, "samples": SPUN, "spin": True})
    assert account["samples"] >= SPUN
    assert account["gaps"] == account["faults"] == []
    assert right(account)


def test_continuous_reading_gives_the_same_samples() -> None:
    account = edge({"rate_hz": SEVERAL_HZ, "samples": SEVERAL, "wiring": {"read": "rdatac"}})
    assert account["error"] == ""
    assert account["gaps"] == []
    assert right(account)


def test_two_chips_with_a_common_start_are_one_board() -> None:
    wiring = {"spi": ["0.0", "0.1"], "start": 27}
    job = {"rate_hz": SEVERAL_HZ, "samples": SEVERAL, "channels": 16, "wiring": wiring}
    account = edge(job, "--chips", "ADS1299,ADS1299", "--drdy", "17,18", "--start", "27")
    assert account["error"] == ""
    assert (account["channels"], account["gaps"]) == (16, [])
    assert right(account)


CHAIN = {"rate_hz": SEVERAL_HZ, "samples": SEVERAL, "channels": 16, "wiring": {"daisy": True}}


def chained(job: dict[str, Any], gap_bits: int, chips: int = 2) -> dict[str, Any]:
    """The account of `job` on a daisy chain of so many chips."""
    account = edge(job, "--chips", ",".join(["ADS1299"] * chips), "--daisy", "--daisy-gap", str(gap_bits))
    assert account["error"] == ""
    assert account["channels"] == job["channels"]
    assert right(account)
    return account


@pytest.mark.parametrize("read", ["rdata", "rdatac"])
@pytest.mark.parametrize(("gap_bits", "chips"), [(0, 2), (1, 2), (0, 4), (1, 4)])
def test_a_daisy_chain_is_one_board_and_the_first_chip_sees_the_stimuli(
    gap_bits: int, chips: int, read: str
) -> None:
    wiring = {"daisy": True, "read": read}
    job = CHAIN | {"channels": 8 * chips, "wiring": wiring, "plans": [PLAN | {"hold": 2}]}
    account = chained(job, gap_bits, chips)
    assert account["samples"] >= SEVERAL
    assert account["replies"] == [[5, ""]]
    assert account["gaps"] == account["faults"] == []
    assert all(seen == at + 1 for _, at, seen in account["stimuli"])
    assert len(account["stimuli"]) >= SEVERAL // PLAN["period"] - 1


@pytest.mark.parametrize("gap_bits", [0, 1])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [("stale_frame", "torn"), ("header_corrupted", "torn"), ("lost_data_ready", "missed")],
)
def test_a_bad_frame_of_a_chain_is_one_gap(fault: str, reason: str, gap_bits: int) -> None:
    account = chained(CHAIN | {"at": {"200": ["chip", fault, {"value": 100}]}}, gap_bits)
    lost = [gap[0] for gap in account["gaps"]]
    assert {tuple(gap[1:]) for gap in account["gaps"]} == {(1, reason)}
    assert {b - a for a, b in pairwise(lost)} == {100}
    assert len(lost) >= (SEVERAL - 300) // 100


@pytest.mark.parametrize("gap_bits", [0, 1])
def test_a_short_transfer_of_a_chain_is_a_torn_sample(gap_bits: int) -> None:
    """The second chip's bytes are missing: the first chip's header alone would not tell."""
    job = CHAIN | {"at": {"300": ["short_bytes", 30], "301": ["short_in", 20]}}
    account = chained(job, gap_bits)
    assert [gap[1:] for gap in account["gaps"]] == [[1, "torn"]]


PLAN = {"command": 5, "plan": 1, "line": 1, "period": 400, "phase": 100, "hold": 4, "count": 0}


def test_pulses_leave_on_their_sample_and_come_back_in_the_next() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": LONG, "plans": [PLAN]})
    assert account["replies"] == [[5, ""]]
    assert account["faults"] == []
    commanded = [at for _, at, _ in account["stimuli"]]
    assert commanded == list(range(100, account["end"] - 3, 400))[: len(commanded)]
    assert len(commanded) >= LONG // 400 - 1
    assert all(seen == at + 1 for _, at, seen in account["stimuli"])
    assert account["high_at"][: len(commanded)] == [at + 1 for at in commanded]


EIGHT_LINES = [22, 23, 24, 25, 5, 6, 12, 13]
STIM = ("--stim", ",".join(map(str, EIGHT_LINES)))


@pytest.mark.parametrize("gap_bits", [None, 0, 1])
def test_stimuli_on_lines_of_the_second_chip_come_back_too(gap_bits: int | None) -> None:
    plans = [
        PLAN | {"plan": line, "command": line, "line": line, "hold": 2, "phase": 50 * line}
        for line in (1, 4, 5, 8)
    ]
    if gap_bits is None:
        wiring = {"spi": ["0.0", "0.1"], "start": 27, "lines": EIGHT_LINES}
        options = ("--chips", "ADS1299,ADS1299", "--drdy", "17,18", "--start", "27")
    else:
        wiring = {"daisy": True, "lines": EIGHT_LINES}
        options = ("--chips", "ADS1299,ADS1299", "--daisy", "--daisy-gap", str(gap_bits))
    job = {"rate_hz": SEVERAL_HZ, "samples": SEVERAL, "channels": 16, "wiring": wiring, "plans": plans}
    account = edge(job, *options, *STIM)
    assert account["error"] == ""
    assert account["replies"] == [[1, ""], [4, ""], [5, ""], [8, ""]]
    assert account["gaps"] == account["faults"] == []
    assert {line for line, _, _ in account["stimuli"]} == {1, 4, 5, 8}
    assert all(at % 400 == 50 * line % 400 and seen == at + 1 for line, at, seen in account["stimuli"])


def test_outputs_by_rpi_gpio_fire_the_same_pulses() -> None:
    pytest.importorskip("lgpio")
    wiring = {"outputs": "rpi-gpio"}
    job = {"rate_hz": PYTHON_HZ, "samples": 3000, "plans": [PLAN | {"hold": 2}], "wiring": wiring}
    account = edge(job, env={"RPI_LGPIO_REVISION": "c03111"})
    assert account["error"] == ""
    assert account["faults"] == []
    assert sum(gap[1] for gap in account["gaps"]) <= LOST_BY_PYTHON
    assert right(account)
    assert [seen - at for _, at, seen in account["stimuli"]] == [1] * len(account["stimuli"])
    assert len(account["stimuli"]) >= 6


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
