"""Chip facts against the datasheet's own tables (facts/hardware.md 1.1, 1.2, 1.4)."""

import pytest

from hw.chips import (
    ADS1299,
    ADS1299_4,
    ADS1299_6,
    CHIPS,
    GAINS,
    POWER_UP_TCLK,
    RATES_HZ,
    DataRate,
    Gain,
    Opcode,
    data_rate,
    gain_code,
    tclk_to_ns,
    wait_for_tclk_ns,
)

RATE_TABLE = {  # code: samples per second, tSETTLE in tCLK
    0: (16000, 521),
    1: (8000, 1033),
    2: (4000, 2057),
    3: (2000, 4105),
    4: (1000, 8201),
    5: (500, 16393),
    6: (250, 32777),
}


@pytest.mark.parametrize(("code", "row"), RATE_TABLE.items())
def test_rates_and_settling_are_the_datasheets(code: int, row: tuple[int, int]) -> None:
    rate_hz, settling_tclk = row
    assert data_rate(rate_hz) == code
    assert DataRate(code).rate_hz == rate_hz
    assert DataRate(code).settling_tclk == settling_tclk


@pytest.mark.parametrize(("code", "gain"), list(enumerate((1, 2, 4, 6, 8, 12, 24))))
def test_gain_codes_are_the_datasheets(code: int, gain: int) -> None:
    assert gain_code(gain) == code
    assert Gain(code).factor == gain


def test_every_rate_and_gain_is_listed() -> None:
    assert sorted(RATES_HZ) == [250, 500, 1000, 2000, 4000, 8000, 16000]
    assert GAINS == (1, 2, 4, 6, 8, 12, 24)


def test_what_the_chip_does_not_have_is_refused_with_what_it_has() -> None:
    with pytest.raises(
        ValueError, match="no rate of 300 Hz: use one of 250, 500, 1000, 2000, 4000, 8000, 16000"
    ):
        data_rate(300)
    with pytest.raises(ValueError, match="no gain of 3: use one of 1, 2, 4, 6, 8, 12, 24"):
        gain_code(3)
    with pytest.raises(ValueError, match="reserved"):
        _ = DataRate.RESERVED.rate_hz
    with pytest.raises(ValueError, match="reserved"):
        _ = Gain.RESERVED.factor


def test_opcodes() -> None:
    expected = {"WAKEUP": 2, "STANDBY": 4, "RESET": 6, "START": 8, "STOP": 0xA, "RDATAC": 0x10}
    expected |= {"SDATAC": 0x11, "RDATA": 0x12, "RREG": 0x20, "WREG": 0x40}
    assert {opcode.name: opcode.value for opcode in Opcode} == expected


def test_power_up_is_128_ms_and_waits_allow_for_a_slow_oscillator() -> None:
    assert tclk_to_ns(POWER_UP_TCLK) == 128_000_000
    assert tclk_to_ns(1) == 489  # 488.28 ns rounded up: a wait is never short
    assert 131_200_000 <= wait_for_tclk_ns(POWER_UP_TCLK) < 132_000_000


def test_parts_are_told_apart_by_id_and_frame_length() -> None:
    assert {bits: chip.name for bits, chip in CHIPS.items()} == {
        0x1C: "ADS1299-4",
        0x1D: "ADS1299-6",
        0x1E: "ADS1299",
    }
    assert [chip.frame_bytes for chip in (ADS1299_4, ADS1299_6, ADS1299)] == [15, 21, 27]
    assert [chip.channel_bits for chip in (ADS1299_4, ADS1299_6, ADS1299)] == [0x0F, 0x3F, 0xFF]
