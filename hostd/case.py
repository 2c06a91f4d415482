"""The case as it runs: every default filled, every name resolved. Pure data; `hostd.casefile` makes it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from dsp.limits import Averaging
from dsp.nouns import Derivation, FixedRule, Peak
from hw.limits import CEILINGS, Ceiling


@dataclass(frozen=True, slots=True)
class StimulusPlan:
    """What one stimulus of a test is. `kind`: whose limits hold (hw.limits); `mode` single: on demand only.

    `current_ma` or `volts` (into 1 kOhm) and `width_us` of a pulse: None (width 0) is not known, and counted
    at the worst that the kind's limits allow. `pulses` in each of `trains` (1 or 2), `interval_ms` apart, the
    second train `gap_ms` after the first's last pulse. `steps_ma`: currents of successive single stimuli.
    Every second stimulus goes to `alternate_line`. Other tests keep off for `lockout_ms` after the last pulse
    (None: the test's window).
    """

    kind: str = "sensory"
    mode: Literal["repeat", "single"] = "repeat"
    current_ma: float | None = None
    volts: float | None = None
    width_us: float = 0.0
    area_cm2: float | None = None
    pulses: int = 1
    interval_ms: float = 0.0
    trains: int = 1
    gap_ms: float = 0.0
    alternate_line: int | None = None
    steps_ma: tuple[float, ...] = ()
    hold_ms: float = 1.0
    lockout_ms: float | None = None

    @property
    def train_ms(self) -> float:
        """From the first pulse to the last."""
        return self.trains * (self.pulses - 1) * self.interval_ms + (self.trains - 1) * self.gap_ms


@dataclass(frozen=True, slots=True)
class MonitorMap:
    """Channels on which a stimulator shows what it delivers, and their scales; `voltage` "" is none."""

    current: str
    ma_per_mv: float = 1.0
    voltage: str = ""
    v_per_mv: float = 4.0


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal range of a peak's latency and amplitude in adults; None where none is stated."""

    latency_ms: tuple[float, float] | None = None
    amplitude_uv: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How the answers to single stimuli and trains are read: each by itself, in every derivation.

    `search_ms` is where a response may be, `quiet_ms` the spans that it is judged against. The last `stack`
    are shown; what is measured is the mean of the last `pooled`. `drop_pct`, `confirm`: the rule, a fall of
    so much from baseline in so many repeats (0: no rule). `gate`: the train-of-four test that must allow it.
    `m_ms`: where the M wave before an H reflex lies; `region`: whose bands a threshold falls into. `track`:
    lowest and highest current and a step, between which the first derivation's threshold is followed.
    """

    search_ms: tuple[float, float]
    quiet_ms: tuple[tuple[float, float], ...]
    stack: int = 5
    pooled: int = 1
    drop_pct: float = 0.0
    confirm: int = 2
    gate: str = ""
    gate_for: Literal["mep", "emg"] = "mep"
    m_ms: tuple[float, float] | None = None
    region: str = ""
    track: tuple[float, float, float] | None = None
    control: bool = False


Kind = Literal["average", "response", "tof"]
WatchKind = Literal["emg", "eeg"]


@dataclass(frozen=True, slots=True)
class TestPlan:
    """One test: what to fire, what to average, what to measure. Windows are relative to the stimulus.

    `band_hz` None means no filter; `reject_uv` None means no amplitude rejection (lost samples and
    saturation always reject). `response_ms` is where the response has ended: what follows until the next
    stimulus on any line is response-free. `blank_ms` from the stimulus on is interpolated before filtering.
    An average ends with `sweeps`, or as soon as its leading peak is `certain`: present and measured well
    enough, or absent, which means below `smallest_uv`. `sharpen`: a second trace of every average. `choice`:
    which derivation the verdict follows; `virtual`: one made of all of them beside them. `mains` "fit": taken
    out before the filter. `droop`: the converter's own fall towards high frequencies, given back or not.
    `stimulus_hz` 0: single stimuli; `rate_written`: the rate is the case's own choice, not the modality's.
    `normals`: of each peak. `leading`, `control`: places in `peaks` of what trends show, and of what proves
    that the stimulus has arrived; None where there is none. `rules`: of the field, by peak. `analysis`
    "reversal": the derivations are contacts in a row, across which a response turns over. Sweeps are thinned
    to no fewer than `keeps_hz` samples a second (0: never). `response`: of those that are not averaged.
    """

    __test__: ClassVar[bool] = False  # the noun starts with Test; test collectors leave it alone

    name: str
    modality: str
    site: str
    line: int
    stimulus_hz: float
    window_ms: tuple[float, float]
    band_hz: tuple[float, float] | None
    sweeps: int
    derivations: tuple[Derivation, ...]
    reject_uv: float | None
    weighting: Literal["noise", "none"]
    blank_ms: float
    response_ms: float
    baseline: Literal["auto", "manual"]
    baseline_sweeps: int
    peaks: tuple[Peak, ...] = ()
    averaging: Averaging = "running"
    stop: Literal["sweeps", "certain"] = "sweeps"
    smallest_uv: float = 0.0
    sharpen: Literal["off", "low-pass", "wiener"] = "off"
    choice: Literal["best", "standard"] = "best"
    virtual: Literal["off", "dss"] = "off"
    mains: Literal["leave", "fit"] = "leave"
    droop: Literal["leave", "compensate"] = "leave"
    stimulus: StimulusPlan = field(default_factory=StimulusPlan)
    rate_written: bool = False
    normals: tuple[Normal, ...] = ()
    leading: int | None = None
    control: int | None = None
    rules: tuple[FixedRule, ...] = ()
    analysis: Literal["peaks", "reversal"] = "peaks"
    keeps_hz: float = 0.0
    kind: Kind = "average"
    response: ResponsePlan | None = None


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What is watched without a stimulus of its own: muscle activity ("emg") or EEG ("eeg").

    Of EMG: `mute_ms` after every electrical stimulus nothing is judged; `listen` are the derivations in the
    sound, `full_scale_uv` is its fixed gain, below `squelch_uv` it is silent (0: never). Of EEG: `pairs` are
    (left, right) derivations that are compared, `baseline` how what they are compared with is found.
    """

    name: str
    modality: str
    kind: Literal["emg", "eeg"]
    derivations: tuple[Derivation, ...]
    band_hz: tuple[float, float] | None = None
    mute_ms: float = 25.0
    listen: tuple[str, ...] = ()
    full_scale_uv: float = 500.0
    squelch_uv: float = 0.0
    pairs: tuple[tuple[str, str], ...] = ()
    baseline: Literal["auto", "manual"] = "auto"


@dataclass(frozen=True, slots=True)
class RecordingMap:
    """How a foreign recording's signals become channels and trigger lines.

    `channels`: case channel -> signal label (labels equal to the channel's name need no entry).
    `trigger_channel`: label of the signal whose bits are the lines; `threshold` turns an analogue trigger
    signal into line 1. `annotations`: annotation text -> line.
    """

    channels: dict[str, str] = field(default_factory=dict)
    trigger_channel: str | None = None
    threshold: float | None = None
    annotations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A whole case. `text` is the TOML as given; it is kept with the recording.

    `ceilings`: the limits of every kind of stimulation, in the order of hw.limits, never looser. `mains_hz`:
    what the mains are, 0: not known. `watches` have no stimulus, and so no place on the sample grid.
    """

    name: str
    rate_hz: float
    gain: int
    reference: str
    channels: tuple[str, ...]
    tests: tuple[TestPlan, ...]
    recording: RecordingMap
    text: str
    ceilings: tuple[Ceiling, ...] = CEILINGS
    monitor: MonitorMap | None = None
    mains_hz: float = 0.0
    watches: tuple[WatchPlan, ...] = ()
