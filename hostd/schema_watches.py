"""Free-running EMG and EEG: declared for the schema."""

from typing import Literal

import msgspec

from hostd.schema_header import Array, Header

Interval = tuple[float | None, float | None, float | None]
"""A value and the ends of its 95 % interval; null where nothing can be said."""


class Emg(Header, kw_only=True):
    """Per event of free-running EMG, 0.25 s after its end; a train from half a second on, and again as it
    goes on (`ongoing`): `test`, `derivation` and `first_index` are the same then.

    `kind`: "spike", "burst" (< 200 ms), "train" (`train` A, B or C) or "tonic" (many derivations at once,
    light anaesthesia). `a_train_s`: seconds of A-trains in this derivation so far; `muted_s`: seconds that
    nobody could hear. `cut_first`, `cut_end`: it began, or ended, where samples were muted or lost.
    """

    test: str
    derivation: str
    kind: Literal["spike", "burst", "train", "tonic"]
    train: Literal["", "A", "B", "C"]
    first_index: int
    end_index: int
    ongoing: bool
    peak_to_peak_uv: float
    rms_uv: float
    noise_uv: float | None
    discharges: int
    rate_hz: float | None
    rate_se_hz: float | None
    regularity: float | None
    channels_active: int
    cut_first: bool
    cut_end: bool
    a_train_s: float
    muted_s: float
    text: str


class EmgSound(Header, kw_only=True):
    """Fifty times a second: 20 ms of sound, `samples` (160,) `<i2` at `rate_hz`, of the sum of `derivations`.

    Sample k is of the time (first_index + k) / rate_hz since sample 0 of the case. Full scale is
    `full_scale_uv`; muted and lost samples are silence of their length. `silent`: nothing of it is heard.
    """

    test: str
    derivations: list[str]
    rate_hz: float
    first_index: int
    samples: Array
    full_scale_uv: float
    silent: bool


class Wave(Header, kw_only=True):
    """Ten times a second: what a watch looks at, `uv` (time, derivation) from sample `first_index` on.

    Row k is of `rows_per` samples from first_index + k * rows_per on. With `low_uv` the two are the highest
    and lowest of these; without it the row is the (decimated) wave itself.
    """

    test: str
    modality: str
    derivations: list[str]
    rate_hz: float
    first_index: int
    rows_per: int
    uv: Array
    low_uv: Array | None


class Spectrum(Header, kw_only=True):
    """Once a second: the density of the last four seconds of EEG, `density_db` (derivation, bin) in dB re
    1 uV^2/Hz at `hz`; NaN where the window is no EEG, for the reason in `artifact` ("" else).

    `interval_db`: what to add for the ends of the 95 % interval.
    """

    test: str
    modality: str
    derivations: list[str]
    first_index: int
    hz: list[float]
    density_db: Array
    interval_db: tuple[float, float]
    artifact: list[str]


class Suppressed(msgspec.Struct):
    """Per derivation, of the minute before `end_index`: how much of it was suppressed, by amplitude and by
    local variance, and the probability of suppression now."""

    end_index: int
    ratio_pct: list[Interval]
    ratio_by_variance_pct: list[Interval]
    probability: list[Interval]
    good_s: list[float]
    artifact_share: list[float]


class Ischaemia(msgspec.Struct):
    """The last half minute beside the baseline, per side (left, right): power of alpha and beta, of delta.
    `level` on `side` has lasted `seconds`; `told`: long enough to be believed."""

    level: Literal["unknown", "none", "moderate", "severe"]
    side: Literal["", "left", "right", "both"]
    seconds: int
    told: bool
    fast_ratio: list[Interval]
    delta_ratio: list[Interval]


class Eeg(Header, kw_only=True):
    """Once a second: trends of the last four seconds of EEG, each [value, low, high] per derivation (95 %).

    `quiet`: so little that edges and ratios mean nothing. `alpha_delta` and `fast_slow` are natural logs of
    power ratios; `asymmetry` that of left over right of every pair, by band. `suppression` null in the first
    seconds, `ischaemia` without a baseline.
    """

    test: str
    modality: str
    derivations: list[str]
    artifact: list[str]
    quiet: list[bool]
    rms_uv: list[float | None]
    sef95_hz: list[Interval]
    sef90_hz: list[Interval]
    median_hz: list[Interval]
    bands_uv2: dict[str, list[Interval]]
    alpha_delta: list[Interval]
    fast_slow: list[Interval]
    pairs: list[tuple[str, str]]
    asymmetry: dict[str, list[Interval]]
    suppression: Suppressed | None
    ischaemia: Ischaemia | None
    text: str
