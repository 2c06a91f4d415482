"""Full scale, gain and offset of every gain of every part, from volts at the pins to microvolts: 0.1 %.

Public drivers have read half the voltage, 0.56 of it, or its absolute value (facts 4).
"""

import numpy as np
import pytest

from firmware.front_end import FrontEndSetup
from hw.chips import CHIPS, ChipSpec, Family
from hw.frames import decode_board
from tests.support.chips import star

PARTS = list(CHIPS.values())
CASES = [(chip, gain, vref_v) for chip in PARTS for gain in chip.gains for vref_v in chip.vref_v]
SHARES = np.array([-1.2, -0.999, -0.5, -1e-3, 0.0, 1e-3, 0.5, 0.999, 1.2])
TOLERANCE = 1e-3


@pytest.mark.control("H14.1")
@pytest.mark.parametrize(
    ("chip", "gain", "vref_v"), CASES, ids=[f"{chip.name}-x{gain}-{vref_v}V" for chip, gain, vref_v in CASES]
)
def test_microvolts_are_the_volts_at_the_pins(chip: ChipSpec, gain: int, vref_v: float) -> None:
    front_end, wires, _ = star(chip, start=False)
    info = front_end.bring_up(FrontEndSetup(1000, gain, vref_v=vref_v))
    front_end.start()
    full_scale_uv = {Family.ADS1299: 4.5e6}.get(chip.family, vref_v * 1e6) / gain
    rows = []
    for share in SHARES:
        wires[0].convert([share * full_scale_uv * 1e-6] * chip.channels)
        rows.append(front_end.read_frame())
    decoded = decode_board(np.frombuffer(b"".join(rows), np.uint8).reshape(len(SHARES), -1), info.layout)
    got_uv = decoded.counts * np.array(info.lsb_uv)
    assert decoded.header_ok.all()
    for channel in range(chip.channels):
        slope, offset_uv = np.polyfit(SHARES[1:-1] * full_scale_uv, got_uv[1:-1, channel], 1)
        assert slope == pytest.approx(1.0, abs=TOLERANCE)
        assert abs(offset_uv) < TOLERANCE * 1e-3 * full_scale_uv  # 0.1 % of the smallest step
        assert got_uv[-1, channel] == pytest.approx(full_scale_uv, rel=TOLERANCE)
        assert got_uv[0, channel] == pytest.approx(-full_scale_uv, rel=TOLERANCE)
        assert got_uv[1, channel] == pytest.approx(-0.999 * full_scale_uv, rel=TOLERANCE)
