"""`python -m tests.evoked`: what averaging reaches in simulated noise of the operating room, beside its bars.

Runs the study of sweeps to a criterion for each kind of noise, and the studies of the alarm and of the leads
where they are there. Exit code 1 when a bar is missed. The bars are those of facts/dsp, table 1.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.evoked import criterion
from tests.evoked.noise import KINDS

CASES = 200
SEED = 1
SPEED_UP_AT_LEAST = {"quiet": 0.95, "typical": 1.75, "severe": 4.5}
EFFICIENCY_AT_LEAST = 0.95
BIAS_AT_MOST = 0.02
FURTHER_STUDIES = ("alarm", "leads")
AT_MOST = {
    "alarm": {
        "ratio": 0.65,
        "shipped_ratio": 0.65,
        "shipped_false_per_h": 1.0,
        "baseline_fixed_false_per_h": 1.0,
        "baseline_rolling_false_per_h": 1.0,
    }
}
AT_LEAST = {"leads": {"weighted chosen: speed-up": 3.0}}
NEAR_ONE = {"leads": {"weighted chosen: gain": BIAS_AT_MOST}}
COUNTED = "_false_per_h"
"""A count over as many hours as cases: three standard errors are allowed above its bar."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; `bar` in words, "" where none is set; `ok` whether it is met."""

    name: str
    value: str
    bar: str = ""
    ok: bool = True


def criterion_figures(kind: str, cases: int, seed: int) -> Iterator[Figure]:
    """Sweeps to the criterion in one kind of noise."""
    of = criterion.measure(kind, cases, seed)
    for method in criterion.METHODS:
        yield Figure(
            f"{kind}: {method}",
            f"{of[f'{method}.n']:.0f} sweeps ({of[f'{method}.reached']:.0%} reach), "
            f"{of[f'{method}.speed_up']:.2f}x "
            f"[{of[f'{method}.speed_up_low']:.1f}-{of[f'{method}.speed_up_high']:.1f}], "
            f"gain {of[f'{method}.gain']:.3f}",
        )
    speed_up, bar = of["product.speed_up"], SPEED_UP_AT_LEAST[kind]
    yield Figure(f"{kind}: speed-up over plain", f"{speed_up:.2f}", f">= {bar:g}", speed_up >= bar)
    efficiency = of["product.efficiency"]
    yield Figure(
        f"{kind}: efficiency against the oracle",
        f"{efficiency:.2f} (expected {of['product.efficiency_expected']:.3f})",
        f">= {EFFICIENCY_AT_LEAST:g}",
        efficiency >= EFFICIENCY_AT_LEAST,
    )
    for which in ("gain", "gain_mean"):
        bias = of[f"product.{which}"] - 1.0
        name = f"{kind}: amplitude bias, {'mean' if which == 'gain_mean' else 'median'}"
        yield Figure(name, f"{bias:+.1%}", f"within {BIAS_AT_MOST:.0%}", abs(bias) <= BIAS_AT_MOST)


def further_figures(name: str, cases: int, seed: int) -> Iterator[Figure]:
    """What another study's `measure(cases=, seed=)` reports; skipped, with why, where it is absent."""
    try:
        study = importlib.import_module(f"tests.evoked.{name}")
    except ImportError as absent:
        yield Figure(name, f"skipped: {absent}")
        return
    for figure, value in study.measure(cases=cases, seed=seed).items():
        if (least := AT_LEAST.get(name, {}).get(figure)) is not None:
            yield Figure(f"{name}: {figure}", f"{value:.4g}", f">= {least:g}", value >= least)
            continue
        if (near := NEAR_ONE.get(name, {}).get(figure)) is not None:
            yield Figure(f"{name}: {figure}", f"{value:.4g}", f"1 +-{near:g}", abs(value - 1.0) <= near)
            continue
        at_most = AT_MOST.get(name, {}).get(figure.rsplit(": ", 1)[-1])
        if at_most is None:
            yield Figure(f"{name}: {figure}", f"{value:.4g}")
            continue
        margin = 3.0 * (at_most / cases) ** 0.5 if figure.endswith(COUNTED) else 0.0
        bar = f"<= {at_most:g}" + (f" + {margin:.2f}" if margin else "")
        yield Figure(f"{name}: {figure}", f"{value:.4g}", bar, value <= at_most + margin)


def main(arguments: list[str] | None = None) -> int:
    """Run, print one table; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.evoked", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help=f"simulated cases a kind ({CASES})")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    asked = parser.parse_args(arguments)
    table = Table("figure", "value", "bar", "ok", title=f"{asked.cases} cases, seed {asked.seed}")
    missed = False
    sources = [criterion_figures(kind, asked.cases, asked.seed) for kind in asked.kinds]
    sources += [further_figures(name, asked.cases, asked.seed) for name in FURTHER_STUDIES]
    for source in sources:
        for figure in source:
            missed |= not figure.ok
            table.add_row(
                figure.name, figure.value, figure.bar, ("yes" if figure.ok else "NO") * bool(figure.bar)
            )
        table.add_section()
    Console().print(table)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
