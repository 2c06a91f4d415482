"""`python -m tests.modalities`: what every averaged modality reaches on seeded patients, beside its bars.

For each peak: the signal-to-noise ratio from which 95 % of the measurements are within the bar, bias, how
many were found from a ratio of 6 on, and how many were found in patients without responses. Exit code 1 when
a bar of detection is missed.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import Pool

import numpy as np
from rich.console import Console
from rich.table import Table

from hostd.modalities import MODALITIES
from tests.modalities.averages import WITHIN, WITHIN_MS, WITHIN_MS_ELSE, Seen, seen

CASES = 100
STATED_SNR = 6.0
FOUND_AT_LEAST = 0.95
FALSE_AT_MOST = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """One peak over all patients; `ms_from`, `uv_from`: the ratio from which 95 % are within the bar."""

    peak: str
    cases: int
    found: float
    false: float
    bias_ms: float
    spread_ms: float
    ms_from: float
    bias: float
    uv_from: float

    @property
    def ok(self) -> bool:
        """Whether detection meets its bars; a false one in a hundred more is chance."""
        chance = 2.0 * np.sqrt(FALSE_AT_MOST * (1 - FALSE_AT_MOST) / self.cases)
        return self.found >= FOUND_AT_LEAST and self.false <= FALSE_AT_MOST + chance


def least_ratio(errors: Iterable[tuple[float, float]], bar: float) -> float:
    """The smallest ratio such that 95 % of all errors at or above it are within `bar`; inf: none."""
    ranked = sorted(errors, reverse=True)
    within, best = 0, float("inf")
    for count, (snr, error) in enumerate(ranked, start=1):
        within += abs(error) <= bar
        if within >= 0.95 * count and count >= 10:
            best = snr
    return best


def rows(name: str, told: list[Seen]) -> list[Row]:
    """One row per peak."""
    by: dict[str, list[Seen]] = defaultdict(list)
    for one in told:
        by[one.peak].append(one)
    bar_ms = WITHIN_MS.get(name, WITHIN_MS_ELSE)
    made = []
    for peak, cases in by.items():
        clear = [one for one in cases if one.snr >= STATED_SNR]
        late = [(one.snr, one.late_ms) for one in cases if one.late_ms is not None]
        gains = [(one.snr, one.gain - 1.0) for one in cases if one.gain is not None]
        sure = [error for snr, error in late if snr >= STATED_SNR] or [float("nan")]
        made.append(
            Row(
                peak,
                len(cases),
                float(np.mean([one.late_ms is not None for one in clear])) if clear else float("nan"),
                float(np.mean([one.removed for one in cases])),
                float(np.mean(sure)),
                float(np.std(sure)),
                least_ratio(late, bar_ms),
                float(np.mean([g for snr, g in gains if snr >= STATED_SNR] or [np.nan])),
                least_ratio(gains, WITHIN),
            )
        )
    return made


def main() -> int:
    """Run and print; the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.modalities", description=__doc__)
    p.add_argument("names", nargs="*", default=[name for name in MODALITIES if name != "custom"])
    p.add_argument("--cases", type=int, default=CASES)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=2)
    args = p.parse_args()
    table = Table(title=f"{args.cases} patients a modality, seeds from {args.seed} on")
    heads = (
        "modality",
        "peak",
        f"found, ratio >= {STATED_SNR:g}",
        "false",
        "bias, spread ms",
        "within ms from",
    )
    for head in (*heads, "bias %", f"within {WITHIN:.0%} from"):
        table.add_column(head)
    good = True
    with Pool(args.jobs) as pool:
        for name in args.names:
            seeds = range(args.seed, args.seed + args.cases)
            told = [one for some in pool.starmap(seen, ((name, k) for k in seeds)) for one in some]
            for row in rows(name, told):
                good &= row.ok
                bar = WITHIN_MS.get(name, WITHIN_MS_ELSE)
                table.add_row(
                    name,
                    row.peak,
                    f"{row.found:.1%}",
                    f"{row.false:.1%}",
                    f"{row.bias_ms:+.2f}, {row.spread_ms:.2f}",
                    f"{bar:g} ms: {row.ms_from:.1f}",
                    f"{100 * row.bias:+.1f}",
                    f"{row.uv_from:.1f}",
                    style="" if row.ok else "red",
                )
            print(f"{name} done", file=sys.stderr, flush=True)
    Console(width=150).print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
