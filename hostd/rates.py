"""`evokd rates`: a table of stimulus rates and the mains that they leave.

Owns the customary rates and how the table looks; the numbers are `dsp.mains`'s.
"""

import math

from dsp.mains import (
    FAIR,
    GOOD,
    HARMONICS,
    LOCKED,
    MEASURED_OFF_HZ,
    NOMINAL_HZ,
    SWEEPS,
    UNMEASURED_OFF_HZ,
    RateReport,
    judge,
    most_left,
    percent,
    tuned_period,
)
from hostd.errors import UsageError
from hostd.modalities import MODALITIES

# What people stimulate at: facts/clinical.md 1.E.
CUSTOMARY_HZ = (2.66, 2.79, 3.11, 4.65, 4.7, 4.79, 4.88, 5.0, 5.1, 11.1, 11.9, 21.1, 27.7, 43.9)
LOWEST_SPS, HIGHEST_SPS = 250.0, 64000.0


def tables(mains_hz: int | None, rate_hz: float) -> str:
    """The table for `mains_hz` (None: one for each nominal frequency) at `rate_hz` samples a second.

    UsageError for values that no converter and no grid has.
    """
    if mains_hz is not None and mains_hz not in NOMINAL_HZ:
        raise UsageError(
            f"--mains {mains_hz} is no mains frequency; write 50 or 60, or leave it out for both"
        )
    if not (math.isfinite(rate_hz) and LOWEST_SPS <= rate_hz <= HIGHEST_SPS):
        limits = f"{LOWEST_SPS:g} to {HIGHEST_SPS:g}"
        raise UsageError(f"--rate-hz {rate_hz:g} is not {limits}; write the converter's samples per second")
    chosen = NOMINAL_HZ if mains_hz is None else (float(mains_hz),)
    return "\n".join([*(_table(f, rate_hz) for f in chosen), _legend()])


def stimulus_rates() -> list[float]:
    """Rates that the table shows: the modalities' defaults and the customary ones, ascending."""
    defaults = [m.rate_hz for m in MODALITIES.values() if m.rate_hz is not None]
    return sorted({*defaults, *CUSTOMARY_HZ})


def _table(mains_hz: float, rate_hz: float) -> str:
    """One table, with its head."""
    tones = [f"{h * mains_hz:.0f}" for h in range(1, HARMONICS + 1)]
    head = _line(
        "wanted",
        "samples",
        "is Hz",
        tones,
        f"+-{UNMEASURED_OFF_HZ:g}",
        "verdict",
        ("tuned Hz", "samples", "leaves"),
    )
    lines = [f"Mains {mains_hz:g} Hz, {rate_hz:g} SPS: percent left after {SWEEPS} sweeps", "", head]
    for wanted_hz in stimulus_rates():
        report = judge(round(rate_hz / wanted_hz), rate_hz, mains_hz, SWEEPS, UNMEASURED_OFF_HZ)
        lines.append(_row(wanted_hz, report, mains_hz, rate_hz))
    return "\n".join([*lines, ""])


def _row(wanted_hz: float, report: RateReport, mains_hz: float, rate_hz: float) -> str:
    """The line of one rate."""
    tuned = tuned_period(wanted_hz, rate_hz, mains_hz)
    leaves = float(most_left(tuned, rate_hz, mains_hz, SWEEPS, MEASURED_OFF_HZ).max())
    left = [percent(one) for one in report.left]
    left += ["-"] * (HARMONICS - len(left))
    best = (f"{rate_hz / tuned:.4f}", str(tuned), percent(leaves))
    is_hz = f"{report.stimulus_hz:.4f}"
    return _line(
        f"{wanted_hz:g}", str(report.period), is_hz, left, percent(report.worst), report.verdict, best
    )


def _line(
    wanted: str,
    period: str,
    is_hz: str,
    left: list[str],
    worst: str,
    verdict: str,
    tuned: tuple[str, str, str],
) -> str:
    """The columns of one line."""
    tones = "".join(f"{one:>6}" for one in left)
    best = f"{tuned[0]:>9}{tuned[1]:>9}{tuned[2]:>8}"
    return f"{wanted:>7}{period:>9}{is_hz:>9} |{tones} |{worst:>7}  {verdict:<7} |{best}"


def _legend() -> str:
    """What the columns mean."""
    near = f"+-{UNMEASURED_OFF_HZ:g}"
    return "\n".join(
        [
            "Per harmonic: mains exactly as stated (-: not carried at this sampling rate).",
            f"{near}: the worst harmonic with mains anywhere within {near} Hz. The verdict is on that:",
            f"good to {percent(GOOD)} %, fair to {percent(FAIR)} %, poor; locked where a harmonic leaves "
            f"{percent(LOCKED)} % or more.",
            f"tuned: the period to take once mains is measured, and the most that it leaves within "
            f"+-{MEASURED_OFF_HZ:g} Hz.",
        ]
    )
