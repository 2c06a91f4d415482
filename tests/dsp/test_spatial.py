"""The virtual channel is the best combination of leads; learnt on other sweeps, it finds none in noise."""

import math

import numpy as np
import pytest

from dsp import reference_montage as twin
from dsp.average import Averager
from dsp.measure import measure
from dsp.nouns import Average, Peak, Sweep, Trigger
from dsp.spatial import _halves as halves
from dsp.spatial import apply, cross, learn
from tests.evoked import heads
from tests.evoked.heads import STANDARD, TIMES_MS, WEIGHTS, Floats
from tests.evoked.leads import SPAN

CP3_FPZ = WEIGHTS[STANDARD]
N20 = Peak("N20", 0, 1, (16.0, 24.0), (21.0, 30.0))
ROWS, LEADS = len(TIMES_MS), WEIGHTS.shape[1]


@pytest.fixture(autouse=True)
def no_warning() -> object:
    with np.errstate(all="raise"):
        yield


def as_average(each: Floats, n: float = 300.0) -> Average:
    """Of one mean and its nulls, each (1 + pattern, time, channel)."""
    null = each[1:]
    noise = np.sqrt(np.mean(null * null, axis=(0, 1)))
    return Average(each[0], noise, null.astype(np.float32), int(n), 0, np.full(each.shape[2], n), 0, 1, False)


def patients(
    seed: int, n_patients: int, each: int, amplitude: float, n: float = 300.0
) -> list[tuple[Average, Average, Floats]]:
    """Baseline and later average of the leads, and the response (time, lead); `each` of every head."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n_patients):
        truth, (eeg, emg) = amplitude * heads.response(rng), heads.lead_noise(rng, 0.5)
        roots = np.linalg.cholesky(eeg + 1e-9 * np.eye(LEADS)), np.linalg.cholesky(emg)
        uv = heads.noise(rng, np.ones(32 * each), roots, ROWS).astype(float) / math.sqrt(n)
        uv = uv.reshape(each, 2, 16, ROWS, LEADS)
        uv[:, :, 0] += truth
        made += [(as_average(two[0], n), as_average(two[1], n), truth) for two in uv]
    return made


@pytest.mark.parametrize("amplitude", [1.0, 3.0])
def test_it_is_the_twins_direction_with_the_standards_noise_and_sign(amplitude: float) -> None:
    for baseline, _, truth in patients(1, 2, 1, amplitude):
        got = learn(baseline, SPAN, CP3_FPZ)
        assert got is not None
        expected = twin.spatial_direction(baseline.mean_uv[SPAN], baseline.null_uv[:, SPAN])
        assert got.weights / np.linalg.norm(got.weights) == pytest.approx(
            math.copysign(1.0, expected @ got.weights) * expected / np.linalg.norm(expected), abs=1e-9
        )
        null = baseline.null_uv[:, SPAN]
        ours, standard = (twin.noise_power(null @ row) for row in (got.weights, CP3_FPZ))
        assert ours == pytest.approx(standard, rel=1e-10)
        turned = learn(baseline, SPAN, -CP3_FPZ)
        assert turned is not None and turned.weights == pytest.approx(-got.weights, abs=1e-12)
        virtual, real = (truth @ row for row in (got.weights, CP3_FPZ))
        assert virtual[SPAN] @ real[SPAN] > 0.0


def test_no_single_channel_and_no_pair_has_a_higher_ratio_where_it_learnt() -> None:
    """But for what the pull towards unit noise costs."""
    for baseline, _, _ in patients(2, 10, 1, 1.0):
        got = learn(baseline, SPAN, CP3_FPZ)
        assert got is not None
        mean, null = baseline.mean_uv[SPAN], baseline.null_uv[:, SPAN]
        own = twin.spatial_ratio(mean, null, got.weights)
        assert own >= 0.95 * max(
            twin.spatial_ratio(mean, null, row) for row in (*WEIGHTS[::9], *np.eye(LEADS))
        )


def test_on_other_sweeps_it_beats_the_standard() -> None:
    """True ratio of powers, median over 30 heads."""
    gains = []
    for baseline, later, truth in patients(3, 30, 1, 1.0):
        got = learn(baseline, SPAN, CP3_FPZ)
        assert got is not None
        ratios = []
        for row in (got.weights, CP3_FPZ):
            signal, noise = truth[SPAN] @ row, later.null_uv[:, SPAN] @ row
            ratios.append(np.mean(signal**2) / np.mean(noise**2))
        gains.append(ratios[0] / ratios[1])
    assert np.median(gains) > 2.5


def test_dead_channels_a_common_reference_and_one_electrode_twice_are_no_harm() -> None:
    ((baseline, later, _),) = patients(4, 1, 1, 3.0)
    plain = learn(baseline, SPAN, CP3_FPZ)
    both = np.concatenate([baseline.mean_uv[None], baseline.null_uv])
    dead = both.copy()
    dead[:, :, 5], dead[3, 7, 6], dead[2, 40, 7], dead[0, :, 8] = 0.0, np.nan, np.inf, 1e300
    got = learn(as_average_quiet(dead), SPAN, CP3_FPZ)
    assert plain is not None and got is not None
    assert np.all(got.weights[[5, 7, 8]] == 0.0) and np.isfinite(got.weights).all()
    # The NaN of channel 6 is in a row before the span.
    assert got.weights[6] != 0.0
    virtual = apply(as_average_quiet(dead), got)
    assert np.isfinite(virtual.mean_uv).all()
    common = both - both.mean(axis=2, keepdims=True)
    ratio = plain.learnt_snr_db
    for changed in (common, np.concatenate([both, both[:, :, :1]], axis=2)):
        row = np.resize(CP3_FPZ, changed.shape[2])
        row[LEADS:] = 0.0
        again = learn(as_average(changed), SPAN, row)
        assert again is not None and abs(again.learnt_snr_db - ratio) < 1.0
        assert apply(as_average(changed), again).noise_uv[0] == pytest.approx(
            apply(baseline, plain).noise_uv[0], rel=0.2
        )
    del later


def as_average_quiet(each: Floats) -> Average:
    with np.errstate(all="ignore"):
        return as_average(each)


def test_it_says_nothing_of_too_little_and_takes_a_dead_standard() -> None:
    ((baseline, _, _),) = patients(5, 1, 1, 3.0)
    both = np.concatenate([baseline.mean_uv[None], baseline.null_uv])
    assert learn(as_average(both, 15.0), SPAN, CP3_FPZ) is None
    assert learn(as_average(both * 0.0), SPAN, CP3_FPZ) is None
    assert learn(as_average(both * np.eye(1, LEADS)), SPAN, CP3_FPZ) is None
    assert learn(as_average(both), slice(90, 99), CP3_FPZ) is None
    both[:, :, np.flatnonzero(CP3_FPZ)[0]] = 0.0
    got = learn(as_average(both), SPAN, CP3_FPZ)
    assert got is not None and got.weights[np.argmax(np.abs(got.weights))] > 0.0


def sixteen_of(uv: Floats) -> Average:
    """The average of uv (sweep, time, derivation), all weighed alike."""
    averager = Averager(uv.shape[1], uv.shape[2], len(uv))
    for k, each in enumerate(uv):
        averager.add(Sweep(Trigger(k, 1), each.astype(np.float32), 0, np.ones(uv.shape[2])))
    return averager.average()


def test_a_half_is_the_average_of_its_sub_averages() -> None:
    """With equal weights: mean and null averages of every other sweep, and no response in a null."""
    uv = np.random.default_rng(6).normal(size=(64, ROWS, 3))
    for part, got in zip((uv[::2], uv[1::2]), halves(sixteen_of(uv)), strict=True):
        assert got.mean_uv == pytest.approx(part.mean(axis=0), abs=1e-5)
        assert len(got.null_uv) == 7
        # Each null is a balanced sum of the sub-averages: least squares gives the signs back.
        flat = part.reshape(4, 8, ROWS * 3).mean(axis=0).T
        signs = np.linalg.lstsq(flat, got.null_uv.reshape(7, -1).T, rcond=None)[0] * 8.0
        assert np.abs(signs) == pytest.approx(np.ones((8, 7)), abs=1e-3)
        assert signs.T @ signs == pytest.approx(8.0 * np.eye(7), abs=1e-2)
        assert signs.sum(axis=0) == pytest.approx(np.zeros(7), abs=1e-2)


def test_crossed_no_half_meets_the_filter_it_taught() -> None:
    """Against filters learnt from the sweeps of each half and applied to those of the other."""
    ((baseline, _, truth),) = patients(7, 1, 1, 1.0)
    rng = np.random.default_rng(8)
    uv = truth + rng.normal(size=(64, ROWS, LEADS)) * 5.0
    average = sixteen_of(uv)
    got = cross(average, SPAN, CP3_FPZ)
    assert got is not None and baseline is not None
    even, odd = (learn(half, SPAN, CP3_FPZ) for half in halves(average))
    assert even is not None and odd is not None
    crossed = np.stack([each @ (odd if k % 2 == 0 else even).weights for k, each in enumerate(uv)])
    expected = sixteen_of(crossed[:, :, None])
    assert got.mean_uv == pytest.approx(expected.mean_uv, abs=1e-4)
    assert got.null_uv == pytest.approx(expected.null_uv, abs=1e-4)
    assert got.null_uv.dtype == np.float32 and got.n_sweeps == 64
    nothing = as_average_quiet(np.full((16, ROWS, LEADS), np.nan))
    assert cross(nothing, SPAN, CP3_FPZ) is None


def test_without_a_response_it_is_absent() -> None:
    """At least 97.5 % of 400, with a baseline and crossed; judged where it learnt it would not be."""

    def found(average: Average | None) -> bool:
        assert average is not None
        return measure(average, (N20,), ("DSS",), float(TIMES_MS[0]), 1.0)[0].present

    told = {"baseline": 0, "crossed": 0, "same": 0}
    for baseline, later, _ in patients(8, 40, 10, 0.0):
        got = learn(baseline, SPAN, CP3_FPZ)
        assert got is not None
        told["baseline"] += found(apply(later, got))
        told["crossed"] += found(cross(later, SPAN, CP3_FPZ))
        told["same"] += found(apply(baseline, got))
    assert told["baseline"] <= 10
    assert told["crossed"] <= 10
    assert told["same"] > 40
