"""Sweeps thinned behind a low-pass: the same response on fewer rows, and nothing folded into it."""

import numpy as np
import pytest

from dsp.filters import band_pass, thinned, thinning
from dsp.nouns import Derivation, Sweep, Trigger
from dsp.stream import Scale, Stream
from dsp.sweeps import SweepCutter, window

RATE_HZ = 16000.0
LSB_UV = 0.01
AT = 16000


def swept(
    uv: np.ndarray, every: int, window_ms: tuple[float, float] = (-10.0, 80.0), offset: float = -0.5
) -> Sweep:
    """The one sweep at sample AT of a signal (time,), every `every`-th row of it."""
    sos = thinned(band_pass(30.0, 1000.0, RATE_HZ), RATE_HZ, every)
    g = window(window_ms, 60.0, offset, RATE_HZ, sos, None, every)
    stream = Stream((Derivation("a", (1.0,)),), Scale((LSB_UV,), (0.0,)), sos, 0, g.history + 400)
    stream.restart(0)
    cutter = SweepCutter(g, sos, 1, (1,), None, None)
    cutter.trigger(Trigger(AT, 1))
    counts = np.rint(uv / LSB_UV).astype(np.int32)[:, None]
    found: list[Sweep] = []
    for first in range(0, len(counts), 1000):
        stream.append(counts[first : first + 1000], [])
        found += cutter.cut(stream)
    (sweep,) = found
    assert len(sweep.uv) == g.rows
    return sweep


@pytest.mark.parametrize("every", [2, 3, 4])
@pytest.mark.parametrize("window_ms", [(-10.0, 80.0), (0.0, 33.3), (-0.37, 12.0)])
@pytest.mark.parametrize("offset", [-0.5, 0.0])
def test_the_rows_that_stay_are_those_of_the_whole_sweep(
    every: int, window_ms: tuple[float, float], offset: float
) -> None:
    t_ms = (np.arange(3 * AT) - AT) / RATE_HZ * 1e3
    response = 5.0 * np.exp(-0.5 * ((t_ms - 20.0) / 1.3) ** 2) - 3.0 * np.exp(
        -0.5 * ((t_ms - 9.0) / 0.7) ** 2
    )
    whole, few = swept(response, 1, window_ms, offset), swept(response, every, window_ms, offset)
    # Rows are counted from the stimulus: row `pre` is its sample in both.
    rows = np.arange(len(few.uv))
    same = whole.pre + (rows - few.pre) * every
    assert 0 <= same[0] < every and len(whole.uv) - every <= same[-1] < len(whole.uv)
    # The low-pass takes 0.2 dB at 1000 Hz and nothing where the response is.
    assert few.uv[:, 0] == pytest.approx(whole.uv[same, 0], abs=0.03)


@pytest.mark.parametrize("hz", [3100.0, 3900.0, 4000.0, 4500.0, 7200.0])
def test_nothing_folds_into_the_band(hz: float) -> None:
    every = thinning(RATE_HZ, 4000.0, 1000.0)
    assert every == 4
    tone = 1000.0 * np.sin(2 * np.pi * hz * np.arange(3 * AT) / RATE_HZ)
    few = swept(tone, every)
    assert np.abs(few.uv).max() < 1000.0 * 10 ** (-60 / 20)
    # Without the low-pass some of it would: the test can fail.
    bare = band_pass(30.0, 1000.0, RATE_HZ)
    assert len(thinned(bare, RATE_HZ, 1)) == len(bare) < len(thinned(bare, RATE_HZ, 4))


@pytest.mark.parametrize(
    ("rate_hz", "keeps_hz", "high_hz", "every"),
    [
        (16000.0, 16000.0, 3000.0, 1),
        (16000.0, 8000.0, 1000.0, 2),
        (8000.0, 8000.0, 1000.0, 1),
        (16000.0, 1000.0, 100.0, 16),
        (16000.0, 4000.0, 3000.0, 1),  # a band that was widened keeps its rows
        (24414.0, 8000.0, 1000.0, 3),  # the rate need not be a multiple
        (16000.0, 0.0, 100.0, 1),
    ],
)
def test_no_fewer_rows_than_asked_for_and_four_a_period(
    rate_hz: float, keeps_hz: float, high_hz: float, every: int
) -> None:
    assert thinning(rate_hz, keeps_hz, high_hz) == every
