"""The analogue side on the board: test signal, supplies, BIAS, SRB wiring, clipping (facts 1.5, 1.9)."""

from itertools import pairwise

import numpy as np
import pytest

from hw.chips import ADS1298, GAINS, RATES_HZ, Opcode
from hw.frames import lsb_uv
from hw.model.ads1299_options import Surroundings
from hw.model.electrodes import Electrode
from hw.registers import Address, Mux
from tests.support.boards import Program, board, lsb_v

MAX, MIN = 8388607, -8388608
OFF = Electrode(off=True)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_test_signal_is_the_squares_amplitude_peak_and_its_edges_are_the_filters(rate_hz: float) -> None:
    code = RATES_HZ.index(rate_hz)
    program = Program(board()).set_up(0x90 | code, 0x05)
    program.write(Address.CONFIG2, 0xD1)
    period = round(rate_hz * 0.512)
    n = min(period, 700)
    uv = program.start().counts(n)[:, 2] * lsb_uv(1)
    assert uv.min() == pytest.approx(-1875, abs=0.6)
    assert uv[:5] == pytest.approx([-1875] * 5, abs=0.6)  # low in its first half, counted from START
    if n == period:
        assert uv.max() == pytest.approx(1875, abs=0.6)
        edge = period // 2 - 4
        assert uv[edge : edge + 4] == pytest.approx([-1875, -1250, 1250, 1875], abs=0.6)


def test_the_test_signals_phase_survives_a_filter_restart_in_mid_run() -> None:
    """CONFIG1 restarts the filter, not the generator: the aperture moves against the wave."""
    program = Program(board()).set_up(0x96, 0x05)
    program.write(Address.CONFIG2, 0xD1)
    program.start().counts(10)
    started_ns = program.board.now_ns() - 13 * 4_000_000
    program.wait(1_500_000)
    program.write(Address.CONFIG1, 0x96)
    uv = [(program.edge(), int.from_bytes(program.frame()[3:6], "big", signed=True)) for _ in range(120)]
    crossing = next(t for (t, a), (_, b) in pairwise(uv) if a < 0 < b)
    assert (crossing - started_ns) / 1e6 == pytest.approx(256 + 6 - 2, abs=4.1)  # half a period, 1.5 samples


@pytest.mark.parametrize(("config3", "volts"), [(0xC0, 2.4), (0xE0, 4.0)])
def test_the_older_familys_references_scale_counts_and_test_signal(config3: int, volts: float) -> None:
    program = Program(board(1e-3, chips=(ADS1298,))).set_up(0x86, 0x10, config3, srb1=False)
    program.write(Address.CONFIG2, 0x53)  # internal, DC
    program.write(Address.CH2SET, 0x15)
    got = program.start().counts(4)[-1]
    assert got[0] == round(1e-3 / volts * (1 << 23))
    assert got[1] * volts / (1 << 23) == pytest.approx(-volts / 2400, rel=1e-4)


@pytest.mark.parametrize(("formula", "volts"), [("half_sum", 0.0), ("half_difference", 2.5)])
def test_the_supply_formula_in_doubt_is_an_option(formula: str, volts: float) -> None:
    bipolar = Surroundings(avdd_v=2.5, avss_v=-2.5, dvdd_v=3.3)
    got = Program(board(around=bipolar, supply_formula=formula)).set_up(channels=0x03).start().counts()[0]
    assert got * lsb_v(1) == pytest.approx([volts, volts, 0.825, 0.825, *[volts] * 4], abs=1e-6)


def test_gain_amplifiers_end_at_the_supplies() -> None:
    """4 V leave 3.6 V between the outputs, 0.8 of full scale, at every gain."""
    low = Surroundings(avdd_v=4.0)
    for code, gain in enumerate(GAINS):
        program = Program(board(5 / gain, -5 / gain, 3.5 / gain, around=low)).set_up(channels=code << 4)
        got = program.start().counts()[0]
        limit = 3.6 / 4.5 * (1 << 23)
        assert got[:2] == pytest.approx([limit, -limit], abs=1)
        assert got[2] == pytest.approx(3.5 / 4.5 * (1 << 23), abs=1)


# Electrodes, reference, bias


def test_an_open_electrode_is_at_full_scale_and_others_are_not() -> None:
    program = Program(board(1e-3, 1e-3)).set_up(channels=0x00)
    program.board.set_electrode(0, "p", OFF)
    got = program.start().counts()[0]
    assert got[0] == MAX
    assert got[1] == round(1e-3 / lsb_v(1))


def test_an_open_reference_takes_every_channel_with_it() -> None:
    program = Program(board()).set_up(channels=0x00)
    program.board.set_electrode(3, "n", OFF)  # on this board the reference electrode
    assert program.start().counts()[0].tolist() == [MAX] * 8
    pairs = Program(board(around=Surroundings(negative_input="pins"))).set_up(channels=0x00, srb1=False)
    pairs.board.set_electrode(3, "n", OFF)
    assert pairs.start().counts()[0].tolist() == [0, 0, 0, MAX, 0, 0, 0, 0]


def test_electrodes_on_the_negative_pins_against_srb2_are_inverted() -> None:
    around = Surroundings(negative_input="srb2")
    program = Program(board(1e-3, 1e-3, around=around)).set_up(channels=0x08, srb1=False)
    program.write(Address.CH2SET, 0x00)  # SRB2 open: the positive pin floats
    got = program.start().counts()[0]
    assert got[0] == -round(1e-3 / lsb_v(1))
    assert got[1] == MAX


def test_srb2_without_a_wire_ties_positive_inputs_together() -> None:
    program = Program(board(1e-3, 3e-3, 5e-3)).set_up(channels=0x00)
    program.write(Address.CH1SET, 0x08, 0x08)
    got = program.start().counts()[0] * lsb_v(1)
    assert got[:3] == pytest.approx([2e-3, 2e-3, 5e-3], abs=1e-6)


BIASED = Surroundings(ground="bias")


@pytest.mark.parametrize(("config3", "held"), [(0xEC, True), (0xE0, False)])
def test_without_bias_drive_a_body_without_ground_floats_to_a_rail(config3: int, held: bool) -> None:
    program = Program(board(1e-3, around=BIASED)).set_up(channels=0x00, config3=config3)
    program.write(Address.BIAS_SENSP, 0x01)
    expected = round(1e-3 / lsb_v(1)) if held else MAX
    assert program.start().counts()[0, 0] == expected


def test_a_loose_lead_in_the_derivation_saturates_bias_for_all() -> None:
    program = Program(board(1e-3, around=BIASED)).set_up(channels=0x00, config3=0xFC)
    program.write(Address.BIAS_SENSP, 0xFF)
    program.write(Address.CH8SET, 0x02)  # BIAS_MEAS
    program.start().counts(5)
    program.board.set_electrode(4, "p", OFF)
    program.counts(4)
    got = program.counts()[0]
    assert got[:7].tolist() == [MAX] * 7
    assert got[7] * lsb_v(1) == pytest.approx(2.5, abs=1e-6)
    program.write(Address.BIAS_SENSP, 0xEF)  # that lead out of the derivation
    program.counts(4)
    got = program.counts()[0]
    assert got[0] == round(1e-3 / lsb_v(1))
    assert got[4] == MAX
    assert got[7] == 0


def test_bias_measurement_needs_its_switch() -> None:
    program = Program(board(around=BIASED)).set_up(channels=0x02, config3=0xEC)
    program.write(Address.BIAS_SENSP, 0xFF)
    program.board.set_electrode(0, "p", OFF)
    assert not program.start().counts()[0].any()
    program.write(Address.CONFIG3, 0xFC)
    assert program.counts(5)[-1] * lsb_v(1) == pytest.approx([2.5] * 8, abs=1e-6)


def test_bias_drive_on_an_input() -> None:
    program = Program(board(around=BIASED)).set_up(channels=0x06, config3=0xEC)
    program.write(Address.CH2SET, 0x07)
    program.write(Address.BIAS_SENSP, 0xFF)
    assert not program.start().counts()[0].any()
    program.board.set_electrode(0, "p", OFF)
    assert program.counts(5)[-1, :2] * lsb_v(1) == pytest.approx([2.5, -2.5], abs=1e-6)


def test_an_open_bias_electrode_lets_go_of_the_body_and_says_so_when_asked() -> None:
    program = Program(board(1e-3, around=BIASED)).set_up(channels=0x00, config3=0xEC)
    program.board.set_bias_electrode(OFF)
    assert program.start().counts()[0, 0] == MAX
    assert program.read(Address.CONFIG3) == b"\xec"
    program.write(Address.CONFIG3, 0xEE)
    assert program.read(Address.CONFIG3) == b"\xef"
    program.board.set_bias_electrode(Electrode())
    assert program.read(Address.CONFIG3) == b"\xee"


def test_the_reference_goes_with_its_bit() -> None:
    program = Program(board(1e-3)).set_up(channels=0x00).start()
    program.counts(5)
    program.write(Address.CONFIG3, 0x60)
    assert program.counts(5)[-1, 0] == MAX


def test_every_multiplexer_position_of_every_gain_agrees_with_its_volts() -> None:
    expected = {Mux.SHORTED: 0.0, Mux.TEMPERATURE: 0.1453, Mux.TEST_SIGNAL: -1.875e-3, Mux.BIAS_MEASURE: 0.0}
    for code, gain in enumerate(GAINS):
        program = Program(board()).set_up()
        program.write(Address.CONFIG2, 0xD3)
        for mux, volts in expected.items():
            program.write(Address.CH1SET, *[code << 4 | mux] * 8)
            got = program.start().counts()[0]
            assert got * lsb_v(gain) == pytest.approx(np.full(8, volts), abs=lsb_v(gain))
        program.send(Opcode.STOP)
