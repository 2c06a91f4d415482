"""What `measure.TEST` says of the course of a test, beside its peaks: declared for the schema."""

from typing import Literal

import msgspec


class Peak(msgspec.Struct):
    """One peak; null where nothing can be said; intervals 95 %; `noise_uv` is what it was judged against.

    `change_pct` only of a baseline whose amplitude is clear of nothing: `change` says how sure the rest is.
    `normal_*` are the ranges of the case or its protocol, for adults, null where none is stated.
    """

    name: str
    derivation: str
    present: bool
    latency_ms: float | None
    latency_ci_ms: tuple[float, float] | None
    amplitude_uv: float | None
    amplitude_ci_uv: tuple[float, float] | None
    noise_uv: float | None
    baseline_latency_ms: float | None
    baseline_amplitude_uv: float | None
    change_pct: float | None
    normal_latency_ms: tuple[float, float] | None
    normal_amplitude_uv: tuple[float, float] | None


class Verdict(msgspec.Struct):
    """Is the leading peak certain enough, in the derivation that is followed (`choice.followed`)? By a
    sequential test: looking often does not raise its error.

    `error_rate`: of what was decided, at most; null while undecided, and where a planned end passed unseen.
    `done`: with `stop = "certain"` the average ends here. `seconds_left` until it is, likely and from, to.
    """

    decision: Literal["present", "absent", "undecided"]
    reason: str
    error_rate: float | None
    n_sweeps: int
    done: bool
    seconds_left: float | None
    seconds_range: tuple[float, float] | None


class Ranked(msgspec.Struct):
    """Signal to noise of the average in one derivation, over the span of the leading derivation's peaks, anew
    every sixteen sweeps; null where nothing can be said. `sweeps_to_6db`: as many effective sweeps make a
    ratio of 6 dB."""

    derivation: str
    snr_db: float | None
    snr_se_db: float | None
    sweeps_to_6db: float | None


class Halves(msgspec.Struct):
    """Whether agreement of the halves is evidence: not where mains come back at one phase in every sweep.
    `left_pct` of `harmonic` (0: none measured) is what these sweeps leave of it."""

    trusted: bool
    harmonic: int
    left_pct: float
    text: str


class Rule(msgspec.Struct):
    """A fixed rule of the field, and how sure it is that the truth meets it."""

    name: str
    verdict: Literal["met", "not met", "unknown"]
    confidence: float | None


class Against(msgspec.Struct):
    """An average against one baseline, by projection on its waveform; latency as the leading peak's.

    `ratio` 1 is no change, interval 95 %; `log_change` null where the ratio is not clear of nothing, when
    `log_at_most` (97.5 %) still bounds it.
    """

    ratio: float | None
    ratio_ci: tuple[float | None, float | None] | None
    present: bool | None
    log_change: float | None
    log_se: float | None
    log_at_most: float | None
    latency_change_ms: float | None
    latency_se_ms: float | None
    rules: list[Rule]


class AgainstRolling(Against):
    """Against a baseline that follows slow drift: `level` is its ratio to the fixed one. `frozen`: what comes
    is withheld from it, for it may be an injury."""

    level: float
    level_se: float
    frozen: bool


class Sequential(msgspec.Struct):
    """CUSUM of single sweeps for a fall to 40 %: an alarm at the threshold, one false one an hour; likely
    since sample `since_index`, `sweeps_ago`."""

    evidence: float
    threshold: float
    alarm: bool
    since_index: int | None
    sweeps_ago: int


class Alarm(msgspec.Struct):
    """The same test against both baselines. The fixed one's own error counts against an alarm, and is made
    smaller by sweeps that speak for no fall until it is 7 %: then it stays as it is."""

    fixed: Sequential
    rolling: Sequential


class Change(msgspec.Struct):
    """What has changed from the baseline in one derivation; null parts are not known yet."""

    peak: str
    derivation: str
    fixed: Against
    rolling: AgainstRolling | None
    alarm: Alarm | None


class Choice(msgspec.Struct):
    """The best derivation and why; the standard one stays the first. Once there is a baseline it stays.

    `saved`: how many times fewer sweeps the chosen one needs. `polarity` -1: the response is upside down.
    `followed` is the one that the verdict is of: the chosen one, or the standard where the case keeps to it.
    `peaks`: those of the first derivation as measured in the one followed, `change` that one's from its own
    baseline; empty and null where it is the first itself.
    """

    chosen: str
    standard: str
    candidate: str | None
    reason: Literal["nothing_known", "no_response", "best", "not_worth_it", "not_certain", "changed", "lost"]
    chosen_snr_db: float | None
    standard_snr_db: float | None
    saved: float | None
    confidence: float | None
    polarity: int
    followed: str
    peaks: list[Peak]
    change: Change | None


class Control(msgspec.Struct):
    """The peak that proves that the stimulus has arrived; while it is not `present` no rule is judged."""

    peak: str
    present: bool
    text: str


class FieldRule(msgspec.Struct):
    """A rule of the field for one peak, from the case or its protocol with its `source`: no alarm by itself.

    `confidence` (0 to 1) that the truth meets it; unknown without a baseline, without the peak, and where the
    test's control is not seen (`barred`).
    """

    peak: str
    name: str
    level: Literal["warning", "alarm"]
    verdict: Literal["met", "not met", "unknown"]
    confidence: float | None
    barred: bool
    source: str


class StripContact(msgspec.Struct):
    """One contact of a strip: whether N20 or its mirror image (null: not told), and how large."""

    name: str
    polarity: Literal["N20", "P20"] | None
    amplitude_uv: float | None
    se_uv: float | None


class Reversal(msgspec.Struct):
    """Where the response turns over along the derivations: `between` two of them with `confidence`, the
    probability of every gap in `gaps`; or not `found`, and `why`."""

    found: bool
    between: tuple[str, str] | None
    confidence: float
    gaps: list[tuple[str, str, float]]
    contacts: list[StripContact]
    why: str


class Virtual(msgspec.Struct):
    """The virtual channel's peaks. `learnt`: from the baseline, with its `weights` of the derivations in
    their order; or from the other half of the same sweeps, by two sets of weights (null here)."""

    learnt: Literal["halves", "baseline"]
    weights: list[float] | None
    peaks: list[Peak]


class MainsFit(msgspec.Struct):
    """Mains as it is taken out before the filter: its frequency; per derivation whether it is `subtracted` at
    present, and peak microvolts of each harmonic."""

    hz: float
    subtracted: list[bool]
    amplitude_uv: list[list[float]]
