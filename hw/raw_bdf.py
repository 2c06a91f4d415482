"""What makes a BDF+ file one of ours: file names, header subfields, signal names, filler, the text of gaps.

Owns the conventions that the recorder writes and the reader reads back. Refuses to interpret foreign files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import cast, get_args

import numpy as np

from hw.bdf import Signal
from hw.samples import Gap, GapReason

RAW_NAME = "raw.bdf"
"""The first segment of a recording; the others are `segment_name`'s."""
TRIGGER_LABEL = "Trigger"
ANNOTATION_LABEL = "BDF Annotations"
RESERVED = "BDF+C"
COUNT_MIN = -(2**23)
COUNT_MAX = 2**23 - 1
FILLER_COUNTS = COUNT_MIN
"""Stands in every channel where samples were lost; only the gap annotation tells it from saturation."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FURTHER = re.compile(r"raw-([0-9]{4,8})\.bdf")
_OURS = re.compile(r"Startdate \S+ X X evokd offset=(\S+) first=([0-9]{1,18})(?: .*)?")
_GAP = re.compile(rf"gap ({'|'.join(get_args(GapReason))}) ([0-9]{{1,18}}) at ([0-9]{{1,18}})")


def segment_name(number: int) -> str:
    """The file name of a recording's segment: raw.bdf, raw-0002.bdf, ..."""
    return RAW_NAME if number == 1 else f"raw-{number:04d}.bdf"


def segment_number(name: str) -> int | None:
    """Which segment has this file name, counted from 1; None for other files."""
    match = _FURTHER.fullmatch(name)
    number = 1 if match is None else int(match[1])
    return number if segment_name(number) == name else None


def segments_of(name: str, beside: Iterable[str]) -> tuple[str, ...]:
    """The files of the recording `name` among those `beside` it, in order: all segments where it is the first
    of them, whether that one is still there or not; `name` alone where it is another file."""
    if name != RAW_NAME:
        return (name,)
    found = sorted((number, other) for other in beside if (number := segment_number(other)) is not None)
    return tuple(other for _, other in found) or (name,)


@dataclass(frozen=True, slots=True)
class Origin:
    """Sample index of the file's first sample, and how late its trigger bits lie, in samples."""

    first_index: int = 0
    latency_offset_samples: float = 0.0


def edf_date(day: date) -> str:
    """A day as EDF+ writes it: 02-AUG-1951."""
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year}"


def recording_field(start: datetime, origin: Origin) -> str:
    """The header's recording field, at most 80 characters. Raises ValueError where that cannot be."""
    text = (
        f"Startdate {edf_date(start)} X X evokd "
        f"offset={origin.latency_offset_samples!r} first={origin.first_index}"
    )
    if not np.isfinite(origin.latency_offset_samples):
        raise ValueError(f"latency offset {origin.latency_offset_samples!r} is not a number of samples")
    if len(text) > 80:
        raise ValueError(f"recording field {text!r} is longer than 80 characters")
    return text


def parse_recording_field(text: str) -> Origin | None:
    """The origin in a recording field, None for a foreign file."""
    match = _OURS.fullmatch(text)
    if match is None:
        return None
    try:
        offset = float(match[1])
    except ValueError:
        return None
    return Origin(int(match[2]), offset) if np.isfinite(offset) else None


def gap_text(gap: Gap) -> str:
    """The annotation text of `gap`; its integers stand in the text because an onset in seconds is inexact."""
    return f"gap {gap.reason} {gap.length} at {gap.index}"


def parse_gap(text: str) -> Gap | None:
    """The gap in an annotation's text, None when it is something else."""
    match = _GAP.fullmatch(text)
    if match is None or int(match[2]) == 0:
        return None
    return Gap(int(match[3]), int(match[2]), cast("GapReason", match[1]))


def note_text(text: str, max_bytes: int) -> str:
    """`text` fit for an annotation: one line, at most `max_bytes` of UTF-8, never mistaken for a gap."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if parse_gap(line):
        line = f"note {line}"
    raw = line.encode("utf-8", "replace")
    if len(raw) > max_bytes:
        line = raw[: max_bytes - 3].decode("utf-8", "ignore") + "\N{HORIZONTAL ELLIPSIS}"
    return line or "note"


def trigger_signal(samples_per_record: int) -> Signal:
    """The signal of trigger bits: physical equals digital."""
    return Signal(TRIGGER_LABEL, "", COUNT_MIN, COUNT_MAX, COUNT_MIN, COUNT_MAX, samples_per_record)


def annotation_signal(samples_per_record: int) -> Signal:
    """The annotation signal; its limits are the ones that the standard prescribes."""
    return Signal(ANNOTATION_LABEL, "", -1.0, 1.0, COUNT_MIN, COUNT_MAX, samples_per_record)
