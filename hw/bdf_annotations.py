"""Time-stamped annotation lists (TALs) of EDF+ and BDF+ as pure bytes <-> objects.

Owns the bytes of an annotation signal, the time-keeping list of each record included. Refuses to guess:
bytes that are no list raise ValueError. Source: EDF+ specification, section 2.2.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TAL = re.compile(
    rb"([+-][0-9]{1,9}(?:\.[0-9]{0,20})?)(?:\x15([0-9]{1,9}(?:\.[0-9]{0,20})?))?\x14((?:[^\x14\x00]*\x14)+)",
    re.DOTALL,
)
# EDFlib, the reader behind EDFbrowser and pyedflib, resolves 100 ns.
_DECIMALS = 7
_GREATEST_S = 999_999_999.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """`text` at `onset_s` seconds after the header's start time; `duration_s` None when it has none."""

    onset_s: float
    duration_s: float | None
    text: str


def encode_timekeeping(onset_s: float) -> bytes:
    """The empty list that opens every record and says when it begins, to 100 ns."""
    return b"%s\x14\x14\x00" % _seconds(onset_s, sign=True)


def encode_tal(annotation: Annotation) -> bytes:
    """One annotation as a list of its own, times to 100 ns. Raises ValueError for text that breaks a list."""
    if not annotation.text or re.search("[\x00\x14\x15]", annotation.text):
        raise ValueError(f"annotation text {annotation.text!r} is empty or holds a control character")
    parts = [_seconds(annotation.onset_s, sign=True)]
    if annotation.duration_s is not None:
        if annotation.duration_s < 0:
            raise ValueError(f"annotation {annotation.text!r} has a negative duration")
        parts.append(b"\x15" + _seconds(annotation.duration_s, sign=False))
    return b"%s\x14%s\x14\x00" % (b"".join(parts), annotation.text.encode())


def encode_tals(onset_s: float, annotations: Sequence[Annotation], n_bytes: int) -> bytes:
    """A record's whole annotation signal: time-keeping, `annotations`, zeros up to `n_bytes`.

    Raises ValueError when they do not fit.
    """
    data = encode_timekeeping(onset_s) + b"".join(encode_tal(a) for a in annotations)
    if len(data) > n_bytes:
        raise ValueError(f"{len(annotations)} annotations need {len(data)} bytes, a record has {n_bytes}")
    return data.ljust(n_bytes, b"\0")


def decode_tals(data: bytes) -> tuple[float | None, tuple[Annotation, ...]]:
    """The time-keeping onset (None when `data` has none) and the annotations of one record.

    Raises ValueError for bytes that are no list.
    """
    keeping: float | None = None
    found: list[Annotation] = []
    for k, chunk in enumerate(part for part in data.split(b"\0") if part):
        match = _TAL.fullmatch(chunk)
        if match is None:
            raise ValueError(f"not a time-stamped annotation: {chunk[:40]!r}")
        onset_s, texts = float(match[1]), match[3][:-1].split(b"\x14")
        if k == 0 and not texts[0]:
            keeping, texts = onset_s, texts[1:]
        duration_s = None if match[2] is None else float(match[2])
        found += [Annotation(onset_s, duration_s, t.decode("utf-8", "replace")) for t in texts if t]
    return keeping, tuple(found)


def _seconds(value: float, *, sign: bool) -> bytes:
    if not abs(value) < _GREATEST_S:
        raise ValueError(f"annotation time {value!r} s does not fit nine digits")
    text = f"{value:+.{_DECIMALS}f}" if sign else f"{value:.{_DECIMALS}f}"
    return text.rstrip("0").rstrip(".").encode()
