"""`python -m tests.modalities`: what every modality reaches on seeded patients, beside its bars.

Averages and single responses, per peak or modality: the ratio of amplitude to noise from which 95 % are
found, and how many are from a stated one on (7 for averages, 9 for a leg's dermatomes, 10 for single
responses); how many are found in patients without responses; bias, spread, and what 95 % are within; the
ratios from which 95 % are within the bars. Where it is the smallest ratio that occurred, a smaller one may
do. Then trains of four, muscle activity and suppression. Exit code 1 when a bar of detection is missed.
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
from tests.modalities import averages, singles, watched
from tests.modalities.averages import WITHIN, WITHIN_MS, WITHIN_MS_ELSE, Seen

CASES = 100
HEADS = (
    "modality",
    "peak",
    "n",
    "found, clear ones",
    "95% found from",
    "false",
    "median, spread, 95% ms",
    "within ms from",
    "bias %",
)
STATED_SNR = {"average": 7.0, "response": 10.0}
STATED_OF = {"dermatomal_leg": 9.0}
"""In slow noise of a narrow band (30 to 250 Hz) less stands out."""
FOUND_AT_LEAST = 0.95
FALSE_AT_MOST = 0.02
ONSET_MS = 1.0
KNOWN = [name for name, m in MODALITIES.items() if m.protocol.kind in STATED_SNR and name != "custom"]
OTHERS = {"train_of_four": watched.trains, "free_emg": watched.muscles, "eeg": watched.suppressed}


@dataclass(frozen=True, slots=True)
class Row:
    """One peak over all patients; `bias_ms` is the median error of clear ones, `spread_ms` half of what holds
    68 %, `most_ms` what 95 % are within;
    `found_from`, `ms_from`, `uv_from`: the ratio from which 95 % are found or within the bar."""

    peak: str
    cases: int
    found: float
    found_from: float
    false: float
    bias_ms: float
    spread_ms: float
    most_ms: float
    ms_from: float
    bias: float
    uv_from: float

    @property
    def ok(self) -> bool:
        """Whether detection meets its bars; two standard errors above the false ones are chance."""
        chance = 2.0 * np.sqrt(FALSE_AT_MOST * (1 - FALSE_AT_MOST) / self.cases)
        return bool(self.found >= FOUND_AT_LEAST and self.false <= FALSE_AT_MOST + chance)


def bar_of(name: str) -> float:
    """By how many milliseconds a latency may be off; of single responses it is the onset's."""
    if MODALITIES[name].protocol.kind == "response":
        return ONSET_MS
    return WITHIN_MS.get(name, WITHIN_MS_ELSE)


def least_ratio(errors: Iterable[tuple[float, float]], bar: float) -> float:
    """The smallest ratio such that 95 % of all errors at or above it are within `bar`; inf: of no ten."""
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
    clear_from = STATED_OF.get(name, STATED_SNR[MODALITIES[name].protocol.kind])
    made = []
    for peak, cases in by.items():
        clear = [one for one in cases if one.snr >= clear_from]
        late = [(one.snr, one.late_ms) for one in cases if one.late_ms is not None]
        gains = [(one.snr, one.gain - 1.0) for one in cases if one.gain is not None]
        sure = [error for snr, error in late if snr >= clear_from] or [float("nan")]
        made.append(
            Row(
                peak,
                len(cases),
                float(np.mean([one.found for one in clear])) if clear else float("nan"),
                least_ratio([(one.snr, 1.0 - one.found) for one in cases], 0.5),
                float(np.mean([one.removed for one in cases])),
                float(np.median(sure)),
                float(np.diff(np.percentile(sure, [16, 84]))[0] / 2.0),
                float(np.percentile(np.abs(sure), 95)),
                least_ratio(late, bar_of(name)),
                float(np.mean([g for snr, g in gains if snr >= clear_from] or [np.nan])),
                least_ratio(gains, WITHIN),
            )
        )
    return made


def _from(ratio: float) -> str:
    """A ratio from which on something holds."""
    return "always" if ratio == 0.0 else f"{ratio:.1f}" if np.isfinite(ratio) else "never"


def _shown(name: str, row: Row) -> tuple[str, ...]:
    errors = f"{row.bias_ms:+.2f}, {row.spread_ms:.2f}, {row.most_ms:.2f}"
    return (
        name,
        row.peak,
        f"{row.cases}",
        f"{row.found:.1%}",
        _from(row.found_from),
        f"{row.false:.1%}",
        errors if np.isfinite(row.bias_ms) else "no onset is known",
        f"{bar_of(name):g} ms: {_from(row.ms_from)}",
        f"{100 * row.bias:+.1f}",
        _from(row.uv_from),
    )


def main() -> int:
    """Run and print; the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.modalities", description=__doc__)
    p.add_argument("names", nargs="*", default=[*KNOWN, *OTHERS])
    p.add_argument("--cases", type=int, default=CASES)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=2)
    args = p.parse_args()
    table = Table(title=f"{args.cases} patients a modality, seeds from {args.seed} on")
    for head in (*HEADS, f"within {WITHIN:.0%} from"):
        table.add_column(head)
    console, good = Console(width=150), True
    with Pool(args.jobs) as pool:
        for name in args.names:
            seeds = range(args.seed, args.seed + args.cases)
            if name in OTHERS:
                for line, ok in OTHERS[name](pool, seeds):
                    console.print(line, style="" if ok else "red")
                    good &= ok
                continue
            see = averages.seen if MODALITIES[name].protocol.kind == "average" else singles.seen
            told = [one for some in pool.starmap(see, ((name, k) for k in seeds)) for one in some]
            for row in rows(name, told):
                good &= row.ok
                table.add_row(*_shown(name, row), style="" if row.ok else "red")
                console.print(" | ".join(_shown(name, row)))
    console.print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
