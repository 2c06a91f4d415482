"""What a front end may be asked to be: refusals in one line with their cure, registers by part, the wire."""

import pytest

from firmware.errors import ChipError, ConfigError
from firmware.front_end_setup import (
    FrameRead,
    FrontEndSetup,
    check,
    check_wire,
    frame_read,
    gains_of,
    judge_parts,
    recording_registers,
)
from hw.chips import ADS1294, ADS1298, ADS1299, ADS1299_4, ADS1299_6, CHIPS, ChipSpec
from hw.frames import FrameLayout
from hw.registers import Address


def setup(**changes: object) -> FrontEndSetup:
    return FrontEndSetup(**({"rate_hz": 1000.0} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "selects", "start_line", "message"),
    [
        ({"chips": 5}, 5, True, "5 chips wanted, a board has 1 to 4"),
        ({"chips": 0}, 1, True, "0 chips wanted"),
        ({"chips": 2}, 1, True, r"2 chip\(s\) on own selects needs 2 SPI port\(s\), 1 given"),
        ({"chips": 1}, 2, True, r"1 chip\(s\) on own selects needs 1 SPI port\(s\), 2 given"),
        ({"chips": 2, "daisy": True}, 2, True, r"a daisy chain needs 1 SPI port\(s\), 2 given"),
        ({}, 2, False, "2 chips on their own selects start together only by a START line; wire START"),
        ({"daisy": True, "clock_output": True}, 1, True, "use an external clock"),
        ({"daisy": True, "daisy_gap_bits": 2}, 1, True, "daisy_gap_bits 2: use 0, 1 or leave it"),
        ({"read_mode": "fifo"}, 1, False, "read mode 'fifo': use rdata or rdatac"),
        ({"sclk_hz": 20_000_001}, 1, False, "20000001 Hz: the converter takes up to 20000000 Hz; lower it"),
        ({"sclk_hz": -1}, 1, False, "SCLK of -1 Hz"),
        ({"parts": ("ADS131M08",)}, 1, False, "no part 'ADS131M08': use one of ADS1299, ADS1299-6"),
        ({"parts": ("ADS1299",), "chips": 2}, 2, True, "1 parts named for 2 chips"),
        ({"rate_hz": 300.0}, 1, False, "ADS1299 has no rate of 300 Hz: use one of 250, 500"),
        ({"gain": 5}, 1, False, "ADS1299 has no gain of 5"),
        ({"gain": (24,) * 7 + (5,)}, 1, False, "ADS1299 has no gain of 5"),
        ({"gain": 24, "parts": ("ADS1298",)}, 1, False, "ADS1298 has no gain of 24: use one of 1, 2, 3"),
        ({"rate_hz": 32e3, "parts": ("ADS1299",)}, 1, False, "ADS1299 has no rate of 32000 Hz"),
    ],
)
def test_what_no_board_could_do_is_refused_in_one_line(
    changes: dict[str, object], selects: int, start_line: bool, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check(setup(**changes), selects, start_line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "selects", "start_line"),
    [
        ({}, 1, False),
        ({}, 4, True),
        ({"chips": 4, "daisy": True}, 1, False),
        ({"gain": 3, "rate_hz": 32e3}, 1, False),  # an ADS1298 could
        ({"gain": (24,) * 8 + (12,) * 8, "parts": ("ADS1299", "ADS1299")}, 2, True),
        ({"sclk_hz": 20_000_000}, 1, False),
    ],
)
def test_what_a_board_could_do_is_not_refused(
    changes: dict[str, object], selects: int, start_line: bool
) -> None:
    check(setup(**changes), selects, start_line)


def test_frames_by_command_and_continuously() -> None:
    assert frame_read(27, "rdata") == FrameRead(b"\x12" + bytes(27), 1, 27)
    assert frame_read(27, "rdatac") == FrameRead(bytes(27), 0, 27)


@pytest.mark.parametrize(
    ("parts", "found", "message"),
    [
        (
            ("ADS1299", "ADS1299-4"),
            (ADS1299_4, ADS1299),
            "chip 1: expected ADS1299, got ADS1299-4: likely cause swapped chip selects; cure: exchange",
        ),
        (
            ("ADS1299", "ADS1299"),
            (ADS1299, ADS1298),
            "chip 2: expected ADS1299, got ADS1298: likely cause another part is fitted",
        ),
        (
            (),
            (ADS1299, ADS1299, ADS1299_6),
            r"chip 3: expected ADS1299, got ADS1299-6: .*as found \(ADS1299, ADS1299, ADS1299-6\)",
        ),
    ],
)
def test_parts_that_are_not_those_expected_are_named(
    parts: tuple[str, ...], found: tuple[ChipSpec, ...], message: str
) -> None:
    with pytest.raises(ChipError, match=message):
        judge_parts(setup(parts=parts), found)


def test_parts_as_expected_pass() -> None:
    judge_parts(setup(parts=("ADS1299", "ADS1299-4")), (ADS1299, ADS1299_4))
    judge_parts(setup(), (ADS1299_6, ADS1299_6))


def test_gains_are_dealt_out_over_the_chips() -> None:
    gains = (1, 2, 4, 6, 8, 12, 24, 24, 2, 2, 2, 1)
    assert gains_of(setup(gain=gains), (ADS1299, ADS1299_4)) == (gains[:8], gains[8:])
    assert gains_of(setup(gain=6), (ADS1299_4, ADS1299_6)) == ((6,) * 4, (6,) * 6)
    with pytest.raises(ConfigError, match="12 gains for 8 channels"):
        gains_of(setup(gain=gains), (ADS1299,))
    with pytest.raises(ConfigError, match="9 channels wanted, the front end has 8"):
        gains_of(setup(channels=9), (ADS1299,))


def registers(chip: ChipSpec, in_use: int, clock_output: bool = False, **changes: object) -> dict[int, int]:
    wanted = setup(**({"gain": 12} | changes))
    return recording_registers(chip, wanted, (12,) * chip.channels, in_use, clock_output)


def test_recording_registers_of_the_ads1299() -> None:
    got = registers(ADS1299, 6, clock_output=True)
    assert next(iter(got)) == Address.CONFIG3
    assert bytes(got[a] for a in sorted(got)) == bytes.fromhex(
        "b4c0ec00" + "50" * 6 + "d1" * 2 + "3f" + "00" * 4 + "0f200000"
    )
    assert registers(ADS1299, 8, srb1=False)[Address.MISC1] == 0
    off = registers(ADS1299, 8, bias=False)
    assert (off[Address.CONFIG3], off[Address.BIAS_SENSP]) == (0xE0, 0)


def test_recording_registers_of_the_ads1298() -> None:
    got = registers(ADS1298, 8, vref_v=4.0)
    assert bytes(got[a] for a in sorted(got)) == bytes.fromhex(
        "8540ec00" + "60" * 8 + "ff" + "00" * 4 + "0f" + "00" * 5
    )
    assert sorted(got) == [*range(1, 0x12), *range(0x14, 0x1A)]  # all but the ID and the two status ones
    with pytest.raises(ConfigError, match="ADS1298 has no SRB1"):
        registers(ADS1298, 8, srb1=True)
    with pytest.raises(ConfigError, match="ADS1298 has no reference of 5 V"):
        registers(ADS1298, 8, vref_v=5.0)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_absent_channels_get_0(chip: ChipSpec) -> None:
    got = registers(chip, chip.channels)
    assert [got[Address.CH1SET + k] for k in range(chip.channels, 8)] == [0] * (8 - chip.channels)
    assert got[Address.BIAS_SENSP] == chip.channel_bits


def test_what_the_wire_cannot_carry_names_the_rate_that_it_can() -> None:
    one, four = FrameLayout((8,)), FrameLayout((8,) * 4)
    check_wire(setup(rate_hz=4000.0, sclk_hz=8_000_000), four, ADS1299)
    check_wire(setup(rate_hz=16000.0, sclk_hz=8_000_000), one, ADS1299)
    check_wire(setup(rate_hz=16000.0), four, ADS1299)  # nobody said how fast the port is
    with pytest.raises(ConfigError, match=r"SCLK 1000000 Hz takes 236 us of the 125 us .*fits is 4000 Hz"):
        check_wire(setup(rate_hz=8000.0, sclk_hz=1_000_000), one, ADS1299)
    with pytest.raises(ConfigError, match=r"SCLK 2000000 Hz takes 466 us of the 250 us .*fits is 2000 Hz"):
        check_wire(setup(rate_hz=4000.0, sclk_hz=2_000_000), four, ADS1299)
    with pytest.raises(ConfigError, match=r"no rate fits; or raise SCLK \(up to 20000000 Hz\)"):
        check_wire(setup(rate_hz=250.0, sclk_hz=10_000), one, ADS1299)


def test_continuous_frames_spare_the_command_byte() -> None:
    """15 bytes at 2 MHz: 60 us + 2 us + 10 us; one byte more is too much for 76 us."""
    layout = FrameLayout((4,))
    slow = {"rate_hz": 16_000.0, "sclk_hz": 2_400_000}
    check_wire(setup(read_mode="rdatac", **slow), layout, ADS1294)
    with pytest.raises(ConfigError, match="takes 65 us of the 62 us"):
        check_wire(setup(read_mode="rdata", **slow), layout, ADS1294)
