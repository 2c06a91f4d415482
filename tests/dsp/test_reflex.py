"""M and H are found in their windows, an absent H is told absent, and the ratio holds the true one."""

import math

import numpy as np
import pytest

from dsp.muscle import ResponseMeter
from dsp.reflex import Reflex, ReflexMeter, largest
from tests.support.responses import m_wave, mep, noise
from tests.support.streams import Floats

TIMES_MS = np.arange(-20.0, 100.0, 0.25)
QUIET_MS = ((-20.0, -1.0), (65.0, 99.5))
RMS_UV = 10.0


def meter(rail_uv: float | None = None) -> ReflexMeter:
    return ReflexMeter((2.0, 22.0), (26.0, 55.0), -20.0, 0.25, ("soleus",), QUIET_MS, 60.0, rail_uv)


def sweep(m_uv: float, h_uv: float, rng: np.random.Generator, kind: str = "emg") -> Floats:
    uv = m_uv * m_wave(TIMES_MS, 4.0) + h_uv * m_wave(TIMES_MS, 30.0, 1.3)
    return uv + RMS_UV * noise(kind, len(TIMES_MS), 4000.0, rng)


def one(uv: Floats, rail_uv: float | None = None) -> Reflex:
    (told,) = meter(rail_uv).measure(uv[:, None])
    return told


@pytest.mark.parametrize("kind", ["white", "emg", "pink"])
def test_the_ratio_holds_the_true_one(kind: str) -> None:
    rng = np.random.default_rng([701, len(kind)])
    held = present = 0
    for _ in range(100):
        m_uv, ratio = rng.uniform(500.0, 5000.0), rng.uniform(0.3, 1.5)
        told = one(sweep(m_uv, ratio * m_uv, rng, kind))
        present += told.m.present and told.h.present
        held += told.ratio_ci is not None and told.ratio_ci[0] <= ratio <= told.ratio_ci[1]
    assert present == 100 and held >= 88


def test_an_absent_h_is_told_so() -> None:
    """Behind an M wave of any size: at most 2 of 100, and the ratio is at most the limit's."""
    rng = np.random.default_rng(702)
    false = 0
    for _ in range(100):
        m_uv = rng.uniform(200.0, 8000.0)
        told = one(sweep(m_uv, 0.0, rng))
        false += told.h.present
        if not told.h.present:
            assert told.m.present and told.ratio == 0.0 and told.h.limit_uv is not None
            assert told.ratio_ci is not None and told.ratio_ci[0] == 0.0
            assert told.ratio_ci[1] == pytest.approx(told.h.limit_uv / m_uv, rel=0.5)
    assert false <= 2


def test_the_tail_of_m_is_no_h() -> None:
    rng = np.random.default_rng(703)
    tail = 2000.0 * np.where(TIMES_MS > 8.0, np.exp(-(TIMES_MS - 8.0) / 12.0), 0.0)
    told = one(sweep(4000.0, 0.0, rng) + tail)
    assert told.h.artifact and not told.h.present
    told = one(sweep(4000.0, 1000.0, rng) + tail)
    assert told.h.artifact and told.h.present and told.h.onset_ms is None


def test_why_there_is_no_ratio() -> None:
    rng = np.random.default_rng(704)
    told = one(sweep(0.0, 500.0, rng))
    assert told.h.present and not told.m.present and (told.ratio, told.why) == (None, "M absent")
    clipped = np.clip(sweep(3000.0, 1000.0, rng), -800.0, 800.0)
    assert (one(clipped, 800.0).ratio, one(clipped, 800.0).why) == (None, "clipped")
    broken = sweep(1000.0, 500.0, rng)
    broken[100] = math.nan
    assert (one(broken).ratio, one(broken).why) == (None, "rows that are no number")


def test_the_largest_of_a_recruitment() -> None:
    """H rises and falls while M rises."""
    rng = np.random.default_rng(705)
    steps = [(0.0, 300.0), (200.0, 1500.0), (1500.0, 2000.0), (3500.0, 600.0), (4000.0, 0.0)]
    told = largest([one(sweep(m, h, rng)) for m, h in steps])
    assert told is not None and told.ratio == pytest.approx(0.5, abs=0.03)
    assert told.ratio_ci is not None and told.ratio_ci[0] < 0.5 < told.ratio_ci[1]
    assert largest([one(sweep(0.0, 300.0, rng))]) is None and largest([]) is None
    silent = largest([one(sweep(m, 0.0, rng)) for m in (1000.0, 3000.0)])
    assert silent is not None and silent.ratio == 0.0


def test_the_bulbocavernosus_reflex_needs_nothing_else() -> None:
    """R1 at 30 to 45 ms, 30 uV and more, over 2 uV of noise; behind a train of pulses' artifact."""
    rng = np.random.default_rng(706)
    t = np.arange(-10.0, 150.0, 0.25)
    made = ResponseMeter((25.0, 80.0), -10.0, 0.25, ("EAS",), ((-10.0, -1.0), (100.0, 149.0)), 15.0)
    found = false = 0
    for _ in range(100):
        quiet = 2.0 * noise("emg", len(t), 4000.0, rng)
        quiet += np.where(t > 0, 500.0 * np.exp(-np.clip(t, 0, None) / 3.0), 0.0)
        onset_ms = rng.uniform(30.0, 45.0)
        (told,) = made.measure((quiet + 40.0 * mep(t, onset_ms, rng))[:, None])
        found += told.present and told.onset_ms is not None and abs(told.onset_ms - onset_ms) < 4.0
        false += made.measure(quiet[:, None])[0].present
    assert found >= 95 and false <= 2


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="not before"):
        ReflexMeter((2.0, 30.0), (26.0, 55.0), -20.0, 0.25, ("soleus",), QUIET_MS, 60.0)
    with pytest.raises(ValueError):
        ReflexMeter((2.0, 22.0), (26.0, 55.0), -20.0, 0.25, (), QUIET_MS, 60.0)
