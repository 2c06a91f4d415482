"""The front end on modelled boards with their own time: bytes take theirs on the wire, conversions go on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from firmware.errors import ChipError
from firmware.front_end import FrontEnd, FrontEndInfo, FrontEndSetup
from hw.chips import ADS1298, ADS1299, ADS1299_4, ADS1299_6
from hw.frames import BoardFrames, decode_board
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.registers import Address

HOLD_NS = 2_000
FRAMES = 40
SETTLED = slice(1, None)
"""What was changed before START has settled after the first conversion for certain."""
STEP_V = 1e-6


class Ramp:
    """Every channel climbs by a microvolt per conversion from a level of its own."""

    def __init__(self, channels: int) -> None:
        self._levels = np.arange(channels) * 1e-3

    def read(self, sample: int) -> Sequence[float]:
        """Body."""
        return (self._levels + sample * STEP_V).tolist()  # type: ignore[no-any-return]

    def stimulate(self, at: float, site: str) -> None:
        """Body."""


class BoardPort:
    """SPI port to one select of a modelled board, at 8 MHz unless told; START line and clock as well."""

    def __init__(self, board: BoardModel, select: int, hold_ns: int = HOLD_NS) -> None:
        self.board, self.select_number, self.hold_ns = board, select, hold_ns

    def transfer(self, mosi: bytes, speed_hz: int = 0) -> bytes:
        """SPI port."""
        return self.board.transfer(self.select_number, mosi, speed_hz or 8_000_000, self.hold_ns)

    def write(self, bits: int) -> None:
        """START line."""
        self.board.set_start(bool(bits))

    def now_ns(self) -> int:
        """Clock port."""
        return self.board.now_ns()

    def wait_ns(self, duration_ns: int) -> None:
        """Clock port."""
        self.board.advance(self.board.now_ns() + duration_ns)


def build(setup: BoardSetup, hold_ns: int = HOLD_NS) -> tuple[FrontEnd, BoardModel]:
    board = BoardModel(setup, Ramp(sum(chip.channels for chip in setup.chips)))
    selects = 1 if setup.daisy else len(setup.chips)
    ports = [BoardPort(board, k, hold_ns) for k in range(selects)]
    return FrontEnd(ports, ports[0], ports[0] if selects > 1 else None), board


def frames(front_end: FrontEnd, board: BoardModel, info: FrontEndInfo, late_ns: int = 20_000) -> BoardFrames:
    """FRAMES rows, each read `late_ns` after its edge."""
    front_end.start()
    board.edges()
    rows = []
    while len(rows) < FRAMES:
        due_ns = board.next_ready_ns()
        assert due_ns is not None
        board.advance(due_ns)
        if board.edges():
            board.advance(board.now_ns() + late_ns)
            rows.append(front_end.read_frame())
            board.edges()
    return decode_board(np.frombuffer(b"".join(rows), np.uint8).reshape(FRAMES, -1), info.layout)


BOARDS = {
    "one": BoardSetup(),
    "two": BoardSetup((ADS1299, ADS1299)),
    "mixed": BoardSetup((ADS1299_4, ADS1299, ADS1299_6)),
    "four": BoardSetup((ADS1299,) * 4),
    "older": BoardSetup((ADS1298,)),
    "fast clock": BoardSetup(oscillator_ppm=25_000),
    "slow clock": BoardSetup(oscillator_ppm=-25_000),
    "erratum": BoardSetup((ADS1299, ADS1299), options=ChipOptions(sdatac_erratum=True)),
    "first gives the clock": BoardSetup((ADS1299,) * 3, clocks="first_chip"),
    "chain": BoardSetup((ADS1299,) * 2, daisy=True),
    "chain with a gap": BoardSetup((ADS1299_6,) * 3, daisy=True, daisy_gap_bits=1),
    "slow chain": BoardSetup((ADS1299,) * 4, daisy=True, daisy_gap_bits=1, oscillator_ppm=-20_000),
}


@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
@pytest.mark.parametrize("name", BOARDS)
def test_every_conversion_of_every_chip_arrives_once(name: str, mode: str) -> None:
    setup = BOARDS[name]
    front_end, board = build(setup)
    info = front_end.bring_up(
        FrontEndSetup(
            1000,
            12,
            read_mode=mode,
            daisy=setup.daisy,
            parts=() if setup.daisy else tuple(chip.name for chip in setup.chips),
            clock_output=setup.clocks == "first_chip",
            sclk_hz=8_000_000,
        )
    )
    assert info.chips == setup.chips
    assert info.retries == 0
    assert info.layout.gap_bits == setup.daisy_gap_bits
    decoded = frames(front_end, board, info)
    assert decoded.chip_header_ok.all()
    volts_uv = (decoded.counts * np.array(info.lsb_uv))[SETTLED]
    assert np.diff(volts_uv, axis=0) == pytest.approx(STEP_V * 1e6, abs=0.1)  # none lost, none twice
    assert np.diff(volts_uv, axis=1) == pytest.approx(1000, abs=0.1)  # no channel in another's place
    assert front_end.still_configured() == ""


def test_a_select_that_rises_at_once_makes_the_erratum_bite_and_is_named() -> None:
    front_end, _ = build(BOARDS["erratum"], hold_ns=1)
    with pytest.raises(ChipError, match=r"chip 1: expected 0x3E in ID, got 0x[0-9A-F]{2}: likely cause"):
        front_end.bring_up(FrontEndSetup(1000, 12, parts=("ADS1299",) * 2))


def test_chips_without_the_first_ones_clock_are_named() -> None:
    front_end, _ = build(BOARDS["first gives the clock"])
    with pytest.raises(
        ChipError, match=r"chip 2: expected 0x3E in ID, got 0x00: likely cause no answer .*clock"
    ):
        front_end.bring_up(FrontEndSetup(1000, 12))


def test_a_late_snapshot_is_whole() -> None:
    """Read 0.98 of a period late, across the next conversion: RDATA gives one of the two, never a mixture."""
    front_end, board = build(BOARDS["one"])
    info = front_end.bring_up(FrontEndSetup(1000, 12, sclk_hz=1_000_000))
    decoded = frames(front_end, board, info, late_ns=950_000)
    assert decoded.header_ok.all()
    steps = np.diff((decoded.counts * np.array(info.lsb_uv))[SETTLED], axis=0)
    assert np.ptp(steps, axis=1) == pytest.approx(0, abs=0.1)  # all channels of a row are of one conversion


def test_registers_come_back_while_the_board_converts() -> None:
    setup = replace(BOARDS["two"], around=Surroundings(negative_input="srb1"))
    front_end, board = build(setup)
    info = front_end.bring_up(FrontEndSetup(1000, 12, read_mode="rdatac", sclk_hz=8_000_000))
    before = [front_end.read_registers(k) for k in (0, 1)]
    frames(front_end, board, info)
    with front_end.restored():
        front_end.write_registers(1, {Address.LOFF: 0x02, Address.LOFF_SENSP: 0x0F, Address.CONFIG2: 0xD0})
    decoded = frames(front_end, board, info)
    assert decoded.chip_header_ok.all()
    assert [front_end.read_registers(k) for k in (0, 1)] == before


def test_a_power_cycle_in_mid_run_is_found_and_the_board_comes_back() -> None:
    front_end, board = build(BOARDS["two"])
    setup = FrontEndSetup(1000, 12, sclk_hz=8_000_000)
    info = front_end.bring_up(setup)
    frames(front_end, board, info)
    board.power_cycle()
    board.advance(board.now_ns() + 500_000_000)
    assert "chip 1: the chip was reset" in front_end.still_configured()
    info = front_end.bring_up(setup)
    assert frames(front_end, board, info).chip_header_ok.all()
