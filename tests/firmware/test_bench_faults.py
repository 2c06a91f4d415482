"""Every injected fault is found, and named, by the item that is there for it; the right words come first."""

import pytest

from firmware.bench.bench import Bench
from firmware.bench.items import ITEMS
from firmware.bench.run import Row, findings, run
from firmware.bench.sources import simulated_board, simulated_box
from firmware.bench.verdicts import Verdict
from hw.model.faults import Fault, FaultKind
from hw.registers import Address

K = FaultKind
BIAS = Address.BIAS_SENSP

# fault, chips on the board, the item that must fail, words of the cause that it must give
FAULTS = [
    (Fault(K.WRONG_ID), 1, "id", "wrong ID 0x20"),
    (Fault(K.DEAD_CHIP), 1, "id", "no answer"),
    (Fault(K.DOUT_OPEN), 1, "id", "DOUT not connected"),
    (Fault(K.DOUT_SHORTED), 1, "id", "no answer"),
    (Fault(K.DIN_OPEN), 1, "id", "DIN open"),
    (Fault(K.BITS_SHIFTED), 1, "id", "wrong SPI mode"),
    (Fault(K.BIT_FLIPS), 1, "registers", "bits flip"),
    (Fault(K.SELECT_STUCK_HIGH, 1), 2, "id", "chip 2: no answer"),
    (Fault(K.SELECT_STUCK_LOW, 1), 2, "chip_select", "do not reach a chip of their own"),
    (Fault(K.SWAPPED_SELECTS), 2, "chip_select", "swapped chip select"),
    (Fault(K.REGISTER_STUCK, 0, 3, 0, BIAS), 1, "registers", "bit 3 of BIAS_SENSP is stuck low"),
    (Fault(K.REGISTER_STUCK, 0, 5, 1, BIAS), 1, "registers", "bit 5 of BIAS_SENSP is stuck high"),
    (Fault(K.REGISTER_STUCK, 0, 5, 1, BIAS), 1, "reset_map", "bit 5 reads 1: stuck"),
    (Fault(K.BAD_POWER_UP), 1, "power_up", "bad power-up in"),
    (Fault(K.NO_DATA_READY), 1, "data_ready", "although the chip converts"),
    (Fault(K.LOST_DATA_READY), 1, "data_ready", "edges are missing"),
    (Fault(K.WRONG_CLOCK), 1, "data_ready", "wrong clock: conversions are 0.5 of"),
    (Fault(K.WRONG_CLOCK, value=1.05), 1, "data_ready", "out of its range"),
    (Fault(K.WRONG_CLOCK, value=0.5), 1, "test_signal", "wrong clock"),
    (Fault(K.CLOCK_WANDER), 1, "soak", "clock wander"),
    (Fault(K.START_INTERRUPTED), 1, "data_ready", "START interrupted"),
    (Fault(K.CHIP_RESET), 1, "data_ready", "reset in mid-run"),
    (Fault(K.CHIP_RESET, value=1500), 1, "soak", "reset in mid-run"),
    (Fault(K.HEADER_CORRUPTED), 1, "header", "corrupt header"),
    (Fault(K.STALE_FRAME), 1, "soak", "stale frames"),
    (Fault(K.GPIO_STUCK_HIGH, channel=1), 1, "gpio_idle", "GPIO 2 stuck high"),
    (Fault(K.GPIO_STUCK_HIGH, channel=1), 1, "trigger_loop", "GPIO 2 stuck high"),
    (Fault(K.GPIO_STUCK_LOW, channel=2), 1, "trigger_loop", "GPIO 3 stuck low"),
    (Fault(K.GPIO_STUCK_LOW, channel=2), 1, "gpio_loop", "GPIO 3 stuck low"),
    (Fault(K.DEAD_CHANNEL, channel=4), 1, "noise", "dead channel 5:"),
    (Fault(K.DEAD_CHANNEL, channel=4, value=90_000), 1, "offset", "offset of channel 5:"),
    (Fault(K.NOISY_CHANNEL, channel=6), 1, "noise", "noisy channel 7:"),
    (Fault(K.MAINS_PICKUP), 1, "noise", "mains pick-up on channel 1, 2, 3, 4, 5, 6, 7, 8"),
    (Fault(K.MAINS_PICKUP, value=2.0), 1, "spectrum", "at 50 Hz"),
    (Fault(K.GAIN_ERROR, channel=2), 1, "test_signal", "gain error of channel 3 (+10 %)"),
    (Fault(K.GAIN_ERROR, channel=7, value=0.98), 1, "scale", "gain error of channel 8"),
    (Fault(K.TEST_SIGNAL_DEAD), 1, "test_signal", "test signal dead"),
    (Fault(K.CROSSTALK, channel=1), 1, "crosstalk", "10 % of channel 2 is in channel 3"),
    (Fault(K.CROSSTALK, channel=3, value=0.001), 1, "crosstalk", "0.1 % of channel 4 is in channel 5"),
    (Fault(K.REFERENCE_DEAD), 1, "reference", "reference dead"),
    (Fault(K.REFERENCE_OFF), 1, "reference", "reference +"),
    (Fault(K.REFERENCE_OFF, value=0.9), 1, "supply", "reference off"),
    (Fault(K.REFERENCE_NOISY, value=1e-4), 1, "reference", "noisy reference"),
    (Fault(K.DIGITAL_SUPPLY_LOW), 1, "supply", "DVDD low: 2.50 V"),
    (Fault(K.ANALOG_SUPPLY_LOW), 1, "supply", "analogue supply: half of it reads 2.00 V"),
    (Fault(K.HOT_CHIP), 1, "temperature", "chip 1 is hot (90 C)"),
    (Fault(K.HOT_CHIP, 1, value=50.0), 2, "temperature", "chip 2 is hot (50 C)"),
    (Fault(K.BIAS_BROKEN), 1, "bias", "bias amplifier saturated"),
    (Fault(K.SRB1_OPEN), 1, "lead_off", "SRB1 open"),
    (Fault(K.ELECTRODE_OFF, channel=1), 1, "lead_off", "channel 2 (P) reads off"),
    (Fault(K.LEAD_OFF_STUCK, channel=3), 1, "lead_off", "channel 4 (P) reads off although it is plugged in"),
    (Fault(K.LEAD_OFF_CURRENT_DEAD), 1, "lead_off_current", "no lead-off current"),
]  # fmt: skip
IDS = [f"{fault.kind}-{item}-{k}" for k, (fault, _, item, _) in enumerate(FAULTS)]


def rows_of(fault: Fault | None, chips: int, names: tuple[str, ...] | None, seed: int = 5) -> list[Row]:
    board = simulated_board(seed, chips)
    box = simulated_box(board)
    if fault is not None:
        board.apply(fault)
    items = [item for item in ITEMS if names is None or item.name in names]
    return list(run(Bench(box, quick=True, seed=seed, soak=6_000), items))


@pytest.mark.parametrize(("fault", "chips", "item", "words"), FAULTS, ids=IDS)
def test_each_fault_is_found_and_named_by_its_item(fault: Fault, chips: int, item: str, words: str) -> None:
    (row,) = rows_of(fault, chips, (item,))
    assert row.verdict is Verdict.FAIL, row.outcome
    causes = [cause.cause for cause in row.outcome.causes]
    assert any(words in cause for cause in causes), causes
    assert all(cause.cure for cause in row.outcome.causes)


def test_at_least_25_kinds_are_injected() -> None:
    assert len({fault.kind for fault, *_ in FAULTS}) >= 25


@pytest.mark.parametrize("item", sorted({item for _, _, item, _ in FAULTS}))
def test_the_same_item_passes_on_a_sound_box(item: str) -> None:
    (row,) = rows_of(None, 2 if item == "chip_select" else 1, (item,))
    assert row.verdict is Verdict.PASS, row.outcome


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(K.DIN_OPEN), "no answer"),
        (Fault(K.NO_DATA_READY), "no data-ready edge although"),
        (Fault(K.REFERENCE_DEAD), "reference dead"),
        (Fault(K.CHIP_RESET), "reset in mid-run"),
        (Fault(K.BIT_FLIPS), "flip"),
        (Fault(K.MAINS_PICKUP), "mains pick-up"),
    ],
)
def test_of_all_that_follows_from_a_fault_its_cause_comes_first(fault: Fault, words: str) -> None:
    rows = rows_of(fault, 1, None)
    assert words in findings(rows)[0][1].cause


def test_what_cannot_be_measured_is_skipped_with_the_reason_and_blames_nothing_else() -> None:
    rows = rows_of(Fault(K.NO_DATA_READY), 1, None)
    failed = [row.item.name for row in rows if row.verdict is Verdict.FAIL]
    assert failed == ["data_ready"]
    assert {row.outcome.reason for row in rows if row.item.name in ("noise", "soak")} == {
        "no data-ready edges"
    }
    rows = rows_of(Fault(K.DEAD_CHIP), 1, None)
    assert {row.outcome.reason for row in rows if row.item.name in ("noise", "soak")} == {
        "the chips could not be brought up"
    }
    rows = rows_of(Fault(K.REFERENCE_DEAD), 1, ("reference", "noise", "gpio_idle", "bias"))
    assert [str(row.verdict) for row in rows] == ["pass", "fail", "skipped", "skipped"]
    assert rows[2].outcome.reason == "the reference is dead: no voltage can be measured"


def test_a_chip_that_resets_itself_once_spoils_one_item_and_not_the_others() -> None:
    rows = rows_of(Fault(K.CHIP_RESET), 1, ("data_ready", "noise", "test_signal", "soak"))
    assert [str(row.verdict) for row in rows] == ["fail", "pass", "pass", "pass"]


def test_stimulus_lines_are_low_whatever_happened() -> None:
    for fault in (None, Fault(K.GPIO_STUCK_LOW), Fault(K.CHIP_RESET, value=800)):
        board = simulated_board(2)
        box = simulated_box(board)
        if fault:
            board.apply(fault)
        list(run(Bench(box, quick=True), [item for item in ITEMS if item.name == "trigger_loop"]))
        assert board.chips[0].gpio_pins == 0
