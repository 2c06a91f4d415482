"""What one sweep says of one response, beside its baseline: the raw material of deviations. Pure records."""

import math
from dataclasses import dataclass
from typing import Literal

Role = Literal["lead", "control", "answer", "pooled", "sweep"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Of the stimulus at sample `index` of `test`, in the response `name`.

    `lead` (the leading peak's waveform) and `control` (what proves arrival): `value` is the ratio to the
    baseline, of `variance`. `answer` (a muscle's, a nerve's): `value` is the log ratio; `absent`: it was no
    larger; `pooled`: the mean of a limb's muscles, of so many. `sweep`: why it was not accepted (`reason`),
    and the `weights` of the test's derivations. `version` counts the test's baselines, whose own relative
    error (scatter of `count` answers, in logs) is `error`.
    """

    index: int
    test: str
    name: str
    role: Role
    value: float = math.nan
    variance: float = math.inf
    absent: bool = False
    version: int = 0
    error: float = 0.0
    count: int = 0
    weights: tuple[float, ...] = ()
    reason: str = ""
    muscles: int = 1

    @property
    def accepted(self) -> bool:
        """Whether the sweep was averaged."""
        return not self.reason
