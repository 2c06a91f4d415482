"""Answers to single stimuli and trains of four: declared for the schema."""

from typing import Literal

import msgspec

from hostd.schema_header import Header


class MWave(msgspec.Struct):
    """The M wave before an H reflex; `ratio` H over M."""

    present: bool
    onset_ms: float | None
    amplitude_uv: float | None
    ratio: float | None
    ratio_ci: tuple[float, float] | None


class Answer(msgspec.Struct):
    """One derivation's answer to one stimulus (of several, where the test pools them); intervals 95 %.

    `amplitude_uv` peak to peak; `limit_uv` is what it was judged against, `noise_uv` the rms of the quiet
    rows. `clipped` was at a rail; `artifact`: the stimulus reaches into the search window. `state` of the
    rule: "suspect" wants a repeat, "confirmed" had enough, "lost" was absent in all of them. `median_uv`,
    `cv`, `absent` are of the last `repeats`, `change_pct` of them against the baseline's geometric mean.
    `spread`: the control pulse before this train evoked it too, so that it is the nerve's and not the
    cortex's; null where there was no control, or it was not read.
    """

    name: str
    present: bool
    onset_ms: float | None
    onset_ci_ms: tuple[float, float] | None
    amplitude_uv: float | None
    amplitude_ci_uv: tuple[float, float] | None
    area_uv_ms: float | None
    duration_ms: float | None
    turns: int | None
    phases: int | None
    noise_uv: float | None
    limit_uv: float | None
    clipped: bool
    artifact: bool
    state: Literal["steady", "suspect", "confirmed", "lost"]
    beyond: int
    absent: int
    repeats: int
    median_uv: float | None
    cv: float | None
    baseline_uv: float | None
    baseline_cv: float | None
    change_pct: float | None
    change_ci_pct: tuple[float, float] | None
    m_wave: MWave | None
    spread: bool | None


class FoundThreshold(msgspec.Struct):
    """The lowest current that a muscle answered in rising steps; `bracket_ma` the last one without and the
    first one with. `verdict` and `colour` where the root's region has bands."""

    muscle: str
    ma: float | None
    bracket_ma: tuple[float | None, float | None]
    none_up_to_ma: float | None
    responses: int
    stimuli: int
    inconsistent: bool
    region: str | None
    verdict: str | None
    colour: str | None


class TrackedThreshold(msgspec.Struct):
    """The first derivation's threshold as it is followed from stimulus to stimulus, with its 95 % interval
    (null ends lie beyond what may be tried); `next` is the current that would tell most."""

    muscle: str
    at: float | None
    ci: tuple[float | None, float | None]
    above_limit: float
    stimuli: int
    next: float


class TofGate(msgspec.Struct):
    """Whether the train of four before allows the answer to be believed, and why."""

    allowed: bool
    why: str


class Response(Header, kw_only=True):
    """Per single stimulus or train, as soon as its window is over: what every derivation answered.

    `current_ma` null where nobody stated it. Not `accepted`: not read, for `reason`. `text` is one plain
    sentence. `gate` null where no train of four is asked, or none was read yet. `control`: this was the
    single pulse before a train; it is in no average, no repeats, no baseline and no threshold.
    """

    site: str
    modality: str
    number: int
    trigger_index: int
    current_ma: float | None
    control: bool
    accepted: bool
    reason: str
    responses: list[Answer]
    threshold: FoundThreshold | None
    tracked: TrackedThreshold | None
    gate: TofGate | None
    text: str


class Tof(Header, kw_only=True):
    """Per train of four: `count` of four, `ratio` T4/T1, `share` of T1 of the control's; intervals 95 %.

    Null where nothing can be said, and `reason`, or what is `missing` or `clipped`, says why. `mep_allowed`,
    `emg_allowed`: may muscle responses, and muscle activity, be believed at this relaxation?
    """

    test: str
    site: str
    muscle: str
    trigger_index: int
    count: int | None
    ratio: float | None
    ratio_ci: tuple[float, float] | None
    share: float | None
    share_ci: tuple[float, float] | None
    amplitudes_uv: list[float | None]
    present: list[bool]
    missing: list[int]
    clipped: bool
    noise_uv: float | None
    limit_uv: float | None
    mep_allowed: bool | None
    mep_why: str
    emg_allowed: bool | None
    emg_why: str
    reason: str
    text: str
