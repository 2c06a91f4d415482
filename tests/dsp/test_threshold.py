"""The ascending search brackets the threshold, repeats before it believes, and keeps its limit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.threshold import BANDS, AscendingSearch, Threshold, band

SCREW = AscendingSearch(("TA", "GC"), 1.0, 1.0, 20.0)


def asked(search: AscendingSearch, chance: dict[str, float], rng: np.random.Generator) -> AscendingSearch:
    """Run to its end: thresholds with 4 % of scatter, 0.5 % false responses, 2 % missed."""
    while (ma := search.next_ma()) is not None:
        assert ma <= search.limit_ma and len(search.trials) < 1000
        answer = {}
        for muscle, threshold in chance.items():
            responds = ma >= threshold * (1.0 + 0.04 * rng.standard_normal())
            answer[muscle] = bool(rng.random() > 0.02) if responds else bool(rng.random() < 0.005)
        search = search.add(ma, answer)
    return search


def test_the_bracket() -> None:
    search = SCREW
    for ma, ta, gc in ((1, 0, 0), (2, 0, 0), (3, 1, 0), (3, 1, 0)):
        assert search.next_ma() == ma
        search = search.add(ma, {"TA": bool(ta), "GC": bool(gc)})
    assert search.next_ma() is None
    ta, gc = search.thresholds()
    assert ta == Threshold("TA", 3.0, (2.0, 3.0), None, 2, 2, False)
    assert gc == Threshold("GC", None, (3.0, None), 3.0, 0, 0, False)
    assert search.compound() == ta


def test_a_single_response_is_repeated_and_left() -> None:
    search = SCREW.add(1.0, {"TA": True, "GC": False})
    assert search.next_ma() == 1.0
    search = search.add(1.0, {"TA": False, "GC": False})
    assert search.next_ma() == 1.0  # two of three are still possible
    search = search.add(1.0, {"TA": False, "GC": False})
    assert search.next_ma() == 2.0
    for _ in range(2):
        search = search.add(2.0, {"TA": True, "GC": False})
    found = search.compound()
    assert found.bracket_ma == (None, 2.0) and not found.inconsistent


def test_inconsistent_answers_are_told() -> None:
    search = SCREW
    for ma, ta in ((3.0, True), (3.0, True), (4.0, False), (4.0, False)):
        search = search.add(ma, {"TA": ta, "GC": False})
    assert search.thresholds()[0].ma == 3.0 and search.thresholds()[0].inconsistent
    search = SCREW
    for ta in (True, False, True):
        search = search.add(5.0, {"TA": ta, "GC": False})
    assert (search.thresholds()[0].responses, search.thresholds()[0].stimuli) == (2, 3)
    assert not search.thresholds()[0].inconsistent
    below = SCREW.add(2.0, {"TA": True, "GC": False}).add(3.0, {"TA": False, "GC": False})
    for _ in range(2):
        below = below.add(4.0, {"TA": True, "GC": False})
    assert below.compound().bracket_ma == (3.0, 4.0) and below.compound().inconsistent
    below = SCREW.add(2.0, {"TA": False, "GC": True}).add(3.0, {"TA": False, "GC": False})
    for _ in range(2):
        below = below.add(4.0, {"TA": True, "GC": False})
    assert below.compound().muscle == "TA" and below.compound().inconsistent


def test_none_up_to() -> None:
    search = AscendingSearch(("TA",), 1.0, 0.3, 2.0)
    asked_ma: list[float] = []
    while (ma := search.next_ma()) is not None and len(asked_ma) < 20:
        asked_ma.append(ma)
        search = search.add(ma, {"TA": False})
    assert asked_ma == pytest.approx([1.0, 1.3, 1.6, 1.9, 2.0])
    found = search.compound()
    assert (found.ma, found.none_up_to_ma, found.bracket_ma) == (None, 2.0, (2.0, None))
    assert AscendingSearch(("TA",), 1.0, 0.3, 2.0).compound().none_up_to_ma is None


def test_what_is_not_known_is_no_silence() -> None:
    search = SCREW
    for _ in range(4):
        assert search.next_ma() == 1.0  # the stimulus is repeated, then left
        search = search.add(1.0, {"TA": None})
    assert search.next_ma() == 2.0
    search = search.add(2.0, {"TA": False})
    assert search.thresholds()[0].none_up_to_ma == 2.0
    assert search.thresholds()[1].none_up_to_ma is None and search.compound().none_up_to_ma is None
    assert search.next_ma() == 3.0  # one lost lead does not hold the search


def test_thresholds_are_found_within_a_step_or_two() -> None:
    """150 searches in steps of 0.5 mA: within 1 mA in 95 %, and none proposes too much."""
    rng = np.random.default_rng(401)
    near = silent = 0
    for _ in range(150):
        true = rng.uniform(2.0, 15.0)
        search = asked(
            AscendingSearch(("a", "b", "c"), 1.0, 0.5, 16.0), {"a": true, "b": 1.3 * true, "c": 99.0}, rng
        )
        found = search.compound()
        near += found.ma is not None and abs(found.ma - true) <= 1.0
        search = asked(AscendingSearch(("a", "b"), 1.0, 0.5, 16.0), {"a": 99.0, "b": 99.0}, rng)
        silent += search.compound().none_up_to_ma == 16.0
    assert near >= 143 and silent >= 147


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from([True, False, None]), max_size=80), st.integers(1, 3), st.integers(0, 2))
def test_it_ends_and_stays_within_its_limit(answers: list[bool | None], agree: int, more: int) -> None:
    search = AscendingSearch(("TA",), 1.0, 0.7, 6.0, agree, agree + more)
    last = 0.0
    for answer in answers:
        ma = search.next_ma()
        if ma is None:
            break
        assert last <= ma <= 6.0
        last, search = ma, search.add(ma, {"TA": answer})
    found = search.compound()
    if found.ma is not None:
        low = found.bracket_ma[0]
        assert found.responses >= agree and (low is None or low < found.ma)


def test_bands() -> None:
    def verdict(ma: float, low: float | None = None, odd: bool = False) -> str:
        told = band(Threshold("TA", ma, (low, ma), None, 2, 2, odd), "lumbar")
        return told.verdict if told else ""

    assert [verdict(ma) for ma in (3.9, 4.0, 8.0, 8.1)] == [
        "breach likely",
        "breach possible",
        "breach possible",
        "no breach",
    ]
    assert verdict(8.5, 7.5) == "no breach" and verdict(8.5, 7.5, odd=True) == "breach possible"
    silent = Threshold("", None, (20.0, None), 20.0, 0, 0, False)
    assert (band(silent, "lumbar") or BANDS["lumbar"][0]).verdict == "no breach"
    assert band(silent, "thoracic") is None
    for up_to in (6.0, None):
        assert band(Threshold("", None, (up_to, None), up_to, 0, 0, False), "lumbar") is None
    assert band(Threshold("", None, (20.0, None), 20.0, 0, 0, True), "lumbar") is None


@pytest.mark.parametrize(
    "wrong",
    [
        ((), 1.0, 1.0, 20.0, 2, 3),
        (("TA", "TA"), 1.0, 1.0, 20.0, 2, 3),
        (("TA",), 0.0, 1.0, 20.0, 2, 3),
        (("TA",), 1.0, 0.0, 20.0, 2, 3),
        (("TA",), 21.0, 1.0, 20.0, 2, 3),
        (("TA",), 1.0, 1.0, math.inf, 2, 3),
        (("TA",), 1.0, 1.0, 20.0, 4, 3),
        (("TA",), 1.0, 1.0, 20.0, 0, 3),
    ],
)
def test_what_cannot_be_built(wrong: tuple[object, ...]) -> None:
    with pytest.raises(ValueError):
        AscendingSearch(*wrong)  # type: ignore[arg-type]
