"""Pulses and electrode measurements of a case, each with the test, current or lead that it belongs to.

Joins what is on file: a pulse to the plan that its command sent, an impedance to its leads. Adds nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from hostd.export.record import Record
from hostd.export.rows import Command, Stimulus


class Plan(msgspec.Struct):
    """What `stim.plan` said of the stimuli of one command."""

    test: str
    command: int
    current_ma: float | None = None
    width_us: float | None = None
    known: bool = False
    control: bool = False


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse. `sample` is where its edge came back, else where it was commanded; `lag` in samples, None
    where it never came back. `current_ma` was assumed, at the worst allowed, unless `current_known`."""

    test: str | None
    line: int
    command: int
    number: int
    pulse: int
    sample: int
    commanded: int
    lag: int | None
    current_ma: float | None
    current_known: bool
    control: bool

    @property
    def verified(self) -> bool:
        """Its edge came back in the samples."""
        return self.lag is not None


class Lead(msgspec.Struct):
    """One electrode of a measurement."""

    lead: str
    ohm: float | None = None
    low_ohm: float | None = None
    high_ohm: float | None = None
    note: str = ""


class Impedances(msgspec.Struct):
    """One measurement of electrodes, told at `sample`."""

    frequency_hz: float
    current_na: int
    leads: list[Lead]
    sample: int = 0


def pulses(record: Record) -> Iterator[Pulse]:
    """Every pulse that was proven or never came back, in the order of writing; raises RecordingError."""
    lines: dict[int, str] = {}
    for test in record.case.tests:
        lines[test.line] = test.name
        if test.stimulus.alternate_line:
            lines[test.stimulus.alternate_line] = test.name
    plans = {
        plan.command: plan
        for c in record.each(Command, "name = 'stim.plan'")
        for plan in [record.json_as(c.args, "table commands, stim.plan", Plan)]
    }
    for s in record.each(Stimulus):
        plan = plans.get(s.command)
        seen = s.seen >= 0
        yield Pulse(
            plan.test if plan else lines.get(s.line),
            s.line,
            s.command,
            s.number,
            s.pulse,
            s.seen if seen else s.commanded,
            s.commanded,
            s.seen - s.commanded if seen else None,
            plan.current_ma if plan else None,
            bool(plan and plan.known),
            bool(plan and plan.control),
        )


def impedances(record: Record) -> Iterator[Impedances]:
    """Every finished measurement of electrodes; raises RecordingError."""
    for command in record.each(Command, "name = 'impedance.result'"):
        told = record.json_as(command.args, "table commands, impedance.result", Impedances)
        told.sample = command.sample
        yield told
