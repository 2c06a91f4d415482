"""Every average behind one face: which sweeps it is of, when it is complete, when it begins anew."""

from typing import Any

import numpy as np
import pytest

from dsp.averagers import ModeAverager, averager
from dsp.limits import least_sweeps
from dsp.nouns import Sweep, Trigger

ROWS, TARGET = 20, 32
NAMES = ["running", "moving", "exponential", "blocks"]


def sweep(k: int, reason: str = "") -> Sweep:
    uv = np.random.default_rng(k).standard_normal((ROWS, 2)) * 3.0 + np.sin(np.arange(ROWS) / 3.0)[:, None]
    return Sweep(Trigger(100 * k, 1), uv.astype(np.float32), 0, np.zeros(2) if reason else np.ones(2), reason)


@pytest.mark.parametrize("name", NAMES)
def test_up_to_the_target_all_are_of_all_sweeps_and_complete_at_it(name: Any) -> None:
    target = max(TARGET, least_sweeps(name))
    made = averager(name, ROWS, 2, target)
    for k in range(target):
        made.add(sweep(k))
        whole = (k + 1) // 8 * 8 if name == "blocks" else k + 1
        assert made.n_sweeps == whole and made.complete == (k + 1 == target)
    made.add(sweep(999, "gap"))
    got = made.average()
    assert (got.n_sweeps, got.n_rejected, got.first_index, got.last_index) == (target, 1, 0, 99_900)
    plain = np.mean([sweep(k).uv for k in range(target)], axis=0)
    tolerance = 1.5 if name in ("exponential", "blocks") else 1e-5  # those weigh otherwise
    assert got.mean_uv == pytest.approx(plain, abs=tolerance)
    assert got.noise_uv == pytest.approx(3.0 / np.sqrt(target), rel=0.4)
    assert got.halves_uv is not None and got.halves_uv.shape == (2, ROWS, 2)
    assert got.null_uv.shape == (15, ROWS, 2)


def test_a_moving_average_is_exactly_of_the_last() -> None:
    made = averager("moving", ROWS, 2, TARGET)
    for k in range(70):
        made.add(sweep(k))
    got = made.average()
    assert (got.n_sweeps, got.first_index, got.last_index) == (TARGET, 100 * (70 - TARGET), 6900)
    assert got.mean_uv == pytest.approx(
        np.mean([sweep(k).uv for k in range(70 - TARGET, 70)], axis=0), abs=1e-5
    )


def test_an_exponential_average_counts_as_many_as_its_target() -> None:
    made = averager("exponential", ROWS, 2, TARGET)
    for k in range(300):
        made.add(sweep(k))
    assert made.average().n_effective == pytest.approx([TARGET] * 2, rel=0.01)


def test_blocks_begin_anew_after_the_target_and_restart_forgets() -> None:
    made = averager("blocks", ROWS, 2, 128)
    for k in range(128 + 9):
        made.add(sweep(k))
    assert made.n_sweeps == 8 and made.average().first_index == 12_800
    made.restart()
    assert made.n_sweeps == 0 and not made.complete
    none = made.average()
    assert (none.n_sweeps, none.first_index, none.last_index) == (0, -1, -1)
    assert np.isnan(none.noise_uv).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_target_below_the_least_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=f"under {least_sweeps(name)}"):
        averager(name, ROWS, 2, least_sweeps(name) - 1)
    with pytest.raises(ValueError, match=r"dsp\.average"):
        ModeAverager("running", ROWS, 2, 32)
