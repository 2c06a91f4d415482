"""What the bus says of alerts: the alert with its evidence, the response ledger, the alarm's signals."""

from typing import Any, Literal

import msgspec

from hostd.schema_header import Header

Priority = Literal["high", "medium", "low", "info"]
AlertState = Literal["raised", "confirmed", "acknowledged", "cleared"]
Cause = Literal["focal", "systemic", "technical", "peripheral", "unknown"]


class Alert(Header, kw_only=True):
    """On change. `kind`: `change` (a response beyond its own variability; `evidence` is a `ChangeEvidence`),
    `drift` (slow, low priority), `emg` (A-trains that last), `threshold` (of a screw or a
    tract, in a dangerous band), `eeg` (a hemisphere without blood), `noise` and
    `yield` (electrodes, sweeps that are no good), `stimulus` (a fault at the edge, everything was stopped),
    `delivery` (a current that is not what was commanded), `storage` (the recording's disk is slow or fails),
    `link` (a display that wants to be missed has fallen silent, `hello` with `watch_s`), `plugs` (plugs that
    are exchanged, see `plugs.TEST`); the last three are of no test.

    The first cause stands (`first_cause`, `first_index`) until it is shown to be well again; of `change` and
    `drift` what is known better is told anew under the same `id`. `likelihood` of every cause; `cause` is
    "unknown" where none reaches 60 %. Priorities: high, a confirmed loss that nothing explains, or a stimulus
    fault; medium, not confirmed yet, or explained; low, drift and noise. What explains never suppresses. Of a
    latching alert whose cause has gone, `evidence.ended_index` says since when.
    """

    id: str
    test: str
    kind: str
    priority: Priority
    state: AlertState
    cause: Cause
    likelihood: dict[str, float]
    text: str
    evidence: dict[str, Any]


class Fallen(msgspec.Struct):
    """A response that has changed: its ratio to the level before, with 95 % (null: too few sweeps), how many
    `replicates` came after the suspicion, and what it is of the first baseline (`baseline_version`)."""

    name: str
    ratio: float | None
    ratio_ci: list[float] | None
    absent: bool | None
    sweeps: int
    replicates: int
    confirmed: bool
    of_first_baseline: float
    baseline_version: int


class SiteNow(msgspec.Struct):
    """Any response of the case since `since_index`, beside what it was before; `error` is that of the ratio,
    of its logarithm where `in_logs`. `control`: it proves arrival and lies before what is watched."""

    name: str
    tract: Literal["sensory", "motor"]
    limb: Literal["arm", "leg", "head"]
    side: str
    control: bool
    ratio: float
    error: float
    in_logs: bool
    absent: bool


class StimulusProof(msgspec.Struct):
    """What shows that the stimulus arrived: the artifact beside the usual one (null: none is clear), and the
    worst of what the samples and a monitor say of the delivery."""

    artifact_ratio: float | None
    delivery: str
    stimuli: int


class ConfounderNow(msgspec.Struct):
    """Something that has moved and explains: from what (null: not known) to what."""

    name: str
    text: str
    before: float | None
    now: float
    index: int


class ChangeEvidence(msgspec.Struct):
    """The evidence of an alert of kind `change`. `where`: place of the likeliest hypothesis ("both legs").
    `suspects`: technical causes that something speaks for. `legacy`: fixed rules that are met. `checklist`:
    what to do first. Not `watched`: the test has been stopped since."""

    rule: str
    index: int
    since_index: int
    responses: list[Fallen]
    sites: list[SiteNow]
    where: str
    stimulus: StimulusProof
    confounders: list[ConfounderNow]
    suspects: list[str]
    legacy: list[dict[str, Any]]
    checklist: list[str]
    watched: bool = True
    first_cause: str | None = None
    first_index: int | None = None
    acknowledged_by: str | None = None
    cleared_by: str | None = None
    ended_index: int | None = None


class LedgerNote(msgspec.Struct):
    """What somebody said was done."""

    step: Literal["told", "acted"]
    index: int
    author: str
    text: str


class Ledger(Header, kw_only=True):
    """When a step of an alert of kind `change` was taken: sample index of each (null: not yet), and seconds
    since the event in the patient. `told` and `acted` are noted by people (`alert.note`)."""

    alert: str
    test: str
    steps: dict[str, int | None]
    seconds: dict[str, float | None]
    notes: list[LedgerNote]
    author: str
    text: str


class OpenAlert(msgspec.Struct):
    """An alert that is open, as it was last told: who joins late has heard only the newest `alert` of all."""

    id: str
    test: str
    kind: str
    priority: Priority
    state: AlertState
    cause: Cause = "unknown"
    text: str = ""


class Alarms(Header, kw_only=True):
    """On change: the alarm's signals after IEC 60601-1-8. `audio` and `alarm` are on, paused (until a sample)
    or off; `flashing` and `sounding` are the priority that displays signal by, null for none. Acknowledged
    alerts are silent; all of `open` are to be shown whatever the signals do."""

    audio: Literal["on", "paused", "off"]
    audio_until: int | None
    alarm: Literal["on", "paused", "off"]
    alarm_until: int | None
    latching: bool
    flashing: Priority | None
    sounding: Priority | None
    open: list[OpenAlert]


class SetUpStep(msgspec.Struct):
    """One step of set-up: `impedance` ("measured", "not measured"), `plugs` of a test (the `state` of
    `plugs.TEST`), `baseline` of a test ("waiting", or its grade). `test` "" is of none."""

    step: Literal["impedance", "plugs", "baseline"]
    test: str
    state: str


class CaseNow(Header, kw_only=True):
    """On change: where the case stands. `setup` until a test runs, and while plugs of one without a baseline
    are being checked, `baseline` until all that run have one, `monitoring`, `critical` while somebody says so
    (`case.critical`), `alert` while one about the patient is open, `recovery` for two minutes after the last
    was cleared, `closed`. `waiting`: without a baseline. `steps`: what set-up wants, in order; none of them
    bars another."""

    phase: Literal["setup", "baseline", "monitoring", "critical", "alert", "recovery", "closed"]
    before: str
    critical: bool
    waiting: list[str]
    alerts: list[str]
    steps: list[SetUpStep]
    text: str


PlugVerdict = Literal["waiting", "ok", "reversed", "swapped sides", "wrong jack", "nothing", "unsure"]


class PlugFinding(msgspec.Struct):
    """One peak or muscle: the `derivation` where it should be, and where it was `found` (null: nowhere)."""

    response: str
    derivation: str
    found: str | None
    verdict: PlugVerdict
    text: str


class Plugs(Header, kw_only=True):
    """Whether a test's plugs are where they belong, by what its stimulus evokes and where: on change, from
    its first start or `plugs.check` until it is judged. `reversed`: upside down; `swapped sides`: on the
    other side; `wrong jack`: in place of another; `nothing`: found nowhere; `unsure`: not to be told.
    `sweeps`: of how many (trains, of muscles). The sign of muscles is not judged."""

    test: str
    state: PlugVerdict
    findings: list[PlugFinding]
    sweeps: int
    text: str
