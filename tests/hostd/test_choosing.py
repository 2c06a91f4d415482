"""The parts of a course by themselves: what is followed, what is compared, on averages made up here."""

from dataclasses import replace

import numpy as np
import pytest

from dsp.nouns import Average, Measurement, Peak, Sweep, Trigger
from dsp.projection import template
from hostd import casefile
from hostd.choosing import Choosing
from hostd.comparison import Comparison, comparison, peak_fields
from hostd.course import Course

ROWS, T0_MS, DT_MS = 320, -20.0, 0.25
TIMES_MS = T0_MS + DT_MS * np.arange(ROWS)
RESPONSE = 3.0 * np.exp(-0.5 * ((TIMES_MS - 20.0) / 1.5) ** 2)
SPAN = slice(148, 200)
PEAK = Peak("N20", 0, 1, (17.0, 24.0))
NAMES = ("first", "other")
PLAN = casefile.procedure("median_ssep").tests[0]


def average(n_sweeps: int, sizes: tuple[float, float], noise_uv: float = 0.1, seed: int = 1) -> Average:
    """The response times `sizes` in two derivations, of equal noise."""
    rng = np.random.default_rng((seed, n_sweeps))
    null = noise_uv * rng.standard_normal((15, ROWS, 2))
    mean = RESPONSE[:, None] * np.array(sizes) + noise_uv * rng.standard_normal((ROWS, 2))
    noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
    n = np.full(2, float(n_sweeps))
    return Average(mean, noise, null.astype(np.float32), n_sweeps, 0, n, 0, n_sweeps, False)


def sweep(index: int, sizes: tuple[float, float], rng: np.random.Generator) -> Sweep:
    uv = RESPONSE[:, None] * np.array(sizes) + 2.0 * rng.standard_normal((ROWS, 2))
    return Sweep(Trigger(index, 1), uv.astype(np.float32), 80, np.full(2, 0.25))


@pytest.mark.control("H10.4")
def test_once_there_is_a_baseline_the_choice_stays_though_the_response_is_lost_there() -> None:
    choosing = Choosing(NAMES, (PEAK,), SPAN, (ROWS, T0_MS, DT_MS), follow=True, leading=0)
    assert choosing.see(average(16, (0.3, 1.0)))
    assert choosing.row == 1 and choosing.peaks[0].derivation == "other" and choosing.peaks[0].present
    choosing.fix()
    assert not choosing.see(average(48, (1.0, 0.0)))
    assert choosing.row == 1 and not choosing.peaks[0].present
    ranking, choice = choosing.fields()
    assert ranking[0]["derivation"] == "first", "it is ranked all the same"
    assert choice is not None and choice["chosen"] == choice["followed"] == "other"
    choosing.release()
    assert choosing.see(average(80, (1.0, 0.0)))
    assert choosing.row == 0 and choosing.peaks == ()


@pytest.mark.parametrize(("low_uv", "told"), [(0.0, None), (-0.1, None), (0.1, 50.0)])
def test_percent_are_told_of_a_baseline_that_is_clear_of_nothing(low_uv: float, told: float | None) -> None:
    before = Measurement("N20", "first", True, 20.0, (19.0, 21.0), 1.0, (low_uv, 2.0), 0.4)
    now = replace(before, amplitude_uv=1.5)
    fields = peak_fields(now, before)
    assert fields["change_pct"] == told and fields["baseline_amplitude_uv"] == 1.0
    assert peak_fields(now, None)["change_pct"] is None


def compared(row: int, standard_error: float | None = None) -> Comparison:
    before = average(400, (1.0, 1.0))
    (measured,) = Course(replace(PLAN, peaks=(PEAK,)), NAMES, ROWS, T0_MS, DT_MS).measure(before)
    if standard_error is None:
        made = comparison(before, measured, row, SPAN, 3.0)
        assert made is not None
        return made
    shape = template(before.mean_uv[:, row], before.null_uv[:, :, row], SPAN)
    assert shape is not None
    return Comparison(replace(shape, variance=standard_error**2), measured, row, 3.0)


@pytest.mark.parametrize(("row", "sizes"), [(0, (0.3, 1.0)), (1, (1.0, 0.3))])
def test_sweeps_are_compared_in_their_own_derivation(row: int, sizes: tuple[float, float]) -> None:
    """The response falls in one of two: told of that one and of no other."""
    rng = np.random.default_rng(5)
    falls, stays = compared(row), compared(1 - row)
    for k in range(200):
        one = sweep(k, (1.0, 1.0) if k < 80 else sizes, rng)
        falls.add(one)
        stays.add(one)
    last = average(500, sizes)
    (measured,) = Course(replace(PLAN, peaks=(PEAK,)), NAMES, ROWS, T0_MS, DT_MS).measure(last)
    told, quiet = falls.fields(last, measured), stays.fields(last, measured)
    assert told["alarm"]["fixed"]["alarm"] and told["fixed"]["ratio"] == pytest.approx(0.3, abs=0.1)
    assert not quiet["alarm"]["fixed"]["alarm"] and quiet["fixed"]["ratio"] == pytest.approx(1.0, abs=0.1)


def test_what_the_baseline_is_not_sure_of_is_no_evidence_against_the_patient() -> None:
    evidence = []
    for error in (0.02, 0.3):
        rng, unsure = np.random.default_rng(6), compared(0, error)
        for k in range(40):
            unsure.add(sweep(k, (0.6, 0.6), rng))
        last = average(40, (0.6, 0.6))
        (measured,) = Course(replace(PLAN, peaks=(PEAK,)), NAMES, ROWS, T0_MS, DT_MS).measure(last)
        evidence.append(unsure.fields(last, measured)["alarm"]["fixed"]["evidence"])
    assert 0.0 <= evidence[1] < 0.5 * evidence[0]


def test_a_verdict_begins_anew_in_the_derivation_that_is_followed_from_now_on() -> None:
    """The first has no response and is absent; then the other turns out to have one."""
    course = Course(replace(PLAN, peaks=(PEAK,), leading=0, smallest_uv=1.0), NAMES, ROWS, T0_MS, DT_MS)
    nothing = average(16, (0.0, 0.0))
    first = course.verdict(nothing, course.measure(nothing))
    assert first is not None and (first.decision, first.reason) == ("absent", "excluded")
    other = average(32, (0.0, 1.0))
    second = course.verdict(other, course.measure(other))
    assert second is not None and second.decision == "present"
