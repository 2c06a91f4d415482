"""The modelled chip's analogue side: scale, clipping, every multiplexer position (facts/hardware.md 1.5)."""

import numpy as np
import pytest

from hw.chips import GAINS, Opcode, gain_code, tclk_to_ns
from hw.frames import decode_frames, lsb_uv
from hw.model.ads1299 import Ads1299Model
from hw.model.ads1299_inputs import Surroundings
from hw.registers import Address, ChannelSet, Mux

MAX, MIN = 8388607, -8388608


class Bench:
    """A converting chip with a settled reference."""

    def __init__(self, around: Surroundings | None = None, config1: int = 0x96, srb1: bool = True) -> None:
        self.time_ns = 0
        self.chip = Ads1299Model(lambda: self.time_ns, around=around)
        self.time_ns += tclk_to_ns(1 << 18)
        self.chip.transfer(bytes([Opcode.SDATAC]))
        self.write(Address.CONFIG3, 0xE0)
        self.time_ns += 150_000_000
        self.write(Address.CONFIG1, config1)
        if srb1:
            self.write(Address.MISC1, 0x20)
        self.chip.transfer(bytes([Opcode.START]))

    def write(self, address: int, value: int) -> None:
        self.chip.transfer(bytes([Opcode.WREG | address, 0, value]))

    def channels(self, gain: int = 1, mux: Mux = Mux.ELECTRODE) -> "Bench":
        for channel in range(8):
            self.write(Address.CH1SET + channel, ChannelSet(gain=gain_code(gain), mux=mux).encode())
        return self

    def counts(self, *volts: float) -> list[int]:
        """The next conversion that gives data, `volts` padded with 0."""
        while not self.chip.convert([*volts, *[0.0] * (8 - len(volts))]):
            pass
        frame = self.chip.transfer(bytes([Opcode.RDATA]) + bytes(27))[1:]
        decoded = decode_frames(np.frombuffer(frame, np.uint8).reshape(1, 27))
        assert decoded.header_ok.all()
        return [int(count) for count in decoded.counts[0]]


@pytest.mark.parametrize("gain", GAINS)
def test_counts_are_volts_over_the_lsb(gain: int) -> None:
    lsb_v = lsb_uv(gain) * 1e-6
    got = Bench().channels(gain).counts(lsb_v, -lsb_v, 1000 * lsb_v, -0.4 * lsb_v, 0.6 * lsb_v, 0.15)
    assert got[:5] == [1, -1, 1000, 0, 1]
    assert got[5] == round(0.15 / lsb_v)


@pytest.mark.parametrize("gain", GAINS)
def test_clips_at_full_scale(gain: int) -> None:
    full_v = 4.5 / gain
    got = (
        Bench()
        .channels(gain)
        .counts(full_v * 1.001, -full_v * 1.001, 1e9, -1e9, full_v, -full_v, full_v * 0.999)
    )
    assert got[:6] == [MAX, MIN, MAX, MIN, MAX, MIN]
    assert 0 < got[6] < MAX


def test_each_channel_has_its_own_gain_and_power_down() -> None:
    bench = Bench().channels(1)
    bench.write(Address.CH2SET, 0x60)
    bench.write(Address.CH3SET, 0x80)
    bench.write(Address.CH4SET, 0x70)  # reserved gain
    got = bench.counts(0.1, 0.1, 0.1, 0.1)
    assert got[:4] == [round(0.1e6 / lsb_uv(1)), round(0.1e6 / lsb_uv(24)), 0, 0]


def test_reset_state_is_shorted() -> None:
    assert Bench().counts(*[0.1] * 8) == [0] * 8


@pytest.mark.parametrize("mux", [Mux.SHORTED, Mux.BIAS_MEASURE, Mux.BIAS_TO_P, Mux.BIAS_TO_N])
def test_positions_without_a_signal_read_zero(mux: Mux) -> None:
    assert Bench().channels(mux=mux).counts(*[0.1] * 8) == [0] * 8


def test_without_srb1_a_common_reference_wiring_floats() -> None:
    assert Bench(srb1=False).channels().counts(*[1e-6] * 8) == [MAX] * 8
    bipolar = Bench(Surroundings(negative_input="pins"), srb1=False).channels()
    assert bipolar.counts(lsb_uv(1) * 5e-6)[0] == 5


@pytest.mark.parametrize(("temperature_c", "volts"), [(25.0, 0.1453), (35.0, 0.1502), (5.0, 0.1355)])
@pytest.mark.parametrize("gain", [1, 24])
def test_temperature_sensor(temperature_c: float, volts: float, gain: int) -> None:
    bench = Bench(Surroundings(temperature_c=temperature_c)).channels(gain, Mux.TEMPERATURE)
    got_uv = bench.counts()[0] * lsb_uv(gain)
    assert got_uv == pytest.approx(volts * 1e6, abs=lsb_uv(gain))
    assert (got_uv - 145300) / 490 + 25 == pytest.approx(temperature_c, abs=0.002)


def test_temperature_can_change_under_way() -> None:
    bench = Bench().channels(1, Mux.TEMPERATURE)
    before = bench.counts()[0]
    bench.chip.set_temperature(26.0)
    assert (bench.counts()[0] - before) * lsb_uv(1) == pytest.approx(490, abs=1)


def test_supply_measurement() -> None:
    got = Bench(Surroundings(avdd_v=5.0, avss_v=0.0, dvdd_v=3.3)).channels(1, Mux.SUPPLY).counts()
    volts = [count * lsb_uv(1) * 1e-6 for count in got]
    assert volts == pytest.approx([2.5, 2.5, 0.825, 0.825, 2.5, 2.5, 2.5, 2.5], abs=1e-6)


@pytest.mark.parametrize(("config2", "peak_uv"), [(0xD1, 1875.0), (0xD5, 3750.0)])
@pytest.mark.parametrize("gain", [1, 24])
def test_test_signal_amplitude(config2: int, peak_uv: float, gain: int) -> None:
    bench = Bench(config1=0x96).channels(gain, Mux.TEST_SIGNAL)
    bench.write(Address.CONFIG2, config2)
    levels_uv = sorted({bench.counts()[3] * lsb_uv(gain) for _ in range(128)})
    through_the_filter = [-peak_uv, -peak_uv * 2 / 3, peak_uv * 2 / 3, peak_uv]
    assert levels_uv == pytest.approx(through_the_filter, abs=0.5)


@pytest.mark.parametrize(
    ("config1", "rate_hz", "config2", "period_s"),
    [(0x96, 250, 0xD1, 0.512), (0x96, 250, 0xD0, 1.024), (0x94, 1000, 0xD1, 0.512)],
)
def test_test_signal_period(config1: int, rate_hz: int, config2: int, period_s: float) -> None:
    bench = Bench(config1=config1).channels(1, Mux.TEST_SIGNAL)
    bench.write(Address.CONFIG2, config2)
    trace = np.array([bench.counts()[0] for _ in range(int(3 * period_s * rate_hz))])
    rising = np.flatnonzero((trace[:-1] < 0) & (trace[1:] > 0))
    falling = np.flatnonzero((trace[:-1] > 0) & (trace[1:] < 0))
    assert set(np.diff(rising) / rate_hz) == {period_s}
    assert set(np.diff(falling) / rate_hz) == {period_s}
    assert set((falling[-2:] - rising[-2:]) * 2 / rate_hz) <= {period_s, -period_s}


def test_test_signal_at_dc_and_off() -> None:
    bench = Bench().channels(1, Mux.TEST_SIGNAL)
    for config2, expected_uv in ((0xD3, -1875.0), (0xC3, 0.0), (0xD2, 0.0)):
        bench.write(Address.CONFIG2, config2)
        assert {bench.counts()[0] for _ in range(300)} == {round(expected_uv / lsb_uv(1))}


def test_conversions_without_a_settled_reference_are_at_full_scale() -> None:
    bench = Bench().channels()
    bench.write(Address.CONFIG3, 0x60)
    assert bench.counts(1e-3, -1e-3)[:2] == [MAX, MIN]
    bench.write(Address.CONFIG3, 0xE0)
    bench.time_ns += 149_999_999
    assert bench.counts(1e-3, -1e-3)[:2] == [MAX, MIN]
    bench.time_ns += 1
    assert bench.counts(1e-3, -1e-3)[:2] == [1864, -1864]


@pytest.mark.parametrize("volts", [[0.0] * 7, [0.0] * 9, [float("nan")] + [0.0] * 7])
def test_wrong_voltages_are_refused(volts: list[float]) -> None:
    bench = Bench().channels()
    bench.counts()
    with pytest.raises(ValueError, match=r"argument|NaN"):
        bench.chip.convert(volts)
