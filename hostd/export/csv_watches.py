"""The CSV rows of readings: answers to single stimuli, trains of four, muscle activity, EEG trends."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hostd.export.record import Record
from hostd.export.rows import Reading
from hostd.export.table_file import said

Rows = Iterator[tuple[Any, ...]]
_When = tuple[int, float, datetime | None]
_WHEN = ("sample", "time_s", "utc")
_ANSWER = (
    *("area_uv_ms", "duration_ms", "turns", "phases", "noise_uv", "limit_uv"),
    *("clipped", "artifact", "state", "change_pct", "spread"),
)
RESPONSES = (
    "test",
    "derivation",
    *_WHEN,
    "number",
    "current_ma",
    "control",
    "accepted",
    "reason",
    "present",
    "onset_ms",
    "onset_low_ms",
    "onset_high_ms",
    "amplitude_uv",
    "amplitude_low_uv",
    "amplitude_high_uv",
    *_ANSWER,
    "text",
)
TRAINS_OF_FOUR = (
    "test",
    "muscle",
    *_WHEN,
    "count",
    "ratio",
    "ratio_low",
    "ratio_high",
    "share",
    "mep_allowed",
    "emg_allowed",
    "reason",
    "text",
)
_ACTIVITY = (
    *("kind", "train", "first_index", "end_index", "ongoing", "peak_to_peak_uv", "rms_uv", "noise_uv"),
    *("discharges", "rate_hz", "a_train_s", "muted_s"),
)
MUSCLES = ("test", "derivation", *_WHEN, *_ACTIVITY, "text")
EEG = ("test", "trend", "derivation", *_WHEN, "value", "low", "high")
_TRENDS = ("sef95_hz", "sef90_hz", "median_hz", "alpha_delta", "fast_slow")


def _told(record: Record, topics: str, tests: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any], _When]]:
    """Test, header and time of every reading of some topics."""
    for r in record.each(Reading, f"topic GLOB '{topics}'"):
        f = record.json(r.header, f"table readings, {r.topic}")
        test = r.topic.partition(".")[2] or str(f.get("test", ""))
        if test in tests:
            yield test, f | {"text": said(r.text)}, (r.sample, record.seconds(r.sample), record.utc(r.sample))


def _pair(value: Any) -> tuple[Any, Any]:
    """The ends of an interval; None where there is none."""
    return (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else (None, None)


def responses(record: Record, tests: tuple[str, ...]) -> Rows:
    """One row an answer of a derivation; one row of a stimulus that was not read."""
    for test, f, when in _told(record, "response.*", tests):
        about = [f.get(k) for k in ("number", "current_ma", "control", "accepted", "reason")]
        for one in f.get("responses") or [{}]:
            onset, amplitude = _pair(one.get("onset_ci_ms")), _pair(one.get("amplitude_ci_uv"))
            read = (one.get("present"), one.get("onset_ms"), *onset, one.get("amplitude_uv"), *amplitude)
            rest = (one.get(k) for k in _ANSWER)
            yield (test, one.get("name"), *when, *about, *read, *rest, f["text"])


def trains_of_four(record: Record, tests: tuple[str, ...]) -> Rows:
    """One row a train."""
    for test, f, when in _told(record, "tof", tests):
        rest = (f.get(k) for k in ("share", "mep_allowed", "emg_allowed", "reason", "text"))
        yield (test, f.get("muscle"), *when, f.get("count"), f.get("ratio"), *_pair(f.get("ratio_ci")), *rest)


def muscles(record: Record, tests: tuple[str, ...]) -> Rows:
    """One row an event of a muscle; a train comes again as it goes on."""
    for test, f, when in _told(record, "emg", tests):
        yield (test, f.get("derivation"), *when, *(f.get(k) for k in _ACTIVITY), f["text"])


def eeg(record: Record, tests: tuple[str, ...]) -> Rows:
    """One row a second, trend and derivation."""
    for test, f, when in _told(record, "eeg", tests):
        names = f.get("derivations") or []
        trends = {k: f.get(k) or [] for k in _TRENDS}
        trends |= {f"{band}_uv2": values for band, values in (f.get("bands_uv2") or {}).items()}
        if suppressed := f.get("suppression"):
            trends["suppression_pct"] = suppressed.get("ratio_pct") or []
        for trend, values in trends.items():
            for name, value in zip(names, values, strict=False):
                yield (test, trend, name, *when, *value)
