"""The bus schema: every topic's header fields, declared once; `hostd.schema_page` shows them.

The declarations describe; `hostd.evoked` and friends make the messages, and a test holds the two together.
"""

from typing import Any, Literal

import msgspec

from hostd.schema_alerts import Alarms, Alert, CaseNow, Ledger, Plugs
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
from hostd.schema_stimuli import Mains, Stim, Stimulation
from hostd.schema_watches import Eeg, Emg, EmgSound, Spectrum, Wave


class Beat(Header, kw_only=True):
    """10 Hz: the latest sequence number of every topic; silence of a second means a dead publisher."""

    latest: dict[str, int]


class Recording(msgspec.Struct):
    """Where the case is recorded; `path` null when recording is off.

    `state` slow: a record has waited for the disk for more than a second; failing: the disk refuses, or so
    much waits that samples are lost to the file. `waiting_s` is the age of the oldest record not yet written,
    `lost_samples` are missing in the file, which names them as gaps; they were processed like all others.
    `fingerprint`: how many messages there were and the hash over them, once the case is closed.
    """

    path: str | None
    bytes: int
    state: Literal["off", "ok", "slow", "failing"]
    waiting_s: float
    lost_samples: int
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
    """1 Hz. `clients`: connections of each endpoint now, handshakes `refused` for the key or for want of room
    (`full`), connections `cut` because they broke a bound. `mirrors`: buses that say the same messages, for
    when this one falls silent."""

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
    clients: dict[str, int]
    faults: list[str]
    mirrors: list[str]


class Raw(Header, kw_only=True):
    """Per block, only while somebody subscribes: counts (time, channel); uV = counts*lsb_uv + offset_uv.

    Row k behind the first one whose trigger bit is up lies (k + latency_offset_samples) / rate after its
    stimulus (the converter's delay, and the edge's own).
    """

    first_index: int
    counts: Array
    trigger_bits: Array
    gaps: list[tuple[int, int]]
    lsb_uv: list[float]
    offset_uv: list[float]
    latency_offset_samples: float


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
    """When a baseline is set: the average that it is; `n_sweeps` 0 and no rows when it is cleared.

    `version` counts the test's baselines (0: cleared); each is bound to rate, band and derivations as they
    stand here. `error` is its relative standard error in the derivation that is followed, null where it
    does not stand clear of its noise; `grade` that in a word: good to 0.1, fair to 0.2. `replicates`: the
    correlation of its two halves over the response there, null for answers to single stimuli; below 0.5 they
    are none, and the grade is poor at best.
    """

    version: int
    error: float | None
    replicates: float | None
    grade: Literal["good", "fair", "poor", "none"]


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
    """When somebody or something marks a moment; `kind` is free (`note`, `fault`, `test.start`, `replicate`,
    ...). `test` "" is of none; `values` are numbers that came with a mark (`map_mmhg`, `bolus_mg`, ...)."""

    text: str
    author: str
    kind: str
    test: str
    values: dict[str, float]


TOPICS: dict[str, tuple[str, type[Header]]] = {
    "beat": ("events", Beat),
    "status": ("events", Status),
    "stim": ("events", Stim),
    "measure.TEST": ("events", Measure),
    "alert": ("events", Alert),
    "ledger": ("events", Ledger),
    "alarms": ("events", Alarms),
    "case": ("events", CaseNow),
    "plugs.TEST": ("events", Plugs),
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
