"""Mistakes seen in other drivers (facts/hardware.md 4, 5), each as a small program of ours that makes it.

Every test shows that the modelled board exposes the mistake: the program's own checks are content, or its
numbers look plausible, and what the electrodes saw says otherwise. Where it is short, the right way follows.
"""

import numpy as np
import pytest

from hw.chips import ADS1299, Opcode
from hw.frames import decode_frames, lsb_uv
from hw.model.ads1299_options import Surroundings
from hw.model.board import ALL_SELECTS, ReadyEdge
from hw.model.electrodes import BOARD_SERIES_OHM, Electrode
from hw.model.faults import Fault, FaultKind
from hw.model.sinc3 import Filtered, magnitude
from hw.registers import Address
from tests.support.boards import Program, Volts, board, lsb_v

FULL = (1 << 24) - 1


class Wave(Volts):
    """A sine of 1 mV with 20 conversions a period on every channel."""

    def read(self, sample: int) -> list[float]:
        return [1e-3 * float(np.sin(2 * np.pi * sample / 20))] * len(self.volts)


class Ramp(Volts):
    """Conversion k gives 64 x k lsb at gain 24 on every channel, so that a frame of two samples shows."""

    def read(self, sample: int) -> list[float]:
        return [64 * sample * lsb_v(24)] * len(self.volts)


def unsigned(frame: bytes, channel: int = 0) -> int:
    return int.from_bytes(frame[3 + 3 * channel : 6 + 3 * channel], "big")


def signed(frame: bytes, channel: int = 0) -> int:
    return int.from_bytes(frame[3 + 3 * channel : 6 + 3 * channel], "big", signed=True)


# Scale and sign


def on_the_test_signal(gain_code: int = 0x00) -> Program:
    program = Program(board()).set_up(channels=gain_code | 0x05)
    program.write(Address.CONFIG2, 0xD3)  # DC: -1.875 mV
    return program.start()


@pytest.mark.parametrize(
    ("microvolts_per_count", "of_the_truth"),
    [(4.5e6 / FULL, 0.5), (5e6 / 2**24, 0.556), (4.5e6 / 2**23, 1.0)],
)
def test_a_scale_from_the_span_instead_of_the_peak_halves_every_voltage(
    microvolts_per_count: float, of_the_truth: float
) -> None:
    got_uv = signed(on_the_test_signal().next()) * microvolts_per_count
    assert got_uv / -1875 == pytest.approx(of_the_truth, abs=1e-3)


def test_subtracting_the_wrong_power_of_two_turns_minus_one_into_plus_one() -> None:
    program = Program(board(-lsb_v(1), -100 * lsb_v(1))).set_up(channels=0x00).start()
    frame = program.next()

    def peer(raw: int) -> int:
        return raw - 16777214 if raw >= 0x800000 else raw

    assert [peer(unsigned(frame, k)) for k in (0, 1)] == [1, -98]
    assert [signed(frame, k) for k in (0, 1)] == [-1, -100]


def test_complementing_unsigned_samples_rectifies_them() -> None:
    program = Program(board(body=Wave())).set_up(channels=0x00).start()
    frames = [program.next() for _ in range(40)]
    peer = [16777214 - raw if (raw := unsigned(frame)) >= 0x800000 else raw for frame in frames]
    true = [signed(frame) for frame in frames]
    assert min(peer) >= -2
    assert min(true) < -1000 < 1000 < max(true)
    assert np.mean(peer) > 0.5 * max(true) > abs(np.mean(true)) * 10


# Registers


def test_writing_without_sdatac_changes_nothing() -> None:
    program = Program(board(1e-3))
    program.write(Address.CONFIG1, 0x95)
    program.write(Address.CONFIG3, 0xE0)
    program.write(Address.CH1SET, *[0x00] * 8)
    program.start()  # this one is heard
    first_ns = program.edge()
    assert program.edge() - first_ns == 4_000_000  # 250 SPS, not 500
    assert not any(program.send(*bytes(27))[3:])  # and shorted inputs, which look like a quiet recording
    program.send(Opcode.SDATAC)
    assert program.read(Address.CONFIG1) == b"\x96"


def test_a_register_read_in_continuous_mode_answers_with_data() -> None:
    program = Program(board()).set_up().start()
    program.send(Opcode.RDATAC)
    program.edge()
    assert program.read(Address.ID) == b"\0"  # a byte of the status word
    program.send(Opcode.SDATAC)
    assert program.read(Address.ID) == b"\x3e"


def test_the_wrong_reserved_base_of_config1_shows_in_the_read_back() -> None:
    program = Program(board())
    program.send(Opcode.SDATAC)
    program.write(Address.CONFIG1, 0xE0 | 0x06)
    assert program.read(Address.CONFIG1) == b"\xf6"  # E6 was written


def test_a_constant_of_config2_in_ch1set_measures_the_supply() -> None:
    program = Program(board()).set_up(channels=0x01)
    program.write(Address.CONFIG2, 0xD3)
    program.write(Address.CH1SET, 0x00 | 0x13)  # meant to be the test signal at gain 1
    got_v = signed(program.start().next()) * lsb_v(1)
    assert got_v == pytest.approx(4.5, abs=0.01)  # 2.5 V at gain 2 clips; the test signal is -1.9 mV


def test_config2_shifted_by_a_bit_passes_a_tolerant_read_back_and_has_no_test_signal() -> None:
    program = Program(board()).set_up(channels=0x05)
    meant, shifted = 0xD1, 0xC0 | (0x11 << 1)
    program.write(Address.CONFIG2, shifted)
    writable = 0x17
    got = program.read(Address.CONFIG2)[0]
    assert got & writable == shifted & writable  # the peer's check is content
    assert got != shifted  # the whole byte is not
    assert not program.start().counts(140).any()
    program.write(Address.CONFIG2, meant)
    assert np.ptp(program.start().counts(140)[:, 0]) * lsb_uv(1) == pytest.approx(3750, abs=2)


def test_registers_above_4_mhz_are_lost_without_gaps() -> None:
    program = Program(board(), speed_hz=8_000_000)
    program.send(Opcode.SDATAC)
    program.wait(10_000)
    program.write(Address.CONFIG1, 0x95)
    assert program.read(Address.CONFIG1) == b"\0"
    program.speed_hz = 2_000_000
    assert program.read(Address.CONFIG1) == b"\x96"


def test_a_wrong_spi_mode_halves_what_nobody_checks() -> None:
    program = Program(board(1e-3))
    program.board.apply(Fault(FaultKind.BITS_SHIFTED))
    program.set_up(channels=0x00).start()
    frame = program.next()
    assert signed(frame) == pytest.approx(1e-3 / lsb_v(1) / 2, abs=1)
    assert frame[0] >> 4 != 0xC
    assert program.read(Address.ID) == b"\x1f"


# Power-up


@pytest.mark.parametrize("wait_ms", [50, 90])
def test_waking_a_chip_too_early_fails_always_or_one_time_in_fifty(wait_ms: int) -> None:
    def wakes(program: Program) -> bool:
        program.board.power_cycle()
        program.wait(wait_ms * 1_000_000)
        program.send(Opcode.RESET)
        program.wait(20_000)
        program.send(Opcode.SDATAC)
        return program.read(Address.ID) == b"\x3e"

    strict = Program(board(), awake=False)
    assert not any(wakes(strict) for _ in range(5))
    marginal = Program(board(power_up="marginal", seed=8), awake=False)
    tries = [wakes(marginal) for _ in range(400)]
    assert 0 < tries.count(False) < 30  # all seems well on the desk
    assert tries.index(False) > 5


def test_sdatac_is_ignored_when_chip_select_rises_at_once() -> None:
    program = Program(board(sdatac_erratum=True), speed_hz=2_000_000)
    program.send(Opcode.SDATAC, hold_ns=500)
    assert program.read(Address.ID) == b"\0"
    program.send(Opcode.SDATAC, 0, hold_ns=500)  # an idle byte holds chip select low for long enough
    assert program.read(Address.ID) == b"\x3e"


def test_reading_before_the_reference_is_up_gives_full_scale() -> None:
    program = Program(board(1e-3))
    program.send(Opcode.SDATAC)
    program.write(Address.CONFIG3, 0xE0)
    program.write(Address.MISC1, 0x20)
    program.write(Address.CH1SET, 0x00)
    program.wait(50_000_000)
    assert signed(program.start().next()) == 8388607


# Frames thrown away, lost and torn


def test_a_filter_for_one_status_word_throws_every_triggered_frame_away_and_counts_nothing() -> None:
    program = Program(board(body=Wave())).set_up(channels=0x00)
    program.write(Address.GPIO, 0x80 | 0x07)  # the peer's sync pattern: GPIO4 driven high
    program.start()
    accepted, triggered = [], 0
    for k in range(100):
        program.board.set_stimulus(1 if k % 10 in (4, 5) else 0)
        frame = program.next()
        triggered += frame[2] & 1
        if frame[:3] == b"\xc0\x00\x08":
            accepted.append(frame)
    assert triggered == 20
    assert len(accepted) == 80  # the peer's n: 80 of 80, no loss
    assert not any(frame[2] & 1 for frame in accepted)


def test_a_jump_filter_throws_a_true_step_away() -> None:
    body = Volts(0.0)
    program = Program(board(body=body)).set_up(channels=0x60).start()
    last, rejected = 0, 0
    for k in range(100):
        if k == 50:
            body.volts = [0.2e-3] * 8  # 0.2 mV, an evoked artifact
        now = signed(program.next(), 7)
        if abs(now - last) > 5000:
            rejected += 1
        else:
            last = now
    assert rejected == 50  # and nothing ever again


@pytest.mark.parametrize("stall", [256, 512])
def test_a_counter_of_one_byte_hides_a_loss(stall: int) -> None:
    program = Program(board(body=Ramp())).set_up(config1=0x94).start()
    at_edges, reads, values = [], [], []
    for k in range(20):
        if k == 10:
            program.wait(stall * 1_000_000)
            edges = program.board.edges()
            assert len(edges) == stall
        program.edge()
        seq = 3 + len(at_edges) + (stall if k >= 10 else 0)
        at_edges.append(seq & 0xFF)
        reads.append(len(reads))
        values.append(signed(program.frame()))
    assert set(np.diff(at_edges)) == {1}
    assert set(np.diff(reads)) == {1}  # nor does a count of frames read tell
    assert sorted(set(np.diff(values))) == [64, 64 * (stall + 1)]


def test_a_slow_continuous_read_tears_frames_behind_a_good_header() -> None:
    """500 kHz take 432 of 500 us at 2 kSPS; a wake-up 100 us late is enough."""
    program = Program(board(body=Ramp())).set_up(config1=0x93).start()
    program.wait(100_000)
    program.send(Opcode.RDATAC)
    program.edge()
    torn = 0
    for late_ns in (10_000, 100_000, 10_000, 150_000, 20_000):
        program.edge()
        program.wait(late_ns)
        frame = program.send(*bytes(27), speed_hz=500_000, hold_ns=0)
        decoded = decode_frames(np.frombuffer(frame, np.uint8).reshape(1, 27))
        assert decoded.header_ok.all()  # the peer's only check
        torn += np.ptp(decoded.counts) > 0
        program.board.edges()
    assert torn == 2


def test_data_ready_that_falls_within_the_last_clocks_is_not_an_edge_to_read_after() -> None:
    """The next frame's edge came while this one was read: waiting for the level is waiting for nothing."""
    program = Program(board(body=Ramp())).set_up(config1=0x93).start()
    program.edge()
    program.wait(500_000 - 27 * 4_000 + 6_000)  # ends 6 us after the next conversion
    program.send(Opcode.RDATA, *bytes(26), speed_hz=2_000_000, hold_ns=0)
    assert program.board.ready_high(0)
    assert len(program.board.edges()) == 1  # only who counts edges knows


def test_a_new_rate_restarts_the_filter_and_stale_frames_look_like_data() -> None:
    program = Program(board(body=Wave())).set_up(channels=0x00).start()
    program.counts(5)
    program.write(Address.LOFF, 0x02)
    program.write(Address.CONFIG1, 0x95)
    assert program.read(Address.LOFF) == b"\x02"  # the chip keeps it; a firmware that resets it is wrong
    changed_ns = program.board.now_ns()
    stale = []
    for _ in range(3):  # by the clock instead of by data-ready
        program.wait(2_000_000)
        stale.append(program.frame())
    assert len(set(stale)) == 1
    assert not program.board.edges()
    assert program.edge() - changed_ns == pytest.approx(16393 * 1e9 / 2_048_000, abs=500)


# Several chips


def by_chip(edges: list[ReadyEdge]) -> tuple[list[ReadyEdge], list[ReadyEdge]]:
    return [edge for edge in edges if edge.chip == 0], [edge for edge in edges if edge.chip == 1]


def test_averaging_pairs_of_samples_loses_a_trigger_of_one_sample_and_half_the_rate() -> None:
    program = Program(board(body=Wave())).set_up().start()
    bits = []
    for k in range(16):
        program.board.set_stimulus(int(k == 7))
        bits.append(program.next()[2] & 1)
    assert sum(bits) == 1
    kept = bits[0::2]  # the status of a pair is its first sample's
    assert sum(kept) == 0


def test_the_second_chips_status_is_not_the_firsts() -> None:
    two = board(chips=(ADS1299, ADS1299))
    programs = [Program(two, k).set_up(channels=0x00) for k in (0, 1)]
    two.set_electrode(9, "p", Electrode(off=True))
    for program in programs:
        program.write(Address.LOFF_SENSP, 0xFF)
        program.write(Address.CONFIG4, 0x02)
    two.set_start(True)
    programs[0].edge()
    first, second = (program.frame()[:3] for program in programs)
    peer_second = first  # "stat_2 = stat_1"
    assert peer_second != second
    assert (first, second) == (b"\xc0\x00\x00", b"\xc0\x20\x00")


def test_multiple_readback_left_on_hides_the_second_chip_of_a_chain() -> None:
    chain = board(*[1e-3] * 8, *[2e-3] * 8, chips=(ADS1299, ADS1299), daisy=True)
    program = Program(chain).set_up(config1=0xD6, channels=0x00)
    chain.set_start(True)
    program.edge()
    frames = program.send(Opcode.RDATA, *bytes(54))[1:]
    assert signed(frames[27:]) == signed(frames) == round(1e-3 / lsb_v(1))
    program.write(Address.CONFIG1, 0x96)
    program.edge()
    frames = program.send(Opcode.RDATA, *bytes(54))[1:]
    assert signed(frames[27:]) == round(2e-3 / lsb_v(1))


def test_starting_chips_one_after_the_other_keeps_them_apart_for_ever() -> None:
    two = board(chips=(ADS1299, ADS1299))
    for k in (0, 1):
        program = Program(two, k).set_up()
        program.send(Opcode.START)
        program.wait(300_000)
    two.advance(two.now_ns() + 1_000_000_000)
    first, second = ({edge.t_ns % 4_000_000 for edge in edges} for edges in by_chip(two.edges()))
    assert len(first) == len(second) == 1
    assert (second.pop() - first.pop()) % 4_000_000 == pytest.approx(300_000, abs=500)


def test_a_second_chip_without_the_firsts_clock_is_dead() -> None:
    two = board(chips=(ADS1299, ADS1299), clocks="first_chip")
    two.advance(140_000_000)
    two.transfer(ALL_SELECTS, bytes([Opcode.SDATAC]))
    assert two.transfer(1, bytes([Opcode.RREG, 0, 0])) == bytes(3)


# Leads, bias, impedance


def test_lead_off_status_means_nothing_while_nothing_is_sensed() -> None:
    program = Program(board()).set_up(channels=0x00)
    program.board.set_electrode(0, "p", Electrode(off=True))
    frame = program.start().next()
    assert frame[:3] == b"\xc0\x00\x00"  # "all leads on"
    assert signed(frame) == 8388607  # it hangs in the air
    program.write(Address.LOFF_SENSP, 0xFF)
    assert program.read(Address.LOFF_STATP) == b"\0"  # comparators still off
    program.write(Address.CONFIG4, 0x02)
    assert program.read(Address.LOFF_STATP) == b"\x01"


@pytest.mark.parametrize("ohm", [10_000.0, 51_000.0])
def test_impedance_from_the_standard_deviation_is_wrong_by_a_tenth_and_more(ohm: float) -> None:
    program = Program(board()).set_up()
    program.board.set_electrode(0, "p", Electrode(ohm, 0, 0))
    program.write(Address.LOFF, 0x02)
    program.write(Address.LOFF_SENSP, 0x01)
    volts = program.start().counts(248)[:, 0] * lsb_v(24)
    peer = np.sqrt(2) * volts.std() / 6e-9 - BOARD_SERIES_OHM
    assert peer / ohm > 1.1
    tone = 2 * np.mean(volts * np.exp(-2j * np.pi * np.arange(248) / 8))
    right = abs(tone) / (4 / np.pi * 6e-9 * magnitude(31.25, 250)) - BOARD_SERIES_OHM
    assert right == pytest.approx(ohm, rel=0.005)


def test_exciting_a_floating_lead_makes_the_others_look_better_than_they_are() -> None:
    program = Program(board()).set_up()
    program.board.set_electrode(1, "p", Electrode(off=True))
    program.write(Address.LOFF, 0x02)
    program.write(Address.LOFF_SENSP, 0x03)
    both = np.ptp(program.start().counts(24)[8:, 0])
    program.write(Address.LOFF_SENSP, 0x01)
    alone = np.ptp(program.start().counts(24)[8:, 0])
    assert both / alone == pytest.approx(4.5 / 33, rel=0.02)


def test_six_nanoamperes_dc_flag_only_true_opens() -> None:
    program = Program(board()).set_up(channels=0x00)
    program.board.set_electrode(0, "p", Electrode(1e6, 0, 0))  # as bad as electrodes get
    program.write(Address.LOFF_SENSP, 0x01)
    program.write(Address.CONFIG4, 0x02)
    assert program.read(Address.LOFF_STATP) == b"\0"
    program.board.set_electrode(0, "p", Electrode(off=True))
    assert program.read(Address.LOFF_STATP) == b"\x01"


def test_a_monopolar_montage_without_srb1_or_bias_is_at_the_rail() -> None:
    around = Surroundings(ground="bias")
    for config3, srb1, expected in ((0xEC, False, 8388607), (0xE0, True, 8388607), (0xEC, True, 1864)):
        program = Program(board(1e-3, around=around)).set_up(channels=0x00, config3=config3, srb1=srb1)
        assert signed(program.start().next()) == expected


# Time


def test_a_response_is_one_and_a_half_samples_behind_its_trigger_bit() -> None:
    """Electrodes and GPIO get the same edge; the bit is not filtered (facts 2)."""

    class Step(Volts):
        now = 0.0

        def read(self, sample: int) -> list[float]:
            return [self.now] * 8

    step = Step()
    program = Program(board(body=Filtered(step))).set_up(channels=0x00).start()
    bits, volts = [], []
    for k in range(20):
        if k == 10:
            program.board.set_stimulus(1)
            step.now = 1e-3
        frame = program.next()
        bits.append(frame[2] & 1)
        volts.append(signed(frame) * lsb_v(1) / 1e-3)
    assert bits.index(1) == 10
    half_way = np.interp(0.5, volts[9:15], np.arange(9, 15))
    edge = 9.0  # rows 9 and 10 hold the input half a sample before their conversions, at 8.5 and 9.5
    assert half_way - edge == pytest.approx(1.5, abs=1e-3)


def test_an_oscillator_taken_for_a_crystal_is_late_by_a_second_in_a_quarter_hour() -> None:
    program = Program(board(oscillator_ppm=-1_100.0)).set_up().start()
    first_ns = program.edge()
    for _ in range(500):
        last_ns = program.edge()
    late_s = (last_ns - first_ns) / 1e9 - 500 / 250
    assert late_s * 900 / 2 == pytest.approx(0.99, abs=0.01)
