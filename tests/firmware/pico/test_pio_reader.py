"""Frames off the modelled converters' pins, bit for bit, and the datasheet's times on the pins."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hw.chips import DataRate, Opcode, wait_for_tclk_ns
from tests.support.pio_chips import DIN, DRDY, SCLK, SELECT
from tests.support.pio_machine import Pins
from tests.support.pio_rig import PICO2_HZ, PICO_HZ, Reading, Rig

BAR_SHARE = 0.6

READINGS = [
    Reading(),
    Reading(rdata=False),
    Reading(hz=PICO2_HZ, chips=2, valid_ns=32.0),
    Reading(hz=133_000_000, rdata=False, ppm=137.0),
    Reading(chips=4, ppm=-211.0, valid_ns=32.0, isolator_ns=15.0),
    Reading(hz=PICO2_HZ, chips=3, rdata=False),
    Reading(hz=200_000_000, rate=DataRate.SPS_250),
    Reading(chips=2, daisy=True, rate=DataRate.SPS_8000),
    Reading(hz=PICO2_HZ, chips=2, daisy=True, rdata=False, rate=DataRate.SPS_16000),
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_frames_are_the_chips_bit_for_bit_and_din_is_low_behind_the_opcode(reading: Reading) -> None:
    rig = Rig(reading).run(8)
    frames = rig.frames()
    assert len(frames) >= 4
    assert frames == reading.plainly(len(frames))
    assert all(frame[0] >> 4 == 0xC for frame in frames)
    window = [Opcode.RDATA] * reading.rdata + [0] * (reading.bits // 8)
    assert rig.chips.heard[: len(frames)] == [window] * len(frames)


@pytest.mark.parametrize("rdata", [True, False])
@pytest.mark.parametrize("hz", [PICO_HZ, PICO2_HZ])
def test_a_read_takes_its_computed_cycles_and_less_than_its_share_of_a_period(hz: int, rdata: bool) -> None:
    """Measured at 16 kSPS: RDATA 32.1 % of a period at 125 MHz and 32.0 % at 150, RDATAC 31.1 %; bar 60 %."""
    reading = Reading(hz, rdata=rdata, ppm=137.0)
    rig = Rig(reading).run(8)
    took = [up - down for down, up in zip(rig.pins.falls(DRDY), rig.pins.rises(SELECT), strict=False)]
    assert len(took) >= 4
    assert all(reading.cycles - 1 < cycles <= reading.cycles for cycles in took)
    share = reading.cycles / reading.period
    assert share <= BAR_SHARE, f"{100 * share:.1f} % of a period, bar 60 %"
    assert share == pytest.approx(0.321 if rdata else 0.311, abs=0.001)


def _within(times: list[float], window: tuple[float, float]) -> list[float]:
    return [t for t in times if window[0] <= t <= window[1]]


def _windows(pins: Pins) -> list[tuple[float, float]]:
    return list(zip(pins.falls(SELECT), pins.rises(SELECT), strict=False))


@pytest.mark.parametrize("hz", [PICO_HZ, 133_000_000, PICO2_HZ, 200_000_000, 240_000_000])
@pytest.mark.parametrize("rdata", [True, False])
def test_every_time_on_the_pins_is_within_the_datasheets(hz: int, rdata: bool) -> None:
    """Those of 1.8 V, which are the stricter ones: tSCLK 66.6, tSPWH and tSPWL 25, tCSSC 17, tDIST and tDIHD
    10 ns, tSCCS 4 and tCSH 2 tCLK."""
    reading = Reading(hz, rdata=rdata)
    pins = Rig(reading).run(7).pins
    ns = 1e9 / hz
    rises, falls = pins.rises(SCLK), pins.falls(SCLK)
    windows = _windows(pins)
    assert len(windows) >= 3
    for window in windows:
        up, down = _within(rises, window), _within(falls, window)
        assert len(up) == len(down) == reading.bits + 8 * rdata
        assert min(b - a for a, b in pairwise(up)) * ns >= 66.6
        assert min(b - a for a, b in zip(up, down, strict=True)) * ns >= 25
        assert min(b - a for a, b in zip(down, up[1:], strict=False)) * ns >= 25
        assert (up[0] - window[0]) * ns >= 17
        assert wait_for_tclk_ns(4) <= (window[1] - down[-1]) * ns <= 1.1 * wait_for_tclk_ns(4)
        for at in _within([change.at for change in pins.of(DIN)], window):
            assert min(abs(at - fall) for fall in down) * ns >= 10
    assert min(b[0] - a[1] for a, b in pairwise(windows)) * ns >= wait_for_tclk_ns(2)
    assert all(any(a <= t <= b for a, b in windows) for t in rises), "no clock outside of a read"


@pytest.mark.parametrize(("synchronised", "slack_cycles"), [(True, 2), (False, 1)])
def test_a_bit_is_taken_as_late_as_its_synchroniser_lets_it(synchronised: bool, slack_cycles: int) -> None:
    """With two flip-flops 64 ns behind its SCLK at 125 MHz: a chip at 1.8 V has 32, each isolator 16."""
    bit_ns = 80.0
    last_ns = bit_ns - slack_cycles * 8
    reading = Reading(synchronised=synchronised, valid_ns=last_ns - 0.5)
    frames = Rig(reading).run(6).frames()
    assert frames == reading.plainly(len(frames)) != []
    late = Rig(replace(reading, valid_ns=last_ns + 0.5)).run(6).frames()
    assert late != reading.plainly(len(late))


def test_after_conversions_that_nobody_read_the_next_frame_is_the_next_conversions() -> None:
    """Data-ready then rises for 4 tCLK only, before it falls again."""
    reading = Reading()
    rig = Rig(reading)
    rig.clockwork.stop(rig.readers[0])
    rig.run(6.5)
    assert len(rig.pins.falls(DRDY)) == 3
    rig.clockwork.restart(rig.readers[0])
    rig.run(2)
    assert rig.frames() == reading.plainly(5)[3:]
