"""One to four converters on their own selects: bring-up, rows, refusals, registers put back or found lost."""

from itertools import chain as joined

import numpy as np
import pytest

from firmware.errors import ChipError, ConfigError, PortError
from firmware.front_end import FrontEnd, FrontEndSetup
from hw.chips import ADS1298, ADS1299, ADS1299_4, ADS1299_6, ChipSpec, Opcode
from hw.frames import decode_board, lsb_uv
from hw.registers import Address, LeadOff, LeadOffFrequency, Mux
from tests.support.chips import ManualClock, Wire, star

SELECTED = range(Address.CONFIG1, Address.CH8SET + 1)


def row(front_end: FrontEnd) -> np.ndarray:  # type: ignore[type-arg]
    return np.frombuffer(front_end.read_frame(), np.uint8)[None, :]


@pytest.mark.control("H7.3")
@pytest.mark.parametrize(
    "parts",
    [(ADS1299,), (ADS1299, ADS1299), (ADS1299_4, ADS1299_6, ADS1299), (ADS1299,) * 4],
    ids=lambda parts: "+".join(part.name for part in parts),
)
@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
def test_every_channel_of_every_chip_arrives_in_its_place(parts: tuple[ChipSpec, ...], mode: str) -> None:
    front_end, wires, line = star(*parts)
    gains = tuple(joined.from_iterable((24, 12, 8, 6, 4, 2, 1, 1)[: part.channels] for part in parts))
    info = front_end.bring_up(
        FrontEndSetup(2000, gains, read_mode=mode, parts=tuple(part.name for part in parts))
    )
    assert info.chips == parts
    assert info.lsb_uv == tuple(lsb_uv(gain) for gain in gains)
    assert info.layout.channels == tuple(part.channels for part in parts)
    assert (info.rate_hz, info.retries, info.notes) == (2000, 0, ())
    assert [(read.skip, read.length) for read in info.frame_reads] == [
        (int(mode == "rdata"), part.frame_bytes) for part in parts
    ]
    assert line.written == [0]
    assert not any(wire.model.converting for wire in wires)
    front_end.start()
    assert line.written == [0, 1]
    volts = np.linspace(-0.02, 0.02, info.layout.total_channels)
    first = 0
    for k, wire in enumerate(wires):
        wire.model.gpio_pins = k + 1
        wire.convert(volts[first : first + parts[k].channels].tolist())
        first += parts[k].channels
    decoded = decode_board(row(front_end), info.layout)
    assert decoded.header_ok.all()
    assert decoded.chip_gpio.tolist() == [[k + 1 for k in range(len(parts))]]
    assert decoded.counts[0] * info.lsb_uv == pytest.approx(volts * 1e6, abs=0.6)
    front_end.stop()
    assert line.written == [0, 1, 0]
    assert front_end.read_registers(0)[Address.CONFIG1] == 0x93  # registers open again


def test_a_single_chip_starts_by_command_when_there_is_no_line() -> None:
    front_end, wires, _ = star(ADS1299, start=False)
    front_end.bring_up(FrontEndSetup(250))
    assert bytes([Opcode.START]) not in wires[0].sent
    front_end.start()
    assert wires[0].sent[-1] == bytes([Opcode.START])
    front_end.stop()
    assert wires[0].sent[-1] == bytes([Opcode.STOP])


def test_several_chips_without_a_start_line_are_refused_before_a_byte_is_sent() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299, start=False)
    with pytest.raises(ConfigError, match="start together only by a START line"):
        front_end.bring_up(FrontEndSetup(250))
    assert not wires[0].log


def test_continuous_reading_begins_before_the_first_conversion_and_ends_with_stop() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(250, read_mode="rdatac"))
    assert not any(bytes([Opcode.RDATAC]) in wire.sent for wire in wires)
    front_end.start()
    assert [wire.sent[-1] for wire in wires] == [bytes([Opcode.RDATAC])] * 2
    for wire in wires:
        wire.convert()
        del wire.log[:]
    front_end.read_frame()
    assert [wire.sent for wire in wires] == [[bytes(27)]] * 2  # DIN stays low
    front_end.stop()
    assert [wire.sent[1] for wire in wires] == [bytes([Opcode.SDATAC])] * 2


def test_continuous_reading_is_open_before_anything_converts() -> None:
    """Within 4 tCLK of data-ready RDATAC would be lost; before START there is none."""
    front_end, wires, _ = star(ADS1299, start=False)
    front_end.bring_up(FrontEndSetup(16000, read_mode="rdatac"))
    front_end.start()
    assert wires[0].sent[-2:] == [bytes([Opcode.RDATAC]), bytes([Opcode.START])]


def test_registers_are_reached_in_the_midst_of_continuous_reading() -> None:
    """One write of each chip; RDATAC is sent again when a frame shows that it was lost."""
    front_end, wires, _ = star(ADS1299, ADS1299)
    info = front_end.bring_up(FrontEndSetup(250, read_mode="rdatac"))
    front_end.start()
    for wire in wires:
        wire.convert()
    lost: list[bytes] = []

    def loses_one(mosi: bytes) -> bytes:
        if mosi == bytes([Opcode.RDATAC]) and not lost:
            lost.append(mosi)
            return b"\0"
        return mosi

    wires[1].hear = loses_one
    for k in (0, 1):
        front_end.write_registers(k, {Address.LOFF: 0x02, Address.CH2SET: 0x10})
        assert wires[k].model.register(Address.LOFF) == 0x02
        assert wires[k].model.register(Address.CH2SET) == 0x10
    assert lost
    for wire in wires:
        wire.convert([1e-3] * 8)
    decoded = decode_board(row(front_end), info.layout)
    assert decoded.header_ok.all()
    assert decoded.counts[0, 0] * info.lsb_uv[0] == pytest.approx(1000, abs=0.1)


def test_frames_go_at_the_speed_asked_for_and_registers_never_above_2_mhz() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(250, sclk_hz=16_000_000))
    front_end.start()
    assert {speed for _, _, speed in wires[0].log} == {2_000_000}
    front_end.read_frame()
    assert [wire.log[-1][2] for wire in wires] == [16_000_000] * 2
    front_end.bring_up(FrontEndSetup(250, sclk_hz=500_000))
    assert wires[0].log[-1][2] == 500_000


def test_channels_out_of_use_are_off_shorted_and_out_of_the_bias() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(250, 24, channels=11))
    assert [wires[1].model.register(Address.CH1SET + k) for k in range(8)] == [0x60] * 3 + [0xE1] * 5
    assert [wire.model.register(Address.BIAS_SENSP) for wire in wires] == [0xFF, 0x07]
    front_end.bring_up(FrontEndSetup(250, 24, channels=2))
    assert wires[1].model.register(Address.BIAS_SENSP) == 0


def test_the_first_chips_clock_drives_the_others_and_is_on_before_they_are_spoken_to() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(500, clock_output=True))
    assert [wire.model.register(Address.CONFIG1) for wire in wires] == [0xB5, 0x95]
    clock_on = next(t for t, mosi, _ in wires[0].log if mosi == bytes([0x41, 0, 0xB5]))
    assert wires[1].log[0][0] - clock_on >= 128_000_000


def test_another_part_than_expected_is_named_before_anything_is_configured() -> None:
    front_end, wires, _ = star(ADS1299_4, ADS1299)
    with pytest.raises(ChipError, match="chip 1: expected ADS1299, got ADS1299-4: likely cause swapped chip"):
        front_end.bring_up(FrontEndSetup(250, parts=("ADS1299", "ADS1299-4")))
    with pytest.raises(ChipError, match="chip 2: expected ADS1299-4, got ADS1299"):
        front_end.bring_up(FrontEndSetup(250))
    assert not [mosi for wire in wires for mosi in wire.sent if mosi[0] & 0xE0 == Opcode.WREG]


def test_two_selects_that_reach_the_same_chip_are_found() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    wires[1].model = wires[0].model
    with pytest.raises(
        ChipError, match=r"chip 1: expected its own mark 1 in LOFF_FLIP, got 2: likely cause two"
    ):
        front_end.bring_up(FrontEndSetup(250))


def test_marks_are_gone_after_bring_up() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(250))
    assert [wire.model.register(Address.LOFF_FLIP) for wire in wires] == [0, 0, 0]


def test_a_fault_of_one_chip_names_it() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299, ADS1299)
    wires[2].fault = lambda mosi, miso: bytes(len(miso))
    with pytest.raises(ChipError, match="chip 3: expected 0x3E in ID, got 0x00: likely cause no answer"):
        front_end.bring_up(FrontEndSetup(250))
    wires[2].fault = lambda mosi, miso: miso[:1]
    with pytest.raises(PortError, match="chip 3: SPI returned 1 of 3 bytes"):
        front_end.bring_up(FrontEndSetup(250))


def test_retries_of_all_chips_are_counted() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    for wire in wires:
        ignored: list[bytes] = []

        def ignores(mosi: bytes, wire: Wire = wire, ignored: list[bytes] = ignored) -> bytes:
            if mosi == bytes([Opcode.SDATAC]) and bytes([Opcode.RESET]) in wire.sent and not ignored:
                ignored.append(mosi)
                return b"\0"
            return mosi

        wire.hear = ignores
    assert front_end.bring_up(FrontEndSetup(250)).retries == 2


def test_a_rate_that_the_wire_cannot_carry_is_refused_before_registers_are_written() -> None:
    front_end, wires, _ = star(ADS1299)
    with pytest.raises(ConfigError, match="the highest rate that fits is 4000 Hz"):
        front_end.bring_up(FrontEndSetup(8000, sclk_hz=1_000_000))
    assert not [mosi for mosi in wires[0].sent if mosi[0] & 0xE0 == Opcode.WREG]


def test_before_bring_up_everything_is_refused_in_one_line() -> None:
    front_end = FrontEnd([Wire(ManualClock())], ManualClock())
    for call in (front_end.start, front_end.read_frame, front_end.read_registers):
        with pytest.raises(ConfigError, match="not configured: bring it up first"):
            call()
    with front_end.restored():
        pass
    front_end, _, _ = star(ADS1299)
    front_end.bring_up(FrontEndSetup(250))
    for chip in (1, -1):
        with pytest.raises(ConfigError, match=f"chip {chip}: this front end has selects 0 to 0"):
            front_end.read_registers(chip)


def test_channels_are_set_for_self_tests() -> None:
    front_end, wires, _ = star(ADS1299_4, ADS1299_4)
    front_end.bring_up(FrontEndSetup(250, 24))
    front_end.configure_channels(Mux.TEST_SIGNAL, gain=1, channels=(3, 4))
    assert [wires[0].model.register(Address.CH1SET + k) for k in range(4)] == [0x60] * 3 + [0x05]
    assert [wires[1].model.register(Address.CH1SET + k) for k in range(4)] == [0x05] + [0x60] * 3
    assert front_end.scales_uv() == tuple([lsb_uv(24)] * 3 + [lsb_uv(1)] * 2 + [lsb_uv(24)] * 3)
    front_end.configure_channels(Mux.SHORTED)
    assert wires[1].model.register(Address.CH1SET) == 0x01  # the gain that it had
    front_end.configure_channels(Mux.ELECTRODE, 12, (0,), power_down=True, srb2=True)
    assert wires[0].model.register(Address.CH1SET) == 0xD8
    for channels in ((8,), (-1,)):
        with pytest.raises(ConfigError, match="this front end has 0 to 7"):
            front_end.configure_channels(Mux.SHORTED, channels=channels)
    with pytest.raises(ConfigError, match="no gain of 3"):
        front_end.configure_channels(Mux.SHORTED, 3)


@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
def test_registers_are_put_back_when_the_block_ends_or_breaks(mode: str) -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(1000, 12, read_mode=mode))
    front_end.start()
    before = [front_end.read_registers(k) for k in (0, 1)]
    excited = LeadOff(frequency=LeadOffFrequency.HZ_31_25).encode()
    for wire in wires:
        wire.convert()
    with pytest.raises(ZeroDivisionError), front_end.restored():
        front_end.configure_channels(Mux.TEST_SIGNAL, 1)
        front_end.write_registers(1, {Address.LOFF: excited, Address.LOFF_SENSP: 0xFF, Address.CONFIG3: 0x60})
        assert front_end.read_registers(1)[Address.LOFF] == excited
        raise ZeroDivisionError
    for wire in wires:
        wire.convert()
    assert front_end.read_frame()[::27] == b"\xc0\xc0"  # frames come as before
    assert [front_end.read_registers(k) for k in (0, 1)] == before
    assert all(wire.model.converting for wire in wires)
    waits = wires[0].clock.waited
    assert waits.count(150_000_000) == 2  # the reference that was off came back with its time
    assert not [
        mosi for wire in wires for mosi in wire.sent[-40:] if mosi[0] == Opcode.WREG | Address.CONFIG1
    ]


def test_every_chip_is_restored_even_if_the_first_cannot_be() -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    front_end.bring_up(FrontEndSetup(1000, 12))
    with pytest.raises(ChipError, match="chip 1: expected 0x3E in ID, got 0xFF"), front_end.restored():
        front_end.configure_channels(Mux.SHORTED)
        wires[0].fault = lambda mosi, miso: b"\xff" * len(miso)
    assert wires[1].model.register(Address.CH1SET) == 0x50


@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
def test_a_sound_chip_is_found_configured_and_goes_on(mode: str) -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    info = front_end.bring_up(FrontEndSetup(1000, 12, read_mode=mode))
    front_end.start()
    for wire in wires:
        wire.convert()
    assert front_end.still_configured() == ""
    for wire in wires:
        wire.convert([2e-3] * 8)
    decoded = decode_board(row(front_end), info.layout)
    assert decoded.header_ok.all()
    assert decoded.counts[0, 9] * info.lsb_uv[9] == pytest.approx(2000, abs=0.1)


@pytest.mark.control("H14.2")
@pytest.mark.parametrize("mode", ["rdata", "rdatac"])
def test_a_chip_reset_in_mid_run_is_found_and_recovers(mode: str) -> None:
    front_end, wires, _ = star(ADS1299, ADS1299)
    setup = FrontEndSetup(1000, 12, read_mode=mode)
    front_end.bring_up(setup)
    front_end.start()
    for wire in wires:
        wire.convert()
    wires[1].model.transfer(bytes([Opcode.RESET]))
    wires[1].clock.wait_ns(20_000)
    finding = front_end.still_configured()
    assert finding.startswith("chip 2: the chip was reset: CONFIG1 to CH8SET read their reset values; likely")
    assert "\n" not in finding
    front_end.bring_up(setup)
    front_end.start()
    for wire in wires:
        wire.convert()
    assert front_end.still_configured() == ""


def test_one_register_that_changed_is_named() -> None:
    front_end, wires, _ = star(ADS1299, start=False)
    front_end.bring_up(FrontEndSetup(1000, 12))
    front_end.start()
    wires[0].convert()
    wires[0].model.transfer(bytes([Opcode.WREG | Address.CH4SET, 0, 0x51]))
    assert "expected 0x50 in CH4SET, got 0x51: likely cause one bit" in front_end.still_configured()


def test_a_chip_that_is_gone_is_a_finding_and_a_disturbed_reading_is_none() -> None:
    front_end, wires, _ = star(ADS1299, start=False)
    front_end.bring_up(FrontEndSetup(1000, 12))
    front_end.start()
    wires[0].convert()
    once: list[bytes] = []

    def disturbed(mosi: bytes, miso: bytes) -> bytes:
        if mosi[0] == Opcode.RREG | Address.CONFIG1 and not once:
            once.append(mosi)
            return b"\xff" * len(miso)
        return miso

    wires[0].fault = disturbed
    assert front_end.still_configured() == ""
    assert once
    wires[0].fault = lambda mosi, miso: b"\xff" * len(miso)
    assert "expected 0x3E in ID, got 0xFF: likely cause the data line floats" in front_end.still_configured()


def test_the_ads1298_comes_up_with_its_own_registers_and_scale() -> None:
    front_end, wires, _ = star(ADS1298, start=False)
    info = front_end.bring_up(FrontEndSetup(32_000, 12))
    assert info.chips == (ADS1298,)
    assert info.lsb_uv == (lsb_uv(12, 2.4),) * 8
    assert len(front_end.read_registers()) == 26
    assert [wires[0].model.register(a) for a in (1, 2, 3, 5, 0x0D)] == [0x80, 0x40, 0xCC, 0x60, 0xFF]
    assert front_end.bring_up(FrontEndSetup(250, 1, vref_v=4.0)).lsb_uv == (lsb_uv(1, 4.0),) * 8
    with pytest.raises(ConfigError, match="ADS1298 has no SRB2"):
        front_end.configure_channels(Mux.ELECTRODE, srb2=True)
