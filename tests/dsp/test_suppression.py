"""The ratio is within 5 points of the truth in mains, heart and cautery; artifact time is in no ratio."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.decimate import Decimator
from dsp.segmentation import by_amplitude
from dsp.spectra import EegSpectra
from dsp.suppression import Suppression, SuppressionMeter
from dsp.trends import Estimates
from hw.model.rhythms import BrainState, Rhythms
from hw.model.sources import Brain
from tests.support.eeg import RATE_HZ, mains, suppressed_eeg
from tests.support.streams import blocks

Floats = NDArray[np.float64]
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def told_and_true(seed: int, share: float, **options: float) -> tuple[Suppression, float]:
    uv, suppressed, spans = suppressed_eeg(share, np.random.default_rng([seed, int(10 * share)]), **options)
    meter = SuppressionMeter(1, RATE_HZ)
    good = np.ones(len(uv), bool)
    for first, end in spans:
        meter.exclude(first, end)
        good[first:end] = False
    told = meter.append(uv[:, None], 0)[-1]
    window = slice(told.first_index, told.end_index)
    return told, 100.0 * suppressed[window][good[window]].mean()


@pytest.mark.parametrize(
    ("options", "by_variance_too"),
    [
        ({"mains_uv": 10.0}, 5.0),
        ({"mains_uv": 50.0}, 5.0),
        ({"heart_uv": 20.0}, 10.0),
        ({"cautery": 0.1}, 5.0),
    ],
    ids=["mains", "much mains", "heart", "cautery"],
)
def test_the_ratio_is_within_5_points(options: dict[str, float], by_variance_too: float) -> None:
    for share in SHARES:
        for seed in (400, 401)[: 1 if options.get("mains_uv") == 50.0 else 2]:
            told, truth = told_and_true(seed, share, **options)
            assert abs(told.ratio.value[0] - truth) < 5.0, (share, seed)
            assert abs(told.ratio_by_variance.value[0] - truth) < by_variance_too, (share, seed)
            assert told.ratio.low[0] <= told.ratio.value[0] <= told.ratio.high[0]
            assert told.probability.low[0] <= share <= told.probability.high[0], (share, seed)
            assert (told.artifact_share[0] > 0.05) == ("cautery" in options)


def test_without_its_band_mains_of_10_uv_would_hide_all() -> None:
    rng = np.random.default_rng(1)
    uv = 0.7 * rng.standard_normal((17_500, 1)) + mains(10.0, 50.0, 17_500, rng)[:, None]
    assert not by_amplitude((uv,), uv, RATE_HZ)[0].any()
    assert SuppressionMeter(1, RATE_HZ).append(uv, 0)[-1].ratio.value[0] == 100.0


def test_cautery_that_nobody_told_is_found_by_its_size() -> None:
    uv, _, spans = suppressed_eeg(1.0, np.random.default_rng(2), cautery=0.1)
    told = SuppressionMeter(1, RATE_HZ).append(uv[:, None], 0)[-1]
    assert told.artifact_share[0] > 0.05 and len(spans) > 0
    assert told.ratio.value[0] > 95.0


def test_too_little_good_time_is_no_ratio() -> None:
    uv = 20.0 * np.random.default_rng(3).standard_normal((17_500, 2))
    meter = SuppressionMeter(2, RATE_HZ)
    uv[5000:15_000, 0] = np.nan
    records = meter.append(uv, 0)
    assert np.isnan(records[20].ratio.value).all() and np.isfinite(records[35].ratio.value[1])
    last = records[-1]
    assert np.isnan(last.ratio.value[0]) and np.isnan(last.ratio_by_variance.high[0])
    assert last.good_s[0] < 30.0 and last.artifact_share[0] > 0.6 and last.artifact_share[1] == 0.0
    assert last.ratio.value[1] == 0.0 and last.ratio.high[1] > 1.0
    assert last.probability.high[0] - last.probability.low[0] > last.probability.high[1]


def test_a_dead_lead_is_not_a_silent_brain() -> None:
    for uv in (np.zeros((5000, 1)), np.full((5000, 1), 187_500.0), np.full((5000, 1), np.inf)):
        last = SuppressionMeter(1, RATE_HZ).append(uv, 0)[-1]
        assert np.isnan(last.ratio.value[0]) and last.artifact_share[0] == 1.0


def same(one: Suppression, other: Suppression) -> bool:
    """Bit for bit."""
    for field in dataclasses.fields(Suppression):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Estimates):
            pairs = [(a.value, b.value), (a.low, b.low), (a.high, b.high)]
        else:
            pairs = [(np.asarray(a), np.asarray(b))]
        if not all(np.array_equal(p, q, equal_nan=p.dtype == np.float64) for p, q in pairs):
            return False
    return True


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 2999), max_size=6), st.integers(0, 10_000), st.sampled_from((1, 3)))
def test_blocks_leave_no_trace(cuts: list[int], first_index: int, derivations: int) -> None:
    uv, _, _ = suppressed_eeg(0.5, np.random.default_rng(4), seconds=12.0)
    rows = np.ascontiguousarray(np.column_stack([uv] * derivations))
    rows[1000:1020] += 4000.0
    whole, parts = SuppressionMeter(derivations, RATE_HZ), SuppressionMeter(derivations, RATE_HZ)
    whole.exclude(first_index + 2000, first_index + 2100)
    parts.exclude(first_index + 2000, first_index + 2100)
    expected = whole.append(rows, first_index)
    found = [r for a, b in blocks(3000, cuts) for r in parts.append(rows[a:b], first_index + a)]
    assert len(found) == len(expected) >= 6
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    assert all(r.end_index % 250 == 0 for r in found)


def test_rows_one_by_one_leave_no_trace_either() -> None:
    uv = suppressed_eeg(0.5, np.random.default_rng(5), seconds=8.0)[0][:, None]
    expected = SuppressionMeter(1, RATE_HZ).append(uv, 0)
    parts = SuppressionMeter(1, RATE_HZ)
    found = [r for a in range(len(uv)) for r in parts.append(uv[a : a + 1], a)]
    assert len(found) == len(expected) == 3
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


def test_nothing_is_judged_across_a_gap() -> None:
    uv = 0.7 * np.random.default_rng(6).standard_normal((2000, 1))
    meter = SuppressionMeter(1, RATE_HZ)
    before = meter.append(uv, 10)
    behind = meter.append(uv + 9000.0, 50_001)
    # The first whole second settles the filter, the next is context, and the last two wait for theirs.
    assert before[0].end_index == 1000 and before[-1].end_index == 1250
    assert behind[0].end_index == 51_000 and all(r.ratio.value != r.ratio.value for r in before)
    assert behind[-1].good_s[0] == len(before) + len(behind) and behind[-1].artifact_share[0] == 0.0


def test_what_cannot_be_built() -> None:
    for derivations, rate_hz, limits in (
        (1, 100.0, {}),
        (1, 250.5, {}),
        (0, 250.0, {}),
        (1, 250.0, {"suppressed_uv": 0.0}),
        (1, 250.0, {"limit_uv": 4.0}),
    ):
        with pytest.raises(ValueError, match=r"rate|none|impossible"):
            SuppressionMeter(derivations, rate_hz, **limits)


def test_the_model_patients_suppression_and_edges_are_found() -> None:
    """Rhythms and 1/f background of the model, gated, through decimation."""

    def state(times_s: Floats) -> BrainState:
        share = np.full(len(times_s), 0.5)
        return BrainState(share, np.where(times_s < 66.0, share, 0.0), share + 0.5, share + 0.5)

    electrodes, rate_hz, chunk = ("Fz", "Cz"), 500.0, 256
    rhythms = Rhythms(electrodes, rate_hz, 11, chunk, state)
    brain = Brain(electrodes, rate_hz, 11)
    decimator, meter = Decimator(2, rate_hz, 250.0), SuppressionMeter(2, 250.0)
    spectra = EegSpectra(electrodes, 250.0)
    told, edges = [], []
    for first in range(0, int(80 * rate_hz), chunk):
        times_s = (first + np.arange(chunk)) / rate_hz
        uv = (rhythms.next_uv(times_s) + brain.next_uv(times_s)) * rhythms.gate(times_s)
        made = decimator.append(np.ascontiguousarray(uv.T), first)
        told += meter.append(made.uv, made.first_index)
        edges += spectra.append(made.uv, made.first_index)
    record = next(r for r in told if r.end_index == 65 * 250)
    seen_s = record.first_index / 250, record.end_index / 250
    inside = [max(0.0, min(end, seen_s[1]) - max(start, seen_s[0])) for start, end in rhythms.suppressed_s]
    truth = 100.0 * sum(inside) / (seen_s[1] - seen_s[0])
    assert np.all(np.abs(record.ratio.value - truth) < 5.0)
    assert 9.0 < edges[-1].sef95_hz.value[0] < 14.0
