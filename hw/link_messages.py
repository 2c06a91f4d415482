"""The link's messages, declared once: what edge and host say to each other. Values only.

Fields are annotated with the types of `hw.link_fields`, from which both ends, the handshake's table hash and
the documentation come. Framing is `hw.link`'s, which is where users of a message get it from.
"""

from dataclasses import dataclass
from typing import ClassVar

from hw.link_fields import F64, I64, U8, U16, U32, U64, Blob, Floats, Gaps, Text, Texts
from hw.link_update import UpdateMessage

NOT_SEEN = (1 << 64) - 1
ALL_PLANS = 0xFFFF
LEADS_NOBODY, LEADS_EDGE, LEADS_HOST_SHARED, LEADS_HOST_OWN = range(4)
"""Who measures leads: nobody (a recording), the edge, the host by `Excite`; there with one electrode on all
negative inputs, or with one on each."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of both ends. `table` is the hash of the message table, `boot` names this start."""

    CODE: ClassVar[int] = 1
    version: U16
    table: U32
    boot: U64
    role: Text


@dataclass(frozen=True, slots=True)
class Configure:
    """Host: what to acquire. `lines` names what each output line drives; `monitors` the channels of a
    stimulator's current and voltage monitor ("" for none), `monitor_scales` mA and V per mV; the rest maps a
    recording's signals (`labels` per channel; "" for none; `annotations` as TEXT=LINE; `threshold` NaN for
    none)."""

    CODE: ClassVar[int] = 2
    rate_hz: F64
    gain: U8
    channels: Texts
    lines: Texts
    labels: Texts
    trigger_channel: Text
    threshold: F64
    annotations: Texts
    monitors: Texts = ()
    monitor_scales: Floats = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Edge: what it will deliver. Microvolts = counts * lsb_uv + offset_uv; row k of a sweep lies
    (k + latency_offset_samples) / rate_hz after its stimulus. `lines` output lines (0: cannot stimulate).
    `leads`: who measures them (LEADS_...); when the host does, `parts` are the converters in order."""

    CODE: ClassVar[int] = 3
    source: Text
    rate_hz: F64
    channels: Texts
    lsb_uv: Floats
    offset_uv: Floats
    latency_offset_samples: F64
    lines: U8
    leads: U8 = LEADS_EDGE
    parts: Texts = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Host: begin, or go on, sending blocks."""

    CODE: ClassVar[int] = 4
    command: U32


@dataclass(frozen=True, slots=True)
class Block:
    """Edge: contiguous samples. `samples` 24-bit big-endian as the converter sends them, (time, channel);
    `bits` one byte per sample; `gaps` lie before the first sample."""

    CODE: ClassVar[int] = 5
    first_index: U64
    t_ns: I64
    channels: U8
    samples: Blob
    bits: Blob
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class Rows:
    """Edge that does not decode: a Block as converters sent it. `rows`: of each of `chips` converters in turn
    the frames of these samples, `frame_bytes` each, status word first; the first `channels` are meant."""

    CODE: ClassVar[int] = 26
    first_index: U64
    t_ns: I64
    channels: U8
    chips: U8
    frame_bytes: U8
    rows: Blob
    gaps: Gaps


@dataclass(frozen=True, slots=True)
class StimPlan:
    """Host: stimulate at every sample index that is `phase` modulo `period`, `count` times (0: no end).
    Replaces the plan of the same number, which must be armed. Plans of one period and different phases
    interleave whenever they were started. `period` 0: once, as soon as nothing is in the way.

    One stimulus is `trains` (1 or 2) of `pulses`, `interval` samples apart, the second train `gap` samples
    after the last pulse of the first; `line` (from 1) is high for `hold` samples each. Every second stimulus
    goes to line `alternate` (0: none): the other polarity. No other plan fires until `guard` samples after
    the last pulse. `kind` (see hw.limits), `current_ua` and `width_us` of a pulse, `area_cm2` of the
    electrode (0: not known) are what the limits are held against."""

    CODE: ClassVar[int] = 6
    command: U32
    plan: U16
    line: U8
    period: U32
    phase: U32
    hold: U16
    count: U32
    alternate: U8 = 0
    pulses: U16 = 1
    interval: U32 = 0
    trains: U8 = 1
    gap: U32 = 0
    guard: U32 = 0
    kind: U8 = 0
    current_ua: U32 = 0
    width_us: U32 = 0
    area_cm2: F64 = 0.0


@dataclass(frozen=True, slots=True)
class StimStop:
    """Host: end a plan (or ALL_PLANS), disarm it and take its line low."""

    CODE: ClassVar[int] = 7
    command: U32
    plan: U16


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Edge: one pulse and its proof: commanded at one sample, seen in the status word of another (NOT_SEEN
    when it never came back). `number` counts the plan's stimuli, `pulse` those of this one, from 1."""

    CODE: ClassVar[int] = 8
    plan: U16
    command: U32
    number: U32
    line: U8
    commanded: U64
    seen: U64
    pulse: U16 = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """Edge: the answer to a command; `refusal` is empty when it was accepted."""

    CODE: ClassVar[int] = 9
    command: U32
    refusal: Text


@dataclass(frozen=True, slots=True)
class Fault:
    """Edge: something is wrong; outputs are low. `fatal` ends acquisition. `index` and `line` (0: none) where
    it was, as far as it is about a stimulus."""

    CODE: ClassVar[int] = 10
    code: Text
    text: Text
    fatal: U8
    index: U64 = NOT_SEEN
    line: U8 = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """Edge: the source has no more samples; `index` follows the last one."""

    CODE: ClassVar[int] = 11
    index: U64


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Host: I am alive. Silence for 0.2 s ends all stimulation (hw.limits); acquisition goes on."""

    CODE: ClassVar[int] = 12
    t_ns: I64


@dataclass(frozen=True, slots=True)
class Timebase:
    """Edge: when the data-ready edge of `index` fell on the edge's monotonic clock, by regression over all
    edges, `refused` late ones left out; sample time is earlier by the filter's delay. `ns_per_sample` is the
    period now, `ppm` how far the clock was fast of nominal over half a minute, `wander_ppm` its spread."""

    CODE: ClassVar[int] = 13
    index: U64
    t_ns: I64
    ns_per_sample: F64
    ppm: F64
    wander_ppm: F64
    residual_ns: F64
    refused: U32
    settled: U8


@dataclass(frozen=True, slots=True)
class ImpedanceStart:
    """Host: measure electrode impedances in the running stream, with `current_na` of square wave at
    `frequency_hz` (0: the part's usual one). `sides` 1: positive inputs, 2: negative, 3: both, 0: those that
    have an electrode of their own. `phantom`: no person is connected, larger currents are allowed."""

    CODE: ClassVar[int] = 14
    command: U32
    current_na: U32
    frequency_hz: F64
    sides: U8
    phantom: U8


@dataclass(frozen=True, slots=True)
class ImpedanceStop:
    """Host: end the measurement under way; its currents end first."""

    CODE: ClassVar[int] = 15
    command: U32


@dataclass(frozen=True, slots=True)
class LeadWatch:
    """Host: watch for leads that come off, by a direct current of `current_na` (0: no longer). It shifts
    electrodes, and 6 nA tells true opens only; railed channels are told without it."""

    CODE: ClassVar[int] = 16
    command: U32
    current_na: U32


@dataclass(frozen=True, slots=True)
class Excited:
    """Edge: an impedance current flows in samples from `first_index` until before `end_index` (NOT_SEEN: it
    still does). What is measured of a body there holds the current's tone."""

    CODE: ClassVar[int] = 17
    command: U32
    first_index: U64
    end_index: U64


@dataclass(frozen=True, slots=True)
class Impedance:
    """Edge: the end of a measurement. Per lead ("CP3+", "CP3-"): ohms without the board's resistor, their
    interval, phase, how far the phase moved while measured (NaN: not measured), and a note: why not, or how
    far to be trusted. `board`: the one whose calibration was used, "" for none."""

    CODE: ClassVar[int] = 18
    command: U32
    first_index: U64
    end_index: U64
    frequency_hz: F64
    current_na: U32
    board: Text
    leads: Texts
    ohm: Floats
    low_ohm: Floats
    high_ohm: Floats
    phase_deg: Floats
    drift_deg: Floats
    notes: Texts


@dataclass(frozen=True, slots=True)
class Leads:
    """Edge, on change: one bit per channel, as of `index`: electrodes that comparators see off (`watched`:
    they are on), and channels that stand at a rail or at one code."""

    CODE: ClassVar[int] = 19
    index: U64
    off_p: U32
    off_n: U32
    railed: U32
    watched: U8


@dataclass(frozen=True, slots=True)
class StimArm:
    """Host: plan number `plan` may be started within the next `samples`. What fires stays armed for as long
    again; stopping and every fault disarm. Nothing is armed at the start."""

    CODE: ClassVar[int] = 20
    command: U32
    plan: U16
    samples: U32


@dataclass(frozen=True, slots=True)
class StimLimits:
    """Host: tighter limits of this case for one kind of stimulation, `figures` in the order of hw.limits.
    They hold until the edge ends; nothing loosens them."""

    CODE: ClassVar[int] = 21
    command: U32
    kind: U8
    figures: Floats


@dataclass(frozen=True, slots=True)
class Lockout:
    """Host: for `reason` (a bit of LOCK_REASONS) nothing may fire, from now on or (`on` 0) no longer."""

    CODE: ClassVar[int] = 22
    command: U32
    reason: U8
    on: U8


@dataclass(frozen=True, slots=True)
class Unfired:
    """Edge: a stimulus that was due at `index`, or asked for, did not fire or not whole; the grid goes on.
    `other` is the plan that was in the way, or ALL_PLANS."""

    CODE: ClassVar[int] = 23
    plan: U16
    command: U32
    index: U64
    other: U16
    reason: Text


@dataclass(frozen=True, slots=True)
class StimState:
    """Edge, on change: what the arbiter holds as of `index`: reasons that lock (bits of LOCK_REASONS), the
    plan whose stimulus or window lasts until before `until` (ALL_PLANS: none); per plan `plans` with `fired`
    and `unfired` stimuli; plans `armed` and until which index; per line, from 1, its `pulses`, `charge_uc`
    and `energy_mj` of the case."""

    CODE: ClassVar[int] = 24
    index: U64
    locks: U8
    owner: U16
    until: U64
    plans: Floats
    fired: Floats
    unfired: Floats
    armed: Floats
    armed_until: Floats
    pulses: Floats
    charge_uc: Floats
    energy_mj: Floats


@dataclass(frozen=True, slots=True)
class Excite:
    """Host: let `current_na` of square wave at `frequency_hz` (0: the part's usual one) flow through the
    leads of `sense_p` and `sense_n`, one bit per channel, until told otherwise, or the host is silent or
    gone; 0: no current, registers as they were. Answered when that is so. `phantom` as in ImpedanceStart."""

    CODE: ClassVar[int] = 25
    command: U32
    current_na: U32
    frequency_hz: F64
    sense_p: U32
    sense_n: U32
    phantom: U8


LOCK_IMPEDANCE, LOCK_ELECTROSURGERY, LOCK_HOST = 1, 2, 4
LOCK_REASONS = {
    LOCK_IMPEDANCE: "impedance is being measured",
    LOCK_ELECTROSURGERY: "electrosurgery is on",
    LOCK_HOST: "the host has locked stimulation",
}

Message = (
    Hello
    | Configure
    | Description
    | Start
    | Block
    | StimPlan
    | StimStop
    | Stimulus
    | Reply
    | Fault
    | Ended
    | Heartbeat
    | Timebase
    | ImpedanceStart
    | ImpedanceStop
    | LeadWatch
    | Excited
    | Impedance
    | Leads
    | StimArm
    | StimLimits
    | Lockout
    | Unfired
    | StimState
    | Excite
    | Rows
    | UpdateMessage
)
