"""Artifacts are told with their margins and bridged without a step; everything else is what it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsp.cleaner import Cleaner
from tests.support.streams import blocks

Floats = NDArray[np.float64]


def cleaned(uv: Floats, *spans: tuple[int, int]) -> tuple[Floats, NDArray[np.bool_]]:
    cleaner = Cleaner(uv.shape[1], 250.0, 500.0)
    for span in spans:
        cleaner.exclude(*span)
    frames = list(cleaner.append(uv))
    assert [index for index, _, _ in frames] == list(range(0, 250 * len(frames), 250))
    return np.concatenate([rows for _, rows, _ in frames]), np.concatenate([bad for _, _, bad in frames])


def eeg(seconds: int = 8, derivations: int = 2) -> Floats:
    noise = np.random.default_rng(1).standard_normal((250 * seconds + 25, derivations))
    return 15_000.0 + np.cumsum(noise, axis=0)


def test_what_is_good_is_what_it_was_but_for_a_constant() -> None:
    uv = eeg()
    rows, bad = cleaned(uv)
    assert not bad.any() and len(rows) == 2000
    assert np.allclose(rows, uv[:2000] - uv[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["excluded", "not finite", "amplitude", "flat"])
def test_an_artifact_is_told_with_its_margin_held_and_not_gone_on_from(kind: str) -> None:
    uv = eeg()
    broken = uv.copy()
    if kind == "excluded":
        broken[990:1030, 0] += 300.0
    elif kind == "not finite":
        broken[990:1030, 0] = np.nan
    elif kind == "flat":
        broken[990:1030, 0] = 15_040.0
    else:
        broken[990:1030, 0] += 4000.0
    broken[1030:, 0] += 200.0  # a step that stays behind
    rows, bad = cleaned(broken, *([(990, 1030)] if kind == "excluded" else []))
    hit = np.flatnonzero(bad[:, 0])
    assert np.array_equal(hit, np.arange(990 - 25, 1030 + 25))
    assert bad[:, 1].any() == (kind == "excluded")
    held = rows[hit[0] : hit[-1] + 2, 0]
    assert np.all(held == rows[hit[0] - 1, 0])
    assert np.allclose(np.diff(rows[hit[-1] + 1 :, 0]), np.diff(uv[hit[-1] + 1 : 2000, 0]), atol=1e-9)


def test_margins_reach_into_the_next_second() -> None:
    bad = cleaned(eeg(), (1240, 1250), (1500, 1510))[1][:, 0]
    assert np.array_equal(np.flatnonzero(bad), np.r_[1215:1275, 1475:1535])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1999), max_size=8), st.integers(0, 1000))
def test_blocks_leave_no_trace(cuts: list[int], first_index: int) -> None:
    uv = eeg()
    uv[600:640, 1] = np.inf
    uv[1245:1255] += 9000.0
    whole, parts = Cleaner(2, 250.0, 500.0), Cleaner(2, 250.0, 500.0)
    whole.restart(first_index)
    parts.restart(first_index)
    expected = list(whole.append(uv))
    found = [frame for a, b in blocks(len(uv), cuts) for frame in parts.append(uv[a:b])]
    assert len(found) == len(expected) >= 6
    for one, other in zip(found, expected, strict=True):
        assert one[0] == other[0] and np.array_equal(one[1], other[1]) and np.array_equal(one[2], other[2])


def test_all_of_it_bad_is_all_bad() -> None:
    rows, bad = cleaned(np.full((1025, 1), np.nan))
    assert bad.all() and np.all(rows == 0.0)
