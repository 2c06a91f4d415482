"""The true edge with its driver, compiled loop and bindings, on device nodes served by the chip model."""

from itertools import pairwise
from typing import Any

import pytest

from tests.rig.conftest import ON_KERNEL, lockstep_only
from tests.rig.on_nodes import (
    LONG,
    LOST_BY_PYTHON,
    MANY,
    PLAN,
    PYTHON_HZ,
    RATE_HZ,
    SEVERAL,
    SEVERAL_HZ,
    SPUN,
    edge,
    right,
)

pytestmark = pytest.mark.usefixtures("needs_the_rig")


def test_every_sample_in_order_and_none_lost() -> None:
    account = edge({"rate_hz": RATE_HZ, "samples": MANY}, anew=True)
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


@pytest.mark.parametrize(
    ("gap_bits", "chips", "read"), [(0, 2, "rdatac"), (1, 2, "rdata"), (0, 4, "rdata"), (1, 4, "rdatac")]
)
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


@pytest.mark.parametrize(
    ("fault", "reason", "gap_bits"),
    [
        ("stale_frame", "torn", 0),
        ("header_corrupted", "torn", 0),
        ("header_corrupted", "torn", 1),
        ("lost_data_ready", "missed", 1),
    ],
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


@lockstep_only("it ends between a pulse's first sample and its last")
@pytest.mark.control("H1.10")
@pytest.mark.parametrize("outputs", ["gpiod", "rpi-gpio"])
def test_a_line_is_low_when_acquisition_ends_within_its_pulse(outputs: str) -> None:
    plan = PLAN | {"hold": 10}
    job = {"rate_hz": PYTHON_HZ, "samples": plan["phase"] + 3, "plans": [plan], "levels": True}
    account = edge(job | {"wiring": {"outputs": outputs}})
    assert account["error"] == ""
    assert account["high_at"] == [PLAN["phase"] + 1], "it was high"
    assert plan["phase"] + 3 <= account["end"] < plan["phase"] + plan["hold"]
    assert account["levels"]["22"] == 0


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
