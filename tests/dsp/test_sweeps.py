"""Sweeps stand where their rows say, are weighed by the response-free interval, are rejected with why."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal

from dsp.filters import band_pass, settle_samples
from dsp.nouns import Sweep, Trigger
from dsp.sweeps import MIN_NOISE_SAMPLES, MOST_EXCLUDED, SweepCutter, Window, window
from dsp.weights import LEVEL_SWEEPS, MIN_VARIANCE_UV2, PRIOR_FREEDOM, NoiseWeights
from tests.support.streams import LSB_UV, Counts, Floats, cut_sweeps, stream

RATE_HZ = 1000.0
LOW_HZ = 30.0
NO_FILTER = np.empty((0, 6))
SOS = band_pass(LOW_HZ, 300.0, RATE_HZ)
RAIL = 8388607
STIMULI = [150, 400, 650, 900]


def geometry(
    window_ms: tuple[float, float] = (-10.0, 50.0), response_ms: float = 80.0, sos: Floats = NO_FILTER
) -> Window:
    return window(window_ms, response_ms, 0.0, RATE_HZ, sos)


def cutter(
    g: Window,
    channels: int = 1,
    reject_uv: float | None = None,
    weighted: bool = True,
    sos: Floats = NO_FILTER,
) -> SweepCutter:
    weights = NoiseWeights(channels, LOW_HZ, RATE_HZ) if weighted else None
    return SweepCutter(g, sos, channels, (1,), reject_uv, weights)


def noise_counts(seed: int, n: int = 1100, channels: int = 1) -> Counts:
    """Begins at 0: without a filter, rows count from the first sample."""
    made = np.rint(np.random.default_rng(seed).standard_normal((n, channels)) * 500).astype(np.int32)
    made[0] = 0
    return made


def run(
    counts: Counts,
    triggers: Sequence[int | Trigger] = STIMULI,
    g: Window | None = None,
    sos: Floats = NO_FILTER,
    cuts: Sequence[int] = (),
    **options: object,
) -> list[Sweep]:
    g = g or geometry(sos=sos)
    channels = counts.shape[1]
    made = stream(sos, channels, history=g.history)
    noted = [t if isinstance(t, Trigger) else Trigger(t, 1) for t in triggers]
    return cut_sweeps(made, cutter(g, channels, sos=sos, **options), counts, noted, cuts)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=300)
@given(
    start_ms=st.floats(-100, 100),
    length_ms=st.floats(5, 200),
    offset=st.sampled_from([0.0, -0.5, 0.5, -1.25, 1 / 3]),
    rate_hz=st.sampled_from([250.0, 1000.0, 4000.0, 24414.0]),
)
def test_the_window_holds_every_row_whose_time_lies_in_it(
    start_ms: float, length_ms: float, offset: float, rate_hz: float
) -> None:
    end_ms = start_ms + length_ms
    assume(length_ms * rate_hz > 3e3)
    g = window((start_ms, end_ms), 0.0, offset, rate_hz, NO_FILTER)
    times_ms = (np.arange(-g.pre, g.post) + offset) / rate_hz * 1e3
    step_ms, tiny_ms = 1e3 / rate_hz, 2e-6 * 1e3 / rate_hz
    assert len(times_ms) == g.rows
    assert start_ms - tiny_ms <= times_ms[0] < start_ms + step_ms
    assert end_ms - step_ms - tiny_ms <= times_ms[-1] < end_ms


@pytest.mark.parametrize(
    ("window_ms", "offset", "pre", "post"),
    [
        ((-10.0, 50.0), 0.0, 10, 50),
        ((0.0, 50.0), 0.0, 0, 50),
        ((5.0, 50.0), 0.0, -5, 50),
        ((-10.0, 50.0), -0.5, 9, 51),
        ((0.0, 50.0), -0.5, -1, 51),
        ((5.0, 50.0), 0.5, -5, 50),
    ],
)
def test_sweeps_hold_the_rows_of_their_window(
    window_ms: tuple[float, float], offset: float, pre: int, post: int
) -> None:
    g = window(window_ms, 80.0, offset, RATE_HZ, NO_FILTER)
    assert (g.pre, g.post) == (pre, post)
    counts = np.arange(1100, dtype=np.int32)[:, None]
    found = run(counts, g=g, weighted=False)
    assert [s.trigger.index for s in found] == STIMULI
    for sweep in found:
        at = sweep.trigger.index
        assert sweep.pre == pre
        assert sweep.uv[:, 0] == pytest.approx(np.arange(at - pre, at + post) * LSB_UV)


@pytest.mark.parametrize("window_ms", [(10.0, 10.0), (10.0, 11.0), (10.0, 5.0)])
def test_a_window_of_less_than_two_rows_is_refused(window_ms: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"window 10\.\.\d+ ms holds [01] samples"):
        window(window_ms, 80.0, 0.0, RATE_HZ, NO_FILTER)


def test_a_window_is_milliseconds_in_samples() -> None:
    g = window((-20.0, 80.0), 60.0, 0.0, 4000.0, band_pass(30.0, 1000.0, 4000.0))
    assert (g.pre, g.post, g.response, g.guard, g.noise_span) == (80, 320, 240, 4, 600)
    assert g.tail == settle_samples(band_pass(30.0, 1000.0, 4000.0))
    assert g.history == 604 + 320 + g.tail + 1


@pytest.mark.parametrize(("measured_ms", "tail"), [(80.0, 20), (70.0, 10), (60.0, 0), (10.0, 0), (200.0, 20)])
def test_a_sweep_waits_for_no_more_than_what_is_measured_needs(measured_ms: float, tail: int) -> None:
    sos = band_pass(75.0, 300.0, RATE_HZ)
    assert settle_samples(sos) == 20
    g = window((-10.0, 80.0), 80.0, 0.0, RATE_HZ, sos, measured_ms)
    assert (g.tail, g.rows) == (tail, 90)
    assert g.history == 151 + 80 + tail + 1


def test_a_sweep_is_filtered_both_ways_within_its_tail() -> None:
    counts = noise_counts(1)
    g = geometry(sos=SOS)
    found = run(counts, [400], g, SOS)
    uv = counts[:, 0] * LSB_UV
    forward, _ = signal.sosfilt(SOS, uv, zi=signal.sosfilt_zi(SOS) * uv[0])
    back = forward[400 - g.pre : 400 + g.post + g.tail][::-1]
    expected, _ = signal.sosfilt(SOS, back, zi=signal.sosfilt_zi(SOS) * back[0])
    assert found[0].uv[:, 0] == pytest.approx(expected[::-1][: g.rows], abs=1e-5)
    whole = signal.sosfilt(SOS, forward[::-1])[::-1][400 - g.pre : 400 + g.post]
    assert found[0].uv[:, 0] == pytest.approx(whole, abs=0.02 * np.std(uv))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 1099), max_size=30), st.integers(0, 2**32 - 1))
def test_any_blocks_give_the_same_sweeps(cuts: list[int], seed: int) -> None:
    counts = noise_counts(seed, channels=2)
    triggers = [Trigger(30, 1), *(Trigger(i, 1) for i in STIMULI), Trigger(500, 2), Trigger(905, 1)]
    triggers.sort(key=lambda t: t.index)
    whole = run(counts, triggers, sos=SOS, reject_uv=14.0)
    split = run(counts, triggers, sos=SOS, reject_uv=14.0, cuts=cuts)
    assert [(s.trigger, s.reason, s.pre) for s in split] == [(s.trigger, s.reason, s.pre) for s in whole]
    for a, b in zip(split, whole, strict=True):
        assert np.array_equal(a.uv, b.uv)
        assert np.array_equal(a.weights, b.weights)


def test_sweeps_come_as_soon_as_their_rows_are_there_and_in_order() -> None:
    g = geometry(sos=SOS)
    made, cut = stream(SOS, history=g.history), cutter(g, sos=SOS)
    cut.trigger(Trigger(100, 1))
    cut.trigger(Trigger(103, 1))
    counts = noise_counts(2)
    due = 100 + g.post + g.tail
    came = {}
    for row in range(due + 20):
        made.append(counts[row : row + 1], [])
        came.update({s.trigger.index: row + 1 for s in cut.cut(made)})
    assert came == {100: due, 103: due + 3}


def test_only_its_own_line_and_only_while_taken() -> None:
    g = geometry()
    made, cut = stream(NO_FILTER, history=1100), cutter(g)
    for trigger, taken in [(Trigger(200, 2), True), (Trigger(400, 1), False), (Trigger(700, 1), True)]:
        cut.trigger(trigger, taken)
    made.append(noise_counts(3), [])
    assert [s.trigger for s in cut.cut(made)] == [Trigger(700, 1)]


def test_a_gap_rejects_what_is_under_way_and_nothing_else() -> None:
    g = geometry()
    made, cut = stream(NO_FILTER, history=1100), cutter(g)
    cut.trigger(Trigger(200, 1))
    cut.trigger(Trigger(300, 1))
    made.append(noise_counts(4, 320), [])
    done = cut.cut(made)
    lost = cut.gap()
    assert [(s.trigger.index, s.reason, s.accepted) for s in done] == [(200, "", True)]
    assert [(s.trigger.index, s.reason, s.accepted) for s in lost] == [(300, "gap", False)]
    assert lost[0].weights.tolist() == [0.0]
    assert lost[0].uv.shape == (0, 1)
    assert cut.gap() == []


def test_a_response_may_outlast_a_short_gap() -> None:
    """The stimulus before the gap still bounds the response-free interval behind it."""
    g = geometry(response_ms=80.0)
    counts = noise_counts(5, 400)
    counts[:40] *= 100  # rows 205..244: the response to the stimulus at 200 goes on until 280
    made, cut = stream(NO_FILTER, history=1100), cutter(g)
    cut.trigger(Trigger(200, 1))
    cut.gap()
    made.restart(205)
    cut.trigger(Trigger(350, 1))
    made.append(counts, [])
    (sweep,) = cut.cut(made)
    assert sweep.weights[0] == pytest.approx(1.0 / np.mean((counts[75:144] * LSB_UV) ** 2), rel=1e-5)


def test_a_stopped_test_drops_what_is_under_way() -> None:
    made, cut = stream(NO_FILTER, history=1100), cutter(geometry())
    cut.trigger(Trigger(200, 1))
    cut.forget()
    made.append(noise_counts(6), [])
    assert cut.cut(made) == []


def test_a_sweep_that_begins_before_the_filter_has_settled_is_rejected() -> None:
    g = geometry(sos=SOS)
    settled = settle_samples(SOS)
    found = run(noise_counts(7), [settled + g.pre - 1, settled + g.pre], g, SOS, weighted=False)
    assert [s.reason for s in found] == ["settling", ""]
    found = run(noise_counts(7), [9, 10], geometry(), weighted=False)
    assert [s.reason for s in found] == ["settling", ""]


@pytest.mark.parametrize(("row", "reason"), [(-11, ""), (-10, "saturated"), (49, "saturated"), (50, "")])
def test_a_rail_within_the_window_rejects_the_sweep(row: int, reason: str) -> None:
    counts = noise_counts(8)
    counts[400 + row] = RAIL
    found = run(counts, [400], weighted=False)
    assert found[0].reason == reason
    assert found[0].weights.any() == (not reason)


def excluded_at(first: int, end: int | None, sos: Floats, at: int = 500) -> str:
    """Why the sweep of a trigger at `at` is rejected when a span is excluded."""
    g = geometry(sos=sos)
    made, cut = stream(sos, 1, history=g.history), cutter(g, sos=sos)
    cut.exclude(first, end, "impedance")
    (sweep,) = cut_sweeps(made, cut, noise_counts(8), [Trigger(at, 1)], ())
    assert sweep.weights.any() == (not sweep.reason)
    return sweep.reason


@pytest.mark.parametrize("sos", [NO_FILTER, SOS], ids=["raw", "filtered"])
def test_a_sweep_that_sees_an_excluded_span_anywhere_is_rejected_with_the_reason(sos: Floats) -> None:
    g, settle = geometry(sos=sos), settle_samples(sos)
    looks_back = g.noise_span + g.guard
    last = 500 + g.post + g.tail
    assert excluded_at(last - 1, last + 50, sos) == "impedance"
    assert excluded_at(last, last + 50, sos) == ""
    assert excluded_at(last - 1, None, sos) == "impedance"
    assert excluded_at(last, None, sos) == ""
    assert excluded_at(0, 500 - looks_back - settle + 1, sos) == "impedance"
    assert excluded_at(0, 500 - looks_back - settle, sos) == ""


def test_an_excluded_span_closes_and_leaves_no_mark_on_later_weights() -> None:
    counts = noise_counts(8)
    loud = counts.copy()
    loud[300:500] *= 40
    g = geometry()

    def sweeps(counts: Counts, exclude: bool) -> list[Sweep]:
        made, cut = stream(NO_FILTER, 1, history=g.history), cutter(g)
        if exclude:
            cut.exclude(300, None, "impedance")
            cut.exclude(300, 500, "impedance")
        return cut_sweeps(made, cut, counts, [Trigger(t, 1) for t in (160, 400, 900)], ())

    found, without = sweeps(loud, True), sweeps(counts, False)
    assert [s.reason for s in found] == ["", "impedance", ""]
    first_two = run(counts, [160, 900], weighted=True)
    assert found[2].weights == pytest.approx(first_two[1].weights)
    assert found[0].weights == pytest.approx(without[0].weights)


def test_many_spans_are_forgotten_from_the_oldest_on() -> None:
    g = geometry()
    made, cut = stream(NO_FILTER, 1, history=g.history), cutter(g)
    for k in range(MOST_EXCLUDED):
        cut.exclude(2_000 + k, 2_001 + k, "impedance")
    cut.exclude(300, 310, "impedance")
    (sweep,) = cut_sweeps(made, cut, noise_counts(8), [Trigger(400, 1)], ())
    assert sweep.reason == "impedance"


def test_amplitude_rejects_a_derivation_and_the_sweep_only_when_none_is_left() -> None:
    counts = noise_counts(9, channels=2)
    counts[420, 0] = 5000
    counts[670, :] = -5000
    counts[880, :] = 5000  # before the window of the stimulus at 900
    found = run(counts, reject_uv=45.0)
    assert [s.reason for s in found] == ["", "", "amplitude", ""]
    assert [(s.weights > 0.0).tolist() for s in found] == [
        [True, True],
        [False, True],
        [False, False],
        [True, True],
    ]
    assert all(s.accepted for s in run(counts, reject_uv=55.0))


def test_without_weighting_every_accepted_sweep_counts_one() -> None:
    found = run(noise_counts(10, channels=3), weighted=False)
    assert [s.weights.tolist() for s in found] == [[1.0, 1.0, 1.0]] * 4


@pytest.mark.parametrize(
    ("before", "at", "start"),
    [
        (None, 400, 249),  # 150 ms, 1 ms before the stimulus
        (None, 100, 0),  # as far back as there are samples
        (150, 400, 249),  # the response before has long ended
        (300, 400, 380),  # the response before ends 20 ms before
    ],
)
def test_the_first_weight_is_one_over_the_power_of_the_response_free_interval(
    before: int | None, at: int, start: int
) -> None:
    counts = noise_counts(11, channels=2) * np.array([1, 7], np.int32)
    others = [] if before is None else [Trigger(before, 2)]
    (sweep,) = run(counts, [*others, Trigger(at, 1)])
    rest = counts[start : at - 1] * LSB_UV
    assert sweep.weights == pytest.approx(1.0 / np.mean(rest**2, axis=0), rel=1e-5)


def expected_weights(powers: Sequence[float], rows: Sequence[int]) -> list[float]:
    """The documented shrinkage, written again: running geometric level, pooled by degrees of freedom."""
    level_log, made = 0.0, []
    for k, (power, n) in enumerate(zip(powers, rows, strict=True), 1):
        level_log += (math.log(power) - level_log) / min(k, LEVEL_SWEEPS)
        freedom = max(1.0, 4.0 * LOW_HZ * n / RATE_HZ)
        made.append((PRIOR_FREEDOM + freedom) / (PRIOR_FREEDOM * math.exp(level_log) + freedom * power))
    return made


def test_weights_follow_the_response_free_intervals_of_the_sweeps_so_far() -> None:
    rng = np.random.default_rng(12)
    n = 12_000
    stimuli = list(range(300, n - 100, 200))
    level = np.exp(rng.standard_normal(n // 100)).repeat(100)[:, None]
    counts = np.rint(rng.standard_normal((n, 1)) * 500 * level).astype(np.int32)
    counts[0] = 0
    found = run(counts, stimuli)
    intervals = [slice(max(k - 151, 0 if k == 300 else k - 200 + 80), k - 1) for k in stimuli]
    powers = [float(np.mean((counts[i] * LSB_UV) ** 2)) for i in intervals]
    expected = expected_weights(powers, [i.stop - i.start for i in intervals])
    assert [s.weights[0] for s in found] == pytest.approx(expected, rel=1e-5)
    assert np.corrcoef(np.log(expected), -np.log(powers))[0, 1] > 0.9
    assert len(found) > LEVEL_SWEEPS


@pytest.mark.parametrize("seed", range(5))
def test_noise_anywhere_else_changes_no_weight_and_no_row(seed: int) -> None:
    """Nothing beyond the response-free interval and the window is read."""
    counts = noise_counts(seed)
    g = geometry(response_ms=120.0)
    kept_weight, kept_rows = np.zeros(1100, bool), np.zeros(1100, bool)
    for before, at in [(None, 150), (150, 400), (400, 650), (650, 900)]:
        kept_weight[max(at - 151, 0 if before is None else before + 120) : at - 1] = True
        kept_rows[at - 10 : at + 50] = True
    loud = counts * 40
    weights_only = np.where(kept_weight[:, None], counts, loud)
    rows_too = np.where((kept_weight | kept_rows)[:, None], counts, loud)
    reference = run(counts, g=g)
    for sweep, same in zip(run(weights_only, g=g), reference, strict=True):
        assert np.array_equal(sweep.weights, same.weights)
        assert not np.array_equal(sweep.uv, same.uv)
    for sweep, same in zip(run(rows_too, g=g), reference, strict=True):
        assert np.array_equal(sweep.weights, same.weights)
        assert np.array_equal(sweep.uv, same.uv)
    quieter = np.where(kept_weight[:, None], counts // 2, counts)
    for sweep, same in zip(run(quieter, g=g), reference, strict=True):
        assert sweep.weights[0] == pytest.approx(4.0 * same.weights[0], rel=0.02)


@pytest.mark.parametrize("line", [1, 2, 8])
def test_a_stimulus_on_any_line_ends_the_response_free_interval(line: int) -> None:
    counts = noise_counts(13)
    counts[300:380] *= 40  # a stimulus at 300, response until 380
    (sweep,) = [s for s in run(counts, [Trigger(300, line), Trigger(400, 1)]) if s.trigger.index == 400]
    assert sweep.weights[0] > 0.1 / np.mean((counts[380:399] * LSB_UV) ** 2)
    (blind,) = run(counts, [400])
    assert blind.weights[0] < 0.01 * sweep.weights[0]


@pytest.mark.parametrize("lines", [(1, 2), (1, 5)])
def test_stimuli_on_two_lines_at_one_sample_both_have_their_interval(lines: tuple[int, int]) -> None:
    counts = noise_counts(14)
    g = geometry()
    found = []
    for own in lines:
        made = stream(NO_FILTER, history=g.history)
        cut = SweepCutter(g, NO_FILTER, 1, (own,), None, NoiseWeights(1, LOW_HZ, RATE_HZ))
        noted = [Trigger(at, line) for at in STIMULI for line in lines]
        found.append(cut_sweeps(made, cut, counts, noted))
    assert [s.reason for s in found[1]] == [""] * 4
    assert [s.weights[0] for s in found[1]] == [s.weights[0] for s in found[0]]


def test_without_any_response_free_interval_there_is_no_weight() -> None:
    """Stimuli closer than the response: rejected until one interval was seen, then weighed by the level."""
    g = geometry(response_ms=200.0)
    counts = noise_counts(15)
    found = run(counts, [MIN_NOISE_SAMPLES, 100, 200, 500, 600], g)
    assert [s.reason for s in found] == ["no response-free interval"] * 3 + ["", ""]
    assert found[0].weights.tolist() == [0.0]
    assert found[4].weights == pytest.approx(found[3].weights)
    assert found[3].weights[0] == pytest.approx(1.0 / np.mean((counts[400:499] * LSB_UV) ** 2), rel=1e-5)


def test_where_no_interval_is_free_of_every_response_the_other_tests_count_as_noise() -> None:
    """Another line's stimuli every 60 samples, its responses 80 long: nothing is free of both."""
    g = geometry(response_ms=80.0)
    counts = noise_counts(18)
    made, cut = stream(NO_FILTER, history=g.history), cutter(g)
    found = cut_sweeps(made, cut, counts, [Trigger(at, 2 if at % 300 else 1) for at in range(60, 1000, 60)])
    assert [(s.trigger.index, s.reason) for s in found] == [(300, ""), (600, ""), (900, "")]
    start = 300 - g.guard - g.noise_span
    power = np.mean((counts[start : 300 - g.guard] * LSB_UV) ** 2)
    behind = counts[380 : 300 + g.post + g.tail] * LSB_UV
    assert len(behind) < MIN_NOISE_SAMPLES, "what follows the response is not waited for"
    assert found[0].weights[0] == pytest.approx(1.0 / power, rel=1e-5)
    crowded = [s.weights[0] for s in found]
    assert len(set(crowded)) == 3, "every sweep has its own"


@pytest.mark.parametrize(("interval", "reason"), [(15, "no response-free interval"), (16, "")])
def test_an_interval_is_at_least_sixteen_samples(interval: int, reason: str) -> None:
    found = run(noise_counts(16), [interval + 1], geometry(window_ms=(0.0, 20.0)))
    assert found[0].reason == reason


def test_a_dead_channel_gets_a_finite_weight() -> None:
    found = run(np.zeros((1100, 1), np.int32))
    assert [s.weights[0] for s in found] == pytest.approx([1.0 / MIN_VARIANCE_UV2] * 4)


def test_unfiltered_weights_do_not_see_the_electrode_offset() -> None:
    rows = np.random.default_rng(17).standard_normal((100, 2)) * [1.0, 5.0]
    without = NoiseWeights(2, None, RATE_HZ).weigh(rows)
    offset = NoiseWeights(2, None, RATE_HZ).weigh(rows + np.array([2e5, -3e4]))
    assert without is not None
    assert offset == pytest.approx(without, rel=1e-6)
    assert without == pytest.approx(1.0 / np.var(rows, axis=0), rel=1e-5)
