"""Mains is taken out at a locked rate, nothing is lost at a clean one, and no burst poisons the fit."""

from collections.abc import Iterable

import numpy as np
import pytest

from dsp import reference_mains as slow
from dsp.mains_fit import MainsFit
from tests.evoked import noise

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
RATE_HZ = 2500.0
MASK_ROWS = 150  # 60 ms


def signal(seed: int, seconds: float, mains_uv: float, kind: str = "typical", rms_uv: float = 7.5) -> Floats:
    """Noise and mains, (2, time)."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    made = noise.body(n, RATE_HZ, rms_uv, (30.0, 1000.0), rng) * noise.level(kind, n, RATE_HZ, rng)
    return np.array([made, noise.mains(n, RATE_HZ, 60.0, mains_uv, rng)])


def masked(fit: MainsFit, x: Floats, triggers: Iterable[int]) -> Floats:
    """x (time, channel) through `fit`, 60 ms after each trigger kept out of it."""
    parts, at = [], 0
    for trigger in [*triggers, len(x)]:
        parts.append(fit.run(x[at:trigger]))
        fit.exclude(trigger, trigger + MASK_ROWS)
        at = trigger
    return np.concatenate(parts)


def rms(x: Floats) -> float:
    return float(np.sqrt(np.mean(x**2)))


def response(t_ms: Floats) -> Floats:
    n20 = -1.4 * np.exp(-0.5 * ((t_ms - 20.0) / 1.6) ** 2)
    return np.asarray(n20 + 1.6 * np.exp(-0.5 * ((t_ms - 25.2) / 2.3) ** 2))


def test_like_its_twin() -> None:
    rate, n = 500.0, 8000
    rng = np.random.default_rng(3)
    mains = noise.mains(n, rate, 60.02, 3.0, rng)
    x = np.column_stack([3 * rng.normal(size=n) + mains, 5 * rng.normal(size=n)]) + 1e3
    x[4000:4003] += 500.0
    x[6000:6400, 1] *= 30.0
    excluded = np.arange(n) % 100 < 20
    fit = MainsFit(rate, 60.0, 2, harmonics=3)
    for at in range(0, n, 100):
        fit.exclude(at, at + 20)
    got = fit.run(x)
    assert rms((got - x)[5001:, 0]) > 1.5
    assert got == pytest.approx(slow.mains_fit(x, rate, 60.0, 3, excluded), rel=1e-12)


def test_how_samples_are_cut_does_not_matter_to_a_bit() -> None:
    x = signal(1, 16.0, 3.0).sum(axis=0)[:, None] + np.array([[0.0, 2e5]])
    triggers = range(1000, len(x), 523)
    whole = masked(MainsFit(RATE_HZ, 60.0, 2), x, triggers)
    rng = np.random.default_rng(2)
    fit, parts, at = MainsFit(RATE_HZ, 60.0, 2), [], 0
    for trigger in triggers:
        fit.exclude(trigger, trigger + MASK_ROWS)
    while at < len(x):
        step = int(rng.choice([1, 7, 80, 250, 251, 3000]))
        parts.append(fit.run(x[at : at + step]))
        at += step
    assert np.array_equal(np.concatenate(parts), whole)
    assert rms((whole - x)[round(10 * RATE_HZ) :]) > 1.5


def test_the_first_ten_seconds_pass_unchanged_and_are_told() -> None:
    x = signal(1, 12.0, 20.0).sum(axis=0)[:, None]
    fit = MainsFit(RATE_HZ, 60.0, 1)
    ten = round(10 * RATE_HZ)
    assert np.array_equal(fit.run(x[: ten - 1]), x[: ten - 1])
    assert not fit.ready.any()
    assert not fit.fitted.amplitude_uv.any()
    fit.run(x[ten - 1 : ten])
    assert fit.ready.all()
    assert fit.fitted.hz == pytest.approx(60.0, abs=0.06)
    assert rms(fit.run(x[ten:]) - x[ten:]) > 8.0


@pytest.mark.parametrize("off_hz", [-0.1, 0.1])
def test_mains_off_by_a_tenth_is_found(off_hz: float) -> None:
    t = np.arange(round(15 * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * h * (60.0 + off_hz) * t + h) / h for h in range(1, 6))
    x = 5.0 * tones[:, None]
    fit = MainsFit(RATE_HZ, 60.0, 1)
    with np.errstate(all="raise"):
        left = fit.run(x)[round(11 * RATE_HZ) :]
    assert fit.fitted.hz == pytest.approx(60.0 + off_hz, abs=1e-3)
    assert rms(left) < 0.01 * rms(x)  # exact but for the tenth of a second at a fixed frequency
    fit.follow(60.0 + off_hz / 2)
    fit.follow(float("nan"))


@pytest.mark.parametrize(("kind", "most"), [("quiet", 0.35), ("typical", 0.35), ("severe", 0.5)])
def test_a_third_of_wandering_mains_is_left_sample_by_sample(kind: str, most: float) -> None:
    left = []
    for seed in range(3):
        clean, mains = signal(seed, 40.0, 3.0, kind)
        got = MainsFit(RATE_HZ, 60.0, 1).run((clean + mains)[:, None])[:, 0]
        left.append(rms((got - clean)[round(11 * RATE_HZ) :]) / rms(mains))
    assert np.median(left) < most


def test_without_mains_next_to_nothing_is_added() -> None:
    """2.1 % of the noise's rms would be added, but for harmonics that only add being let be: 1.6 %."""
    added = []
    for seed in range(8):
        clean, _ = signal(seed, 40.0, 0.0)
        got = MainsFit(RATE_HZ, 60.0, 1).run(clean[:, None])[:, 0]
        added.append(rms(got - clean) / rms(clean))
    assert max(added) < 0.03
    assert np.median(added) < 0.018


def test_a_locked_average_of_64_loses_its_mains_and_keeps_its_response() -> None:
    """5.0 Hz: what 64 sweeps hold of mains, and what the fit makes of a response of 2.9 uV."""
    period, left, kept, eaten = 500, [], [], []
    shape = response(np.arange(MASK_ROWS) / RATE_HZ * 1e3)
    for seed in range(2):
        clean, mains = signal(seed, 50.0, 3.0)
        triggers = np.arange(27 * period, len(clean) - period, period)
        rows = triggers[:, None] + np.arange(MASK_ROWS)
        bare = clean + mains
        x = bare.copy()
        x[rows] += shape
        for into, excluded in ((kept, triggers.tolist()), (eaten, [])):
            with_it, without = (
                masked(MainsFit(RATE_HZ, 60.0, 1), v[:, None], excluded)[:, 0] for v in (x, bare)
            )
            into.append((with_it - without)[rows].mean(axis=0) @ shape / (shape @ shape))
            if excluded:
                rest = (without - clean)[rows]
                left += [
                    rms(rest[k : k + 64].mean(axis=0)) / rms(mains) for k in range(0, len(rest) - 64, 64)
                ]
    assert np.median(left) < 0.2
    assert kept == pytest.approx([1.0] * 2, abs=0.02)
    # Not told where the response is, the fit takes some of it for mains.
    assert 0.8 < np.mean(eaten) < 0.97


def test_at_a_clean_rate_a_response_is_not_eaten() -> None:
    shape = response(np.arange(MASK_ROWS) / RATE_HZ * 1e3)
    clean, mains = signal(1, 50.0, 3.0)
    triggers = np.arange(26_000, len(clean) - 523, 523)
    rows = triggers[:, None] + np.arange(MASK_ROWS)
    x = clean + mains
    without = MainsFit(RATE_HZ, 60.0, 1).run(x[:, None])[:, 0]
    x[rows] += shape
    with_it = MainsFit(RATE_HZ, 60.0, 1).run(x[:, None])[:, 0]
    assert (with_it - without)[rows].mean(axis=0) @ shape / (shape @ shape) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("spoilt", ["electrosurgery", "rail", "nan", "inf"])
@pytest.mark.parametrize(("channels", "seconds"), [(1, 4.0), (2, 6.0)])
def test_a_burst_does_not_poison_the_fit(spoilt: str, channels: int, seconds: float) -> None:
    """Not of one channel for four seconds, nor of both for six."""
    clean, mains = signal(5, 40.0, 5.0, "quiet")
    x = np.column_stack([clean + mains, clean + mains])
    a = round(14.03 * RATE_HZ)
    b = a + round(seconds * RATE_HZ)
    cautery = 5e3 * np.random.default_rng(1).normal(size=(b - a, 1))
    burst = {"electrosurgery": x[a:b, :channels] + cautery, "rail": 187500.0, "nan": np.nan, "inf": np.inf}
    x[a:b, :channels] = burst[spoilt]
    with np.errstate(all="raise"):
        got = MainsFit(RATE_HZ, 60.0, 2).run(x)
    assert np.isfinite(got[b:]).all()
    at_once, later = slice(b, round(b + 2 * RATE_HZ)), slice(round(b + 2 * RATE_HZ), None)
    assert rms(got[at_once, 0] - clean[at_once]) < 1.05 * rms(mains)  # no worse than unchanged
    assert rms(got[later, 0] - clean[later]) < 0.4 * rms(mains)


def test_behind_a_burst_longer_than_the_memory_the_fit_begins_anew() -> None:
    clean, mains = signal(5, 45.0, 5.0, "quiet")
    x = (clean + mains)[:, None]
    a, b = round(14 * RATE_HZ), round(26 * RATE_HZ)
    x[a:b] = np.nan
    got = MainsFit(RATE_HZ, 60.0, 1).run(x)[:, 0]
    assert rms(got[b : b + 10_000] - clean[b : b + 10_000]) < 1.05 * rms(mains)
    late = slice(round(36.2 * RATE_HZ), None)
    assert rms(got[late] - clean[late]) < 0.5 * rms(mains)


def test_a_gap_is_bridged_in_phase_or_waited_out() -> None:
    clean, mains = signal(6, 40.0, 5.0, "quiet")
    x = (clean + mains)[:, None]
    cut = round(20.01 * RATE_HZ)
    fit = MainsFit(RATE_HZ, 60.0, 1)
    fit.run(x[:cut])
    on = cut + round(0.8 * RATE_HZ)
    fit.restart(on)
    assert fit.ready.all()
    end = on + round(0.5 * RATE_HZ)
    got = fit.run(x[on:end])[:, 0]
    assert rms(got - clean[on:end]) < 0.35 * rms(mains)
    on = end + round(3 * RATE_HZ)
    fit.restart(on)
    assert not fit.ready.any()
    assert np.array_equal(fit.run(x[on : on + 100]), x[on : on + 100])
    later = on + round(1.5 * RATE_HZ)
    fit.run(x[on + 100 : later])
    assert fit.ready.all()
    got = fit.run(x[later:])[:, 0]
    assert rms(got - clean[later:]) < 0.4 * rms(mains)
    fit.restart(len(x) + round(11 * RATE_HZ))
    assert not fit.ready.any()
    fit.restart(0)  # another recording
    assert not fit.ready.any()


def test_a_block_that_a_gap_broke_off_is_not_used() -> None:
    x = signal(8, 15.0, 5.0).sum(axis=0)[:, None]
    cut, on = round(11.05 * RATE_HZ), round(11.17 * RATE_HZ)
    after = []
    for begun in (cut, round(11.0 * RATE_HZ)):
        fit = MainsFit(RATE_HZ, 60.0, 1)
        fit.run(x[:begun])
        fit.restart(on)
        after.append(fit.run(x[on:]))
    assert np.array_equal(after[0], after[1])
    assert rms(after[0] - x[on:]) > 2.5


def test_mains_that_jumps_is_let_go_and_found_again() -> None:
    """Half a turn at once, as when a generator takes over: never long worse than unchanged."""
    for seed in range(2):
        clean, mains = signal(seed, 45.0, 5.0, "quiet")
        turn = round(15 * RATE_HZ)
        mains[turn:] *= -1.0
        got = MainsFit(RATE_HZ, 60.0, 1).run((clean + mains)[:, None])[:, 0]
        rest = (got - clean)[turn:]
        assert rms(rest[round(3 * RATE_HZ) : round(12 * RATE_HZ)]) < 1.05 * rms(mains)
        assert rms(rest[round(12 * RATE_HZ) :]) < 0.45 * rms(mains)


def test_a_silent_channel_stays_silent_and_nothing_in_gives_nothing_out() -> None:
    x = np.column_stack([signal(7, 13.0, 5.0).sum(axis=0), np.zeros(round(13 * RATE_HZ))])
    with np.errstate(all="raise"):
        fit = MainsFit(RATE_HZ, 60.0, 2)
        got = fit.run(x)
        assert fit.run(x[:0]).shape == (0, 2)
    assert not got[:, 1].any()
    assert fit.ready.tolist() == [True, False]


@pytest.mark.parametrize(
    ("rate", "hz", "channels", "memory"),
    [(2500, 60, 1, 9.9), (2500, 60, 1, np.nan), (100, 60, 1, 10), (2500, 0, 1, 10), (2500, 60, 0, 10)],
)
def test_what_cannot_be_fitted_is_refused(rate: float, hz: float, channels: int, memory: float) -> None:
    with pytest.raises(ValueError, match=r"under|carry|nothing"):
        MainsFit(rate, hz, channels, memory)
