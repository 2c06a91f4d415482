"""Frames are what a plain loop over the samples finds, at their absolute place, muted where they must be."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from dsp.emg_frames import AT_ONCE, Framer, Frames


def plain(x: np.ndarray, rate_hz: float) -> np.ndarray:
    """The high-pass as scipy has it, from a constant before the first row."""
    y: np.ndarray = sosfilt(butter(2, 80.0, "high", fs=rate_hz, output="sos"), x - x[0], axis=0)
    return y


def cut(framer: Framer, x: np.ndarray, block: int) -> list[Frames]:
    found = [framer.append(x[at : at + block]) for at in range(0, len(x), block)]
    return [frames for frames in [*found, framer.flush()] if frames is not None]


@pytest.mark.parametrize(("rate_hz", "start"), [(4000.0, 0), (4000.0, 777), (2048.0, 10)])
def test_frames_are_those_of_a_plain_loop(rate_hz: float, start: int) -> None:
    x = np.random.default_rng(1).standard_normal((1003, 2)) + 50.0
    framer = Framer(rate_hz, 2, 1e4, 0.01)
    framer.restart(start)
    parts, y = cut(framer, x, 37), plain(x, rate_hz)
    rows = framer.rows
    number = parts[0].first
    assert number == -(-(start + 1) // rows)  # the first that has a row before it
    for part in parts:
        assert part.first == number
        for k in range(len(part.mute)):
            at = (number + k) * rows - start
            assert np.allclose(part.y[k * rows + 1 : (k + 1) * rows + 1], y[at : at + rows], atol=1e-9)
            assert np.allclose(part.peak_uv[k], np.abs(y[at : at + rows]).max(axis=0), atol=1e-9)
            assert np.allclose(part.power[k], np.mean(y[at : at + rows] ** 2, axis=0), atol=1e-9)
            assert np.array_equal(part.high_uv[k], x[at : at + rows].max(axis=0))
            assert np.array_equal(part.low_uv[k], x[at : at + rows].min(axis=0))
            assert np.allclose(part.square[k], np.mean(x[at : at + rows] ** 2, axis=0))
            assert not part.mute[k].any()
        number += len(part.mute)
    assert 0 <= start + len(x) - 1 - number * rows < rows


def test_rows_wait_so_late_and_for_so_many_frames() -> None:
    framer = Framer(4000.0, 1, 1e4, 0.01)
    assert framer.append(np.zeros((40 + AT_ONCE * 20 - 1, 1))) is None and framer.judged == 0
    frames = framer.append(np.zeros((1, 1)))
    assert frames is not None and framer.judged == AT_ONCE * 20 and len(frames.mute) == AT_ONCE - 2


def test_a_span_mutes_its_frames_and_thirty_milliseconds_more_and_the_filter_begins_anew() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2000, 1))
    x[805:1000] += 3000.0
    framer = Framer(4000.0, 1, 1e4, 0.0)
    framer.exclude(805, None)
    framer.exclude(805, 1000)
    parts = cut(framer, x, 2000)
    muted = np.flatnonzero(np.concatenate([part.mute[:, 0] for part in parts])) + parts[0].first
    assert muted.tolist() == list(range(40, 50 + 6))
    behind = np.concatenate([part.peak_uv[:, 0] for part in parts])[56 - parts[0].first :]
    assert behind.max() < 5.0
