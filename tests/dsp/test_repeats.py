"""Repeats confirm: one sweep is no change, scatter makes few false ones, intervals hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.muscle import ResponseMeter
from dsp.repeats import D_WAVE, MEP, Baseline, Look, Repeats, Rule, Standing, baseline, look, step, summarise
from tests.support.streams import Floats

GONE = Look(None, 50.0)
UNKNOWN = Look(None, None, False)
BASE = Baseline(math.log(1000.0), 0.3, 5)


def seen(*amplitudes_uv: float | None) -> list[Look]:
    return [Look(a, 50.0) for a in amplitudes_uv]


def after(looks: list[Look], rule: Rule = MEP, against: Baseline | None = BASE) -> Repeats:
    made = Repeats(rule, 5, against)
    for one in looks:
        made = made.add(one)
    return made


def lognormal(cv: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Amplitudes of geometric mean 1."""
    return np.exp(math.sqrt(math.log1p(cv * cv)) * rng.standard_normal(shape))


def test_the_states_of_a_rule() -> None:
    assert after(seen(900, 1100)).standing.state == "steady"
    assert after(seen(900, 250)).standing.state == "suspect"
    assert after(seen(900, 250, 900)).standing.state == "steady"
    assert after(seen(900, 250, None)).standing.state == "suspect"
    assert after(seen(900, 250, 200, None)).standing.state == "confirmed"
    assert after(seen(None, None, None)).standing.state == "lost"
    assert after(seen(None, None, None, 100)).standing.state == "confirmed"
    assert after(seen(None, None, None, 900, 900)).standing.state == "lost"
    assert after(seen(None, None, None, 900, 900, 900)).standing.state == "steady"
    assert after(seen(501), D_WAVE).standing.state == "steady"
    assert after(seen(499, 499), D_WAVE).standing.state == "confirmed"
    assert after(seen(1, None), MEP, None).standing.state == "suspect"  # no baseline: only loss counts
    assert after(seen(1, 1, 1), MEP, None).standing.state == "steady"


def test_the_words_say_how_many() -> None:
    assert after(seen(900, None)).text == "absent in 1 of the last 1: repeat to confirm (3)"
    assert after(seen(900, 200, None)).text == "down 70 % or absent in 2 of the last 2: repeat to confirm (3)"
    assert after(seen(None, None, None, None)).text == "absent in 4 of the last 4"
    assert after(seen(200, None, None)).text == "down 70 % or absent in 3 of the last 3"
    assert after(seen(900)).text == "steady"


def test_what_is_unknown_changes_nothing() -> None:
    standing = after(seen(900, 250, 200)).standing
    for nothing in (UNKNOWN, Look(math.nan, 50.0), Look(math.inf, 50.0)):
        assert step(standing, MEP, nothing, BASE) == standing
        assert summarise([nothing], BASE).n == 0
    assert after([GONE, UNKNOWN, GONE, UNKNOWN, GONE]).standing.state == "lost"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([None, 100.0, 900.0]), max_size=12), st.integers(1, 4))
def test_no_state_comes_before_enough_agree(sizes: list[float | None], confirm: int) -> None:
    """Against a naive reading of the whole history."""
    rule, standing = Rule(70.0, confirm), Standing()
    for n, size in enumerate(sizes):
        before = standing.state
        standing = step(standing, rule, Look(size, 50.0), BASE)
        newest = sizes[max(0, n + 1 - confirm) : n + 1]
        agree = len(newest) == confirm and all(s != 900.0 for s in newest)
        if agree:
            assert standing.state == ("lost" if all(s is None for s in newest) else "confirmed")
        elif len(newest) == confirm and all(s == 900.0 for s in newest):
            assert standing.state == "steady"
        elif before in ("confirmed", "lost"):
            assert standing.state == before
        else:
            assert standing.state == ("steady" if size == 900.0 else "suspect")


@pytest.mark.parametrize(("cv", "most"), [(0.2, 0), (0.4, 0), (0.6, 4)])
def test_scatter_alone_is_hardly_ever_confirmed(cv: float, most: int) -> None:
    """200 cases of 50 sweeps with a baseline of 5: cases with a false confirmation."""
    rng = np.random.default_rng([301, int(10 * cv)])
    false = 0
    for _ in range(200):
        sizes = 800.0 * lognormal(cv, (55,), rng)
        made, states = Repeats(MEP, 5, baseline(sizes[:5].tolist())), set()
        for size in sizes[5:].tolist():
            made = made.add(Look(size, 50.0))
            states.add(made.standing.state)
        false += "confirmed" in states
    assert false <= most


@pytest.mark.parametrize(("cv", "drop"), [(0.2, 0.8), (0.4, 0.85), (0.6, 0.9)])
def test_a_true_fall_is_confirmed_soon(cv: float, drop: float) -> None:
    """Within six sweeps in 95 % of 200."""
    rng = np.random.default_rng([302, int(10 * cv)])
    soon = 0
    for _ in range(200):
        made = Repeats(MEP, 6, baseline((800.0 * lognormal(cv, (8,), rng)).tolist()))
        for size in (800.0 * (1 - drop) * lognormal(cv, (6,), rng)).tolist():
            made = made.add(Look(size, 50.0))
            if made.standing.state == "confirmed":
                soon += 1
                break
    assert soon >= 190


@pytest.mark.parametrize("cv", [0.2, 0.4, 0.6])
@pytest.mark.parametrize(("n", "k"), [(5, 3), (10, 5), (5, 1)])
def test_the_interval_of_the_change_holds_it(cv: float, n: int, k: int) -> None:
    rng = np.random.default_rng([303, int(10 * cv), n, k])
    held = 0
    for _ in range(300):
        made = baseline((500.0 * lognormal(cv, (n,), rng)).tolist())
        now = [Look(a, 50.0) for a in (200.0 * lognormal(cv, (k,), rng)).tolist()]
        interval = summarise(now, made).change_ci_pct
        assert interval is not None
        held += interval[0] <= -60.0 <= interval[1]
    assert 0.92 * 300 <= held <= 0.99 * 300


def test_absent_sweeps_count_at_their_limit() -> None:
    some = summarise([*seen(1000, 1000), GONE], BASE)
    assert (some.n, some.absent, some.median_uv, some.mean_uv) == (3, 1, 1000.0, 1000.0)
    assert some.change_pct == pytest.approx(100.0 * ((50 / 1000) ** (1 / 3) - 1))
    assert some.change_ci_pct is not None and some.change_ci_pct[0] == -100.0
    gone = summarise([GONE] * 4, BASE)
    assert gone.change_pct is None and gone.median_uv is None and gone.cv is None
    assert gone.change_ci_pct == pytest.approx((-100.0, -93.2), abs=1.0)
    assert summarise([Look(None, None)], BASE).change_ci_pct is None
    assert summarise([], BASE).change_pct is None and summarise(seen(5), None).change_pct is None


def test_the_stack_keeps_the_last_sweeps() -> None:
    made = after(seen(1, 2, 3, 4, 5, 6, 7))
    assert [s.amplitude_uv for s in made.looks] == [3, 4, 5, 6, 7]
    told = made.summary()
    assert (told.n, told.median_uv, told.mean_uv) == (5, 5.0, 5.0)
    assert told.cv == pytest.approx(math.sqrt(2.5) / 5.0)


def test_a_baseline_wants_sweeps() -> None:
    assert baseline([100.0, 200.0]) is None and baseline([100.0, 200.0, None, None, 150.0]) is None
    made = baseline([100.0, 100.0 * math.e, math.nan, 100.0 * math.e**2, 100.0 * math.e])
    assert made is not None and made.n == 4
    assert made.uv == pytest.approx(100.0 * math.e) and made.log_sd == pytest.approx(math.sqrt(2 / 3))
    assert Baseline(0.0, math.sqrt(math.log1p(0.25)), 5).cv == pytest.approx(0.5)


def test_looks_of_measured_responses() -> None:
    t = np.arange(-30.0, 100.0, 0.25)
    meter = ResponseMeter((15.0, 65.0), -30.0, 0.25, ("a", "b", "c"), ((-30.0, -2.0),), 50.0)
    uv = 3.0 * np.random.default_rng(1).standard_normal((len(t), 3))
    uv[:, 0] += 300.0 * np.exp(-(((t - 30.0) / 3.0) ** 2))
    uv[:, 2] = math.nan
    one, two, three = (look(r) for r in meter.measure(uv))
    assert one.known and one.amplitude_uv == pytest.approx(300.0, rel=0.05)
    assert two == Look(None, 50.0) and three == UNKNOWN


def test_what_cannot_be_built() -> None:
    for drop, confirm in ((0.0, 1), (101.0, 1), (50.0, 0)):
        with pytest.raises(ValueError, match="a rule"):
            Rule(drop, confirm)
    with pytest.raises(ValueError, match="cannot agree"):
        Repeats(MEP, 2)
