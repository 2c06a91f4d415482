"""The header of raw.bdf: which signals a recording has and what its text fields say.

Owns the layout alone. Refuses names, rates and scales that a BDF header cannot hold: one ValueError line.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hw.bdf import Header, Signal
from hw.bdf_limits import choose_limits, choose_record
from hw.raw_bdf import RESERVED, Origin, annotation_signal, recording_field, trigger_signal

# Room for the time-keeping list, one gap and one longest note; what does not fit waits for the next record.
ANNOTATION_SAMPLES = 100
ANNOTATION_BYTES = 3 * ANNOTATION_SAMPLES


def raw_header(start_utc: datetime, case_id: str, signals: tuple[Signal, ...], rate_hz: float) -> Header:
    """The header of a recording that has just begun; sample index and latency offset are still 0.

    `start_utc` must be aware; its fraction of a second is left to the record's time-keeping. Raises
    ValueError for a naive time or a rate that no record can hold.
    """
    if start_utc.tzinfo is None:
        raise ValueError(f"start {start_utc} has no time zone")
    start = start_utc.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    # The first four subfields of the patient field are fixed by EDF+; what identifies a patient stays out.
    return Header(
        bytes_per_sample=3,
        patient=f"X X X X {case_id.replace(' ', '_')}",
        recording=recording_field(start, Origin()),
        start=start,
        reserved=RESERVED,
        n_records=-1,
        record_duration_s=choose_record(rate_hz)[1],
        signals=signals,
    )


def segment_header(
    first: Header, first_start_utc: datetime, later_s: float, origin: Origin
) -> tuple[Header, float]:
    """The header of a segment that begins `later_s` after the `first` one, and the fraction of a second at
    which its first record begins; `first_start_utc` is the exact start of the first."""
    exact = first_start_utc.astimezone(UTC) + timedelta(seconds=later_s)
    start = exact.replace(microsecond=0, tzinfo=None)
    header = replace(first, start=start, recording=recording_field(start, origin))
    return header, exact.microsecond / 1e6


def raw_signals(
    channels: Sequence[str], rate_hz: float, lsb_uv: Sequence[float], offset_uv: Sequence[float], gain: str
) -> tuple[Signal, ...]:
    """The channels' signals in uV, then the trigger bits, then the annotations.

    Raises ValueError for a name that is empty, taken or given twice, and for a scale that does not fit.
    """
    if not channels or not len(channels) == len(lsb_uv) == len(offset_uv):
        raise ValueError(f"{len(channels)} channels with {len(lsb_uv)} scales and {len(offset_uv)} offsets")
    n_samples, _ = choose_record(rate_hz)
    tail = (trigger_signal(n_samples), annotation_signal(ANNOTATION_SAMPLES))
    labels = [*channels, *(signal.label for signal in tail)]
    for label in labels:
        if labels.count(label) > 1 or not label.strip():
            raise ValueError(f"channel name {label!r} is empty, given twice, or taken by the recording")
    scales = zip(channels, lsb_uv, offset_uv, strict=True)
    return (
        *(Signal(name, "uV", *choose_limits(lsb, offset), n_samples, gain) for name, lsb, offset in scales),
        *tail,
    )
