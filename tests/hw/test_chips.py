"""Chip facts against the datasheet's own tables (facts/hardware.md 1.1, 1.2, 1.4)."""

import pytest

from hw.chips import (
    ADS1298,
    ADS1299,
    ADS1299_4,
    CHIPS,
    GAINS,
    POWER_UP_TCLK,
    RATES_HZ,
    ChipSpec,
    DataRate,
    Gain,
    Opcode,
    data_rate,
    gain_code,
    identify,
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
    for tclk in (4, 18, POWER_UP_TCLK):  # an oscillator 2.5 % slow has had its periods then, and not one more
        assert wait_for_tclk_ns(tclk) * 0.975 >= tclk / 2.048e6 * 1e9
        assert wait_for_tclk_ns(tclk) * 0.975 < (tclk + 0.1) / 2.048e6 * 1e9


@pytest.mark.parametrize(
    ("id_byte", "name", "frame_bytes"),
    [
        (0x3C, "ADS1299-4", 15),
        (0x3D, "ADS1299-6", 21),
        (0x3E, "ADS1299", 27),
        (0xDE, "ADS1299", 27),  # another revision
        (0x90, "ADS1294", 15),
        (0x91, "ADS1296", 21),
        (0x92, "ADS1298", 27),
        (0xD0, "ADS1294R", 15),
        (0xD1, "ADS1296R", 21),
        (0xD2, "ADS1298R", 27),
    ],
)
def test_parts_are_told_apart_by_their_id(id_byte: int, name: str, frame_bytes: int) -> None:
    chip = identify(id_byte)
    assert chip is not None
    assert (chip.name, chip.frame_bytes, chip.channels) == (name, frame_bytes, frame_bytes // 3 - 1)
    assert chip.channel_bits == (1 << chip.channels) - 1
    assert CHIPS[name] == chip


def test_ids_of_no_part_are_no_part() -> None:
    known = {0x90, 0x91, 0x92, 0xD0, 0xD1, 0xD2}
    known |= {revision << 5 | bits for revision in range(8) for bits in (0x1C, 0x1D, 0x1E)}
    assert {byte for byte in range(256) if identify(byte) is not None} == known


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_rates_and_gains_of_every_part_are_inverse(chip: ChipSpec) -> None:
    for rate_hz in chip.rates_hz:
        bits = chip.rate_bits(rate_hz)
        assert chip.rate_of(bits) == rate_hz
        assert not bits & ~chip.shared.rate_mask
        assert chip.sample_tclk(rate_hz) * rate_hz == chip.fclk_hz == 2_048_000
    for gain in chip.gains:
        assert chip.gain_of(chip.gain_code(gain) << 4 | 0x8F) == gain
    assert len(chip.gains) == 7
    with pytest.raises(ValueError, match=f"the {chip.name} has no rate of 300 Hz: use one of 250, 500"):
        chip.rate_bits(300)
    with pytest.raises(ValueError, match=f"the {chip.name} has no gain of 5: use one of 1, 2"):
        chip.gain_code(5)
    with pytest.raises(ValueError, match="reserved"):
        chip.rate_of(0x07)
    with pytest.raises(ValueError, match="reserved"):
        chip.gain_of(0x70)


def test_the_ads1298_has_its_own_tables() -> None:
    assert ADS1298.rates_hz == (250, 500, 1000, 2000, 4000, 8000, 16000, 32000)
    assert [ADS1298.rate_of(0x80 | code) for code in range(7)] == [32000 / 2**code for code in range(7)]
    assert [ADS1298.rate_of(code) for code in range(7)] == [16000 / 2**code for code in range(7)]
    assert ADS1298.rate_bits(16000) == 0x81  # high resolution where there is a choice
    assert ADS1298.rate_bits(250) == 0x06
    assert [ADS1298.gain_of(code << 4) for code in range(7)] == [6, 1, 2, 3, 4, 8, 12]
    assert ADS1298.vref_v == (2.4, 4.0)
    assert (ADS1298.registers, ADS1299.registers) == (26, 24)
    assert [ADS1298.settling_tclk(rate) for rate in (32000, 16000, 500, 250)] == [296, 584, 18440, 36872]


def test_settling_by_part_agrees_with_settling_by_code() -> None:
    assert [ADS1299.settling_tclk(rate) for rate, _ in RATE_TABLE.values()] == [
        tclk for _, tclk in RATE_TABLE.values()
    ]
    assert ADS1299_4.rate_of(0x96) == 250  # CONFIG1 bit 7 is reserved there, not high resolution
