"""Items over the chip's inner voltages: supplies, temperature, and the reference that all are measured by.

MVDD's formula is in doubt (facts/hardware.md 1.5): half the analogue sum, or -AVSS, but on channels 3, 4.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import QUIET_RATE_HZ, Bench, Inputs, channel_names
from firmware.bench.items_timing import NOT_CONVERTING
from firmware.bench.verdicts import Cause, Outcome, chosen, exactly, failed, judged, listed, spread, within
from hw.chips import REFERENCE_START_NS, SETTLING_CONVERSIONS
from hw.model.converter_noise import noise_uv
from hw.registers import Address, Mux

DVDD_V, HALF_SUPPLY_V, SUPPLY = 3.3, 2.5, 0.05
DIGITAL_CHANNELS = (2, 3)
COLDEST_C, HOTTEST_C, APART_C = 10.0, 60.0, 5.0
SENSOR_UV, SENSOR_UV_PER_C = 145_300.0, 490.0
WARN_REFERENCE_PPM, MOST_REFERENCE_PPM = 10.0, 30.0
"""Noise of a large reading beyond the converter's own; ours, a sound reference has a few ppm."""
APART_V = 0.03
ALIKE = 0.03
"""Supplies that are off by factors this close are off by one: the reference."""
SAMPLES = 128
REFERENCE_DEAD = Cause(
    "reference dead: inner voltages read full scale or nothing",
    "check VREFP and its capacitor; CONFIG3 must have its reference buffer on",
)


def inner_volts(bench: Bench, mux: Mux, gain: int = 1) -> NDArray[np.float64]:
    """Volts (n, channel) of an inner source."""
    inputs = Inputs(mux, gain)
    taken = bench.record(inputs, SAMPLES)
    bench.set_inputs(inputs)
    return taken.uv(bench.scales_uv()) / 1e6


def by_chip(bench: Bench, row: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row of all channels as (chip, channel)."""
    return row.reshape(len(bench.chips), -1)


def supply(bench: Bench) -> Outcome:
    """MVDD on every channel at gain 1."""
    volts = inner_volts(bench, Mux.SUPPLY)
    if len(volts) < SAMPLES:
        return failed(f"{len(volts)} samples", NOT_CONVERTING)
    return judge_supply(by_chip(bench, volts.mean(axis=0)), bench.chips[0].vref_v[0])


def judge_supply(volts: NDArray[np.float64], vref_v: float) -> Outcome:
    """`volts` (chip, channel) of MVDD: DVDD / 4 on channels 3 and 4, half the analogue supply elsewhere."""
    values, causes = [], []
    for chip, row in enumerate(volts):
        digital_v = 4 * float(np.max(row[list(DIGITAL_CHANNELS)]))
        half_v = float(np.median([v for k, v in enumerate(row) if k not in DIGITAL_CHANNELS]))
        bipolar = abs(half_v) < 0.1  # AVDD and AVSS of +-2.5 V
        want_v = 0.0 if bipolar else HALF_SUPPLY_V
        low, high = want_v - HALF_SUPPLY_V * SUPPLY, want_v + HALF_SUPPLY_V * SUPPLY
        name = f"chip {chip + 1}: "
        values += [
            within(f"{name}DVDD", digital_v, "V", DVDD_V * (1 - SUPPLY), DVDD_V * (1 + SUPPLY)),
            within(f"{name}half the analogue supply", half_v, "V", low, high),
            exactly(f"{name}channels that read otherwise", len(_odd_channels(row)), 0),
        ]
        causes += _supply_causes(name, digital_v / DVDD_V, 1.0 if bipolar else half_v / HALF_SUPPLY_V)
        if float(np.max(np.abs(row))) > 0.98 * vref_v:
            causes = [REFERENCE_DEAD]
        elif odd := _odd_channels(row):
            causes = [
                Cause(f"{name}channel {listed(odd)} reads its supply otherwise: dead, or a gain error",
                      "see noise and test signal of that channel")
            ]  # fmt: skip
    text = ", ".join(
        f"DVDD {4 * float(np.max(row[list(DIGITAL_CHANNELS)])):.2f} V, half supply {float(row[0]):.3f} V"
        for row in volts
    )
    note = "MVDD's formula is in doubt; AVDD of 5 V or +-2.5 V and DVDD of 3.3 V are taken for granted"
    return judged(text, values, causes, note=note)


def _odd_channels(row: NDArray[np.float64]) -> list[int]:
    """Channels that do not read what others of their supply read; of two that differ both or the dead one."""
    others = float(np.median([v for k, v in enumerate(row) if k not in DIGITAL_CHANNELS]))
    odd = [k for k, v in enumerate(row) if k not in DIGITAL_CHANNELS and abs(float(v) - others) > APART_V]
    digital = [float(row[k]) for k in DIGITAL_CHANNELS]
    if max(digital) - min(digital) > APART_V:
        dead = [k for k in DIGITAL_CHANNELS if abs(float(row[k])) < APART_V]
        odd += dead or DIGITAL_CHANNELS
    return odd


def _supply_causes(name: str, digital: float, analogue: float) -> list[Cause]:
    both_off = abs(digital - 1) > SUPPLY and abs(analogue - 1) > SUPPLY
    if both_off and abs(digital / analogue - 1) < ALIKE:
        return [
            Cause(
                f"{name}all supplies read {100 * (digital - 1):+.0f} %: reference off the other way",
                "measure VREFP - VREFN (4.5 V); check its capacitor and load",
            )
        ]
    causes = []
    if abs(digital - 1) > SUPPLY:
        low = "low" if digital < 1 else "high"
        causes.append(
            Cause(f"{name}DVDD {low}: {digital * DVDD_V:.2f} V", "check the digital supply at the chip")
        )
    if abs(analogue - 1) > SUPPLY:
        causes.append(
            Cause(f"{name}analogue supply: half of it reads {analogue * HALF_SUPPLY_V:.2f} V",
                  "measure AVDD - AVSS at the chip (5 V); check its regulator")
        )  # fmt: skip
    return causes


def temperature(bench: Bench) -> Outcome:
    """The die's temperature, at gain 1, by the mean of each chip's channels."""
    volts = inner_volts(bench, Mux.TEMPERATURE)
    if len(volts) < SAMPLES:
        return failed(f"{len(volts)} samples", NOT_CONVERTING)
    return judge_temperature(np.median(by_chip(bench, volts.mean(axis=0)), axis=1))


def judge_temperature(volts: NDArray[np.float64]) -> Outcome:
    """`volts` (chip,) of the sensor: 145.3 mV at 25 degrees, 490 uV per degree (facts 1.5)."""
    celsius = (volts * 1e6 - SENSOR_UV) / SENSOR_UV_PER_C + 25.0
    values = [within(f"chip {k + 1}", float(c), "C", COLDEST_C, HOTTEST_C) for k, c in enumerate(celsius)] + [
        within("chips apart", float(np.ptp(celsius)), "C", None, APART_C)
    ]
    causes = []
    hottest = int(np.argmax(celsius))
    if float(celsius.max()) > HOTTEST_C or float(np.ptp(celsius)) > APART_C:
        causes.append(
            Cause(f"chip {hottest + 1} is hot ({celsius[hottest]:.0f} C)",
                  "look for a short at its outputs and for supplies beyond 5.25 V; let the board cool")
        )  # fmt: skip
    elif float(celsius.min()) < COLDEST_C:
        causes.append(Cause("a chip reads too cold: or the reference is off", "see reference and supply"))
    return judged(spread(celsius.tolist(), "C"), values, causes)


def reference(bench: Bench) -> Outcome:
    """The reference: on again within 150 ms, quiet, and right as far as the supplies tell."""
    bench.info  # noqa: B018 (brings the chips up)
    selects = range(len(bench.box.ports))
    with bench.front_end.restored():
        for chip in selects:
            held = bench.front_end.read_registers(chip)[Address.CONFIG3]
            bench.front_end.write_registers(chip, {Address.CONFIG3: held & 0x7F})
        for chip in selects:
            held = bench.front_end.read_registers(chip)[Address.CONFIG3]
            bench.front_end.write_registers(chip, {Address.CONFIG3: held | 0x80})
        bench.box.clock.wait_ns(REFERENCE_START_NS)
        gain = bench.gains()[-1]
        bench.set_inputs(Inputs(Mux.TEMPERATURE, gain))
        with bench.running():
            bench.take(SETTLING_CONVERSIONS, QUIET_RATE_HZ)
            fresh = bench.take(SAMPLES, QUIET_RATE_HZ)
        fresh_v = fresh.uv(bench.scales_uv()) / 1e6
    supply_v = inner_volts(bench, Mux.SUPPLY)
    if min(len(fresh_v), len(supply_v)) < SAMPLES:
        return failed(f"{len(fresh_v)} samples", NOT_CONVERTING)
    share = by_chip(bench, supply_v.mean(axis=0))
    return judge_reference(fresh_v, share, gain, bench.chips[0].vref_v[0], channel_names(bench.chips))


def judge_reference(
    fresh_v: NDArray[np.float64],
    supply_v: NDArray[np.float64],
    gain: int,
    vref_v: float,
    names: Sequence[str],
) -> Outcome:
    """`fresh_v` (n, channel): the temperature sensor at `gain`, 150 ms after the reference came on;
    `supply_v` (chip, channel): MVDD. A reference that is off shows as all supplies off by one factor.
    """
    full_v = vref_v / gain
    means = np.mean(fresh_v, axis=0)
    railed = np.abs(means) > 0.98 * full_v
    own_uv = noise_uv(gain, QUIET_RATE_HZ)
    rms_uv = np.std(fresh_v, axis=0) * 1e6
    excess_ppm = np.sqrt(np.maximum(rms_uv**2 - own_uv**2, 0)) / np.maximum(np.abs(means) * 1e6, 1.0) * 1e6
    noise_ppm = float(np.median(np.where(railed, 0.0, excess_ppm)))
    dead = np.abs(means) < 1e-6
    change = np.mean(fresh_v[-32:], axis=0) - np.mean(fresh_v[:32], axis=0)
    drift_ppm = abs(float(np.median(change / np.where(dead, 1.0, means)))) * 1e6
    factors = [_factor(row) for row in supply_v]
    values = [
        exactly("channels at full scale or zero", int(np.count_nonzero(railed | dead)), 0),
        within(
            "noise of the reference", noise_ppm, "ppm", None, MOST_REFERENCE_PPM, (None, WARN_REFERENCE_PPM)
        ),
        within("drift from 150 ms on", drift_ppm, "ppm", None, 1000.0, (None, 300.0)),
    ] + [
        within(f"chip {k + 1}: supplies' common factor", factor, "", 1 - SUPPLY, 1 + SUPPLY)
        for k, factor in enumerate(factors)
    ]
    causes = []
    if (railed | dead).all():
        causes.append(REFERENCE_DEAD)
    elif (railed | dead).any():
        odd = ", ".join(chosen(names, railed | dead))
        causes.append(Cause(f"dead channel {odd}: no inner voltage there", "see the noise of that channel"))
    else:
        if noise_ppm > WARN_REFERENCE_PPM:
            causes.append(
                Cause(f"noisy reference: {noise_ppm:.0f} ppm on every large reading",
                      "check the capacitors at VREFP and VCAP1, and the supply's noise")
            )  # fmt: skip
        wrong = [factor for factor in factors if abs(factor - 1) > SUPPLY]
        if wrong:
            causes.append(
                Cause(f"reference {100 * (1 / wrong[0] - 1):+.0f} % off: all supplies read the other way",
                      "measure VREFP - VREFN (4.5 V); check its capacitor and load")
            )  # fmt: skip
        if drift_ppm > 300:
            causes.append(Cause("the reference settles late", "check VREFP's capacitor (10 uF) and VCAP1"))
    text = f"noise {noise_ppm:.1f} ppm, factor {', '.join(f'{f:.3f}' for f in factors)}"
    return judged(text, values, causes, note=f"the sensor on {len(names)} channels at gain {gain}")


def _factor(row: NDArray[np.float64]) -> float:
    """By how much all supplies read high together; 1 where they do not agree on it."""
    digital = 4 * float(np.max(row[list(DIGITAL_CHANNELS)])) / DVDD_V
    analogue = float(np.median([v for k, v in enumerate(row) if k not in DIGITAL_CHANNELS])) / HALF_SUPPLY_V
    if abs(analogue) < 0.04:  # bipolar: nothing to compare with
        return 1.0
    return (digital + analogue) / 2 if abs(digital / analogue - 1) < ALIKE else 1.0
