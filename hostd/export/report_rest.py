"""What a report says beside its tests: events, stimulation, electrodes, gaps."""

from collections import defaultdict
from collections.abc import Iterator

from hostd.export import stimuli
from hostd.export.axes import time_of
from hostd.export.document import Block, Heading, Paragraph, Table
from hostd.export.record import Record
from hostd.export.rows import Event, Gap

MOST_ROWS = 400


def moment(record: Record, sample: int) -> str:
    """A sample's time: elapsed, and by the clock in UTC."""
    utc = record.utc(sample)
    return f"{time_of(record.seconds(sample))}{f' ({utc:%H:%M:%S})' if utc else ''}"


def events(record: Record) -> Iterator[Block]:
    """What was marked, in the order of samples."""
    found = sorted(record.each(Event), key=lambda e: e.sample)
    if not found:
        return
    yield Heading("Events")
    rows = [(moment(record, e.sample), e.kind, e.author, e.text) for e in found[:MOST_ROWS]]
    yield Table(("When", "Kind", "Author", "Text"), tuple(rows), (22, 14, 12, 52), "llll")
    yield from _more(len(found))


def stimulation(record: Record, tests: tuple[str, ...]) -> Iterator[Block]:
    """Pulses per test: how many, how many were never seen, the greatest current, the lag."""
    by_test: dict[str, list[stimuli.Pulse]] = defaultdict(list)
    for pulse in stimuli.pulses(record):
        if pulse.test is None or pulse.test in tests:
            by_test[pulse.test or "unknown"].append(pulse)
    yield Heading("Stimulation")
    if not by_test:
        yield Paragraph("No pulse was commanded.", "quiet")
        return
    volts = {plan.name: plan.stimulus.volts for plan in record.case.tests}
    rows, tones = [], []
    for test, found in by_test.items():
        lags = sorted({p.lag for p in found if p.lag is not None})
        lost = sum(not p.verified for p in found)
        line = ", ".join(map(str, sorted({p.line for p in found})))
        lag = "" if not lags else str(lags[0]) if len(lags) == 1 else f"{lags[0]} to {lags[-1]}"
        rows.append((test, line, f"{len(found):,}", str(lost), _strength(volts.get(test), found), lag))
        tones.append("bad" if lost else "plain")
    columns = ("Test", "Line", "Pulses", "Never seen", "Greatest strength", "Lag, samples")
    yield Table(columns, tuple(rows), (22, 9, 13, 13, 28, 15), "lrrrlr", tuple(tones))


def _strength(volts: float | None, found: list[stimuli.Pulse]) -> str:
    if volts is not None:
        return f"{volts:g} V"
    known = [p.current_ma for p in found if p.current_known and p.current_ma is not None]
    assumed = [p.current_ma for p in found if not p.current_known and p.current_ma is not None]
    if known:
        return f"{max(known):g} mA"
    return f"not stated (limit {max(assumed):g} mA)" if assumed else "not stated"


def impedances(record: Record) -> Iterator[Block]:
    """The electrodes as they were measured last."""
    found = list(stimuli.impedances(record))
    yield Heading("Electrodes")
    if not found:
        yield Paragraph("Impedance was not measured.", "quiet")
        return
    last = found[-1]
    yield Paragraph(
        f"{len(found)} measured; the last at {moment(record, last.sample)}, {last.current_na} nA at "
        f"{last.frequency_hz:g} Hz.",
        "quiet",
    )
    rows = [
        (lead.lead, _kohm(lead.ohm), f"{_kohm(lead.low_ohm)} to {_kohm(lead.high_ohm)}", lead.note)
        for lead in last.leads
    ]
    yield Table(
        ("Lead", "k\N{GREEK CAPITAL LETTER OMEGA}", "95 %", "Note"), tuple(rows), (16, 14, 24, 46), "lrrl"
    )


def _kohm(ohm: float | None) -> str:
    return "" if ohm is None else f"{ohm / 1e3:.2f}"


def gaps(record: Record, recorded: int | None, fault: str) -> Iterator[Block]:
    """Samples recorded and lost."""
    found = record.rows(Gap)
    lost = sum(gap.length for gap in found)
    yield Heading("Samples")
    if recorded is None:
        yield Paragraph(f"No raw samples: {fault}.", "bad")
    else:
        share = f" ({100 * lost / recorded:.3g} %)" if recorded and lost else ""
        yield Paragraph(
            f"{recorded:,} samples recorded ({time_of(record.seconds(recorded))}); {lost:,} lost{share} in "
            f"{len(found)} gaps.",
            "warn" if lost else "good",
        )
    if found:
        rows = [(moment(record, g.sample), f"{g.length:,}", g.reason) for g in found[:MOST_ROWS]]
        yield Table(("When", "Samples", "Reason"), tuple(rows), (30, 20, 50), "lrl")
        yield from _more(len(found))


def _more(n: int) -> Iterator[Block]:
    if n > MOST_ROWS:
        yield Paragraph(f"and {n - MOST_ROWS:,} more; evokd export --to csv has them all.", "quiet")
