"""Items over the leads: lead-off comparators, the lead-off current, the bias amplifier.

They need to know what is plugged in: a jig that connects and disconnects, or what the operator says. Limits:
facts/hardware.md 1.5, 1.8, 1.9, 6; those of bias and current are ours where the facts only tell a spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.bench.bench import QUIET_RATE_HZ, Bench, Inputs, channel_names
from firmware.bench.box import Box
from firmware.bench.items_timing import NOT_CONVERTING, edges_of
from firmware.bench.verdicts import Cause, Outcome, chosen, exactly, failed, judged, skipped, spread, within
from hw.chips import Family
from hw.model.sinc3 import magnitude
from hw.registers import (
    Address,
    ChannelBits,
    Config3,
    Config4,
    LeadOff,
    LeadOffCurrent,
    LeadOffFrequency,
    Misc1,
    Mux,
)

TONE_HZ, CURRENT_NA = 31.25, 6.0
TONE_SAMPLES = 496
WARN_CURRENT, MOST_CURRENT = 0.25, 0.35
"""Parts differ by 20 %, and 4.6 nA was seen for 6 (facts 1.8)."""
MOST_BIAS_MV = 200.0
OTHER_FAMILY = "the ADS1298 family's lead-off and right-leg drive have no limits in the facts"


def _connect(box: Box, on: bool) -> bool:
    """Plug the leads in or out; False where that is not how they are and nothing can change it."""
    if box.connect is not None:
        box.connect(on)
        return True
    return box.leads_on is on


def _excite(bench: Bench, frequency: LeadOffFrequency, sides: str) -> None:
    """Electrodes on all channels, reference on SRB1, current into `sides` ("p", "pn"), comparators on."""
    bench.set_inputs(Inputs(Mux.ELECTRODE))
    for chip, part in enumerate(bench.chips[: len(bench.box.ports)]):
        sensed = ChannelBits(part.channel_bits).encode()
        bench.front_end.write_registers(
            chip,
            {
                Address.MISC1: Misc1(srb1=True).encode(),
                Address.LOFF: LeadOff(current=LeadOffCurrent.NA_6, frequency=frequency).encode(),
                Address.LOFF_SENSP: sensed,
                Address.LOFF_SENSN: sensed if "n" in sides else 0,
                Address.CONFIG4: Config4(lead_off_comparators=True).encode(),
            },
        )


@dataclass(frozen=True, slots=True)
class Flags:
    """Lead-off flags of all channels in one state of the leads: one bit per channel of the board."""

    connected: bool
    off_p: int
    off_n: int


def lead_off(bench: Bench) -> Outcome:
    """The comparators with leads plugged in and out, direct current of 6 nA."""
    if bench.chips[0].family is Family.ADS1298:
        return skipped(OTHER_FAMILY)
    seen = []
    with bench.front_end.restored():
        for connected in (True, False):
            if not _connect(bench.box, connected):
                continue
            _excite(bench, LeadOffFrequency.DC, "pn")
            with bench.running():
                taken = bench.take(8, QUIET_RATE_HZ)
            if not len(taken):
                return failed("no frames", NOT_CONVERTING)
            frames = taken.frames
            seen.append(Flags(connected, int(frames.lead_off_p[-1]), int(frames.lead_off_n[-1])))
    _connect(bench.box, True)
    if not seen:
        return skipped("what is plugged in is not known; say --leads open or --leads dummy")
    return judge_lead_off(seen, channel_names(bench.chips))


def judge_lead_off(seen: Sequence[Flags], names: Sequence[str]) -> Outcome:
    """Every lead off when it is out, none when it is in."""
    values, causes = [], []
    everywhere = (1 << len(names)) - 1
    if any(flags.connected and flags.off_n == everywhere for flags in seen):
        causes.append(
            Cause(
                "SRB1 open: with leads plugged in no negative input has its reference",
                "check the reference lead and its wire to SRB1",
            )
        )
    for flags in seen:
        for side, off in (("P", flags.off_p), ("N", flags.off_n)):
            want = not flags.connected
            wrong = [name for k, name in enumerate(names) if bool(off >> k & 1) != want]
            state = "plugged in" if flags.connected else "out"
            values.append(exactly(f"{side} inputs wrong with leads {state}", len(wrong), 0))
            if wrong:
                stuck = "off although it is plugged in: comparator stuck, or a broken lead"
                if not flags.connected:
                    stuck = "on although nothing is plugged in: comparator stuck, or no lead-off current"
                causes.append(
                    Cause(
                        f"lead-off of channel {', '.join(wrong)} ({side}) reads {stuck}",
                        "check the lead and its series resistor; if it stays, ignore this flag",
                    )
                )
    both = "both states" if len(seen) == 2 else "one state only"
    return judged(f"{both}, {'as plugged' if not causes else 'wrong flags'}", values, causes)


def lead_off_current(bench: Bench) -> Outcome:
    """The lead-off current at 31.25 Hz into a known resistance."""
    if bench.chips[0].family is Family.ADS1298:
        return skipped(OTHER_FAMILY)
    if bench.box.lead_ohm is None or not _connect(bench.box, True):
        return skipped("no known resistance at the leads; say --leads dummy --lead-ohm OHM")
    with bench.front_end.restored():
        _excite(bench, LeadOffFrequency.HZ_31_25, "p")
        with bench.running():
            bench.take(8, QUIET_RATE_HZ)
            taken = bench.take(TONE_SAMPLES, QUIET_RATE_HZ)
        uv = taken.uv(bench.scales_uv())
    if len(uv) < TONE_SAMPLES:
        return failed(f"{len(uv)} samples", NOT_CONVERTING)
    steps = np.concatenate(([0], np.cumsum(edges_of(taken.t_ns).steps)))
    return judge_current(tone_uv(uv, steps), bench.box.lead_ohm, channel_names(bench.chips))


def tone_uv(uv: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Peak of 31.25 Hz, an eighth of 250 SPS, in `uv` (n, channel), whose rows are samples `at` (n,).

    By least squares, so that missing samples do no harm.
    """
    turn = 2 * np.pi * TONE_HZ / QUIET_RATE_HZ * at
    basis = np.column_stack([np.cos(turn), np.sin(turn), np.ones(len(at))])
    fitted = np.linalg.lstsq(basis, uv, rcond=None)[0]
    peak: NDArray[np.float64] = np.hypot(fitted[0], fitted[1])
    return peak


def judge_current(peak_uv: NDArray[np.float64], lead_ohm: float, names: Sequence[str]) -> Outcome:
    """The current of each lead: peak / (4 / pi x sinc3(f) x R), in nA."""
    current_na = peak_uv * 1e3 / (4 / np.pi * magnitude(TONE_HZ, QUIET_RATE_HZ) * lead_ohm)
    values = [
        within(
            f"channel {name}", float(current_na[k]), "nA",
            CURRENT_NA * (1 - MOST_CURRENT), CURRENT_NA * (1 + MOST_CURRENT),
            (CURRENT_NA * (1 - WARN_CURRENT), CURRENT_NA * (1 + WARN_CURRENT)),
        )
        for k, name in enumerate(names)
    ]  # fmt: skip
    off = chosen(names, np.abs(current_na / CURRENT_NA - 1) > WARN_CURRENT)
    causes = []
    if (current_na < 0.2).all():
        causes.append(Cause("no lead-off current on any channel", "replace the chip if LOFF reads back"))
    elif off:
        causes.append(
            Cause(
                f"lead-off current of channel {', '.join(off)} is off",
                "check the resistor and lead of that channel; calibrate impedance per lead",
            )
        )
    return judged(spread(current_na.tolist(), "nA"), values, causes)


def bias(bench: Bench) -> Outcome:
    """The bias amplifier with all leads in its derivation: it must hold the body near mid-supply."""
    if bench.chips[0].family is Family.ADS1298:
        return skipped(OTHER_FAMILY)
    if not _connect(bench.box, True):
        return skipped("the bias amplifier saturates with open leads; say --leads dummy")
    with bench.front_end.restored():
        bench.set_inputs(Inputs(Mux.BIAS_MEASURE, 1))
        for chip, part in enumerate(bench.chips[: len(bench.box.ports)]):
            config3 = Config3(
                reference_on=True, bias_measure=True, bias_reference_internal=True, bias_on=True
            )
            bench.front_end.write_registers(
                chip,
                {
                    Address.MISC1: Misc1(srb1=True).encode(),
                    Address.BIAS_SENSP: part.channel_bits,
                    Address.CONFIG3: config3.encode(),
                },
            )
        with bench.running():
            taken = bench.take(32, QUIET_RATE_HZ)
        uv = taken.uv(bench.scales_uv())
    if not len(uv):
        return failed("no frames", NOT_CONVERTING)
    return judge_bias(
        np.median(uv[8:].reshape(-1, len(bench.chips), uv.shape[1] // len(bench.chips)), (0, 2))
    )


def judge_bias(chip_uv: NDArray[np.float64]) -> Outcome:
    """`chip_uv` (chip,): BIAS_IN against the bias reference."""
    values = [
        within(f"chip {k + 1}", float(uv) / 1e3, "mV", -MOST_BIAS_MV, MOST_BIAS_MV)
        for k, uv in enumerate(chip_uv)
    ]
    cause = Cause(
        "bias amplifier saturated: broken, or a lead of its derivation is loose",
        "check the bias network (1 Mohm and 1.5 nF) and BIASIN; plug all leads in",
    )
    return judged(spread((chip_uv / 1e3).tolist(), "mV"), values, [cause])
