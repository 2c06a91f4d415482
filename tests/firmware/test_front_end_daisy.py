"""Chips in a daisy chain: how many answer and what lies between them is told from their headers."""

import numpy as np
import pytest

from firmware.errors import ChipError, ConfigError
from firmware.front_end import FrontEndSetup
from hw.chips import ADS1299, ADS1299_4
from hw.frames import decode_board, lsb_uv
from tests.support.chips import chain


@pytest.mark.parametrize("gap_bits", [0, 1])
@pytest.mark.parametrize("known", [None, "chips", "all"])
@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
@pytest.mark.parametrize("chips", [(ADS1299, ADS1299), (ADS1299_4,) * 3, (ADS1299,) * 4], ids=len)
def test_the_whole_chain_arrives(gap_bits: int, known: str | None, mode: str, chips: tuple) -> None:  # type: ignore[type-arg]
    front_end, wires = chain(*chips, gap_bits=gap_bits)
    info = front_end.bring_up(
        FrontEndSetup(
            1000,
            12,
            read_mode=mode,
            daisy=True,
            chips=None if known is None else len(chips),
            daisy_gap_bits=gap_bits if known == "all" else None,
        )
    )
    assert info.chips == chips
    assert (info.layout.chips, info.layout.daisy, info.layout.gap_bits) == (len(chips), True, gap_bits)
    assert [read.length for read in info.frame_reads] == [info.layout.row_bytes]
    assert info.lsb_uv == (lsb_uv(12),) * info.layout.total_channels
    front_end.start()
    wires.volts = 1e-4
    wires.convert(8_000_000)
    row = np.frombuffer(front_end.read_frame(), np.uint8)[None, :]
    decoded = decode_board(row, info.layout)
    assert decoded.header_ok.all()
    volts = [1e-4 * (8 * k + c) for k, chip in enumerate(chips) for c in range(chip.channels)]
    assert decoded.counts[0] * lsb_uv(12) == pytest.approx(np.array(volts) * 1e6, abs=0.03)


def test_all_chips_have_the_same_registers_and_none_converts_before_start() -> None:
    front_end, wires = chain(ADS1299, ADS1299, gap_bits=1)
    front_end.bring_up(FrontEndSetup(500, (6,) * 16, daisy=True))
    assert len({tuple(model.register(a) for a in range(24)) for model in wires.models}) == 1
    wires.convert(16_000_000)  # the conversion under way at STOP ends
    assert not any(model.converting for model in wires.models)


def test_a_chain_of_another_number_than_said_is_named() -> None:
    front_end, _ = chain(ADS1299, ADS1299, alive=1)
    with pytest.raises(ChipError, match="from DOUT of chip 2 to DAISY_IN of chip 1, or use one chip without"):
        front_end.bring_up(FrontEndSetup(500, daisy=True, chips=2))
    with pytest.raises(ChipError, match="from DOUT of chip 2 to DAISY_IN of chip 1"):
        front_end.bring_up(FrontEndSetup(500, daisy=True))
    front_end, _ = chain(ADS1299, ADS1299)
    with pytest.raises(ChipError, match="of 8 rows 8 begin with a header, 0 fit 0 gap bits and 0 fit 1"):
        front_end.bring_up(FrontEndSetup(500, daisy=True, chips=3))


def test_gap_bits_known_wrongly_are_named() -> None:
    front_end, _ = chain(ADS1299, ADS1299, gap_bits=1)
    with pytest.raises(ChipError, match="expected 0 gap bits, got 1: likely cause another board"):
        front_end.bring_up(FrontEndSetup(500, daisy=True, daisy_gap_bits=0))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"gain": (12,) * 8 + (24,) * 8}, ConfigError, "give each the same gains"),
        ({"gain": (12,) * 24}, ConfigError, "24 gains for 16 channels"),
        ({"channels": 10}, ConfigError, "leave channels unset"),
        ({"parts": ("ADS1299", "ADS1299-4")}, ConfigError, "name the same part for each"),
        ({"parts": ("ADS1299-6",) * 2}, ChipError, "expected ADS1299-6 first, got ADS1299"),
        ({"sclk_hz": 400_000, "rate_hz": 1000.0}, ConfigError, "the highest rate that fits is 500 Hz"),
    ],
)
def test_what_a_chain_cannot_be_is_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    front_end, _ = chain(ADS1299, ADS1299)
    wanted = {"rate_hz": 500.0, "gain": 12, "daisy": True} | changes
    with pytest.raises(error, match=message):
        front_end.bring_up(FrontEndSetup(**wanted))  # type: ignore[arg-type]


def test_the_chain_starts_by_one_command() -> None:
    front_end, wires = chain(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(500, daisy=True))
    front_end.start()
    assert all(model.converting for model in wires.models)
