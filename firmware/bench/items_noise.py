"""Items over shorted inputs: noise against the datasheet's table, its spectrum with the mains named, offset.

Limits: facts/hardware.md 1.10 and 6. The offset has no figure there; its limits are ours and say so.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import QUIET_RATE_HZ, Bench, Inputs, channel_names
from firmware.bench.items_timing import NOT_CONVERTING
from firmware.bench.verdicts import (
    Cause,
    Outcome,
    Plot,
    Series,
    Value,
    chosen,
    failed,
    judged,
    spread,
    within,
)
from hw.chips import Family
from hw.model.converter_noise import noise_uv

SAMPLES = 1000
WARN_NOISE, MOST_NOISE, LEAST_NOISE = 0.20 / 0.14, 0.30 / 0.14, 0.3
"""Shares of the table's noise; at gain 24 and 250 SPS 0.20 and 0.30 uV rms against 0.14."""
OLDER_NOISE = 4.0
"""The ADS1298 family has no table here and is noisier: only what is plainly wrong fails."""
MAINS_HZ = (50.0, 60.0)
WARN_MAINS_UV, MOST_MAINS_UV = 0.15, 0.5
MEDIAN_OF_RMS, CLEAR_OF_NOISE = 0.83, 2.0
"""The median magnitude of noise as a share of its rms; what stands as far above it is a line."""
HANN_LOBE = 1.5
"""Sum of the squared bins of a Hann window's main lobe, as a share of the line's squared amplitude."""
WARN_OFFSET_UV, MOST_OFFSET_UV = 100.0, 500.0
"""Ours: the typical offset error is tens of microvolts."""


def shorted(bench: Bench) -> tuple[NDArray[np.float64], int]:
    """Microvolts (n, channel) with all inputs shorted at the highest gain, and that gain."""
    gain = bench.gains()[-1]
    taken = bench.record(Inputs(gain=gain), max(bench.samples(SAMPLES), 500))
    bench.set_inputs(Inputs(gain=gain))
    return taken.uv(bench.scales_uv()), gain


def noise(bench: Bench) -> Outcome:
    """Noise of every channel, inputs shorted inside the chip, highest gain, 250 SPS."""
    uv, gain = shorted(bench)
    if len(uv) < 250:
        return failed(f"{len(uv)} samples", NOT_CONVERTING)
    older = bench.chips[0].family is Family.ADS1298
    return judge_noise(uv, gain, QUIET_RATE_HZ, channel_names(bench.chips), older)


def judge_noise(
    uv: NDArray[np.float64], gain: int, rate_hz: float, names: Sequence[str], older: bool = False
) -> Outcome:
    """`uv` (n, channel) at `rate_hz`: rms against the table, scaled for gain and rate."""
    typical = noise_uv(gain, rate_hz) * (OLDER_NOISE if older else 1.0)
    rms = np.std(uv, axis=0)
    lines = mains_lines(uv, rate_hz)
    mains_rms = np.sqrt(sum(amplitude**2 / 2 for amplitude in lines.values()))
    values, causes = [], []
    for k, name in enumerate(names):
        values.append(
            within(
                f"channel {name}", float(rms[k]), "uV rms",
                LEAST_NOISE * noise_uv(gain, rate_hz), MOST_NOISE * typical, (None, WARN_NOISE * typical),
            )
        )  # fmt: skip
    dead = chosen(names, rms < LEAST_NOISE * noise_uv(gain, rate_hz))
    loud = rms > WARN_NOISE * typical
    humming = loud & (mains_rms**2 > 0.5 * (rms**2 - typical**2))
    if len(dead) == len(names):
        causes.append(
            Cause(
                "every channel gives one code always: no noise, which no converter has",
                "a model without noise, or the channels are powered down: see bring-up and supplies",
            )
        )
    elif dead:
        causes.append(
            Cause(
                f"dead channel {', '.join(dead)}: it gives the same code always",
                "replace the chip; until then leave the channel out of the montage",
            )
        )
    if humming.any():
        causes.append(_hum(lines, chosen(names, humming)))
    noisy = chosen(names, loud & ~humming)
    if noisy:
        causes.append(
            Cause(
                f"noisy channel {', '.join(noisy)}: more than the converter's own noise",
                "check AVDD and VREFP capacitors, keep clocks away from the inputs; else replace the chip",
            )
        )
    typical_text = f"table {noise_uv(gain, rate_hz):.2g} uV at gain {gain}"
    return judged(spread(rms.tolist(), "uV rms"), values, causes, note=typical_text)


def _hum(lines: dict[float, NDArray[np.float64]], names: Sequence[str]) -> Cause:
    loudest = max(lines, key=lambda frequency: float(lines[frequency].max()))
    return Cause(
        f"mains pick-up on channel {', '.join(names)}: {lines[loudest].max():.2g} uV at {loudest:g} Hz",
        "shield and shorten the leads, run the board from a battery, keep power supplies away",
    )


def mains_lines(uv: NDArray[np.float64], rate_hz: float) -> dict[float, NDArray[np.float64]]:
    """Amplitude in microvolts (channel,) of both mains frequencies and their harmonics below half the rate.

    The power of the main lobe of a Hann window, half a hertz to each side; 0 where noise explains it.
    """
    n = len(uv)
    window = np.hanning(n)
    spectrum = np.abs(np.fft.rfft((uv - uv.mean(axis=0)) * window[:, None], axis=0)) * 2 / window.sum()
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    lines = {}
    for mains in MAINS_HZ:
        for harmonic in np.arange(mains, rate_hz / 2 - 1, mains):
            centre = int(np.argmin(np.abs(f - harmonic)))
            reach = max(round(0.5 * n / rate_hz), 1) + 2
            lobe = spectrum[max(centre - reach, 1) : centre + reach + 1]
            amplitude = np.sqrt((lobe**2).sum(axis=0) / HANN_LOBE)
            # What the channel's own noise puts into as many bins is no line.
            own = np.median(spectrum, axis=0) / MEDIAN_OF_RMS * np.sqrt(len(lobe) / HANN_LOBE)
            lines[float(harmonic)] = np.where(amplitude > CLEAR_OF_NOISE * own, amplitude, 0.0)
    return lines


def spectrum(bench: Bench) -> Outcome:
    """The noise's spectrum, and what the mains have of it."""
    uv, gain = shorted(bench)
    if len(uv) < 250:
        return failed(f"{len(uv)} samples", NOT_CONVERTING)
    return judge_spectrum(uv, gain, QUIET_RATE_HZ, channel_names(bench.chips))


def judge_spectrum(uv: NDArray[np.float64], gain: int, rate_hz: float, names: Sequence[str]) -> Outcome:
    """Mains lines in `uv` (n, channel); white noise has no line above a few hundredths of a microvolt."""
    lines = mains_lines(uv, rate_hz)
    scale = noise_uv(gain, rate_hz) / 0.14
    values: list[Value] = [
        within(
            f"{frequency:g} Hz", float(amplitude.max()), "uV", None, MOST_MAINS_UV * scale,
            (None, WARN_MAINS_UV * scale),
        )
        for frequency, amplitude in sorted(lines.items())
    ]  # fmt: skip
    loud = np.any([amplitude > WARN_MAINS_UV * scale for amplitude in lines.values()], axis=0)
    causes = [_hum(lines, chosen(names, loud))] if loud.any() else []
    plot = plot_of_spectrum(uv, rate_hz, names, gain)
    largest = max(values, key=lambda value: value.measured)
    return judged(f"largest line {largest.measured:.2g} uV at {largest.what}", values, causes, [plot])


def plot_of_spectrum(uv: NDArray[np.float64], rate_hz: float, names: Sequence[str], gain: int) -> Plot:
    """Noise density of every channel, Welch's mean over segments, in nV per root hertz."""
    segment = min(250, len(uv))
    window = np.hanning(segment)
    starts = range(0, len(uv) - segment + 1, segment // 2)
    pieces = np.stack([uv[s : s + segment] - uv[s : s + segment].mean(axis=0) for s in starts])
    power = np.abs(np.fft.rfft(pieces * window[None, :, None], axis=1)) ** 2
    density = np.sqrt(power.mean(axis=0) * 2 / (rate_hz * (window**2).sum())) * 1e3
    f = np.fft.rfftfreq(segment, 1 / rate_hz)
    lines = [
        Series(f"channel {name}", tuple(f[1:-1].tolist()), tuple(density[1:-1, k].tolist()))
        for k, name in enumerate(names)
    ]
    table = noise_uv(gain, rate_hz) / np.sqrt(rate_hz / 2) * 1e3
    marks = tuple((frequency, f"{frequency:g} Hz") for frequency in MAINS_HZ)
    return Plot(
        "Noise with shorted inputs", "lines", "hertz", "nV per root hertz", tuple(lines), True,
        ((float(table), "table, white"), (float(table) * MOST_NOISE, "limit")), marks,
    )  # fmt: skip


def offset(bench: Bench) -> Outcome:
    """What shorted inputs read on the average."""
    uv, _ = shorted(bench)
    if len(uv) < 250:
        return failed(f"{len(uv)} samples", NOT_CONVERTING)
    return judge_offset(uv.mean(axis=0), channel_names(bench.chips))


def judge_offset(offset_uv: NDArray[np.float64], names: Sequence[str]) -> Outcome:
    """Input-referred offset of every channel, in microvolts."""
    values = [
        within(
            f"channel {name}", float(offset_uv[k]), "uV", -MOST_OFFSET_UV, MOST_OFFSET_UV,
            (-WARN_OFFSET_UV, WARN_OFFSET_UV),
        )
        for k, name in enumerate(names)
    ]  # fmt: skip
    off = chosen(names, np.abs(offset_uv) > WARN_OFFSET_UV)
    causes = [
        Cause(
            f"offset of channel {', '.join(off)}: shorted inputs do not read zero",
            "look for leakage and solder flux at the inputs and VREF pins; else replace the chip",
        )
    ]
    note = "no figure in the facts: the limits are ours"
    return judged(spread(offset_uv.tolist(), "uV"), values, causes, note=note)
