"""A clamped carotid is told on its side within a minute; a brain that only wanders, or sleeps, is not."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp.carotid import (
    Baseline,
    CarotidChange,
    Level,
    Look,
    Sustained,
    baseline,
    change,
    look,
    sustained,
)
from dsp.spectra import EegSpectra, EegSpectrum
from dsp.trends import Estimates
from tests.support.eeg import RATE_HZ, anaesthetised, of_density

Floats = NDArray[np.float64]
SIDES = ((0, 1), (2, 3))
BEFORE = Baseline(np.log([[40.0, 80.0], [40.0, 80.0]]), np.full((2, 2), 0.12), 8)


def told(fast: tuple[float, float], delta: tuple[float, float], before: Baseline = BEFORE) -> CarotidChange:
    """Of these ratios of power, left and right."""
    gone = np.log(np.array([fast, delta]).T)
    return change(before, Look(before.log_power + gone, np.array([30, 30])))


@pytest.mark.parametrize(
    ("fast", "delta", "level", "side"),
    [
        ((1.0, 1.0), (1.0, 1.0), "none", ""),
        ((0.55, 1.0), (1.3, 1.0), "none", ""),
        ((0.49, 1.0), (1.0, 1.0), "moderate", "left"),
        ((1.0, 0.3), (1.0, 1.0), "moderate", "right"),
        ((0.24, 1.0), (1.0, 1.0), "severe", "left"),
        ((1.0, 1.0), (1.0, 2.1), "severe", "right"),
        ((0.4, 0.4), (1.0, 1.0), "moderate", "both"),
        ((0.4, 0.2), (1.0, 1.0), "severe", "right"),
        ((3.0, 3.0), (0.2, 0.2), "none", ""),
    ],
)
def test_the_rule(fast: tuple[float, float], delta: tuple[float, float], level: Level, side: str) -> None:
    found = told(fast, delta)
    assert (found.level, found.side) == (level, side)
    assert found.fast.value == pytest.approx(fast) and found.delta.value == pytest.approx(delta)
    assert np.all(found.fast.low < found.fast.value) and np.all(found.fast.value < found.fast.high)


def test_a_baseline_that_wanders_so_far_by_itself_is_no_evidence() -> None:
    restless = Baseline(BEFORE.log_power, np.full((2, 2), 0.5), 8)
    assert told((0.45, 1.0), (1.0, 1.0), restless).level == "none"
    assert told((0.1, 1.0), (1.0, 1.0), restless).level == "severe"


def test_without_a_look_it_is_unknown_on_that_side_only() -> None:
    found = told((np.nan, 0.3), (np.nan, 1.0))
    assert found.levels == ("unknown", "moderate") and (found.level, found.side) == ("moderate", "right")
    assert told((np.nan, np.nan), (np.nan, 1.0)).level == "unknown"


NONE, LEFT, BOTH = told((1, 1), (1, 1)), told((0.4, 1), (1, 1)), told((0.4, 0.4), (1, 1))
WORSE, BLIND = told((0.2, 1), (1, 1)), told((np.nan, np.nan), (1, 1))


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        ([NONE] * 100, Sustained("none", "", 0, False)),
        ([NONE] * 100 + [LEFT] * 29, Sustained("moderate", "left", 29, False)),
        ([NONE] * 100 + [LEFT] * 30, Sustained("moderate", "left", 30, True)),
        ([NONE] * 100 + [LEFT] * 50 + [NONE], Sustained("none", "", 0, False)),
        ([NONE] * 100 + [BOTH] * 59, Sustained("moderate", "both", 59, False)),
        ([NONE] * 100 + [BOTH] * 60, Sustained("moderate", "both", 60, True)),
        ([LEFT] * 40 + [BOTH] * 20, Sustained("moderate", "left", 60, True)),
        ([LEFT] * 40 + [WORSE] * 10, Sustained("moderate", "left", 50, True)),
        ([LEFT] * 40 + [WORSE] * 30, Sustained("severe", "left", 30, True)),
        ([LEFT] * 20 + [BLIND] * 20 + [LEFT] * 10, Sustained("moderate", "left", 30, True)),
        ([LEFT] * 40 + [BLIND] * 30, Sustained("unknown", "", 0, False)),
        ([LEFT] * 40 + [BLIND] * 31 + [LEFT] * 5, Sustained("moderate", "left", 5, False)),
        ([], Sustained("unknown", "", 0, False)),
    ],
)
def test_it_must_last(course: Sequence[CarotidChange], expected: Sustained) -> None:
    assert sustained(course) == expected


def course_of(
    seed: int, seconds: int, at_s: int, fast: float, delta: float, sides: tuple[int, ...]
) -> list[EegSpectrum]:
    """Spectra of two derivations a side; from `at_s` on the sides named have those shares of power."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)

    def part(inside: Callable[[Floats], Floats]) -> Floats:
        return of_density(lambda f: anaesthetised(f) * inside(f), seconds, rng)

    rows = []
    behind = np.arange(n) >= at_s * RATE_HZ
    wander = np.exp(0.1 * np.sin(2 * np.pi * np.arange(n) / RATE_HZ / 97.0 + rng.uniform(0, 6)))
    for side in (0, 0, 1, 1):
        slow, quick = part(lambda f: (f < 6.0) * 1.0), part(lambda f: (f >= 6.0) * 1.0)
        hurt = behind & (side in sides)
        uv = np.where(hurt, delta**0.5, 1.0) * slow + np.where(hurt, fast**0.5, 1.0) * quick
        rows.append(wander * uv + 0.7 * rng.standard_normal(n))
    return EegSpectra(("F3", "C3", "F4", "C4"), RATE_HZ).append(np.array(rows).T.copy(), 0)


def verdicts(spectra: list[EegSpectrum], before: Baseline, first: int) -> list[CarotidChange]:
    return [change(before, look(spectra[k - 30 : k], SIDES)) for k in range(first, len(spectra) + 1)]


@pytest.mark.parametrize(
    ("fast", "delta", "level"), [(0.3, 1.0, "moderate"), (0.12, 1.0, "severe"), (0.4, 3.0, "severe")]
)
def test_a_clamp_is_told_on_its_side_within_a_minute(fast: float, delta: float, level: Level) -> None:
    spectra = course_of(1, 280, 200, fast, delta, (1,))
    before = baseline(spectra[:196], SIDES)
    assert before is not None and before.n == 6
    found = verdicts(spectra, before, 150)
    alarms = [k for k in range(len(found)) if sustained(found[: k + 1]).told]
    # Verdict k ends with window 149 + k, which ends 4 s later.
    assert 200 + 30 <= 149 + alarms[0] + 4 <= 200 + 60
    last = sustained(found)
    assert (last.level, last.side, last.told) == (level, "right", True)


def test_no_clamp_no_alarm() -> None:
    for seed in (3, 4):
        spectra = course_of(seed, 360, 360, 1.0, 1.0, ())
        before = baseline(spectra[:240], SIDES)
        assert before is not None
        assert {one.level for one in verdicts(spectra, before, 241)} == {"none"}


def test_artifacts_are_left_out_and_too_few_are_no_look() -> None:
    spectra = course_of(6, 40, 40, 1.0, 1.0, ())
    whole = look(spectra[:30], SIDES)
    nothing = Estimates(*(np.full((4, 4), np.nan) for _ in range(3)))
    blind = spectra[0].__class__(
        **{
            name: nothing if name == "bands_uv2" else getattr(spectra[0], name)
            for name in EegSpectrum.__dataclass_fields__
        }
    )
    some = look([*spectra[:15], *[blind] * 15], SIDES)
    assert some.good.tolist() == [15, 15] and np.abs(some.log_power - whole.log_power).max() < 0.5
    few = look([*spectra[:9], *[blind] * 21], SIDES)
    assert np.isnan(few.log_power).all() and few.good.tolist() == [9, 9]
    assert look([], SIDES).good.tolist() == [0, 0]
    assert baseline(spectra[:30] * 3, SIDES) is None and baseline([blind] * 300, SIDES) is None
