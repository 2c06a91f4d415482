"""Which derivation of a test shows its response best: the ranking, and the one that is followed.

Owns the choice from average to average (`dsp.montage` decides it) and the leading derivation's peaks as they
are measured in the chosen one. The standard derivation stays what it is, beside it. Once there is a baseline
the choice stays: a response that is lost must not move the eye elsewhere.
"""

from dataclasses import replace
from typing import Any

from dsp.measure import Measurer
from dsp.montage import Choice, Selector, rank
from dsp.nouns import Average, Measurement, Peak
from hostd.outgoing import finite

RANK_EVERY = 16
STANDARD = 0


class Choosing:
    """Ranks the derivations `names` over the rows `span`, where the first's `peaks` are; times as Measurer's.

    `follow` False: the best is named, and not followed. `row` is the derivation that is followed; `peaks`
    are the first derivation's as they were measured there, none while it is the first itself. `lead` is the
    place among them of the peak `leading`.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        peaks: tuple[Peak, ...],
        span: slice,
        rows: tuple[int, float, float],
        follow: bool,
        leading: int | None,
    ) -> None:
        self._names, self._rows, self._follow = names, rows, follow
        self.span = span
        places = [place for place, peak in enumerate(peaks) if peak.derivation == STANDARD]
        self._first = tuple(peaks[place] for place in places)
        self.lead = places.index(leading) if leading in places else 0
        self._selector = Selector(names, STANDARD, span) if len(names) > 1 else None
        self._choice: Choice | None = None
        self._ranking: list[dict[str, Any]] = []
        self._ranked_at = -RANK_EVERY
        self._polarity = 1
        self._fixed = False
        self._measurer: Measurer | None = None
        self.row = STANDARD
        self.peaks: tuple[Measurement, ...] = ()

    def fix(self) -> None:
        """There is a baseline: what is chosen now stays."""
        self._fixed = self._choice is not None

    def release(self) -> None:
        """There is none any more."""
        self._fixed = False

    def see(self, average: Average) -> bool:
        """Rank `average` where it is time, and measure it in the derivation that is followed; whether that is
        another one than until now."""
        moved = self._judge(average)
        self.peaks = () if self._measurer is None else tuple(self._measurer.measure(average))
        return moved

    @property
    def measurer(self) -> Measurer | None:
        """What measures the first derivation's peaks in the one followed; None while that is the first."""
        return self._measurer

    def fields(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """The ranking, best first, and the choice with why; None before there is one."""
        if self._choice is None:
            return self._ranking, None
        told = {k: getattr(self._choice, k) for k in Choice.__slots__}
        return self._ranking, told | {"reason": str(self._choice.reason), "followed": self._names[self.row]}

    def _judge(self, average: Average) -> bool:
        """Ranking and choice, anew every RANK_EVERY sweeps."""
        if abs(average.n_sweeps - self._ranked_at) < RANK_EVERY and not average.final:
            return False
        self._ranked_at = average.n_sweeps
        mean, null, counts = average.mean_uv, average.null_uv, average.n_effective
        moved = False
        if self._selector is None or self._fixed:
            ranking = rank(mean, null, self.span, counts)
        else:
            ranking, self._choice = self._selector.judge(mean, null, counts)
            moved = self._follow and self._turn_to(self._selector.chosen, self._choice.polarity)
        columns = zip(ranking.snr_db, ranking.snr_se_db, ranking.sweeps_to_6db, strict=True)
        rows = [
            {
                "derivation": name,
                "snr_db": finite(snr_db),
                "snr_se_db": finite(error_db),
                "sweeps_to_6db": finite(sweeps),
            }
            for name, (snr_db, error_db, sweeps) in zip(self._names, columns, strict=True)
        ]
        self._ranking = [rows[k] for k in ranking.order]
        return moved

    def _turn_to(self, row: int, polarity: int) -> bool:
        """Follow derivation `row`, where the response has `polarity`."""
        if row == self.row and polarity == self._polarity:
            return False
        moved = row != self.row
        self.row, self._polarity = row, polarity
        self._measurer = None
        if row != STANDARD:
            there = tuple(replace(p, derivation=row, polarity=polarity * p.polarity) for p in self._first)
            self._measurer = Measurer(there, self._names, *self._rows)
        return moved
