"""The case as it runs: every default filled, every name resolved. Pure data; `hostd.casefile` makes it."""

from dataclasses import dataclass, field
from typing import Literal

from dsp.nouns import Derivation, Peak


@dataclass(frozen=True, slots=True)
class TestPlan:
    """One test: what to fire, what to average, what to measure. Windows are relative to the stimulus.

    `band_hz` None means no filter; `reject_uv` None means no amplitude rejection (lost samples and
    saturation always reject). `response_ms` is where the response has ended: what follows until the next
    stimulus on any line is response-free. `blank_ms` from the stimulus on is interpolated before filtering.
    """

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
    """A whole case. `text` is the TOML as given; it is kept with the recording."""

    name: str
    rate_hz: float
    gain: int
    reference: str
    channels: tuple[str, ...]
    tests: tuple[TestPlan, ...]
    recording: RecordingMap
    text: str
