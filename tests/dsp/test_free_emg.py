"""Free-running EMG is found and named in noise, nothing else is; mutes and gaps are told."""

import dataclasses
import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.free_emg import EmgEvent, FreeEmgDetector
from hw.model.discharges import Discharge
from hw.model.stochastic import OnePoleBank, rms_of
from tests.support.free_emg import (
    KNIFE_UV,
    Floats,
    Minute,
    band_passed,
    called,
    case,
    discharged,
    listen,
    resting,
    scored,
)
from tests.support.mouse_abr import DATA
from tests.support.streams import blocks

NEEDLE = DATA.with_name("emg_needle.npz")


def heard(
    discharges: tuple[Discharge, ...], seconds: float, seed: int = 1, rate_hz: float = 4000.0, n: int = 2
) -> Floats:
    """Rows (time, muscle) with these discharges, band-passed."""
    uv = resting(rate_hz, seconds, n, seed) + discharged(discharges, rate_hz, seconds, n, seed)[0]
    return band_passed(uv, rate_hz)


def ended(events: list[EmgEvent]) -> list[EmgEvent]:
    return [event for event in events if not event.ongoing]


def fed(detector: FreeEmgDetector, uv: Floats, first: int = 0, block: int = 40) -> list[tuple[int, EmgEvent]]:
    """What is told, each with the index behind the block that told it."""
    told = []
    for at in range(0, len(uv), block):
        events = detector.append(first + at, uv[at : at + block])
        told += [(first + min(at + block, len(uv)), event) for event in events]
    return told


@pytest.mark.parametrize(
    ("rate_hz", "minutes", "levels_uv"),
    [(8000.0, 4, (60.0, 500.0)), (2000.0, 2, (60.0, 500.0)), (16000.0, 1, (60.0, 500.0))],
)
def test_events_are_found_and_named_and_none_invented(
    rate_hz: float, minutes: int, levels_uv: tuple[float, float]
) -> None:
    made = [case(700 + k, rate_hz, levels_uv=levels_uv) for k in range(minutes)]
    score = scored(made, [listen(minute)[0] for minute in made])
    total = sum(score.fired.values())
    assert min(score.fired.values()) >= 3 and total >= 12 * minutes
    assert sum(score.found.values()) >= 0.97 * total
    assert all(score.right.get(kind, 0) >= 0.9 * n - 1 for kind, n in score.fired.items()), score.mistaken
    assert len(score.invented) <= minutes


def test_rest_is_quiet_whatever_the_mains() -> None:
    for seed, mains_uv in ((31, 10.0), (32, 0.0), (33, 30.0)):
        minute = case(seed, 4000.0, knives=1, mains_uv=mains_uv, kinds=())
        told, detector = listen(minute)
        assert len(told) <= 1, mains_uv
        assert detector.known.all() and not detector.a_train_s.any()


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 48_000), max_size=30))
def test_blocks_leave_no_trace(cuts: list[int]) -> None:
    uv = busy()
    expected, whole = played(uv, [])
    told, parts = played(uv, cuts)
    assert told == expected and {called(e) for e in expected} >= {"A-train", "spike", "C-train"}
    for name in ("a_train_s", "muted_s", "noise_uv", "known"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_blocks_may_be_one_row() -> None:
    uv = busy()[: 2000 * 9]
    expected, whole = played(uv, [])
    told, parts = played(uv, list(range(len(uv))))
    assert expected and told == expected
    assert np.array_equal(whole._quiet.limit, parts._quiet.limit)


def busy() -> Floats:
    """24 s at 2 kSPS: everything that a detector may meet, in three muscles."""
    rng = np.random.default_rng(8)
    uv = heard(
        (
            Discharge(6.0, 3.0, "EASL", "A-train", 150.0),
            Discharge(7.0, 0.0, "TAL", "spike", 150.0),
            Discharge(8.2, 0.1, "TAL", "burst", 200.0),
            Discharge(8.0, 12.0, "GASL", "C-train", 150.0),
            Discharge(14.5, 3.0, "EASL", "B-train", 150.0),
        ),
        24.0,
        rate_hz=2000.0,
        n=3,
    )
    uv[20_000:22_001] += KNIFE_UV * rng.standard_normal((2001, 3))
    uv[31_111, 1] = np.nan
    uv[32_500:32_600, 2] = 187_500.0
    return uv


def played(uv: Floats, cuts: list[int]) -> tuple[list[EmgEvent], FreeEmgDetector]:
    """With a mute, and a gap after 15 s."""
    detector = FreeEmgDetector(2000.0, uv.shape[1])
    detector.exclude(19_990, 22_200)
    told = []
    for first, end in blocks(len(uv), [*cuts, 30_000]):
        told += detector.append(first + 777 * (first >= 30_000), uv[first:end])
    return told + detector.restart(0), detector


def test_a_train_is_told_while_it_lasts_and_every_second_and_when_it_has_ended() -> None:
    for seed in range(4):
        uv = heard((Discharge(7.0, 4.0, "EASL", "A-train", 100.0, 90.0),), 13.0, seed)
        detector = FreeEmgDetector(4000.0, 2)
        told = [(at / 4000.0, event) for at, event in fed(detector, uv) if event.derivation == 0]
        assert {called(event) for _, event in told} == {"A-train"}
        assert [event.ongoing for _, event in told] == [True] * (len(told) - 1) + [False]
        assert len({event.first for _, event in told}) == 1
        assert 7.5 < told[0][0] < 7.6
        assert all(a[0] + 0.9 < b[0] < a[0] + 1.3 for a, b in itertools.pairwise(told[:-1]))
        assert 11.2 < told[-1][0] < 11.4
        last = told[-1][1]
        assert (last.first / 4000.0, last.end / 4000.0) == pytest.approx((7.0, 11.0), abs=0.02)
        assert detector.a_train_s[0] == pytest.approx(4.0, abs=0.1) and detector.a_train_s[1] == 0.0


@pytest.mark.parametrize("rate_hz", [65.0, 110.0, 190.0])
def test_the_rate_is_within_its_error_and_the_size_within_the_noise(rate_hz: float) -> None:
    off = []
    for seed in range(6):
        discharges = (Discharge(7.0, 3.0, "EASL", "A-train", 120.0, rate_hz),)
        (event,) = ended([e for _, e in fed(FreeEmgDetector(4000.0, 2), heard(discharges, 11.0, seed))])
        clean = band_passed(discharged(discharges, 4000.0, 11.0, 2, seed)[0], 4000.0)[29_000:39_000, 0]
        assert event.rate_hz is not None and event.rate_se_hz is not None and event.regularity is not None
        off.append((event.rate_hz - rate_hz) / math.hypot(event.rate_se_hz, 0.001 * rate_hz))
        assert event.regularity > 0.8 and event.discharges == pytest.approx(3.0 * rate_hz, rel=0.08)
        size = np.ptp(clean[: 40 * (len(clean) // 40)].reshape(-1, 40), axis=1).max()
        assert size - 2 * event.noise_uv < event.peak_to_peak_uv < 1.25 * size + 6 * event.noise_uv
        assert event.rms_uv == pytest.approx(np.hypot(clean.std(), event.noise_uv), rel=0.15)
    assert abs(statistics.median(off)) < 2.0 and max(map(abs, off)) < 5.0


def test_light_anaesthesia_is_tonic_in_many_channels_and_an_a_train_in_it_is_still_told() -> None:
    discharges = (
        Discharge(7.0, 14.0, "all", "tonic", 80.0),
        Discharge(12.0, 3.0, "TAR", "A-train", 300.0, 120.0),
    )
    told = [e for _, e in fed(FreeEmgDetector(4000.0, 8), heard(discharges, 22.0, 5, n=8))]
    seconds: dict[str, float] = {}
    for event in ended(told):
        seconds[called(event)] = seconds.get(called(event), 0.0) + (event.end - event.first) / 4000.0
        assert event.kind != "tonic" or event.channels_active >= 6
    assert seconds["tonic"] > 0.9 * (8 * 14 - 3)
    (train,) = (e for e in ended(told) if called(e) == "A-train")
    assert train.derivation == 5
    assert (train.first / 4000.0, train.end / 4000.0) == pytest.approx((12.0, 15.0), abs=0.5)
    assert sum(lasts for name, lasts in seconds.items() if name not in ("tonic", "A-train")) < 3.0
    first = min((e for e in told if called(e) == "A-train"), key=lambda e: e.end)
    assert first.ongoing and first.end < 4000 * 13.0


def test_interference_without_discharges_is_no_a_train() -> None:
    rate_hz, poles, gains = 4000.0, (25.0, 300.0), (-1.0, 1.0)
    uv = resting(rate_hz, 60.0, 2, 3)
    noise = OnePoleBank(
        [np.random.default_rng(4)], rate_hz, poles, gains, 60.0 / rms_of(poles, gains, rate_hz)
    )
    for first in range(28_000, 220_000, 12_000):
        uv[first : first + 8000, first // 12_000 % 2] += noise.rows(8000)[0]
    detector = FreeEmgDetector(rate_hz, 2)
    told = ended([e for _, e in fed(detector, band_passed(uv, rate_hz))])
    assert {called(e) for e in told if e.end - e.first > 2000} == {"C-train"} and len(told) >= 16
    assert not detector.a_train_s.any()


def test_one_muscle_that_fires_slowly_is_no_light_anaesthesia() -> None:
    uv = heard((Discharge(7.0, 8.0, "TAL", "tonic", 150.0),), 17.0, 3, n=6)
    told = ended([e for _, e in fed(FreeEmgDetector(4000.0, 6), uv)])
    longest = max(told, key=lambda e: e.end - e.first)
    assert called(longest) in ("B-train", "C-train") and longest.channels_active == 1
    assert longest.end - longest.first > 6 * 4000
    assert len(told) < 6


def test_the_quiet_level_must_be_known_first_and_long_trains_do_not_move_it() -> None:
    uv = heard((Discharge(2.0, 1.0, "EASL"), Discharge(9.0, 30.0, "EASL", "C-train", 200.0)), 42.0, 2)
    detector = FreeEmgDetector(4000.0, 2)
    assert not fed(detector, uv[:16_000]) and not detector.known.any() and np.isnan(detector.noise_uv).all()
    fed(detector, uv[16_000:32_000], 16_000)
    assert detector.known.all()
    before = detector.noise_uv
    told = fed(detector, uv[32_000:], 32_000)
    assert any(called(e) == "C-train" and e.end - e.first > 28 * 4000 for _, e in told)
    assert detector.noise_uv[0] < 1.4 * before[0]


def test_what_has_become_the_rule_is_learned_after_a_minute() -> None:
    rng = np.random.default_rng(3)
    uv = 3.0 * rng.standard_normal((2000 * 90, 1))
    uv[2000 * 8 :] *= 4.0
    detector = FreeEmgDetector(2000.0, 1)
    told = fed(detector, uv, block=400)
    assert detector.noise_uv[0] == pytest.approx(12.0, rel=0.1)
    assert told[-1][1].end < 2000 * 85 and not told[-1][1].ongoing


def test_muted_spans_are_counted_have_no_event_and_cut_those_that_reach_into_them() -> None:
    uv = heard((Discharge(7.0, 4.0, "EASL", "A-train", 100.0, 90.0),), 13.0)
    rng = np.random.default_rng(1)
    uv[36_000:38_000] += KNIFE_UV * rng.standard_normal((2000, 2))
    uv[46_000:46_400] += KNIFE_UV * rng.standard_normal((400, 2))
    detector = FreeEmgDetector(4000.0, 2)
    detector.exclude(36_000, 38_000)
    detector.exclude(46_000, None)
    told = ended([e for _, e in fed(detector, uv[:46_400])])
    detector.exclude(46_000, 46_400)
    told += ended([e for _, e in fed(detector, uv[46_400:], 46_400)])
    assert [(called(e), e.derivation, e.cut_first, e.cut_end) for e in told] == [
        ("A-train", 0, False, True),
        ("A-train", 0, True, False),
    ]
    assert told[0].end == pytest.approx(36_000, abs=60) and told[1].first == pytest.approx(38_100, abs=100)
    assert detector.muted_s == pytest.approx([0.6 + 2 * 0.03] * 2, abs=0.021)


def test_a_span_may_be_told_late_but_what_was_open_then_is_forgotten() -> None:
    rng = np.random.default_rng(1)
    uv = heard((), 10.0)
    uv[32_000:33_000] += KNIFE_UV * rng.standard_normal((1000, 2))
    for late_rows, late_s in ((100, 0.03), (400, 0.03), (400, 0.12)):
        detector = FreeEmgDetector(4000.0, 2, late_s)
        told = fed(detector, uv[: 32_000 + late_rows])
        detector.exclude(32_000, 33_200)
        assert not told + fed(detector, uv[32_000 + late_rows :], 32_000 + late_rows), late_rows


def test_a_train_outlasts_stimulus_windows_and_its_rate_is_not_that_of_the_windows() -> None:
    uv = heard((Discharge(7.0, 4.0, "EASL", "A-train", 100.0, 90.0),), 13.0)
    detector = FreeEmgDetector(4000.0, 2)
    for at in range(1000, len(uv), 1200):
        uv[at : at + 8] += 5000.0
        detector.exclude(at - 4, at + 60)
    told = ended([e for _, e in fed(detector, uv)])
    (train,) = (e for e in told if called(e) == "A-train")
    assert train.end - train.first > 3.8 * 4000 and train.rate_hz == pytest.approx(90.0, rel=0.03)
    assert len(told) == 1


def test_a_gap_cuts_what_is_open_and_the_quiet_level_stays() -> None:
    uv = heard((Discharge(7.0, 4.0, "EASL", "A-train", 100.0, 90.0),), 13.0)
    detector = FreeEmgDetector(4000.0, 2)
    fed(detector, uv[:34_000])
    (cut,) = ended(detector.append(40_000, uv[34_000:34_040]))
    assert cut.cut_end and not cut.cut_first and cut.end == pytest.approx(34_000, abs=45)
    told = ended([e for _, e in fed(detector, uv[34_040:], 40_040)])
    assert [(called(e), e.cut_first, e.cut_end) for e in told] == [("A-train", True, False)]
    assert told[0].end == pytest.approx(50_000, abs=80)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 187_500.0])
def test_what_is_no_emg_is_muted_in_its_derivation_only(bad: float) -> None:
    uv = heard((Discharge(8.0, 0.0, "TAL", "spike", 150.0),), 10.0)
    uv[31_990:32_100, 0] = bad
    detector = FreeEmgDetector(4000.0, 2)
    told = [e for _, e in fed(detector, uv)]
    assert [(called(e), e.derivation) for e in told] == [("spike", 1)]
    assert detector.muted_s[0] == pytest.approx(0.0275 + 0.03, abs=0.011) and detector.muted_s[1] == 0.0
    assert np.isfinite(detector.noise_uv).all()


def test_a_dead_derivation_and_no_rows_are_nothing() -> None:
    detector = FreeEmgDetector(4000.0, 2)
    assert detector.append(0, np.zeros((0, 2))) == []
    assert not fed(detector, np.zeros((40_000, 2))) and detector.known.all()
    assert not detector.a_train_s.any() and detector.restart(0) == []


def test_events_are_frozen_and_impossible_detectors_are_refused() -> None:
    minute = Minute(heard((Discharge(8.0, 0.0, "TAL", "spike", 150.0),), 10.0), 4000.0, (), ())
    (event,) = listen(minute)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.kind = "burst"  # type: ignore[misc]
    for rate_hz, n, late_s, limit_uv in (
        (1000.0, 1, 0.0, 1e4),
        (math.nan, 1, 0.0, 1e4),
        (4000.0, 0, 0.0, 1e4),
        (4000.0, 1, -0.1, 1e4),
        (4000.0, 1, 0.0, 0.0),
    ):
        with pytest.raises(ValueError, match=r"outside|no derivation|not above"):
            FreeEmgDetector(rate_hz, n, late_s, limit_uv)


def test_a_real_contraction_behind_rest_is_one_train_without_a_rhythm() -> None:
    if not NEEDLE.exists():
        pytest.skip(f"no real recordings at {NEEDLE}")
    with np.load(NEEDLE) as data:
        uv, rate_hz = 1000.0 * data["mv"].astype(np.float64).ravel(), float(data["fs_hz"])
    rest = 3.0 * np.random.default_rng(1).standard_normal(int(10 * rate_hz))
    x = band_passed(np.concatenate([rest, uv, rest[:8000]])[:, None], rate_hz)
    told = [e for _, e in fed(FreeEmgDetector(rate_hz, 1), x, block=400)]
    (train,) = ended(told)
    assert called(train) == "C-train" and len(told) > 25
    assert (train.first / rate_hz, train.end / rate_hz) == pytest.approx(
        (10.0, 10.0 + len(uv) / rate_hz), abs=0.1
    )
