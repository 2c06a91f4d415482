"""Motor units of the model fire when and as they are asked to, in their muscle; chunks leave no trace."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hw.model.discharges import PATTERNS, Discharge, Kind
from hw.model.motor_units import FreeEmg, muscles

Floats = NDArray[np.float64]
RATE_HZ = 4000.0
ELECTRODES = ("APBL1", "APBL2", "TAR1", "TAR2", "Cz")


def added(
    discharges: tuple[Discharge, ...],
    seconds: float = 4.0,
    seed: int = 1,
    electrodes: tuple[str, ...] = ELECTRODES,
    edges: tuple[int, ...] = (),
    rate_hz: float = RATE_HZ,
) -> Floats:
    """What the discharges add (electrode, time), in chunks of 512 or between `edges`."""
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    source = FreeEmg(electrodes, rate_hz, seed, 512, discharges)
    uv = np.zeros((len(electrodes), len(times_s)))
    cuts = sorted({0, len(times_s), *(edges or range(0, len(times_s), 512))})
    for first, end in itertools.pairwise(cuts):
        source.add_to(uv[:, first:end], times_s[first:end])
    return uv


def firing_times_s(uv: Floats, rate_hz: float = RATE_HZ) -> Floats:
    """Where the negative phase of each potential has its top."""
    inside = (uv[1:-1] < uv[:-2]) & (uv[1:-1] <= uv[2:]) & (uv[1:-1] < 0.5 * uv.min())
    found: Floats = (np.flatnonzero(inside) + 1) / rate_hz
    return found


def test_a_spike_is_one_potential_of_its_size_smaller_and_turned_on_the_reference() -> None:
    for seed in range(8):
        uv = added((Discharge(1.0, 0.0, "APBL", "spike", 120.0),), seed=seed, rate_hz=16000.0)
        touched = np.flatnonzero(np.abs(uv[0]) > 1.2) / 16000.0
        assert touched[0] > 0.99 and touched[-1] < 1.025
        assert 0.003 < touched[-1] - touched[0] < 0.016
        assert np.ptp(uv[0]) == pytest.approx(120.0, rel=0.01)
        assert -uv[0].min() > 1.5 * uv[0].max()
        assert 5.0 < np.ptp(uv[1]) < 0.41 * 120.0 and uv[1].max() > -uv[1].min()
        assert not uv[2:].any()


@pytest.mark.parametrize(("kind", "rate_hz"), [("A-train", 60.0), ("A-train", 180.0), ("B-train", 30.0)])
def test_a_train_has_its_rate_and_its_regularity(kind: Kind, rate_hz: float) -> None:
    for seed in range(4):
        uv = added((Discharge(0.5, 3.0, "TAR", kind, 200.0, rate_hz),), seed=seed, rate_hz=16000.0)
        at_s = firing_times_s(uv[2], 16000.0)
        intervals_s = np.diff(at_s)
        assert 1.0 / intervals_s.mean() == pytest.approx(rate_hz, rel=0.06)
        low, high = PATTERNS[kind].interval_cv
        cv = np.std(np.diff(intervals_s)) / np.sqrt(2.0) / intervals_s.mean()
        assert 0.6 * low < cv < 1.4 * high
        assert 0.5 < at_s[0] < 0.55 and 3.5 - 2.5 / rate_hz < at_s[-1] < 3.5


def test_an_a_train_is_a_sine_with_a_sudden_beginning_and_end() -> None:
    uv = added((Discharge(1.0, 2.0, "APBL", "A-train", 200.0, 100.0),))[0]
    inside = uv[4100:11900]
    assert 2.0 < np.ptp(inside) / np.std(inside) < 4.5  # of a sine 2.8, of far potentials above 7
    spectrum = np.abs(np.fft.rfft(inside)) ** 2
    at_hz = np.fft.rfftfreq(len(inside), 1 / RATE_HZ)
    assert spectrum[(at_hz > 85) & (at_hz < 115)].sum() > 0.6 * spectrum[1:].sum()
    assert np.std(uv[4040:4200]) > 0.8 * np.std(inside)
    assert not uv[:3900].any() and not uv[12_100:].any()


def test_c_trains_and_bursts_are_many_units_without_a_rhythm() -> None:
    for kind, for_s in (("C-train", 3.0), ("burst", 0.15)):
        uv = added((Discharge(0.5, for_s, "APBL", kind, 200.0),))  # type: ignore[arg-type]
        touched = np.flatnonzero(np.abs(uv[0]) > 4.0) / RATE_HZ
        assert 0.49 < touched[0] < 0.54 and touched[-1] < 0.5 + for_s + 0.02
        assert len(firing_times_s(uv[0])) >= 3
    intervals_s = np.diff(firing_times_s(added((Discharge(0.5, 3.0, "APBL", "C-train", 200.0),))[0]))
    assert np.std(intervals_s) > 0.4 * np.mean(intervals_s)


def test_light_anaesthesia_is_in_every_muscle_of_its_own_rhythm() -> None:
    uv = added((Discharge(0.2, 3.8, "all", "tonic", 60.0),))
    counts = [len(firing_times_s(uv[row])) for row in (0, 2)]
    assert all(10 < count < 4 * 4 * 20 for count in counts)
    assert abs(np.corrcoef(uv[0], uv[2])[0, 1]) < 0.2
    assert not uv[4].any()


@settings(deadline=None, max_examples=20)
@given(st.sets(st.integers(1, 15_999), min_size=1, max_size=12))
def test_chunks_leave_no_trace(edges: set[int]) -> None:
    discharges = tuple(
        Discharge(0.3 + 0.4 * k, 0.0 if kind == "spike" else 0.19 if kind == "burst" else 2.0, "all", kind)
        for k, kind in enumerate(PATTERNS)
    )
    assert np.array_equal(added(discharges, edges=tuple(edges)), added(discharges))


def test_every_chunk_may_be_one_sample() -> None:
    discharges = (Discharge(0.01, 0.1, "APBL", "burst"), Discharge(0.0, 0.2, "all", "A-train"))
    singly = added(discharges, 0.25, edges=tuple(range(1000)))
    assert singly.any() and np.array_equal(singly, added(discharges, 0.25))


def test_neither_other_electrodes_nor_other_discharges_change_a_unit() -> None:
    first, second = Discharge(0.5, 1.0, "APBL", "C-train"), Discharge(1.0, 1.0, "TAR", "A-train")
    both = added((first, second))
    assert np.array_equal(both[:2], added((first,))[:2])
    assert np.array_equal(both[2:3], added((first, second), electrodes=("TAR1",)))
    assert not np.array_equal(both, added((first, second), seed=2))
    twice = added((first, Discharge(0.5, 1.0, "APBL", "C-train")))
    assert not np.allclose(twice[0], 2 * both[0])


def test_which_electrodes_are_a_muscles() -> None:
    names = ("APBL", "EASR1", "VLL2", "A1", "A2", "CP1", "C3", "Fp2", "Cz", "12")
    assert muscles(names) == {"APBL": [(0, True)], "EASR": [(1, True)], "VLL": [(2, False)]}
    single = added((Discharge(0.5, 0.0, "EPL", "spike"),), electrodes=("EPL",))
    assert np.ptp(single) == pytest.approx(200.0, rel=0.05)


def test_the_truth_tells_what_is_recorded_in_the_order_of_time() -> None:
    source = FreeEmg(
        ELECTRODES,
        RATE_HZ,
        1,
        256,
        (
            Discharge(3.0, 2.0, "APBL", "A-train", 100.0, 120.0),
            Discharge(1.0, 0.0, "all", "spike"),
            Discharge(2.0, 5.0, "GASL", "tonic"),
            Discharge(9.0, 1.0, "TAR", "B-train"),
        ),
    )
    told = [(f.muscle, f.kind, f.start_s, f.end_s, f.rate_hz) for f in source.truth(8.0)]
    assert told == [
        ("APBL", "spike", 1.0, 1.01, 0.0),
        ("TAR", "spike", 1.0, 1.01, 0.0),
        ("APBL", "A-train", 3.0, 5.0, 120.0),
    ]
    assert len(source.truth()) == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"at_s": -1.0, "for_s": 1.0}, "at_s = -1.0 is impossible; give 0 to 1e+06"),
        ({"at_s": "now", "for_s": 1.0}, "at_s = 'now' is not a number"),
        ({"at_s": 0.0, "for_s": float("nan")}, "for_s = nan is impossible"),
        ({"at_s": 0.0, "for_s": 1.0, "muscle": 3}, "muscle = 3 is no name"),
        ({"at_s": 0.0, "for_s": 1.0, "kind": "train"}, "kind = 'train' is unknown; use one of: spike"),
        ({"at_s": 0.0, "for_s": 0.3, "kind": "burst"}, "for_s = 0.3 is impossible; give 0.02 to 0.199"),
        ({"at_s": 0.0, "for_s": 2.0, "rate_hz": 20.0}, "rate_hz = 20.0 is impossible; give 50 to 250"),
        ({"at_s": 0.0, "for_s": 2.0, "level_uv": -1.0}, "level_uv = -1.0 is impossible"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"^discharge") as fault:
        Discharge(**fields)  # type: ignore[arg-type]
    assert message in str(fault.value) and "\n" not in str(fault.value)
