"""What motor units of the model patient do, and when: free-running EMG as a scenario writes it.

Pure data with its validation. Kinds: Romstoeck et al. 2000 (spikes, bursts, A-, B- and C-trains) and Prell et
al. 2007; `tonic` is light anaesthesia. Refuses to know of potentials and of electrodes, which are
`hw.model.motor_units`'.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from hw.model.checks import choice, number

Kind = Literal["spike", "burst", "A-train", "B-train", "C-train", "tonic"]

ALL = "all"
"""Every muscle that has electrodes."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a kind fires: usual and possible rates of one unit, its units, variation of intervals and of size.

    `least_s` and `most_s`: how long it may last. `smallest`: of its units, against the largest.
    """

    rate_hz: float
    rates_hz: tuple[float, float]
    least_s: float
    most_s: float
    units: tuple[int, int]
    interval_cv: tuple[float, float]
    size_cv: float
    smallest: float


PATTERNS: dict[Kind, Pattern] = {
    "spike": Pattern(0.0, (0.0, 0.0), 0.0, 0.0, (1, 1), (0.0, 0.0), 0.0, 1.0),
    "burst": Pattern(70.0, (30.0, 200.0), 0.02, 0.199, (3, 6), (0.2, 0.4), 0.2, 0.4),
    "A-train": Pattern(100.0, (50.0, 250.0), 0.2, 3600.0, (1, 1), (0.01, 0.03), 0.04, 1.0),
    "B-train": Pattern(35.0, (15.0, 70.0), 0.2, 3600.0, (1, 1), (0.06, 0.15), 0.08, 1.0),
    "C-train": Pattern(25.0, (10.0, 100.0), 0.2, 3600.0, (3, 6), (0.5, 0.9), 0.25, 0.3),
    "tonic": Pattern(11.0, (2.0, 30.0), 0.2, 1e6, (2, 4), (0.2, 0.35), 0.15, 0.3),
}


@dataclass(frozen=True, slots=True)
class Discharge:
    """From `at_s` on, for `for_s`, units of `muscle` fire as `kind` says; several at once add up.

    `muscle`: the electrodes' name without its 1 or 2, or "all". `level_uv`: peak-to-peak of the largest
    unit's mean potential on the active electrode. `rate_hz` of one unit, of tonic units their mean; 0: as
    usual for the kind. A spike fires once and needs neither `for_s` nor `rate_hz`. ValueError (one line) for
    impossible values.
    """

    at_s: float
    for_s: float = 0.0
    muscle: str = ALL
    kind: Kind = "A-train"
    level_uv: float = 200.0
    rate_hz: float = 0.0

    def __post_init__(self) -> None:
        number("discharge", "at_s", self.at_s, 0.0, 1e6)
        number("discharge", "for_s", self.for_s, 0.0, 1e6)
        if not isinstance(self.muscle, str) or not self.muscle:
            raise ValueError(
                f"discharge: muscle = {self.muscle!r} is no name; write for example 'APBL', or 'all'"
            )
        choice("discharge", "kind", self.kind, get_args(Kind))
        number("discharge", "level_uv", self.level_uv, 0.0, 1e5)
        number("discharge", "rate_hz", self.rate_hz, 0.0, 1e3)
        if self.kind == "spike":
            return
        pattern = PATTERNS[self.kind]
        number(f"discharge, {self.kind}", "for_s", self.for_s, pattern.least_s, pattern.most_s)
        if self.rate_hz:
            number(f"discharge, {self.kind}", "rate_hz", self.rate_hz, *pattern.rates_hz)
