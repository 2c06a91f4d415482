"""A comparison that goes on for days keeps no list of its sweeps, and tells since when there is a change."""

import sys

import numpy as np
import pytest

from dsp.nouns import Sweep, Trigger
from hostd import comparison
from hostd.comparison import Comparison
from tests.hostd.test_combined import RESPONSE, SIZES, baseline, followed, noise


def sweeps(n: int, lost_from: int, seed: int = 3) -> list[Sweep]:
    """Answers of half the height from `lost_from` on, at sample 1000 + 100 k each."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        height = 0.5 if k >= lost_from else 1.0
        uv = height * RESPONSE[:, None] * SIZES + noise(rng)
        made.append(Sweep(Trigger(1000 + 100 * k, 1), uv.astype(np.float32), 80, np.full(3, 1.0)))
    return made


def told(one: Comparison) -> list[int | None]:
    """The samples since which its two detectors think that it has changed."""
    average = baseline()
    fields = one.fields(average, one.baseline)
    return [fields["alarm"][name]["since_index"] for name in ("fixed", "rolling")]


def test_since_when_is_the_same_however_few_sweeps_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "RECENT", 4)
    brief = followed(baseline())
    said, every = [], []
    for k, sweep in enumerate(sweeps(400, 150)):
        brief.add(sweep)
        every.append(sweep.trigger.index)
        if k % 7 == 0:
            assert brief._states is not None
            assert told(brief) == [None if s.since is None else every[s.since] for s in brief._states]
            said.append(told(brief)[0])
    assert len(set(said)) > 5, "it changed its mind in the noise"
    assert said[-1] is not None and abs(said[-1] - 16_000) < 2500, "and has the loss where it was"


def test_what_it_keeps_does_not_grow_with_its_sweeps() -> None:
    one = followed(baseline())
    few = sweeps(50, 25)
    for _ in range(2 * comparison.RECENT // 50):
        for sweep in few:
            one.add(sweep)
    before = sys.getsizeof(one._indices), len(one._indices), len(one._since)
    for _ in range(comparison.RECENT // 50):
        for sweep in few:
            one.add(sweep)
    assert (sys.getsizeof(one._indices), len(one._indices), len(one._since)) == before
