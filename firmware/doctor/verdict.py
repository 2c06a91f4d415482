"""The one line at the end: which rates this machine is fit for, and why not more.

Pure: rows in, verdict out. The tiers are those of facts hardware 6; the bench measures what they promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from firmware.doctor.findings import Row, State


class Fitness(StrEnum):
    """What a machine is fit for."""

    TIER_B = "tier B"
    TIER_A = "tier A"
    SIMULATED = "simulated"
    NOT_FIT = "not fit"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fitness, one sentence, and the names of the checks that it hangs on."""

    fitness: Fitness
    text: str
    reasons: tuple[str, ...]


def judge(rows: Sequence[Row], is_pi: bool) -> Verdict:
    """The verdict on a machine's rows. Only failures make it unfit."""
    failed = tuple(row.check.name for row in rows if row.state is State.FAIL)
    if not is_pi:
        return _elsewhere(failed)
    if failed:
        return Verdict(Fitness.NOT_FIT, f"not fit until cured: {', '.join(failed)}", failed)
    short = tuple(row.check.name for row in rows if row.check.tier_b and row.state is not State.OK)
    if short:
        return Verdict(
            Fitness.TIER_A, f"tier A: up to 1 kSPS. Not tier B because of: {', '.join(short)}", short
        )
    proven = tuple(row.check.name for row in rows if row.check.tier_b)
    return Verdict(Fitness.TIER_B, f"tier B: up to 4 kSPS ({', '.join(proven)} as they should be)", proven)


def _elsewhere(failed: tuple[str, ...]) -> Verdict:
    here = "not a Raspberry Pi"
    if failed:
        text = f"{here}, and not fit for the simulated box until cured: {', '.join(failed)}"
        return Verdict(Fitness.NOT_FIT, text, failed)
    return Verdict(Fitness.SIMULATED, f"{here}: fine for the simulated box", ("model",))
