"""Changes are told with their errors; the alarm keeps its false alarms, finds a fall, and learns none."""

import itertools
import math
import random

import numpy as np
import pytest

from dsp import kernels
from dsp import kernels_change as places
from dsp import reference_change as twins
from dsp.change import SETTLED_SE, Cusum, CusumState, Latency, Rolling, change
from dsp.kernels_change import MIN_NOISE_SWEEPS, MIN_THRESHOLD, threshold
from dsp.projection import Projection, SweepNoise, project, template
from tests.evoked import alarm
from tests.support.streams import Floats

VARIANCE = 11.1
"""Of a single sweep's ratio in facts/dsp 3.4."""
NAN, INF = math.nan, math.inf


def projection(ratio: float, own: float) -> Projection:
    """A projection of this variance on a noiseless baseline."""
    square = np.repeat([1.0, -1.0], 20)
    null = np.tile(square, (15, 1)) * math.sqrt(own)
    made = template(square, np.tile(square, (15, 1)) * 0.0, slice(0, 40))
    assert made is not None
    told = project(made, ratio * square, null)
    assert told is not None
    return told


def test_log_change_and_its_error() -> None:
    told = change(projection(0.5, 0.01), None, None)
    assert told.log_change == pytest.approx(math.log(0.5))
    assert told.log_se == pytest.approx(0.1 / 0.5)
    assert told.log_at_most == pytest.approx(math.log(0.5 + 2.1314 * 0.1), rel=1e-4)


def test_no_logarithm_of_what_is_not_clear_of_nothing() -> None:
    told = change(projection(0.1, 0.01), None, None)
    assert (told.log_change, told.log_se) == (None, None)
    assert told.log_at_most == pytest.approx(math.log(0.1 + 2.1314 * 0.1), rel=1e-4)
    gone = change(projection(-0.9, 0.01), None, None)
    assert (gone.log_change, gone.log_se, gone.log_at_most) == (None, None, None)
    assert gone.rules[0].verdict == "met" and gone.rules[0].confidence > 0.999


def test_latency_change() -> None:
    told = change(None, Latency(22.5, 0.3), Latency(20.0, 0.4))
    assert told.latency_change_ms == pytest.approx(2.5)
    assert told.latency_se_ms == pytest.approx(0.5)
    assert told.rules[0].verdict == "unknown"
    assert told.rules[1].verdict == "met"
    # 0.5 ms beyond the limit of 22, with an error of root(0.3^2 + 0.44^2).
    assert told.rules[1].confidence == pytest.approx(0.82, abs=0.01)


@pytest.mark.parametrize(
    ("ratio", "own", "verdict", "low", "high"),
    [(0.3, 0.0025, "met", 0.99, 1.0), (0.45, 0.04, "met", 0.55, 0.65), (0.9, 0.01, "not met", 0.0, 0.01)],
)
def test_amplitude_rule(ratio: float, own: float, verdict: str, low: float, high: float) -> None:
    rule = change(projection(ratio, own), None, None).rules[0]
    assert rule.verdict == verdict
    assert rule.confidence is not None and low <= rule.confidence <= high


@pytest.mark.parametrize("missing", [(None, Latency(20.0, 0.1)), (Latency(20.0, 0.1), None), (None, None)])
def test_what_was_not_measured_is_unknown(missing: tuple[Latency | None, Latency | None]) -> None:
    told = change(None, *missing)
    assert (told.log_change, told.log_at_most, told.latency_change_ms, told.latency_se_ms) == (None,) * 4
    assert [(r.verdict, r.confidence) for r in told.rules] == [("unknown", None)] * 2
    exact = change(None, Latency(22.0, 0.0), Latency(20.0, 0.0))
    assert exact.rules[1].verdict == "not met" and exact.rules[1].confidence == 0.0


def test_noise_is_its_twin() -> None:
    p, weights = alarm.runs(1, 3000, "severe", 3)
    p[0, 2000:] -= 0.6
    p[0, 70:73], weights[0, 80:84] = (NAN, INF, 1e12), (NAN, INF, 0.0, 1e12)
    state, found = np.zeros(places.NOISE_STATE), np.empty(3000)
    twins.sweep_noise(p[0], weights[0], state, found)
    np.testing.assert_allclose(SweepNoise().run(p[0], weights[0]), found, rtol=1e-12)
    level = SweepNoise()
    told = [level.variance(float(x), float(w)) for x, w in zip(p[0], weights[0], strict=True)]
    np.testing.assert_allclose(told, found, rtol=1e-12)
    assert np.isinf(found).sum() == MIN_NOISE_SWEEPS + 7
    with pytest.raises(ValueError):
        level.run(p, weights)


def test_chance_of_the_weights_is_not_read_as_noise_and_bursts_are() -> None:
    """Weights of 16 degrees of freedom, one burst of ten times the noise: variances are right within it from
    its first sweep on, and vary less than the weights outside of it."""
    rng = np.random.default_rng(4)
    n, sd = 6000, np.ones(6000)
    sd[5000:5020] = 10.0
    weights = 16.0 / (sd**2 * rng.chisquare(16, n))
    told = SweepNoise().run(1.0 + sd * rng.normal(size=n), weights)
    quiet = np.r_[2000:5000, 5040:6000]
    assert np.mean(told[quiet]) == pytest.approx(1.0, rel=0.15)
    assert np.std(np.log(told[quiet])) < 0.5 * np.std(np.log(weights[quiet]))
    assert np.all(np.abs(np.log(told[5000:5020] / 100.0)) < 1.2)


def rough(seed: int, n: int = 3000) -> tuple[Floats, Floats]:
    """Ratios and variances of all sizes, with a fall, and some that say nothing."""
    rng = np.random.default_rng(seed)
    p = 1.0 + rng.normal(size=n) * np.exp(0.8 * rng.normal(size=n))
    v = np.exp(1.6 * rng.normal(size=n))
    p[n // 2 : 3 * n // 4] -= 0.6
    p[100:104] = NAN, INF, -INF, 1e12
    v[200:204] = NAN, INF, -1.0, 0.0
    return p, v


@pytest.mark.parametrize("keep_settled", [(1.0, 0.07, 0.0), (1.0, 0.07, 0.2), (0.999, -1.0, 0.2)])
@pytest.mark.parametrize("answered", [0.0, 1.0, 2.0])
def test_the_kernel_is_its_twin_to_the_last_digits(
    keep_settled: tuple[float, float, float], answered: float
) -> None:
    """Of a baseline without an error, one that is completed, one that follows; in pieces of any size."""
    keep, settled, error = keep_settled
    for seed in range(3):
        p, v = rough(seed)
        told = []
        for module, cuts in ((kernels, [0, 1, 2, 700, 701, len(p)]), (twins, [0, len(p)])):
            settings, state = np.array([0.6, 16920.0, keep, settled, answered]), np.zeros(places.STATE)
            state[places.KNOWN : places.WITHHELD] = 25.0, 25.0, error**2 * 625.0
            out = np.full((len(p), places.COLUMNS), NAN)
            for a, b in itertools.pairwise(cuts):
                module.cusum(p[a:b], v[a:b], settings, state, out[a:b])
            told.append((out, state))
        for got, expected in zip(*told, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        assert told[0][0][:, places.COLUMN_ALARM].any() and not told[0][0][:, places.COLUMN_ALARM].all()
        moved = told[0][1][places.KNOWN] != 25.0
        assert moved == (error > 0.0 or answered == 2.0)


def test_learning_is_its_twin() -> None:
    state = np.arange(1.0, 1.0 + places.STATE)
    expected = state.copy()
    kernels.learn_withheld(state, 0.99)
    twins.learn_withheld(expected, 0.99)
    np.testing.assert_allclose(state, expected, rtol=1e-14)
    assert not state[places.WITHHELD :].any() and state[places.KNOWN] > 9.0
    kernels.clear_evidence(state)
    twins.clear_evidence(expected)
    np.testing.assert_allclose(state, expected, rtol=1e-14)
    assert not state[[places.SUM, places.SINCE, places.ALARM]].any()


def test_a_run_is_what_sweep_by_sweep_would_have_told() -> None:
    p, v = rough(5)
    for make in (
        lambda: Cusum(0.6, 1.0, 4.7),
        lambda: Cusum(0.6, 1.0, 4.7, 0.2),
        lambda: Rolling(Cusum(0.6, 1.0, 4.7), 3000.0, 0.1),
    ):
        told = make().run(p, v)
        answered = make().run(p, v, answered="cleared")
        test, again = make(), make()
        for i, (x, y) in enumerate(zip(p.tolist(), v.tolist(), strict=True)):
            state = test.add(x, y)
            since = None if told.since[i] < 0 else told.since[i]
            assert state[:4] == (told.evidence[i], told.threshold[i], told.alarm[i], since)
            state = again.add(x, y)
            assert state[:3] == (answered.evidence[i], answered.threshold[i], answered.alarm[i])
            if state.alarm:
                again.clear()
        assert told.alarm.sum() > answered.alarm.sum() > 1
        with pytest.raises(ValueError):
            make().run(p, v[1:])
        with pytest.raises(ValueError):
            make().run(p[None], v[None])


@pytest.mark.parametrize("information", [1e-4, 0.0324, 1.0])
@pytest.mark.parametrize("interval", [1000.0, 16920.0, 1e6])
def test_threshold_solves_siegmund_s_formula(information: float, interval: float) -> None:
    h = threshold(information, interval)
    assert h == pytest.approx(twins.threshold(information, interval), rel=1e-12)
    b = h + 1.166 * math.sqrt(information)
    if h > MIN_THRESHOLD:
        assert 2.0 * (math.exp(b) - b - 1.0) / information == pytest.approx(interval, rel=1e-6)
    else:
        assert 2.0 * (math.exp(b) - b - 1.0) / information >= interval


@pytest.mark.control("H14.6")
@pytest.mark.parametrize("kind", ["quiet", "typical", "severe"])
def test_false_alarms_keep_their_rate(kind: str) -> None:
    """One an hour asked for; 60 hours hold 60 +- 8."""
    p, weights = alarm.runs(240, alarm.HOUR // 4 + alarm.WARM_UP, kind, 7)
    alarms = alarm.cusum_alarms(p, alarm.variances(p, weights), np.ones(1))[alarm.WARM_UP :]
    assert 0.6 <= alarms.sum() / 60 <= 1.5


def test_false_alarms_keep_their_rate_on_a_baseline_of_300_sweeps() -> None:
    """At most one an hour, give or take three standard errors; told nothing of the error it is far more."""
    p, weights = alarm.runs(80, alarm.HOUR + alarm.WARM_UP, "typical", 7)
    told = alarm.false_with_baseline(p, weights)
    most = 1.0 + 3.0 * math.sqrt(1.0 / 80.0)
    assert 0.3 < told["baseline_fixed_false_per_h"] <= most
    assert 0.3 < told["baseline_rolling_false_per_h"] <= most
    assert told["baseline_ignorant_false_per_h"] > 1.5 * most


def test_a_baseline_is_completed_until_it_is_settled_and_then_stays() -> None:
    """It was read 15 % high and said to be 20 % off: 1/0.07^2 = 204 of information make it settled."""
    source = random.Random(12)
    test = Cusum(0.6, 0.01, 4.7, 0.2)
    for _ in range(1200):
        test.add(source.gauss(0.85, 1.5), 2.25)
    assert test.level == pytest.approx(0.85, abs=3.0 * test.level_se)
    assert test.level_se < 1.05 * SETTLED_SE
    settled = test.level
    states = [test.add(source.gauss(0.34, 1.5), 2.25) for _ in range(2000)]
    assert states[-1].alarm and test.frozen and test.level == settled
    test.clear()
    for _ in range(400):
        test.add(source.gauss(1.5, 1.5), 2.25)
    assert test.level == settled and not test.frozen
    test.restart()
    assert (test.level, test.level_se) == (1.0, pytest.approx(0.2))


def test_evidence_never_exceeds_what_the_baseline_allows() -> None:
    """A mean of 0.4 against 1 +- 0.2, known as exactly as one likes: d (1 - d/2 - m) / e^2 = 4.5."""
    test = Cusum(0.6, 0.01, 4.7, 0.2)
    states = [test.add(0.4, 2.25) for _ in range(20000)]
    assert states[-1].evidence == pytest.approx(4.5, rel=0.01)
    assert states[0].ago == 1 and not states[-1].alarm
    exact = Cusum(0.6, 0.01, 4.7)
    assert [exact.add(0.4, 2.25) for _ in range(400)][-1].alarm


def test_a_false_alarm_can_be_learned() -> None:
    """An injury that is none: 300 sweeps at half of what was thought to be 10 % off."""
    source = random.Random(13)
    p, learned = [source.gauss(0.5, 1.5) for _ in range(6000)], Cusum(0.6, 1.0, 4.7, 0.1)
    v = np.full(6000, 2.25)
    n = {how: int(Cusum(0.6, 1.0, 4.7, 0.1).run(p, v, how).alarm.sum()) for how in ("cleared", "learned")}
    assert n["cleared"] > 5 * n["learned"] > 0
    learned.run(p, v, "learned")
    assert learned.level < 0.75
    known = Cusum(0.6, 1.0, 4.7)
    known.run(p, v, "learned")
    assert known.level == pytest.approx(1.0, abs=1e-12)


def test_the_study_in_small() -> None:
    """The whole study with more cases: python -m tests.evoked.alarm."""
    own = {"nominal_per_h": 1.0, "block": 0.56, "plain_block": 0.2, "baseline_block": 0.5}
    told = alarm.fall(200, "typical", 9, own)
    assert 180.0 < told["cusum_median"] < 285.0
    assert told["ratio"] < 0.75
    assert told["cusum_median"] < told["baseline_fixed_median"] < 1.35 * told["cusum_median"]


def test_it_tells_since_when() -> None:
    source = random.Random(5)
    since, ago = [], []
    for _ in range(40):
        test = Cusum(0.6, 1.0, 4.7)
        for i in itertools.count():
            state = test.add(source.gauss(1.0 if i < 1500 else 0.4, 3.3), VARIANCE)
            if state.alarm and i >= 1500:
                break
        assert state.since is not None
        since.append(state.since)
        ago.append(state.ago)
        assert state.since + state.ago == i + 1
    assert abs(np.median(since) - 1500) < 60
    assert np.median(ago) > 100


def test_an_alarm_stays_until_the_evidence_is_gone() -> None:
    test = Cusum(0.6, 1.0, 4.7)
    for _ in range(1000):
        state = test.add(0.4, 1.0)
    assert state.alarm and state.evidence == pytest.approx(2.0 * state.threshold)
    states = [test.add(1.0, 1.0) for _ in range(200)]
    rang = [s.alarm for s in states]
    assert rang[0] and not rang[-1] and sorted(rang, reverse=True) == rang
    assert states[-1].evidence == 0.0 and states[-1].since is None and states[-1].ago == 0
    again = test.add(0.4, 1.0)
    assert again.ago == 1 and not again.alarm
    test.clear()
    assert test.add(0.4, 1.0).ago == 1


@pytest.mark.control("H14.6")
def test_no_single_sweep_makes_an_alarm() -> None:
    test = Cusum(0.6, 1.0, 4.7)
    for _ in range(100):
        test.add(1.0, 1.0)
    assert [test.add(-1e6, 0.0).alarm for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("p", "v"), [(NAN, 1.0), (INF, 1.0), (0.0, NAN), (0.0, INF), (0.0, -1.0), (-INF, 0.0)]
)
def test_what_says_nothing_only_counts(p: float, v: float) -> None:
    test, rolling = Cusum(0.6, 1.0, 4.7), Rolling(Cusum(0.6, 1.0, 4.7), 1000.0)
    before = test.add(0.3, VARIANCE)
    rolling.add(0.3, VARIANCE)
    level = rolling.level
    after = test.add(p, v)
    assert after == CusumState(before.evidence, before.threshold, False, 0, 2)
    assert rolling.add(p, v).evidence > 0.0 and rolling.level == level


def test_noise_that_says_nothing() -> None:
    test = SweepNoise()
    for p, weight in [(NAN, 1.0), (1.0, 0.0), (INF, 1.0), (1.0, NAN), (1e300, 1.0)]:
        assert test.variance(p, weight) == INF
    assert [test.variance(1.0, 1.0) for _ in range(MIN_NOISE_SWEEPS)] == [INF] * MIN_NOISE_SWEEPS
    assert test.variance(1.0, 1.0) == 0.0
    silent = Cusum(0.6, 1.0, 4.7)
    assert [silent.add(1.0, 0.0).evidence for _ in range(50)] == [0.0] * 50


def followed(
    ratios: Floats, baseline_se: float = 0.05, seed: int = 8
) -> tuple[Rolling, list[CusumState], list[CusumState]]:
    """Sweeps of these ratios against the rolling and the fixed baseline; a false alarm falls due in 100 h."""
    source = random.Random(seed)
    rolling, fixed = Rolling(Cusum(0.6, 0.01, 4.7), 3000.0, baseline_se), Cusum(0.6, 0.01, 4.7)
    p = [source.gauss(float(r), 1.5) for r in ratios]
    return rolling, [rolling.add(x, 2.25) for x in p], [fixed.add(x, 2.25) for x in p]


def test_rolling_baseline_follows_drift_without_alarm() -> None:
    """A lag of 3 % makes false alarms likelier, but in two cases of five at most."""
    drift = np.linspace(1.0, 0.6, 40000)
    rang = []
    for seed in range(5):
        rolling, states, fixed = followed(drift, seed=seed)
        assert rolling.level == pytest.approx(0.6 + 0.4 * 3000 / 40000, abs=0.1)
        assert fixed[-1].alarm
        rang.append(any(s.alarm for s in states))
    assert sum(rang) <= 2


@pytest.mark.control("H10.6")
def test_rolling_baseline_does_not_learn_an_injury() -> None:
    injured = np.r_[np.ones(4000), np.full(12000, 0.4)]
    rolling, states, _ = followed(injured)
    assert states[-1].alarm and rolling.frozen
    assert rolling.level == pytest.approx(1.0, abs=0.06)
    assert states[-1].since == pytest.approx(4000, abs=60)
    rolling.clear()
    assert not rolling.frozen and rolling.level == pytest.approx(1.0, abs=0.06)


def test_a_person_can_have_a_fall_learned() -> None:
    rolling, _, _ = followed(np.r_[np.ones(4000), np.full(12000, 0.4)])
    rolling.clear(learn=True)
    assert not rolling.frozen and rolling.level == pytest.approx(0.4, abs=0.06)


def test_rolling_baseline_corrects_a_wrong_baseline() -> None:
    rolling, states, _ = followed(np.full(6000, 1.2), 0.2)
    assert rolling.level == pytest.approx(1.2, abs=0.07)
    assert rolling.level_se == pytest.approx(1.5 / math.sqrt(6000), rel=0.25)
    assert not any(s.alarm for s in states)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Cusum(0.0, 1.0, 1.0),
        lambda: Cusum(1.1, 1.0, 1.0),
        lambda: Cusum(NAN, 1.0, 1.0),
        lambda: Cusum(0.6, 0.0, 1.0),
        lambda: Cusum(0.6, 1.0, INF),
        lambda: Cusum(0.6, 1.0, 1.0, -0.1),
        lambda: Cusum(0.6, 1.0, 1.0, NAN),
        lambda: Rolling(Cusum(0.6, 1.0, 1.0), 0.5),
        lambda: Rolling(Cusum(0.6, 1.0, 1.0), 100.0, 0.0),
    ],
)
def test_what_cannot_be_is_refused(build: object) -> None:
    with pytest.raises(ValueError):
        build()  # type: ignore[operator]
