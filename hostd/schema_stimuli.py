"""What the bus says of stimulation: pulses, the arbiter, mains, alerts; declarations of `hostd.schema`."""

from typing import Any, Literal

import msgspec

from hostd.schema_header import Header


class Stim(Header, kw_only=True):
    """Per pulse: `verified` when its edge came back in the samples, `lag_samples` after the command.

    `number` counts a plan's stimuli, `pulse` those of one train. In a recording nothing was commanded:
    `command_id`, `number` and `lag_samples` are null. `commanded_ma` null: not known, or no current. Where a
    stimulator's monitor is on a channel, `current_ma` is what was delivered, within `current_error_ma`
    (95 %), into `load_ohm`; `delivery` judges it, `unknown` when the error does not bear a verdict.
    """

    test: str | None
    site: str | None
    line: int
    command_id: int | None
    number: int | None
    pulse: int
    verified: bool
    lag_samples: int | None
    commanded_ma: float | None
    current_ma: float | None
    current_error_ma: float | None
    load_ohm: float | None
    delivery: Literal["ok", "open", "low", "high", "short", "unknown"] | None
    delivery_text: str | None


class StimulatedTest(msgspec.Struct):
    """One test: its grid (null: on demand), stimuli fired and left out, why the last one was, and the current
    of the next step, if its currents ascend."""

    rate_hz: float | None
    period_samples: int | None
    fired: int
    left_out: int
    last_reason: str | None
    next_step_ma: float | None


class StimulatedLine(msgspec.Struct):
    """What a trigger line has had in this case."""

    line: int
    pulses: int
    charge_uc: float
    energy_mj: float


class Stimulation(msgspec.Struct):
    """The arbiter: `locks` are reasons why nothing fires now, `window_of` the test whose stimulus or window
    keeps others off, `armed_s` how much longer a test stays armed. `electrodes_checked_s`: how long ago.
    `lag_samples`: how many pulses came back how late; `never_seen`: how many did not."""

    locks: list[str]
    window_of: str | None
    armed_s: dict[str, float]
    electrodes_checked_s: float | None
    tests: dict[str, StimulatedTest]
    lines: list[StimulatedLine]
    lag_samples: dict[str, int]
    never_seen: int


class MainsOfTest(msgspec.Struct):
    """What 64 sweeps at a test's rate leave of mains: percent of each harmonic (1 to 5, as many as the
    sampling rate carries) at the frequency measured, the worst one within its error, and a better rate."""

    rate_hz: float
    period_samples: int
    left_pct: list[float]
    worst_pct: float
    locked: bool
    best_rate_hz: float
    best_period_samples: int
    text: str


class Mains(Header, kw_only=True):
    """Every 10 s, and when the frequency has moved: mains as the samples show it, null when they do not.

    `phase_cycles` of the fundamental at `index`; `amplitude_uv` of harmonics 1 to 5.
    """

    hz: float | None
    hz_sd: float | None
    nominal_hz: float | None
    amplitude_uv: list[float]
    phase_cycles: float | None
    tests: dict[str, MainsOfTest]


class Alert(Header, kw_only=True):
    """On change. `kind`: `stimulus` (a fault at the edge, everything was stopped), `delivery` (a current
    that is not what was commanded) or `storage` (the recording's disk is slow or fails, `test` empty). The
    first cause stands until it is shown to be well again."""

    id: str
    test: str
    kind: str
    priority: Literal["high", "medium", "low", "info"]
    state: Literal["raised", "confirmed", "acknowledged", "cleared"]
    cause: Literal["focal", "systemic", "technical", "peripheral", "unknown"]
    likelihood: dict[str, float]
    text: str
    evidence: dict[str, Any]
