"""The modelled board in its own time: START, data-ready, pins, power, bodies (facts/hardware 1.1 to 1.6)."""

from itertools import pairwise

import pytest

from hw.chips import ADS1298, ADS1299, ADS1299_4, RATES_HZ, Opcode, tclk_to_ns
from hw.frames import lsb_uv
from hw.model.board import ALL_SELECTS, BoardModel, BoardSetup
from hw.model.electrodes import Electrode
from hw.registers import Address
from tests.support.boards import REFERENCE_NS, Counting, Program, Volts, board, lsb_v

CONFIG1 = {rate_hz: 0x90 | code for code, rate_hz in enumerate(RATES_HZ)}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_first_data_after_settling_then_every_period_exactly(rate_hz: float) -> None:
    program = Program(board()).set_up(CONFIG1[rate_hz])
    started_ns = program.board.now_ns()
    edges = [program.start().edge(), *(program.edge() for _ in range(50))]
    sample_tclk = 2_048_000 / rate_hz
    assert edges[0] - started_ns == pytest.approx((4 * sample_tclk + 9) * 1e9 / 2_048_000, abs=490)
    assert {b - a for a, b in pairwise(edges)} == {round(1e9 / rate_hz)}


def test_the_older_family_settles_in_four_and_a_half_periods() -> None:
    program = Program(board(chips=(ADS1298,)))
    program.send(Opcode.SDATAC)
    program.write(Address.CONFIG1, 0x86)  # high resolution, 500 SPS
    started_ns = program.board.now_ns()
    assert program.start().edge() - started_ns == pytest.approx((4.5 * 4096 + 8) * 1e9 / 2_048_000, abs=490)
    assert program.board.rate_hz == 500


def test_an_oscillator_that_is_off_shows_in_every_edge() -> None:
    program = Program(board(oscillator_ppm=-1000.0)).set_up().start()
    first = program.edge()
    for _ in range(250):
        last = program.edge()
    assert (last - first) / 250 == pytest.approx(4_000_000 * 1.001001, abs=1)


def test_conversions_do_not_wait_for_a_reader_and_edges_are_counted() -> None:
    program = Program(board()).set_up().start()
    program.edge()
    program.wait(40_000_000)
    edges = program.board.edges()
    assert [edge.seq for edge in edges] == list(range(1, 11))
    assert [edge.chip for edge in edges] == [0] * 10


def test_data_ready_falls_unread_rises_with_the_first_clock_and_pulses_before_the_next() -> None:
    program = Program(board()).set_up()
    high = program.board.ready_high
    assert high(0)
    at_ns = program.start().edge()
    assert not high(0)
    program.board.advance(at_ns + 4_000_000 - 1_955)
    assert not high(0)
    program.board.advance(at_ns + 4_000_000 - 1_954)
    assert high(0)  # tUPDATE, 4 tCLK
    program.board.advance(at_ns + 4_000_000)
    assert not high(0)
    program.send(0)
    assert high(0)


@pytest.mark.parametrize(("rises", "after_register"), [("any_clock", True), ("data_clock", False)])
def test_which_clock_ends_data_ready_is_an_option(rises: str, after_register: bool) -> None:
    program = Program(board(ready_rises=rises)).set_up().start()
    program.edge()
    program.read(Address.ID)
    assert program.board.ready_high(0) is after_register
    program.frame()
    assert program.board.ready_high(0)


def test_the_start_pin_is_the_start_command_for_all_chips_at_once() -> None:
    two = board(chips=(ADS1299, ADS1299))
    programs = [Program(two, k).set_up() for k in (0, 1)]
    two.set_start(True)
    started_ns = two.now_ns()
    two.advance(started_ns + 17_000_000)
    edges = two.edges()
    assert [(edge.chip, edge.seq) for edge in edges] == [(0, 0), (1, 0)]
    assert edges[0].t_ns == edges[1].t_ns
    two.set_start(False)
    two.advance(two.now_ns() + 50_000_000)
    assert [(edge.chip, edge.seq) for edge in two.edges()] == [(0, 1), (1, 1)]  # the one under way completes
    assert two.next_ready_ns() is None
    assert programs[0].read(Address.ID) == b"\x3e"


def test_stop_close_to_data_ready_lets_one_more_conversion_happen() -> None:
    for tclk_before, further in ((17, 1), (15, 2)):
        program = Program(board()).set_up().start()
        at_ns = program.edge()
        program.board.advance(at_ns + 4_000_000 - tclk_to_ns(tclk_before))
        program.send(Opcode.STOP)
        program.wait(50_000_000)
        assert len(program.board.edges()) == further


def test_a_reset_pulse_needs_two_clocks_and_restarts_under_a_high_start_pin() -> None:
    program = Program(board()).set_up()
    program.board.set_start(True)
    program.board.set_reset(True)
    program.wait(900)
    program.board.set_reset(False)
    assert program.read(Address.MISC1) == b"\x20"  # too short: nothing
    program.board.set_reset(True)
    program.wait(5_000_000)
    assert program.board.next_ready_ns() is None
    assert program.read(Address.MISC1) == b"\0"  # held in reset: no answer
    program.board.set_reset(False)
    released_ns = program.board.now_ns()
    program.send(Opcode.SDATAC)  # within 18 tCLK: lost
    program.wait(10_000)
    program.send(Opcode.SDATAC)
    assert program.read(Address.CONFIG1, 2) == b"\x96\xc0"
    assert program.read(Address.MISC1) == b"\0"
    assert program.edge() - released_ns == pytest.approx((32777 + 18) * 1e9 / 2_048_000, abs=1000)


def test_a_power_cycle_forgets_everything_and_must_be_waited_for() -> None:
    program = Program(board()).set_up().start()
    program.edge()
    program.board.power_cycle()
    assert program.board.next_ready_ns() is None
    program.wait(129_000_000)
    program.send(Opcode.SDATAC)
    assert program.read(Address.MISC1) == b"\0"
    assert program.read(Address.ID) == b"\x3e"


def test_a_write_to_config1_restarts_the_filter_of_that_chip_only() -> None:
    two = board(chips=(ADS1299, ADS1299))
    first, second = (Program(two, k).set_up() for k in (0, 1))
    two.set_start(True)
    second.edge()
    first.write(Address.CONFIG1, 0x96)
    at_ns = two.now_ns()
    two.advance(at_ns + 17_000_000)
    assert [edge.chip for edge in two.edges()] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_marginal_chip_given_too_little_time_fails_one_time_in_fifty(seed: int) -> None:
    model = board(power_up="marginal", seed=seed)
    program = Program(model, awake=False)

    def answers_after(wait_ns: int) -> bool:
        model.power_cycle()
        program.wait(wait_ns)
        program.send(Opcode.RESET)
        program.wait(20_000)
        program.send(Opcode.SDATAC)
        return program.read(Address.ID) == b"\x3e"

    early = [answers_after(60_000_000) for _ in range(1000)]
    assert 8 <= early.count(False) <= 38  # 20 expected
    assert all(answers_after(129_000_000) for _ in range(300))
    assert not any(answers_after(30_000_000) for _ in range(20))  # less than 2^16 tCLK never was enough


def test_a_rushed_strict_chip_always_fails() -> None:
    program = Program(board(), awake=False)
    program.wait(127_000_000)
    program.send(Opcode.RESET)
    program.wait(100_000_000)
    program.send(Opcode.SDATAC)
    assert program.read(Address.ID) == b"\0"


# What the electrodes see


def test_the_body_is_read_once_a_conversion_and_never_back() -> None:
    body = Volts()
    program = Program(board(body=body)).set_up().start()
    program.edge()
    assert body.seen == [0, 1, 2, 3]
    program.start().edge()
    assert body.seen == list(range(8))
    program.write(Address.CONFIG1, 0x95)
    program.edge()
    assert body.seen == list(range(12))


def test_a_change_at_an_input_settles_over_four_conversions() -> None:
    program = Program(board(1e-3)).set_up(channels=0x00).start()
    program.counts(5)
    program.wait(1_000_000)  # a quarter of a period
    program.write(Address.CH1SET, 0x01)  # shorted
    full = 1e-3 / lsb_v(1)
    got = program.counts(5)[:, 0] / full
    taken_up = [0.75**3 / 6, 0.5 + 1.5 * 1.75**2 - 1.5 * 1.75 - 1.75**3 / 3, 1 - 0.25**3 / 6, 1, 1]
    assert got == pytest.approx([1 - x for x in taken_up], abs=2e-3)


def test_changes_close_together_are_each_there_for_their_time() -> None:
    program = Program(board(1e-3, 1e-3)).set_up(channels=0x00).start()
    program.counts(5)
    program.wait(1_000_000)
    program.write(Address.CH1SET, 0x01)
    program.wait(2_000_000)
    program.write(Address.CH2SET, 0x01)
    got = program.counts(5)[:, :2] / (1e-3 / lsb_v(1))
    assert got[:, 0] == pytest.approx([0.930, 0.318, 0.0026, 0, 0], abs=2e-3)
    assert got[:, 1] == pytest.approx([0.9974, 0.682, 0.070, 0, 0], abs=2e-3)


def test_power_down_is_digital_and_at_once() -> None:
    program = Program(board(1e-3)).set_up(channels=0x00).start()
    program.counts(5)
    program.write(Address.CH1SET, 0x80)
    assert program.counts()[0, 0] == 0


def test_a_restart_forgets_the_input_before_it() -> None:
    program = Program(board(1e-3)).set_up(channels=0x00).start()
    program.counts(5)
    program.write(Address.CH1SET, 0x01)
    assert not program.start().counts(2)[:, 0].any()


def test_stimulus_lines_return_to_the_first_chip_and_stimulate_their_site_in_time() -> None:
    body = Volts()
    program = Program(board(body=body, sites=("left median", "", "right median", ""))).set_up().start()
    program.edge()
    program.wait(1_000_000)  # a quarter of a period after conversion 3
    program.board.set_stimulus(0b0101)
    program.board.set_stimulus(0b0111)
    assert body.stimuli == [(3.25, "left median"), (3.25, "right median")]
    assert program.next()[2] & 0x0F == 0b0111
    program.board.set_stimulus(0)
    program.board.set_stimulus(0b0001)
    assert [at for at, _ in body.stimuli[2:]] == [4.0]


def test_electrodes_are_put_by_channel_over_all_chips() -> None:
    two = board(*[1e-3] * 12, chips=(ADS1299_4, ADS1299))
    programs = [Program(two, k).set_up(channels=0x00) for k in (0, 1)]
    two.set_electrode(5, "p", Electrode(off=True))
    two.set_start(True)
    two.advance(two.now_ns() + 17_000_000)
    first, second = (program.frame() for program in programs)
    volts = [
        int.from_bytes(f[k : k + 3], "big", signed=True) for f in (first, second) for k in range(3, len(f), 3)
    ]
    expected = round(1e-3 * 1e6 / lsb_uv(1))
    assert volts == [expected] * 5 + [8388607] + [expected] * 6
    with pytest.raises(ValueError, match="channel 12: the board has 12"):
        two.set_electrode(12, "p", Electrode())


# Windows


def test_a_select_without_a_chip_is_refused() -> None:
    for select in (1, -2):
        with pytest.raises(ValueError, match=f"chip select {select}: the board has 1"):
            board().transfer(select, b"\0")
        with pytest.raises(ValueError, match=f"chip select {select}: the board has 1"):
            board().transfer(select, b"\0", 1_000_000)


def test_all_selects_low_every_chip_hears_and_the_first_answers() -> None:
    two = BoardModel(BoardSetup((ADS1299_4, ADS1299)))
    two.advance(140_000_000)
    two.transfer(ALL_SELECTS, bytes([Opcode.SDATAC]))
    two.transfer(ALL_SELECTS, bytes([Opcode.WREG | Address.CONFIG2, 0, 0xD0]))
    assert two.transfer(ALL_SELECTS, bytes([Opcode.RREG, 0, 0]))[2] & 0x1F == 0x1C
    assert [two.transfer(k, bytes([Opcode.RREG | Address.CONFIG2, 0, 0]))[2] for k in (0, 1)] == [0xD0, 0xD0]


def test_bytes_take_their_time_on_the_wire() -> None:
    program = Program(board())
    at_ns = program.board.now_ns()
    program.board.transfer(0, bytes(27), 1_000_000)
    assert program.board.now_ns() - at_ns == 216_000
    program.board.transfer(0, bytes(27))
    assert program.board.now_ns() - at_ns == 216_000


def test_a_window_can_have_pauses() -> None:
    program = Program(board(body=Counting())).set_up().start()
    program.edge()
    model = program.board
    model.select(0)
    reply = model.clock(bytes([Opcode.RREG | Address.MISC1]), 2_000_000)
    model.advance(model.now_ns() + 5_000)
    reply += model.clock(bytes([0]), 2_000_000)
    reply += model.clock(bytes(1), 2_000_000)
    model.deselect()
    assert reply == bytes([0, 0, 0x20])


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        ({"chips": ()}, "1 to 4 chips, not 0"),
        ({"chips": (ADS1299,) * 5}, "1 to 4 chips, not 5"),
        ({"sites": ("left median",) * 5}, "5 stimulus sites"),
        ({"daisy_gap_bits": 2}, "2 bits between"),
    ],
)
def test_a_board_that_cannot_be_is_refused(setup: dict, says: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=says):
        BoardSetup(**setup)


def test_reference_time_is_awaited() -> None:
    """What the other tests rest on: before 150 ms every electrode reads full scale."""
    program = Program(board(1e-3))
    program.send(Opcode.SDATAC)
    program.write(Address.CONFIG3, 0xE0)
    program.write(Address.CH1SET, 0x00)
    program.write(Address.MISC1, 0x20)
    program.start()
    assert program.counts()[0, 0] == 8388607
    program.wait(REFERENCE_NS)
    program.board.edges()
    program.counts(4)
    assert program.counts()[0, 0] == round(1e-3 / lsb_v(1))
