"""The analogue side of the modelled ADS1299: from leads, multiplexer, gain and reference to counts per volt.

Every channel is counts = volts x scale + constant + noise + waves, worked out on register writes so that a
conversion is cheap. Owns which of them a channel has; the converter plays them. Facts 1.5, 1.8, 1.9, 1.10.
"""

from dataclasses import dataclass

from hw.chips import COUNTS_MAX, FULL_SCALE_COUNTS
from hw.model.ads1299_options import ChipOptions, Surroundings, Trouble
from hw.model.ads1299_settings import Settings
from hw.model.converter_noise import noise_uv
from hw.model.electrodes import Leads, Side
from hw.model.lead_off import Excitation, Mesh, Pin, excite, pin_lead
from hw.registers import Mux

__all__ = ["Inputs", "Surroundings", "Wave", "inputs", "supply_v", "temperature_v"]

REFERENCE_OFF_V = 1e-6
"""What the reference pin holds while its buffer is off or starting: any input is beyond full scale."""
HEADROOM_V = 0.2
"""The gain amplifier's outputs stay this far from the supplies [DS-A, input common-mode range]."""
_RAILED_COUNTS = 2.0 * COUNTS_MAX
_V_PER_UV = 1e-6
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Wave:
    """A square wave through the filter: `counts[channel]` at its peak, direct or as volts of `meshes`."""

    period_tclk: int
    counts: tuple[float, ...]
    meshes: tuple[Mesh | None, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Per channel: counts per volt of the body, constant, rms noise and mains hum in counts, powered.

    `mixing`: when given, channel k sees the sum over j of mixing[k][j] x volts[j]. `clip_counts`: where the
    gain amplifier ends, beyond full scale with 5 V. `off_p`, `off_n`: what the lead-off comparators see.
    """

    per_volt: tuple[float, ...]
    constant: tuple[float, ...]
    noise: tuple[float, ...]
    mains: tuple[float, ...]
    waves: tuple[Wave, ...]
    live: tuple[bool, ...]
    mixing: Matrix | None
    clip_counts: float
    off_p: int
    off_n: int


@dataclass(frozen=True, slots=True)
class Chain:
    """All that decides what channels see, besides the registers: wiring, parts, what is broken.

    `factors`: each lead-off current as a share of the nominal one.
    """

    around: Surroundings
    options: ChipOptions
    trouble: Trouble
    leads: Leads
    factors: dict[Pin, float]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One channel: its share of the body's volts, volts of its own, or the sign of the rail that it is on."""

    share: float = 0.0
    volts: float = 0.0
    rail: int = 0
    excited: bool = False
    hum: bool = False


def temperature_v(temperature_c: float) -> float:
    """The temperature sensor's output: 145.3 mV at 25 degrees, 490 uV per degree (facts 1.5)."""
    return 0.1453 + 490e-6 * (temperature_c - 25.0)


def supply_v(channel: int, around: Surroundings, options: ChipOptions | None = None) -> float:
    """MVDD of `channel` (0 = channel 1): DVDD / 4 on channels 3 and 4, else by the option (facts 1.5)."""
    if channel in (2, 3):
        return around.dvdd_v / 4
    sign = -1 if options is not None and options.supply_formula == "half_difference" else 1
    return 0.5 * (around.avdd_v + sign * around.avss_v)


def inputs(now: Settings, chain: Chain, reference_good: bool) -> Inputs:
    """What every channel sees with the registers `now`."""
    around, trouble, leads = chain.around, chain.trouble, chain.leads
    saturated = now.bias_on and (trouble.bias_broken or _loose(now, chain))
    held = around.ground == "wired" or (now.bias_on and not saturated and not leads.bias.electrode.off)
    lies = saturated or (around.negative_input != "pins" and leads.reference.electrode.off)
    excited = excite(now, around, trouble, leads, chain.factors, lies or trouble.srb1_open)
    good = reference_good and not trouble.reference_dead
    reference_v = now.vref_v * trouble.reference_factor if good else REFERENCE_OFF_V
    seen = [_see(k, now, chain, excited, held, saturated) for k in range(len(now.channels))]
    scale = [
        c.gain * FULL_SCALE_COUNTS / reference_v * trouble.gain_factors.get(k, 1.0)
        for k, c in enumerate(now.channels)
    ]
    return Inputs(
        per_volt=tuple(s * see.share for s, see in zip(scale, seen, strict=True)),
        constant=tuple(
            see.rail * _RAILED_COUNTS if see.rail else s * see.volts
            for s, see in zip(scale, seen, strict=True)
        ),
        noise=_noise(now, chain, scale),
        mains=tuple(trouble.mains_uv * _V_PER_UV * s * see.hum for s, see in zip(scale, seen, strict=True)),
        waves=_waves(now, chain, reference_v, scale, seen, excited),
        live=tuple(bool(c.gain) for c in now.channels),
        mixing=_mixing(now, chain),
        clip_counts=(around.span_v - 2 * HEADROOM_V) / reference_v * FULL_SCALE_COUNTS,
        off_p=excited.off_p,
        off_n=excited.off_n,
    )


def _loose(now: Settings, chain: Chain) -> bool:
    """A lead that the bias drive averages is off: its amplifier saturates (facts 1.9)."""
    sides: tuple[tuple[Side, int], ...] = (("p", now.bias_sense_p), ("n", now.bias_sense_n))
    return any(
        bits >> k & 1 and pin_lead(k, side, now, chain.around, chain.leads, chain.trouble.srb1_open) is None
        for side, bits in sides
        for k, channel in enumerate(now.channels)
        if channel.gain
    )


def _see(
    channel: int, now: Settings, chain: Chain, excited: Excitation, held: bool, saturated: bool
) -> _Seen:
    """What the multiplexer of `channel` puts through."""
    setting, around = now.channels[channel], chain.around
    if not setting.gain:
        return _Seen()
    bias_v = around.span_v / 2 if saturated else 0.0
    if setting.mux is Mux.ELECTRODE:
        rail = excited.railed[channel] or (0 if held else 1)
        share = -1.0 if around.negative_input == "srb2" else 1.0
        drop_v = 0.0 if now.lead_off.period_tclk else excited.meshes[channel].dc_v
        return _Seen(rail=rail) if rail else _Seen(share, drop_v, excited=True, hum=True)
    if setting.mux is Mux.SUPPLY:
        return _Seen(volts=supply_v(channel, around, chain.options))
    if setting.mux is Mux.TEMPERATURE:
        return _Seen(volts=temperature_v(around.temperature_c))
    if setting.mux is Mux.TEST_SIGNAL:
        return _Seen(volts=0.0 if now.cal_period_tclk else -_test_v(now, chain))
    if setting.mux is Mux.BIAS_MEASURE:
        return _Seen(volts=bias_v if now.bias_measure else 0.0)
    if setting.mux is Mux.SHORTED:
        return _Seen(hum=True)
    return _Seen(volts=bias_v if setting.mux is Mux.BIAS_TO_P else -bias_v)


def _test_v(now: Settings, chain: Chain) -> float:
    """Peak of the internal test signal: (VREFP - VREFN) / 2400, or twice that (facts 1.5: peak, not p-p)."""
    if chain.trouble.test_signal_dead:
        return 0.0
    return now.vref_v * chain.trouble.reference_factor * now.cal_share


def _noise(now: Settings, chain: Chain, scale: list[float]) -> tuple[float, ...]:
    """Rms counts per channel."""
    factors = chain.trouble.noise_factors
    return tuple(
        noise_uv(c.gain, now.rate_hz) * _V_PER_UV * factors.get(k, 1.0) * s
        if c.gain and now.rate_hz and (chain.options.noise or k in factors)
        else 0.0
        for k, (c, s) in enumerate(zip(now.channels, scale, strict=True))
    )


def _waves(
    now: Settings,
    chain: Chain,
    reference_v: float,
    scale: list[float],
    seen: list[_Seen],
    excited: Excitation,
) -> tuple[Wave, ...]:
    """The test signal, low in its first half, and the lead-off excitation."""
    waves = []
    peak_v = -_test_v(now, chain) if reference_v > REFERENCE_OFF_V else 0.0
    on_test = [c.gain and c.mux is Mux.TEST_SIGNAL for c in now.channels]
    if now.cal_period_tclk and peak_v and any(on_test):
        counts = tuple(s * peak_v if on else 0.0 for s, on in zip(scale, on_test, strict=True))
        waves.append(Wave(now.cal_period_tclk, counts, (None,) * len(counts)))
    period_tclk = now.lead_off.period_tclk
    if (
        any(see.excited and mesh.parts for see, mesh in zip(seen, excited.meshes, strict=True))
        and period_tclk
    ):
        counts = tuple(s if see.excited else 0.0 for s, see in zip(scale, seen, strict=True))
        waves.append(Wave(period_tclk, counts, excited.meshes))
    return tuple(waves)


def _mixing(now: Settings, chain: Chain) -> Matrix | None:
    """Positive inputs tied together over an unconnected SRB2 pin see their mean."""
    n = len(now.channels)
    rows = [[float(j == k) for j in range(n)] for k in range(n)]
    tied = [k for k, c in enumerate(now.channels) if c.srb2 and chain.around.negative_input != "srb2"]
    for k in tied:
        for j in tied:
            rows[k][j] = 1 / len(tied)
    return tuple(map(tuple, rows)) if len(tied) > 1 else None
