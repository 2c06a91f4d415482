"""Lead-off: currents into electrode networks, through filter and bytes, and the comparators (facts 1.8)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.chips import ADS1298, FCLK_HZ
from hw.model.ads1299_options import Surroundings
from hw.model.electrodes import BOARD_SERIES_OHM, Electrode, Lead
from hw.model.sinc3 import magnitude
from hw.registers import Address
from tests.support.boards import Program, board, lsb_v

PAIRS = Surroundings(negative_input="pins")
OFF = Electrode(off=True)
MAX, MIN = 8388607, -8388608
F_31, F_7, QUARTER = 0x02, 0x01, 0x03
CURRENT_A = {0x00: 6e-9, 0x04: 24e-9, 0x08: 6e-6, 0x0C: 24e-6}


def excited(program: Program, loff: int, sense_p: int = 0xFF, sense_n: int = 0x00, flip: int = 0) -> Program:
    program.write(Address.LOFF, loff)
    program.write(Address.LOFF_SENSP, sense_p, sense_n, flip)
    program.write(Address.CONFIG4, 0x02)
    return program.start()


def phasor(counts: np.ndarray, tone_hz: float, rate_hz: float) -> complex:  # type: ignore[type-arg]
    """Peak amplitude and phase at `tone_hz`, time counted from START, in counts."""
    times_s = (np.arange(len(counts)) + 4 - 1.5) / rate_hz  # the first data are the fourth conversion's
    return complex(2 * np.mean(counts * np.exp(-2j * np.pi * tone_hz * times_s)))


def impedance(electrode: Electrode, frequency: int, rate_hz: float = 250.0, noise: bool = False) -> complex:
    """What whole cycles of channel 1 say of `electrode`, by the facts' formula, series resistor off."""
    program = Program(board(noise=noise)).set_up(0x90 | {250: 6, 1000: 4, 4000: 2}[round(rate_hz)], 0x60)
    program.board.set_electrode(0, "p", electrode)
    tone_hz = {F_31: FCLK_HZ / (1 << 16), F_7: FCLK_HZ / (1 << 18), QUARTER: rate_hz / 4}[frequency]
    cycles = 31 if noise else 1
    counts = excited(program, frequency).counts(round(cycles * 4 * rate_hz / 7.8125) // 4 * 4)[:, 0]
    volts = phasor(counts * lsb_v(24), tone_hz, rate_hz)
    source_a = 4 / np.pi * 6e-9 * magnitude(tone_hz, rate_hz) * -1j  # a sine: positive in its first half
    return volts / source_a - BOARD_SERIES_OHM


@settings(max_examples=25, deadline=None)
@given(
    st.floats(100, 20_000), st.floats(0, 40_000), st.floats(0, 200e-9), st.sampled_from([F_31, F_7, QUARTER])
)
def test_the_fundamental_tells_the_network_through_the_whole_path(
    series_ohm: float, parallel_ohm: float, farad: float, frequency: int
) -> None:
    electrode = Electrode(series_ohm, parallel_ohm, farad)
    tone_hz = {F_31: 31.25, F_7: 7.8125, QUARTER: 62.5}[frequency]
    true = complex(electrode.impedance_ohm(np.array([tone_hz]))[0])
    folds = (
        0.04 if frequency == QUARTER else 0.004
    )  # at four conversions a cycle harmonics fold onto the tone
    assert impedance(electrode, frequency) == pytest.approx(true, rel=folds, abs=5 + folds * BOARD_SERIES_OHM)


@pytest.mark.parametrize("rate_hz", [1000.0, 4000.0])
def test_at_higher_rates_too(rate_hz: float) -> None:
    electrode = Electrode(1_000, 20_000, 50e-9)
    true = complex(electrode.impedance_ohm(np.array([31.25]))[0])
    assert impedance(electrode, F_31, rate_hz) == pytest.approx(true, rel=0.002, abs=5)


@pytest.mark.parametrize("ohm", [1_000.0, 50_000.0])
def test_with_the_converters_noise_a_few_seconds_are_enough_for_two_percent(ohm: float) -> None:
    got = impedance(Electrode(ohm, 0.0, 0.0), F_31, noise=True)
    assert abs(got) == pytest.approx(ohm, rel=0.02)


def test_currents_are_as_set_and_flow_only_where_sensed() -> None:
    for code, current_a in CURRENT_A.items():
        program = Program(board()).set_up(channels=0x00)
        for channel in range(8):
            program.board.set_electrode(channel, "p", Electrode(10_000, 0, 0))
        got = excited(program, code, sense_p=0x0F, flip=0x02).counts(4)[-1] * lsb_v(1)
        drop_v = current_a * (10_000 + BOARD_SERIES_OHM)
        assert got == pytest.approx([drop_v, -drop_v, drop_v, drop_v, 0, 0, 0, 0], abs=lsb_v(1))


def test_a_pair_of_electrodes_drops_on_both_and_shared_references_sum_their_currents() -> None:
    pair = Program(board(around=PAIRS)).set_up(channels=0x00, srb1=False)
    pair.board.set_electrode(0, "p", Electrode(10_000, 0, 0))
    pair.board.set_electrode(0, "n", Electrode(30_000, 0, 0))
    got = excited(pair, 0x08, 0x01, 0x01).counts(4)[-1, 0] * lsb_v(1)
    assert got == pytest.approx(6e-6 * (40_000 + 2 * BOARD_SERIES_OHM), abs=lsb_v(1))
    shared = Program(board()).set_up(channels=0x00)
    shared.board.set_electrode(0, "n", Electrode(1_000, 0, 0))
    got_shared = excited(shared, 0x08, 0x00, 0x07).counts(4)[-1] * lsb_v(1)
    assert got_shared == pytest.approx([3 * 6e-6 * (1_000 + BOARD_SERIES_OHM)] * 8, abs=lsb_v(1))


def test_a_lead_only_of_the_electrode_multiplexer_shows_the_current() -> None:
    program = Program(board()).set_up(channels=0x01)
    assert not excited(program, 0x08).counts(4).any()


def test_the_waves_phase_is_counted_from_start() -> None:
    """Started at any moment the trace is the same, so that phases of different runs compare."""
    program = Program(board()).set_up()
    excited(program, F_31)
    first = program.counts(32)
    program.wait(3_333_333)
    again = program.start().counts(32)
    assert np.array_equal(first, again)


def test_a_floating_excited_lead_drags_all_others_down() -> None:
    program = Program(board()).set_up()
    whole = np.ptp(excited(program, F_31).counts(16)[8:, 1])
    program.board.set_electrode(0, "p", OFF)
    dragged = program.start().counts(16)[8:]
    assert np.ptp(dragged[:, 1]) / whole == pytest.approx(4.5 / 33, rel=0.02)
    assert (dragged[:, 0] == MAX).all()
    program.write(Address.LOFF_SENSP, 0xFE)  # that lead is not excited any more
    assert np.ptp(program.start().counts(16)[8:, 1]) == whole


@pytest.mark.parametrize("tolerance", [0.0, 0.2])
def test_currents_differ_from_lead_to_lead_within_the_tolerance(tolerance: float) -> None:
    program = Program(board(lead_off_tolerance=tolerance, seed=4)).set_up(channels=0x00)
    got = excited(program, 0x08).counts(4)[-1].astype(float)
    spread = got / (6e-6 * Lead(Electrode()).dc_ohm / lsb_v(1)) - 1
    assert np.abs(spread).max() <= tolerance + 1e-4
    assert bool(np.ptp(spread) > 0.1) is (tolerance > 0)


def test_a_current_can_be_set_per_lead() -> None:
    program = Program(board()).set_up(channels=0x00)
    program.board.chips[0].set_lead_off_current(1, "p", 0.8)
    got = excited(program, 0x08).counts(4)[-1]
    assert got[1] / got[0] == pytest.approx(0.8, rel=1e-3)


def test_the_older_familys_currents_and_frequencies() -> None:
    program = Program(board(chips=(ADS1298,))).set_up(0x06, 0x00, 0xC0, srb1=False)
    for channel in range(8):
        program.board.set_electrode(channel, "p", Electrode(100_000, 0, 0))
    drop_v = 24e-9 * (100_000 + BOARD_SERIES_OHM)
    direct = excited(program, 0x0F, sense_p=0x01).counts(5)[-1, 0] * 2.4 / 6 / (1 << 23)
    assert direct == pytest.approx(drop_v, rel=1e-3)
    wave = excited(program, 0x0D, sense_p=0x01).counts(40)[8:, 0] * 2.4 / 6 / (1 << 23)
    assert np.abs(np.fft.rfft(wave))[1:].argmax() + 1 == 8  # a quarter of the rate
    unset = excited(program, 0x0C, sense_p=0x01).counts(5)[-1, 0]  # FLEAD_OFF 00 is not to be used
    assert unset == 0


# Comparators


def flags(program: Program) -> tuple[int, int]:
    positive, negative = program.read(Address.LOFF_STATP, 2)
    return positive, negative


def trips(ohm: float, loff: int) -> bool:
    program = Program(board()).set_up(channels=0x00)
    program.board.set_electrode(2, "p", Electrode(ohm, 0, 0))
    excited(program, loff)
    program.edge()
    return flags(program)[0] == 0x04


@pytest.mark.parametrize(("current", "ohm"), [(0x00, 375e6), (0x04, 93.75e6), (0x08, 375e3), (0x0C, 93.75e3)])
def test_resistances_that_trip_at_95_percent_are_the_facts(current: int, ohm: float) -> None:
    assert not trips(0.99 * ohm - BOARD_SERIES_OHM, current)
    assert trips(1.01 * ohm - BOARD_SERIES_OHM, current)


@pytest.mark.parametrize(
    ("code", "percent"), [(0, 95), (1, 92.5), (2, 90), (3, 87.5), (4, 85), (5, 80), (6, 75), (7, 70)]
)
def test_thresholds(code: int, percent: float) -> None:
    ohm = (percent - 50) / 100 * 5 / 6e-6 - BOARD_SERIES_OHM
    assert not trips(0.99 * ohm, code << 5 | 0x08)
    assert trips(1.01 * ohm, code << 5 | 0x08)


def test_open_leads_are_flagged_where_sensed_with_comparators_on() -> None:
    program = Program(board(around=PAIRS)).set_up(channels=0x00, srb1=False)
    for channel, side in ((0, "p"), (1, "n"), (7, "p")):
        program.board.set_electrode(channel, side, OFF)
    excited(program, 0x00, 0xFF, 0xFF)
    assert flags(program) == (0x81, 0x02)
    frame = program.next()
    assert (frame[0] << 4 & 0xF0 | frame[1] >> 4, frame[1] << 4 & 0xF0 | frame[2] >> 4) == (0x81, 0x02)
    program.write(Address.CONFIG4, 0x00)
    assert flags(program) == (0, 0)
    program.write(Address.CONFIG4, 0x02)
    program.write(Address.LOFF_SENSP, 0x7F, 0x00)
    assert flags(program) == (0x01, 0x00)


def test_an_open_lead_goes_to_the_supply_that_its_current_pulls_to() -> None:
    program = Program(board()).set_up(channels=0x00)
    for channel in (0, 1):
        program.board.set_electrode(channel, "p", OFF)
    got = excited(program, 0x00, 0x03, flip=0x02).counts(4)[-1]
    assert got[:2].tolist() == [MAX, MIN]
    assert flags(program) == (0x03, 0)


def test_flags_lie_when_the_reference_or_the_bias_is_loose() -> None:
    program = Program(board()).set_up(channels=0x00)
    program.board.set_electrode(0, "n", OFF)
    excited(program, 0x00, 0xFF, 0xFF)
    assert flags(program) == (0xFF, 0xFF)
    biased = Program(board(around=Surroundings(ground="bias"))).set_up(channels=0x00, config3=0xEC)
    biased.write(Address.BIAS_SENSP, 0xFF)
    biased.board.set_electrode(5, "p", OFF)
    excited(biased, 0x00, 0xFF, 0x00)
    assert flags(biased) == (0xFF, 0)


@pytest.mark.parametrize("values", [(-1.0, 0.0, 0.0), (0.0, float("inf"), 0.0), (0.0, 0.0, float("nan"))])
def test_an_electrode_that_cannot_be_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="finite resistances"):
        Electrode(*values)
