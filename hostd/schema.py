"""The bus schema: every topic's header fields, declared once, as JSON schema or a markdown page.

The declarations describe; `hostd.evoked` and friends make the messages, and a test holds the two together.
"""

import json
from typing import Any, Literal

import msgspec

from hostd.schema_course import (
    Change,
    Choice,
    Control,
    FieldRule,
    Halves,
    MainsFit,
    Peak,
    Ranked,
    Reversal,
    Verdict,
    Virtual,
)
from hostd.schema_header import Array, Header
from hostd.schema_responses import Response, Tof
from hostd.schema_stimuli import Alert, Mains, Stim, Stimulation
from hostd.schema_watches import Eeg, Emg, EmgSound, Spectrum, Wave


class Beat(Header, kw_only=True):
    """10 Hz: the latest sequence number of every topic; silence of a second means a dead publisher."""

    latest: dict[str, int]


class Recording(msgspec.Struct):
    """Where the case is recorded; `path` null when recording is off. `fingerprint`: how many messages there
    were and the hash over them, once the case is closed."""

    path: str | None
    bytes: int
    fingerprint: str | None


class Timebase(msgspec.Struct):
    """What is known of the converter's clock; null until the edge has reported, refused late edges counted.

    `ppm` fast of nominal over half a minute, `wander_ppm` its standard deviation from second to second,
    `residual_us` that of the stamps. `edge_ns` is the data-ready edge of the header's index, `sample_ns` (the
    header's `t_ns`) the sample itself, `filter_delay_samples` before it.
    """

    rate_hz: float
    ppm: float | None
    wander_ppm: float | None
    residual_us: float | None
    refused: int
    settled: bool
    filter_delay_samples: float
    edge_ns: int
    sample_ns: int


class Leads(msgspec.Struct):
    """Electrodes that the edge sees off ("CP3+": positive input), if asked to watch them (`watched`), and
    channels at a rail or at one code, which are always told. `measuring`: impedance is being measured."""

    off: list[str]
    railed: list[str]
    watched: bool
    measuring: bool


class Status(Header, kw_only=True):
    """1 Hz."""

    state: Literal["running", "closed"]
    name: str
    source: str
    rate_hz: float
    channels: list[str]
    samples: int
    lost_samples: int
    gaps: int
    link: dict[str, Any]
    recording: Recording
    timebase: Timebase
    leads: Leads
    tests: dict[str, Literal["stopped", "armed", "running"]]
    stimulation: Stimulation
    faults: list[str]


class Raw(Header, kw_only=True):
    """Per block, only while somebody subscribes: counts (time, channel); uV = counts*lsb_uv + offset_uv."""

    first_index: int
    counts: Array
    trigger_bits: Array
    gaps: list[tuple[int, int]]
    lsb_uv: list[float]
    offset_uv: list[float]


class Sweep(Header, kw_only=True):
    """Per sweep: zero-phase filtered, `sweep_uv` (time, derivation), no rows when rejected for a gap.

    Row k lies t0_ms + k*dt_ms after the stimulus. `weight` is the first derivation's, `weights` each one's
    (0: kept out of the average).
    """

    site: str
    modality: str
    derivations: list[str]
    t0_ms: float
    dt_ms: float
    sweep_uv: Array
    weight: float
    weights: list[float]
    accepted: bool
    reason: str
    trigger_index: int


class Average(Header, kw_only=True):
    """After each update (5 a second at most): `mean_uv` (time, derivation), the weighted mean of the sweeps.

    `noise_uv` per derivation: rms residual noise of the mean, null below 16 sweeps. `n_effective` of the
    first derivation, `n_effective_each` of all. The average grows to `sweeps_target`, then moves on in steps
    of an eighth; `final`: made of the last `sweeps_target` sweeps, none shared with the final before.
    A derivation that no sweep was good for (its `n_effective_each` 0, all of them before the first sweep)
    is 0 throughout. `rate_hz` is the stimulus rate (null: on demand), `band_hz` null without filter.
    `blanked_ms` was interpolated. `halves_uv` (2, time, derivation): the averages of every other sweep, null
    before there are both; that they agree proves nothing at a rate that mains lock to. `sharp_uv`, where the
    case asks for it: the mean through a filter of `sharp_kind`, which takes at most `sharp_loss_bound` of the
    amplitude; peaks are measured in `mean_uv`. `virtual_uv` (time,), where asked for: a combination of the
    derivations (`measure.virtual`). `polarities_uv` (2, time, derivation): the averages of the two lines of a
    test that alternates. `stack_uv` (sweep, time, derivation): the last answers to single stimuli, of which
    the mean is then.
    """

    site: str
    modality: str
    derivations: list[str]
    t0_ms: float
    dt_ms: float
    mean_uv: Array
    noise_uv: list[float | None]
    n_sweeps: int
    n_rejected: int
    n_effective: float
    n_effective_each: list[float]
    sweeps_target: int
    first_index: int
    last_index: int
    rate_hz: float | None
    band_hz: list[float] | None
    weighting: Literal["noise", "none"]
    averaging: Literal["running", "moving", "exponential", "blocks"]
    blanked_ms: list[float]
    halves_uv: Array | None
    sharp_uv: Array | None
    sharp_noise_uv: list[float | None] | None
    sharp_loss_bound: list[float | None] | None
    sharp_kind: str | None
    virtual_uv: Array | None
    virtual_noise_uv: float | None
    polarities_uv: Array | None
    stack_uv: Array | None
    final: bool


class Baseline(Average, kw_only=True):
    """When a baseline is set: the average that it is; `n_sweeps` 0 and no rows when it is cleared."""


class Measure(Header, kw_only=True):
    """With each average. `leading` names the peak of the first derivation, the one that trends show.

    `verdict` null without such a peak, and once a running average has reached its target; `change` (of the
    first derivation) null without a baseline; `halves` null until mains are measured; `virtual` and
    `mains_fit` where the case asks for them. `control` null where the test has none, `reversal` where
    nobody asks where the response turns over.
    """

    peaks: list[Peak]
    leading: str | None
    n_sweeps: int
    last_index: int
    final: bool
    verdict: Verdict | None
    ranking: list[Ranked]
    choice: Choice | None
    halves: Halves | None
    change: Change | None
    control: Control | None
    rules: list[FieldRule]
    reversal: Reversal | None
    virtual: Virtual | None
    mains_fit: MainsFit | None


class LeadImpedance(msgspec.Struct):
    """One electrode without the board's resistor; null and `note` says why where it was not measured.

    `low_ohm`, `high_ohm`: 95 % of the noise and the current's tolerance, 20 % where it was not calibrated,
    which `note` says. `drift_deg`: how far the phase moved during the measurement.
    """

    lead: str
    ohm: float | None
    low_ohm: float | None
    high_ohm: float | None
    phase_deg: float | None
    drift_deg: float | None
    note: str


class Impedance(Header, kw_only=True):
    """When a measurement ends. Samples `first_index` to `last_index` (null: unknown yet) hold its current's
    tone and enter no average. `board`: whose calibration was used, null for none."""

    command_id: int
    first_index: int
    last_index: int | None
    frequency_hz: float
    current_na: int
    board: str | None
    leads: list[LeadImpedance]


class EventMessage(Header, kw_only=True):
    """When somebody or something marks a moment; `kind` is free (`note`, `fault`, `test.start`, ...)."""

    text: str
    author: str
    kind: str


TOPICS: dict[str, tuple[str, type[Header]]] = {
    "beat": ("events", Beat),
    "status": ("events", Status),
    "stim": ("events", Stim),
    "measure.TEST": ("events", Measure),
    "alert": ("events", Alert),
    "response.TEST": ("events", Response),
    "tof": ("events", Tof),
    "emg": ("events", Emg),
    "eeg": ("events", Eeg),
    "mains": ("events", Mains),
    "impedance": ("events", Impedance),
    "event": ("events", EventMessage),
    "sweep.TEST": ("traces", Sweep),
    "average.TEST": ("traces", Average),
    "baseline.TEST": ("traces", Baseline),
    "spectrum": ("traces", Spectrum),
    "wave.TEST": ("traces", Wave),
    "emg.audio": ("traces", EmgSound),
    "raw": ("raw", Raw),
}


def kind_of(topic: str) -> type[Header]:
    """The declaration of a topic. Raises KeyError for an unknown one."""
    family, dot, _ = topic.partition(".")
    return TOPICS[topic if topic in TOPICS else f"{family}.TEST" if dot else family][1]


def as_json() -> str:
    """JSON schema of every topic's header."""
    topics = {t: {"endpoint": e, "header": msgspec.json.schema(kind)} for t, (e, kind) in TOPICS.items()}
    return json.dumps(topics, indent=2)


def as_markdown() -> str:
    """The same as a page."""
    common = ", ".join(f"`{f.name}`" for f in msgspec.structs.fields(Header))
    lines = ["# The bus", "", f"Every header: {common}.", ""]
    for topic, (endpoint, kind) in TOPICS.items():
        lines += [f"## `{topic}` ({endpoint})", "", (kind.__doc__ or "").strip().replace("\n    ", "\n"), ""]
        own = [f for f in msgspec.structs.fields(kind) if f.name not in Header.__struct_fields__]
        lines += [f"- `{f.name}`: {_type_name(f.type)}" for f in own] + [""]
    return "\n".join(lines)


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
