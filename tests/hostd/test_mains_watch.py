"""The `mains` message: told every ten seconds of samples or when mains moves, whatever the blocks."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp import mains
from hostd.mains import MainsWatch
from hostd.outgoing import Outgoing
from hw.model.patient import Patient

Floats = NDArray[np.float64]

RATE_HZ = 1000
TESTS = {"left": 371, "right": 200}


def signal(hz: float, seconds: float, level_uv: float = 20.0, seed: int = 1, cycles: float = 0.0) -> Floats:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(len(t)) * 3
    return np.asarray(level_uv * np.cos(2 * np.pi * (hz * t + cycles)) + noise - 20e3)


def told(uv: Floats, first: int = 0, cuts: tuple[int, ...] = ()) -> list[Outgoing]:
    watch = MainsWatch(RATE_HZ, TESTS)
    messages: list[Outgoing] = []
    index = first
    for part in np.split(uv, cuts):
        messages += watch.append(index, part)
        index += len(part)
    return messages


def test_it_is_told_when_first_known_and_then_every_ten_seconds() -> None:
    messages = told(signal(50.03, 35.0), first=5000)
    assert [m.index for m in messages] == [9000, 15000, 25000, 35000]
    assert {m.topic for m in messages} == {"mains"}
    for message in messages[1:]:
        fields = message.fields
        assert fields["hz"] == pytest.approx(50.03, abs=0.005)
        assert 0 < fields["hz_sd"] < 0.005 and fields["nominal_hz"] == 50
        assert fields["amplitude_uv"][0] == pytest.approx(20.0, abs=0.5) and len(fields["amplitude_uv"]) == 5
        at = 50.03 * (message.index - 5000) / RATE_HZ
        assert abs((fields["phase_cycles"] - at + 0.5) % 1 - 0.5) < 0.02


def test_every_test_is_told_what_its_rate_leaves() -> None:
    fields = told(signal(50.0, 10.0))[-1].fields
    left, right = fields["tests"]["left"], fields["tests"]["right"]
    assert set(left) == {
        "rate_hz",
        "period_samples",
        "left_pct",
        "worst_pct",
        "locked",
        "best_rate_hz",
        "best_period_samples",
        "text",
    }
    assert left["rate_hz"] == pytest.approx(2.695, abs=0.001) and left["period_samples"] == 371
    assert left["left_pct"] == pytest.approx(100 * mains.left(371, RATE_HZ, fields["hz"]))
    assert left["worst_pct"] >= max(left["left_pct"])
    assert right["locked"] is True and left["locked"] is False
    assert right["text"].startswith("5 Hz is locked to mains: harmonic ")
    best = mains.most_left(right["best_period_samples"], RATE_HZ, fields["hz"], 64, 0.005).max()
    assert best < 0.05 and right["best_rate_hz"] == RATE_HZ / right["best_period_samples"]


def test_a_message_is_plain_values() -> None:
    for message in told(np.concatenate([signal(60.1, 10.0), signal(60.1, 20.0, level_uv=0.0)])):
        assert json.loads(json.dumps(message.fields)) == message.fields


def test_without_mains_both_grids_are_assumed_and_it_is_said() -> None:
    messages = told(signal(50.0, 20.0, level_uv=0.0))
    assert [m.index for m in messages] == [10000, 20000]
    fields = messages[-1].fields
    unknown = ("hz", "hz_sd", "nominal_hz", "phase_cycles")
    assert [fields[name] for name in unknown] == [None] * 4 and fields["amplitude_uv"] == []
    one = fields["tests"]["left"]
    assert one["text"].startswith("mains not measurable, 50 or 60 +-0.1 Hz assumed: 2.6954 Hz ")
    most = mains.most_left(371, RATE_HZ, (50.0, 60.0), 64, 0.1).max()
    assert one["worst_pct"] == pytest.approx(100 * most)


def test_mains_that_moves_is_told_at_once_and_mains_that_rests_is_not() -> None:
    step = signal(50.0, 12.0), signal(50.08, 8.0, cycles=50.0 * 12.0)
    indices = [m.index for m in told(np.concatenate(step))]
    moved = [index for index in indices if index not in (4000, 10000, 20000)]
    assert moved and min(moved) <= 17000 and len(moved) <= 5
    assert [m.index for m in told(signal(50.0, 20.0))] == [4000, 10000, 20000]


def test_a_new_period_counts_from_the_next_message_on() -> None:
    watch = MainsWatch(RATE_HZ, TESTS)
    first = watch.append(0, signal(50.0, 10.0))[-1]
    watch.set_period("right", 203)
    second = watch.append(10000, signal(50.0, 10.0))[-1]
    assert first.fields["tests"]["right"]["period_samples"] == 200
    assert second.fields["tests"]["right"]["period_samples"] == 203
    assert not second.fields["tests"]["right"]["locked"]
    assert TESTS == {"left": 371, "right": 200}


@given(cuts=st.lists(st.integers(1, 11999), max_size=30))
@settings(max_examples=10, deadline=None)
def test_how_samples_are_cut_into_blocks_changes_nothing(cuts: list[int]) -> None:
    uv = signal(50.0, 12.0)
    assert told(uv, 333, tuple(sorted(set(cuts)))) == told(uv, 333)


def test_after_a_gap_it_begins_anew_with_or_without_being_told() -> None:
    uv = signal(50.0, 10.0)
    fresh = told(uv, first=70000)
    for restart in (True, False):
        watch = MainsWatch(RATE_HZ, TESTS)
        watch.append(0, signal(60.0, 13.7))
        if restart:
            watch.restart(70000)
        assert watch.append(70000, uv) == fresh


def test_a_sampling_rate_that_carries_no_mains_is_watched_in_silence() -> None:
    watch = MainsWatch(128.0, {"one": 26})
    watch.restart(5)
    assert watch.append(5, np.zeros(128 * 20)) == []


def test_the_patients_locked_test_is_seen() -> None:
    patient = Patient(("CP3", "CP4", "Fpz"), RATE_HZ, 3, mains_hz=60.0)
    uv = np.array([np.mean(patient.read(k)) for k in range(10 * RATE_HZ)]) * 1e6
    message = told(uv)[-1]
    assert message.fields["nominal_hz"] == 60
    assert abs(message.fields["hz"] - 60.0) <= 0.055  # it wanders by 0.05 Hz
    # Locked to 60 Hz but for that wander.
    assert message.fields["tests"]["right"]["worst_pct"] > 10
