"""The judges by themselves: each limit from both sides, each figure against arithmetic done another way."""

import numpy as np
import pytest

from firmware.bench.box import capture
from firmware.bench.item_held import judge_held, rate_of
from firmware.bench.items_filter import couplings
from firmware.bench.items_leads import Flags, judge_bias, judge_current, judge_lead_off, tone_uv
from firmware.bench.items_lines import Pulse, judge_idle, judge_trigger_loop
from firmware.bench.items_noise import judge_noise, judge_offset, mains_lines
from firmware.bench.items_registers import judge_identity, judge_reset_map
from firmware.bench.items_selects import judge_power_ups, judge_selects
from firmware.bench.items_signal import judge_scale, judge_test_signal, square_of
from firmware.bench.items_supply import judge_reference, judge_supply, judge_temperature
from firmware.bench.items_timing import edges_of, judge_continuous, judge_data_ready, judge_headers, robust_sd
from firmware.bench.verdicts import Verdict, within, worst
from firmware.held import RateHeld
from firmware.ports import Edge
from hw.frames import FrameLayout
from hw.registers import REGISTERS

NAMES = [str(k + 1) for k in range(8)]
PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL


def edges(rate_hz: float, n: int = 1000) -> np.ndarray:
    return np.rint(np.arange(n) * 1e9 / rate_hz).astype(np.int64) + 10**9


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.0, PASS),
        (1.0049, PASS),
        (0.9951, PASS),
        (1.0055, WARN),
        (0.9945, WARN),
        (1.026, FAIL),
        (0.974, FAIL),
    ],
)
def test_the_rate_warns_beyond_half_a_percent_and_fails_beyond_two_and_a_half(factor, verdict) -> None:
    assert judge_data_ready(edges(1000 * factor), 1000).verdict is verdict


def test_every_missing_edge_is_counted_and_late_stamps_are_not_taken_for_jitter() -> None:
    t = edges(500)
    kept = np.delete(t, [100, 101, 400, 777])
    train = edges_of(kept)
    assert train.missing == 4
    assert judge_data_ready(kept, 500).verdict is FAIL
    late = t.copy()
    late[50] += 150_000  # one interrupt that came late
    assert judge_data_ready(late, 500).verdict is PASS
    assert edges_of(t).period_s == pytest.approx(0.002)


class ReadLate:
    """An edge port of 250 SPS whose reader serves only every fourth edge."""

    exhausted = False

    def __init__(self) -> None:
        self.told = 0

    def wait(self, timeout_s: float) -> Edge | None:
        if timeout_s == 0:
            return None
        times = [4_000_000 * (self.told + k) for k in range(1, 5)]
        self.told += 4
        return Edge(self.told, times[-1], tuple(times[:-1]))


def test_what_the_bench_reads_too_late_is_not_taken_for_a_bad_line() -> None:
    layout = FrameLayout((8,))
    taken = capture(ReadLate(), lambda: b"\xc0" + bytes(26), layout, 250.0, 40)
    assert (len(taken), taken.read_late, len(taken.told_ns)) == (40, 120, 160)
    judged = judge_data_ready(taken.told_ns, 250.0, taken.timed_out, taken.read_late)
    assert judged.verdict is Verdict.PASS
    assert "0 missing, 120 read late" in judged.measured
    assert judge_data_ready(taken.t_ns, 250.0).verdict is Verdict.FAIL


def test_jitter_fails_above_five_microseconds() -> None:
    noise = np.random.default_rng(1).normal(0, 1, 2000)
    for sd_us, verdict in ((4.0, PASS), (6.5, FAIL)):
        t = edges(1000, 2000) + np.rint(noise * sd_us * 1e3).astype(np.int64)
        assert judge_data_ready(t, 1000).verdict is verdict
        assert robust_sd(edges_of(t).residual_us) == pytest.approx(sd_us, rel=0.1)


@pytest.mark.parametrize(
    ("uv", "verdict"), [(0.14, PASS), (0.19, PASS), (0.22, WARN), (0.32, FAIL), (0.01, FAIL)]
)
def test_noise_is_judged_at_0_2_and_0_3_microvolts(uv, verdict) -> None:
    x = np.random.default_rng(2).normal(0, uv, (4000, 8))
    assert judge_noise(x, 24, 250, NAMES).verdict is verdict


def test_the_limit_of_noise_follows_the_table_at_other_rates() -> None:
    x = np.random.default_rng(2).normal(0, 0.30, (4000, 8))
    assert judge_noise(x, 24, 250, NAMES).verdict is not PASS
    assert judge_noise(x, 24, 1000, NAMES).verdict is PASS


def test_mains_and_harmonics_are_measured_by_their_amplitude_on_and_off_a_bin() -> None:
    t = np.arange(1000) / 250
    generator = np.random.default_rng(3)
    for frequency in (50.0, 50.13, 49.9):
        x = generator.normal(0, 0.14, (1000, 2))
        x[:, 1] += 3.0 * np.sin(2 * np.pi * frequency * t) + 0.8 * np.sin(2 * np.pi * 2 * frequency * t)
        lines = mains_lines(x, 250)
        assert lines[50.0][1] == pytest.approx(3.0, rel=0.05)
        assert lines[100.0][1] == pytest.approx(0.8, rel=0.1)
        assert lines[60.0][1] == 0
        assert lines[50.0][0] == 0


def test_offset_warns_at_100_and_fails_at_500_microvolts() -> None:
    for uv, verdict in ((99, PASS), (101, WARN), (-101, WARN), (499, WARN), (501, FAIL)):
        assert judge_offset(np.array([0.0] * 7 + [uv]), NAMES).verdict is verdict


def square(amplitude: float, offset: float = 0.0, period: int = 128, n: int = 300) -> np.ndarray:
    """A square wave after the filter's own step."""
    step = np.array([1 / 6, 2 / 3, 1 / 6])
    raw = np.where((np.arange(n + 2) // (period // 2)) % 2 == 0, -1.0, 1.0)
    return (amplitude * np.convolve(raw, step, "valid") + offset)[:, None] * np.ones(8)


def test_a_square_wave_gives_its_peak_its_middle_and_its_period() -> None:
    t = edges(250, 300)
    found = square_of(square(1875.0, 12.0), t)
    assert found.peak == pytest.approx(np.full(8, 1875.0))
    assert found.middle == pytest.approx(np.full(8, 12.0))
    assert found.period_s == pytest.approx(128 / 250)
    assert square_of(np.zeros((300, 8)), t).peak.tolist() == [0.0] * 8


def squares(one: float = 1875.0, two: float = 3750.0) -> dict:
    return {
        (gain, double): square_of(
            square(two if double else one, period=128 if double else 256, n=900), edges(250, 900)
        )
        for gain in (1, 24)
        for double in (False, True)
    }


@pytest.mark.parametrize(
    ("one", "two", "verdict"),
    [
        (1875, 3750, PASS),
        (1875 * 1.029, 3750 * 1.029, PASS),
        (1875 * 1.031, 3750 * 1.031, FAIL),
        (1875, 3750 * 1.009, PASS),
        (1875, 3750 * 1.011, FAIL),  # the ratio, not the amplitude
    ],
)
def test_the_test_signal_is_judged_at_3_percent_and_its_ratio_at_1(one, two, verdict) -> None:
    assert judge_test_signal(squares(one, two), 1875.0, NAMES).verdict is verdict


def test_gains_are_judged_against_one_another() -> None:
    def with_gain_12(factor: float):
        peaks = {g: square_of(square(3750.0), edges(250, 300)) for g in (1, 2, 4, 6, 8, 24)}
        return judge_scale(peaks | {12: square_of(square(3750.0 * factor), edges(250, 300))}, NAMES)

    assert with_gain_12(1.0009).verdict is PASS
    assert with_gain_12(1.0015).verdict is WARN
    assert with_gain_12(0.988).verdict is FAIL
    assert "gains of channel 1, 2" in with_gain_12(0.988).causes[0].cause


def test_couplings_are_shares_of_the_driven_channel() -> None:
    x = np.random.default_rng(4).normal(0, 1, (500, 4))
    x[:, 2] += np.where(np.arange(500) // 64 % 2, 1e5, -1e5)
    x[:, 0] -= 0.01 * x[:, 2]
    share = couplings(x, 2)
    assert share[0] == pytest.approx(-0.01, rel=0.01)
    assert abs(share[1]) < 1e-5
    assert share[2] == 0
    assert couplings(np.zeros((10, 4)), 1).tolist() == [0.0] * 4


def test_supplies_are_judged_at_5_percent_and_a_common_factor_is_the_reference() -> None:
    def board(digital: float = 1.0, analogue: float = 1.0):
        row = [2.5 * analogue] * 8
        row[2] = row[3] = 3.3 / 4 * digital
        return judge_supply(np.array([row]), 4.5)

    assert board().verdict is PASS
    assert board(1.04, 0.96).verdict is PASS
    assert "DVDD low" in board(0.94).causes[0].cause
    assert "analogue supply" in board(1.0, 1.06).causes[0].cause
    assert "reference" in board(1.1, 1.1).causes[0].cause
    assert judge_supply(np.array([[0.0, 0.0, 0.825, 0.825, 0.0, 0.0, 0.0, 0.0]]), 4.5).verdict is PASS


def test_temperature_is_judged_between_10_and_60_and_chips_within_5() -> None:
    def volts(*celsius: float):
        return np.array([(145_300 + 490 * (c - 25)) / 1e6 for c in celsius])

    assert judge_temperature(volts(10.5, 14.5)).verdict is PASS
    for wrong in ((9.0,), (61.0,), (30.0, 36.0)):
        assert judge_temperature(volts(*wrong)).verdict is FAIL


def test_a_reference_that_drifts_is_named() -> None:
    fresh = np.full((128, 8), 0.1453) * np.linspace(0.99, 1.0, 128)[:, None]
    row = np.array([[2.5, 2.5, 0.825, 0.825, 2.5, 2.5, 2.5, 2.5]])
    outcome = judge_reference(fresh, row, 24, 4.5, NAMES)
    assert outcome.verdict is FAIL
    assert any("settles late" in cause.cause for cause in outcome.causes)


def test_lines_that_move_together_or_late_are_found() -> None:
    good = [Pulse(k % 4, k * 10**6, k * 10**6 + 300_000 + 400 * k, 0, True) for k in range(40)]
    assert judge_trigger_loop(good, 1000, 4).verdict is PASS
    shorted = [*good[:-1], Pulse(3, 0, 300_000, 0b0010, True)]
    assert "GPIO 2 moves with another" in judge_trigger_loop(shorted, 1000, 4).causes[0].cause
    spread = [Pulse(k % 4, 0, 300_000 + (k % 2) * 900_000, 0, True) for k in range(40)]
    assert judge_trigger_loop(spread, 1000, 4).verdict is FAIL
    missed = [Pulse(k % 4, 0, None if k == 7 else 300_000, 0, True) for k in range(40)]
    outcome = judge_trigger_loop(missed, 1000, 4)
    assert (outcome.verdict, outcome.measured) == (FAIL, "39 of 40 seen")


def test_pins_that_flicker_are_found_on_any_chip() -> None:
    nibbles = np.zeros((50, 2), np.uint8)
    assert judge_idle(nibbles, 4).verdict is PASS
    nibbles[10, 1] = 0b0100
    assert "chip 2: GPIO 3 floats" in judge_idle(nibbles, 4).causes[0].cause


def test_selects_that_reach_one_chip_are_found() -> None:
    follows = [(0, (0, 0)), (1, (1, 0)), (2, (2, 0)), (0, (0, 0))]
    assert judge_selects([1, 2], follows, 4).verdict is PASS
    assert "do not reach a chip of their own" in judge_selects([2, 2], follows, 4).causes[0].cause


def test_power_ups_are_compared_with_the_usual_one() -> None:
    good, silent, other = bytes([0x3E, 0x96]), bytes(2), bytes([0x00, 0xFF])
    assert judge_power_ups([(good,)] * 50, "power cycles").verdict is PASS
    outcome = judge_power_ups([(good,)] * 48 + [(silent,)] * 2, "power cycles")
    assert (outcome.verdict, outcome.measured) == (FAIL, "48 of 50 identical")
    assert "2 of them without any answer" in outcome.causes[0].cause
    assert "other registers" in judge_power_ups([(good,)] * 49 + [(other,)], "power cycles").causes[0].cause
    assert "bits flip" in judge_power_ups([(good,)] * 49 + [(bytes([0x3A, 0x96]),)], "x").causes[0].cause


def test_ids_that_differ_are_told_from_ids_that_are_wrong() -> None:
    assert judge_identity([[0x3E] * 4]).verdict is PASS
    assert "bits flip" in judge_identity([[0x3E, 0x3E, 0x3A, 0x3E]]).causes[0].cause
    assert "different parts" in judge_identity([[0x3E] * 4, [0x3C] * 4]).causes[0].cause


def test_the_reset_map_does_not_judge_what_the_chip_sets_itself() -> None:
    good = {address: spec.reset for address, spec in REGISTERS.items()}
    assert judge_reset_map([good | {0x14: 0x5F, 0x12: 0xFF, 0x00: 0x5E}]).verdict is PASS
    assert judge_reset_map([good | {0x14: 0x0E}]).verdict is FAIL


def test_lead_off_is_judged_in_the_state_of_the_leads() -> None:
    assert judge_lead_off([Flags(True, 0, 0), Flags(False, 0xFF, 0xFF)], NAMES).verdict is PASS
    stuck = judge_lead_off([Flags(True, 0, 0), Flags(False, 0xFB, 0xFF)], NAMES)
    assert "channel 3 (P) reads on although nothing is plugged in" in stuck.causes[0].cause


def test_the_tone_is_found_through_missing_samples_and_offset() -> None:
    at = np.delete(np.arange(496), [3, 4, 250])
    uv = 55.0 * np.sin(2 * np.pi * at / 8 + 0.7)[:, None] + 1000.0
    assert tone_uv(uv, at) == pytest.approx([55.0])


def test_the_current_is_that_of_the_fundamental_through_the_filter() -> None:
    peak_uv = 6e-9 * 4 / np.pi * 0.9255 * 7200 * 1e6
    assert judge_current(np.full(8, peak_uv), 7200, NAMES).values[0].measured == pytest.approx(6.0, rel=1e-3)
    for factor, verdict in ((0.77, PASS), (0.7, WARN), (0.6, FAIL)):
        assert judge_current(np.full(8, peak_uv * factor), 7200, NAMES).verdict is verdict


def test_bias_headers_and_continuous_reading_have_limits() -> None:
    assert judge_bias(np.array([150e3])).verdict is PASS
    assert judge_bias(np.array([-250e3])).verdict is FAIL
    assert judge_headers(10**6, [0, 0]).verdict is PASS
    assert judge_headers(10**6, [0, 1]).verdict is FAIL
    x = np.random.default_rng(5).normal(0, 1, (500, 8))
    assert judge_continuous(x, x[::-1], 0).verdict is PASS
    assert judge_continuous(x, 2 * x, 0).verdict is FAIL
    assert judge_continuous(x, x + 3, 0).verdict is FAIL
    assert judge_continuous(x, x, 1).verdict is FAIL


def test_what_is_no_number_fails_and_the_worst_verdict_wins() -> None:
    assert within("x", float("nan"), "", None, None).verdict is FAIL
    assert worst([PASS, Verdict.SKIPPED, WARN]) is WARN
    assert worst([]) is Verdict.SKIPPED


def test_a_rate_is_held_when_tail_and_transfer_fit_and_nothing_is_lost() -> None:
    times = np.array([[k, k * 1000, k * 1000 + 100, k * 1000 + 160] for k in range(100)]) * [
        1,
        1000,
        1000,
        1000,
    ]
    times[50, 2:] += 300_000
    held = rate_of(times, 1000)
    assert (held.rows, held.lost, held.tail_us, held.transfer_us) == (99, 0, 400.0, 60.0)
    assert held.typical_us == pytest.approx(160.0)
    assert rate_of(np.delete(times, [20, 21], axis=0), 1000).lost == 2
    good, bad = RateHeld(1000, 99, 0, 160, 400, 60), RateHeld(2000, 99, 0, 160, 450, 60)
    assert (judge_held([good, bad], 1000).verdict, judge_held([good, bad], 1000).measured) == (
        PASS,
        "1000 Hz holds",
    )
    assert judge_held([good, bad], 2000).verdict is WARN
