"""A real recording through model, driver and decoder: 2,000 frames of an ADS1299 read on a Raspberry Pi.

What the makers' microvolts are: round(counts x 4.5e6 / (2^24 - 1), 2), to the last digit, that is the full
*span* of 2 VREF taken as VREF, at gain 1. This is half the true voltage of a chip at gain 1, and within
0.06 ppm the true voltage of a chip at gain 2. The file is described as gain 2, so our formula with gain 2
must agree; whether the chip really ran at gain 2 cannot be told from the file. If it ran at gain 1, as the
makers' public scripts take it to, every true voltage is twice theirs.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.frames import decode_frames, lsb_uv
from tests.support.chips import rig

RECORDING = Path(__file__).parents[2].parent / "shared" / "data" / "ads1299_frames.npz"


@pytest.fixture(scope="module")
def recording() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    if not RECORDING.exists():
        pytest.skip(f"no real recording at {RECORDING}")
    with np.load(RECORDING) as data:
        return data["frames"], data["microvolts"]


def read_through_the_driver(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every frame put into the chip's output register and fetched byte by byte by the production driver."""
    driver, wire = rig()
    chip = wire.model
    driver.bring_up(250, 2)
    received = bytearray()
    for frame in frames:
        if chip.play(frame.tobytes()):
            received += driver.read_frame()
    return np.frombuffer(received, np.uint8).reshape(-1, 27)


@pytest.mark.control("H7.3")
def test_real_frames_come_out_as_the_makers_microvolts(
    recording: tuple[NDArray[np.uint8], NDArray[np.float64]],
) -> None:
    frames, microvolts = recording
    received = read_through_the_driver(frames)
    assert len(received) == len(frames) == 2000  # none lost
    decoded = decode_frames(received)
    assert decoded.header_ok.all()
    assert set(decoded.trigger_bits.tolist()) == {8}  # the makers drive GPIO4 high as a sync pattern
    assert not decoded.lead_off_p.any()
    assert not decoded.lead_off_n.any()
    assert np.abs(decoded.counts * lsb_uv(2) - microvolts).max() < 0.01


def test_what_the_makers_formula_is(recording: tuple[NDArray[np.uint8], NDArray[np.float64]]) -> None:
    frames, microvolts = recording
    counts = decode_frames(frames).counts
    assert np.array_equal(np.round(counts * (4.5e6 / (2**24 - 1)), 2), microvolts)
    assert np.median(microvolts / (counts * lsb_uv(1))) == pytest.approx(0.5, abs=1e-6)
