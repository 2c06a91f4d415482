"""The driver against the modelled chip: the datasheet's sequence, every register verified, faults named."""

from collections.abc import Callable

import numpy as np
import pytest

from firmware.ads1299 import Ads1299
from firmware.errors import ChipError, ConfigError, EdgeError, LinkError, PortError
from hw.chips import ADS1299, ADS1299_4, ADS1299_6, GAINS, RATES_HZ, ChipSpec, Opcode
from hw.frames import encode_frame, lsb_uv, unpack24
from hw.model.ads1299 import Ads1299Model
from hw.registers import REGISTERS, Address

Fault = Callable[[bytes, bytes], bytes]


class ManualClock:
    """Time that passes only in waits, `speed` times as fast for the chip as for the driver."""

    def __init__(self, speed: float = 1.0) -> None:
        self.time_ns = 1_000
        self.speed = speed

    def now_ns(self) -> int:
        return self.time_ns

    def wait_ns(self, duration_ns: int) -> None:
        self.time_ns += int(duration_ns * self.speed)


class Wire:
    """A recording wire to the model; `fault` turns (sent, answer) into what the driver hears."""

    def __init__(
        self, clock: ManualClock, chip: ChipSpec = ADS1299, fault: Fault = lambda mosi, miso: miso
    ) -> None:
        self.model = Ads1299Model(clock.now_ns, chip)
        self.clock = clock
        self.fault = fault
        self.log: list[tuple[int, bytes]] = []

    def transfer(self, mosi: bytes) -> bytes:
        self.log.append((self.clock.now_ns(), mosi))
        return self.fault(mosi, self.model.transfer(mosi))


def rig(
    chip: ChipSpec = ADS1299, speed: float = 1.0, fault: Fault = lambda mosi, miso: miso
) -> tuple[Ads1299, Wire]:
    clock = ManualClock(speed)
    wire = Wire(clock, chip, fault)
    return Ads1299(wire, clock), wire


def is_read_all(mosi: bytes) -> bool:
    return mosi[:2] == bytes([Opcode.RREG, 23])


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_bring_up_leaves_every_register_as_meant(rate_hz: float, gain: int) -> None:
    driver, _ = rig()
    assert driver.bring_up(rate_hz, gain) == ADS1299
    expected = {address: spec.reset for address, spec in REGISTERS.items()}
    expected[Address.CONFIG1] = 0x90 | (16000, 8000, 4000, 2000, 1000, 500, 250).index(int(rate_hz))
    expected[Address.CONFIG3] = 0xEC
    expected |= {Address.CH1SET + k: (1, 2, 4, 6, 8, 12, 24).index(gain) << 4 for k in range(8)}
    expected[Address.BIAS_SENSP] = 0xFF
    expected[Address.MISC1] = 0x20
    assert driver.read_registers() == expected


def test_bring_up_keeps_the_datasheets_order_and_waits() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    times, sent = zip(*wire.log, strict=True)
    assert sent[:3] == (bytes([Opcode.RESET]), bytes([Opcode.SDATAC]), bytes([0x20, 0, 0]))
    assert times[0] - 1_000 >= 128_000_000  # 2^18 tCLK
    assert times[1] - times[0] >= 8_790  # 18 tCLK
    assert times[2] - times[1] >= 1_954  # 4 tCLK
    reference = sent.index(bytes([0x43, 0, 0xEC]))
    assert reference == 3  # the reference first: the rest waits for it
    assert times[4] - times[3] >= 150_000_000
    assert is_read_all(sent[-2])
    assert sent[-1] == bytes([Opcode.START])
    assert Opcode.RDATAC not in [mosi[0] for mosi in sent]


def test_frames_come_with_volts_and_triggers_after_bring_up() -> None:
    driver, wire = rig()
    driver.bring_up(1000, 12)
    wire.model.gpio_pins = 0b0010
    volts = [k * 1e-5 for k in range(-4, 4)]
    assert [wire.model.convert(volts) for _ in range(4)] == [False, False, False, True]
    frame = driver.read_frame()
    assert frame == encode_frame([round(v * 1e6 / lsb_uv(12)) for v in volts], gpio=0b0010)
    assert not wire.model.drdy
    assert driver.read_frame() == frame


@pytest.mark.parametrize("chip", [ADS1299_4, ADS1299_6])
def test_smaller_parts_come_up_with_their_own_frame(chip: ChipSpec) -> None:
    driver, wire = rig(chip)
    assert driver.bring_up(500, 24) == chip
    while not wire.model.convert([1e-6] * chip.channels):
        pass
    assert driver.read_frame() == encode_frame([45] * chip.channels)


def test_stop_ends_conversions_and_bring_up_works_again() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    while not wire.model.convert([0.0] * 8):
        pass
    driver.stop()
    assert [wire.model.convert([0.0] * 8) for _ in range(8)] == [True] + [False] * 7
    driver.bring_up(2000, 1)
    assert driver.read_registers()[Address.CONFIG1] == 0x93
    assert [wire.model.convert([0.0] * 8) for _ in range(4)][-1] is True


def test_bring_up_recovers_a_chip_left_running_in_continuous_mode() -> None:
    driver, wire = rig()
    driver.bring_up(250, 24)
    wire.model.transfer(bytes([Opcode.RDATAC]))
    wire.model.convert([0.0] * 8)
    driver.bring_up(250, 24)
    assert driver.read_registers()[Address.ID] == 0x3E


@pytest.mark.parametrize(
    ("rate_hz", "gain", "message"),
    [
        (300.0, 24, "no rate of 300 Hz: use one of 250, 500, 1000"),
        (float("nan"), 24, "no rate of nan Hz"),
        (250.0, 3, "no gain of 3: use one of 1, 2, 4, 6, 8, 12, 24"),
    ],
)
def test_unsupported_rate_or_gain_is_refused_before_a_byte_is_sent(
    rate_hz: float, gain: int, message: str
) -> None:
    driver, wire = rig()
    with pytest.raises(ConfigError, match=message) as caught:
        driver.bring_up(rate_hz, gain)
    assert caught.value.exit_code == 2
    assert wire.log == []


def chip_error(fault: Fault = lambda mosi, miso: miso, speed: float = 1.0) -> str:
    """The complaint of a bring-up that must fail, and must not have started conversions."""
    driver, wire = rig(speed=speed, fault=fault)
    with pytest.raises(ChipError) as caught:
        driver.bring_up(250, 24)
    assert caught.value.exit_code == 1
    assert bytes([Opcode.START]) not in [mosi for _, mosi in wire.log]
    text = str(caught.value)
    assert "\n" not in text
    assert "likely cause" in text
    assert "cure:" in text
    return text


def test_dead_lines_are_told_apart() -> None:
    low = chip_error(lambda mosi, miso: bytes(len(miso)))
    high = chip_error(lambda mosi, miso: b"\xff" * len(miso))
    assert low.startswith("expected 0x3E in ID, got 0x00: likely cause no answer")
    assert high.startswith("expected 0x3E in ID, got 0xFF: likely cause the data line floats high")


def test_another_chip_is_named_by_its_id() -> None:
    text = chip_error(lambda mosi, miso: b"\0\0\x92" if mosi == b"\x20\0\0" else miso)
    assert text.startswith("expected 0x3E in ID, got 0x92: likely cause another part")


def test_wrong_spi_mode_is_recognised_by_the_shift() -> None:
    def shifted(mosi: bytes, miso: bytes) -> bytes:
        return bytes(byte >> 1 for byte in miso)

    assert "got 0x1F: likely cause bits shifted by one (wrong SPI mode)" in chip_error(shifted)


@pytest.mark.parametrize("address", [a for a in REGISTERS if REGISTERS[a].live != 0xFF])
def test_one_flipped_bit_in_any_register_is_found(address: int) -> None:
    spec = REGISTERS[address]
    bits = [bit for bit in range(8) if not spec.live >> bit & 1]
    if address == Address.ID:
        bits = [bit for bit in bits if bit < 5]  # the revision may be any
    for bit in bits:

        def flipped(mosi: bytes, miso: bytes, bit: int = bit) -> bytes:
            if not is_read_all(mosi):
                return miso
            noisy = bytearray(miso)
            noisy[2 + address] ^= 1 << bit
            return bytes(noisy)

        text = chip_error(flipped)
        assert f" in {spec.name}, got " in text
        assert "more registers differ" not in text


def test_bits_that_the_chip_sets_itself_do_not_fail_the_read_back() -> None:
    driver, wire = rig()
    wire.model.gpio_pins = 0b1111
    wire.model.set_lead_off(0xFF, 0xFF)
    driver.bring_up(250, 24)
    assert driver.read_registers()[Address.GPIO] == 0xFF


def test_a_lost_write_is_named_with_expected_and_got() -> None:
    driver, wire = rig()
    deaf = wire.model.transfer

    def lossy(mosi: bytes) -> bytes:
        return deaf(bytes(len(mosi)) if mosi[0] == Opcode.WREG | Address.CH3SET else mosi)

    wire.model.transfer = lossy  # type: ignore[method-assign]
    with pytest.raises(
        ChipError, match="expected 0x60 in CH3SET, got 0x61: likely cause the write did not arrive"
    ):
        driver.bring_up(250, 24)


def test_a_chip_that_ignores_every_write_is_counted() -> None:
    driver, wire = rig()
    deaf = wire.model.transfer
    wire.model.transfer = (  # type: ignore[method-assign]
        lambda mosi: deaf(bytes(len(mosi)) if mosi[0] & 0xE0 == Opcode.WREG else mosi)
    )
    with pytest.raises(ChipError, match=r"expected 0x94 in CONFIG1, got 0x96.*; 11 more registers differ"):
        driver.bring_up(1000, 24)


@pytest.mark.parametrize("speed", [0.3, 0.7, 0.9])
def test_a_rushed_power_up_is_found_out(speed: float) -> None:
    """The waits last only 40, 92 and 118 ms of the chip's time; public drivers wait 50 to 90 ms."""
    text = chip_error(speed=speed)
    assert text.startswith("expected 0x3E in ID, got 0x00")
    assert "128 ms after power-up" in text


def test_a_short_answer_is_the_ports_fault() -> None:
    driver, _ = rig(fault=lambda mosi, miso: miso[:4])
    with pytest.raises(PortError, match="SPI returned 4 of 26 bytes"):
        driver.bring_up(250, 24)


def test_every_error_is_an_edge_error_and_a_builtin_kind() -> None:
    kinds = {ConfigError: ValueError, ChipError: OSError, PortError: OSError, LinkError: ConnectionError}
    for kind, builtin in kinds.items():
        assert issubclass(kind, EdgeError)
        assert issubclass(kind, builtin)
        assert str(kind("one line")) == "one line"
        assert kind.exit_code == (2 if kind is ConfigError else 1)


def test_full_scale_negative_is_not_rectified_on_the_way() -> None:
    """A public driver turned -1 into +1; the sign must survive chip, wire and decoder."""
    driver, wire = rig()
    driver.bring_up(250, 1)
    assert wire.model.play(encode_frame([-1, -8388608, 1, 8388607, 0, -2, 2, -3]))
    raw = np.frombuffer(driver.read_frame(), np.uint8)[3:].reshape(1, 24)
    assert unpack24(raw).tolist() == [[-1, -8388608, 1, 8388607, 0, -2, 2, -3]]
