"""The modelled stimulator obeys Ohm, and its monitors keep every pulse's area however short it is."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hw.model.stimulator import LEAKAGE_OHM, MonitorChannels, Stimulator

RATES_HZ = (250.0, 1000.0, 4000.0, 16000.0)


def seen(monitors: MonitorChannels, rows: int) -> NDArray[np.float64]:
    return np.array([monitors.read(k) for k in range(rows)])


def finely(rate_hz: float, at: float, height: float, width_us: float, rows: int) -> NDArray[np.float64]:
    """The oracle: three running means over one sample of the pulse on a grid of 1/2000 sample."""
    fine = 2000
    first, end = ((at + us * 1e-6 * rate_hz) * fine for us in (10.0, 10.0 + width_us))
    cells = np.arange((rows + 1) * fine, dtype=np.float64)
    wave = height * np.clip(np.minimum(cells + 1, end) - np.maximum(cells, first), 0.0, 1.0)
    for _ in range(3):
        total = np.concatenate([np.zeros(fine), np.cumsum(wave)])
        wave = (total[fine:] - total[:-fine]) / fine
    # A row's aperture ends with its conversion: cell k * fine - 1 is the last before time k.
    return np.array([wave[k * fine - 1] if k else 0.0 for k in range(rows)])


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("width_us", [50.0, 200.0, 1000.0])
def test_the_monitors_are_the_pulse_after_three_running_means(rate_hz: float, width_us: float) -> None:
    monitors = MonitorChannels(rate_hz)
    monitors.pulse(3.37, 1, 25.0, 40.0, width_us)
    rows = 12 + math.ceil(width_us * 1e-6 * rate_hz)
    both = seen(monitors, rows)
    assert both[:, 0] == pytest.approx(finely(rate_hz, 3.37, 0.025, width_us, rows), abs=0.025 * 2e-3)
    assert both[:, 1] == pytest.approx(both[:, 0] * (40.0 / 4.0) / 25.0, abs=1e-15)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(RATES_HZ),
    st.floats(0.0, 6.0),
    st.floats(10.0, 2000.0),
    st.floats(-1000.0, 1000.0),
    st.floats(1.5, 3.0),
)
def test_the_area_is_kept_and_lies_where_it_belongs(
    rate_hz: float, at: float, width_us: float, current_ma: float, delay_samples: float
) -> None:
    monitors = MonitorChannels(rate_hz, delay_samples, v_per_mv=2.0)
    monitors.pulse(at, 2, current_ma, 300.0, width_us)
    width = width_us * 1e-6 * rate_hz
    both = seen(monitors, 16 + math.ceil(width))
    assert both.sum(axis=0) == pytest.approx([current_ma * 1e-3 * width, 0.15 * width], rel=1e-9, abs=1e-15)
    assert not both[: math.floor(at) + 1].any()  # nothing before its trigger
    centre = float(np.average(np.arange(len(both)), weights=both[:, 1]))
    assert centre == pytest.approx(at + delay_samples + 10e-6 * rate_hz + width / 2, abs=1e-6)


def test_pulses_add_up_and_old_ones_are_forgotten() -> None:
    alone, second = MonitorChannels(1000.0), MonitorChannels(1000.0)
    both = MonitorChannels(1000.0)
    alone.pulse(5.2, 1, 10.0, 10.0, 200.0)
    second.pulse(7.9, 2, 30.0, 20.0, 300.0)
    both.pulse(5.2, 1, 10.0, 10.0, 200.0)
    both.pulse(7.9, 2, 30.0, 20.0, 300.0)
    assert np.allclose(seen(both, 20), seen(alone, 20) + seen(second, 20), rtol=0, atol=1e-15)
    assert not both._pulses and both.read(25) == (0.0, 0.0)


def test_a_range_cuts_the_pulse_and_not_the_flattened_row() -> None:
    monitors = MonitorChannels(1000.0, clip_mv=187.5)
    monitors.pulse(2.5, 1, 1000.0, -1000.0, 50.0)
    both = seen(monitors, 10)
    assert both.sum(axis=0) == pytest.approx([0.1875 * 0.05, -0.1875 * 0.05])
    assert both[:, 0].max() < 0.01  # no row shows that it was cut


def test_monitors_refuse_what_cannot_be() -> None:
    monitors = MonitorChannels(1000.0)
    monitors.pulse(5.0, 1, 1.0, 1.0, 100.0)
    with pytest.raises(ValueError, match=r"a pulse at sample 4\.5 comes too late"):
        monitors.pulse(4.5, 1, 1.0, 1.0, 100.0)
    monitors.read(8)
    with pytest.raises(ValueError, match="conversion 8 was asked for after 8"):
        monitors.read(8)
    with pytest.raises(ValueError, match="conversion 8 has been read"):
        monitors.pulse(7.9, 1, 1.0, 1.0, 100.0)
    for at, line, current_ma, width_us in ((9.0, 0, 1.0, 9.0), (9.0, 1, math.nan, 9.0), (9.0, 1, 1.0, 0.0)):
        with pytest.raises(ValueError, match=r"monitors: .* is impossible"):
            monitors.pulse(at, line, current_ma, 1.0, width_us)
    with pytest.raises(ValueError, match=r"delay_samples = 0\.5 is impossible"):
        MonitorChannels(1000.0, 0.5)
    with pytest.raises(ValueError, match="rate_hz = 0"):
        MonitorChannels(0.0)
    with pytest.raises(ValueError, match="turn_on_us = -1"):
        MonitorChannels(1000.0, turn_on_us=-1.0)


def current(load_ohm: float = 1000.0, current_ma: float = 25.0) -> Stimulator:
    stimulator = Stimulator("current", load_ohm=load_ohm)
    stimulator.set_current(1, current_ma, 200.0)
    return stimulator


def test_constant_current_obeys_ohm_up_to_its_compliance() -> None:
    sound = current().fire(1)
    assert (sound.current_ma, sound.volts, sound.width_us) == (25.0, 25.0, 200.0)
    limited = current(load_ohm=5000.0, current_ma=200.0).fire(1)
    assert (limited.current_ma, limited.volts) == pytest.approx((80.0, 400.0))


def test_constant_current_in_each_condition() -> None:
    stimulator = current()
    stimulator.break_down("open")
    off = stimulator.fire(1)
    assert off.volts == pytest.approx(400.0) and off.current_ma == pytest.approx(4e5 / LEAKAGE_OHM)
    stimulator.break_down("short")
    shorted = stimulator.fire(1)
    assert (shorted.current_ma, shorted.volts) == pytest.approx((25.0, 0.125))
    stimulator.break_down("loss", 0.4)
    lossy = stimulator.fire(1)
    assert (lossy.current_ma, lossy.volts) == pytest.approx((15.0, 15.0))
    assert 1e3 * lossy.volts / lossy.current_ma == pytest.approx(1000.0)  # the load is as it was
    stimulator.break_down("loss", 1.0)
    assert stimulator.fire(1).current_ma == 0.0
    stimulator.break_down("ok")
    assert stimulator.fire(1).current_ma == 25.0


def test_constant_voltage_in_each_condition() -> None:
    stimulator = Stimulator("voltage")
    stimulator.set_voltage(2, 400.0, 50.0)
    sound = stimulator.fire(2)
    assert (sound.current_ma, sound.volts, sound.width_us) == pytest.approx((400.0, 400.0, 50.0))
    stimulator.break_down("open")
    assert stimulator.fire(2).current_ma == pytest.approx(0.02)
    stimulator.break_down("short")
    shorted = stimulator.fire(2)
    assert (shorted.current_ma, shorted.volts) == pytest.approx((1500.0, 7.5))
    stimulator.break_down("loss", 0.4)
    lossy = stimulator.fire(2)
    assert lossy.volts == pytest.approx(400.0) and lossy.current_ma == pytest.approx(400.0)


def test_stimulators_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="line 3 is not set"):
        current().fire(3)
    with pytest.raises(ValueError, match="a constant-current stimulator has no set voltage"):
        current().set_voltage(1, 100.0, 50.0)
    with pytest.raises(ValueError, match="current = -1"):
        current().set_current(1, -1.0, 50.0)
    with pytest.raises(ValueError, match="width_us = 0"):
        current().set_current(1, 1.0, 0.0)
    with pytest.raises(ValueError, match="line 0"):
        current().set_current(0, 1.0, 50.0)
    with pytest.raises(ValueError, match="kind = 'power'"):
        Stimulator("power")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="condition = 'wet'"):
        current().break_down("wet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"lost = 1\.1"):
        current().break_down("loss", 1.1)
    with pytest.raises(ValueError, match="load_ohm = 0"):
        Stimulator(load_ohm=0.0)
