"""Railed channels from the samples alone: when, for how long, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.chips import COUNTS_MAX, COUNTS_MIN
from hw.leads.rails import RAIL_COUNTS, RailWatch

RATE_HZ = 1000.0


def signal(n: int, channels: int = 3) -> np.ndarray:
    """Noise of a few codes around an offset."""
    return np.random.default_rng(5).integers(-9, 9, (n, channels)).astype(np.int32) + 1000


def changes(counts: np.ndarray, rows: int = 10, rate_hz: float = RATE_HZ) -> list[tuple[int, int]]:
    """(samples until then, railed) at every change."""
    watch, out = RailWatch(rate_hz, counts.shape[1]), []
    for start in range(0, len(counts), rows):
        block = counts[start : start + rows]
        before = watch.railed
        told = watch.look(block)
        assert told == (watch.railed != before)
        if told:
            out.append((start + len(block), watch.railed))
    return out


def test_a_sound_signal_is_never_railed() -> None:
    assert changes(signal(5_000)) == []


@pytest.mark.parametrize("code", [COUNTS_MAX, COUNTS_MIN, RAIL_COUNTS, -RAIL_COUNTS, 0, 77])
def test_50_ms_at_a_rail_or_at_one_code_and_back_after_half_a_second(code: int) -> None:
    counts = signal(2_000)
    counts[300:900, 1] = code
    assert changes(counts) == [(350, 0b010), (1400, 0)]


def test_a_noisy_rail_is_a_rail_and_just_below_is_none() -> None:
    counts = signal(1_000, 2)
    counts[100:, 0] = RAIL_COUNTS + np.random.default_rng(1).integers(0, 500, 900)
    counts[100:, 1] = RAIL_COUNTS - 1 - np.random.default_rng(1).integers(0, 500, 900)
    assert changes(counts) == [(150, 0b01)]


def test_touching_a_rail_for_less_is_none() -> None:
    counts = signal(2_000)
    for start in range(100, 1900, 100):
        counts[start : start + 40, 0] = COUNTS_MAX
    assert changes(counts) == []


def test_swinging_from_rail_to_rail_is_not_railed_but_amplitude() -> None:
    counts = signal(1_000)
    counts[:, 2] = np.where(np.arange(1_000) % 20 < 10, COUNTS_MAX, COUNTS_MIN)
    assert changes(counts) == []


def test_a_step_from_code_to_code_is_not_one_code() -> None:
    counts = signal(1_000)
    counts[:, 0] = np.arange(1_000) // 10
    assert changes(counts) == []


def test_a_channel_on_the_brink_does_not_chatter() -> None:
    counts = signal(3_000)
    counts[500:, 0] = COUNTS_MAX
    counts[600::200, 0] = 5
    assert changes(counts) == [(550, 0b001)]


@settings(max_examples=40)
@given(st.integers(1, 60), st.sampled_from([250.0, 4000.0, 16000.0]))
def test_the_time_hardly_depends_on_the_blocks(rows: int, rate_hz: float) -> None:
    counts = signal(2_000)
    counts[400:, 0] = COUNTS_MAX
    counts[400:, 2] = 3
    found = changes(counts, rows, rate_hz)
    least = max(12, round(0.05 * rate_hz))
    assert found[-1][1] == 0b101
    assert all(400 + least <= at <= 400 + least + 2 * rows for at, _ in found)
