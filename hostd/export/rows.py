"""The tables of `case.sqlite` as typed rows, one class a table.

What a database does not hold (a column of a later version) has a default here; columns of a later version
than this one are passed over. Values of another kind are refused where they are read.
"""

import msgspec


class Stimulus(msgspec.Struct):
    """One pulse: `seen` -1 when its edge never came back."""

    plan: int
    command: int
    number: int
    line: int
    commanded: int
    seen: int
    pulse: int = 1


class Gap(msgspec.Struct):
    """`length` samples from `sample` on never arrived."""

    sample: int
    length: int
    reason: str


class Event(msgspec.Struct):
    """What somebody or something said happened."""

    sample: int
    kind: str
    author: str
    text: str


class Average(msgspec.Struct):
    """A finished average, a baseline or the last average of a test, see `averages`."""

    test: str
    role: str
    sample: int
    header: str
    mean_uv: bytes


class Peak(msgspec.Struct):
    """One peak of one `measure` message; None where nothing can be said."""

    sample: int
    peak: str
    derivation: str
    present: int
    latency_ms: float | None
    latency_low_ms: float | None
    latency_high_ms: float | None
    amplitude_uv: float | None
    amplitude_low_uv: float | None
    amplitude_high_uv: float | None
    change_pct: float | None


class Alert(msgspec.Struct):
    """One change of an alert's state."""

    id: str
    sample: int
    test: str
    kind: str
    priority: str
    state: str
    text: str
    evidence: str


class Reading(msgspec.Struct):
    """A message kept whole: answers to single stimuli, trains of four, muscles, EEG."""

    topic: str
    sample: int
    text: str
    header: str


class Command(msgspec.Struct):
    """A command carried out before `sample`."""

    n: int
    sample: int
    name: str
    args: str


TABLES: dict[type[msgspec.Struct], str] = {
    Stimulus: "stimuli",
    Gap: "gaps",
    Event: "events",
    Average: "averages",
    Peak: "measurements",
    Alert: "alerts",
    Reading: "readings",
    Command: "commands",
}
