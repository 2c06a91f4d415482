"""The header of EDF, EDF+, BDF and BDF+ files as pure bytes <-> objects.

Owns the fixed-width ASCII fields and their checks. Refuses I/O, and refuses to guess: whatever is malformed
is one ValueError line naming the field. Source: EDF (Kemp 1992), EDF+ (Kemp and Olivan 2003), BDF (BioSemi).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

ANNOTATION_LABELS = ("EDF Annotations", "BDF Annotations")
N_RECORDS_OFFSET = 236
RECORDING_OFFSET = 88

_FIXED_BYTES = 256
_MAX_SIGNALS = 4096
_GREATEST = 1e15
_VERSIONS = {b"0       ": 2, b"\xffBIOSEMI": 3}
_INTEGER = re.compile(r"[+-]?[0-9]{1,8}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a data record: physical = physical_min + (digital - digital_min) x `scale`, in `unit`."""

    label: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    samples_per_record: int
    transducer: str = ""
    prefilter: str = ""

    @property
    def is_annotations(self) -> bool:
        """True for the signal whose bytes are time-stamped annotation lists."""
        return self.label in ANNOTATION_LABELS

    @property
    def scale(self) -> float:
        """Physical units per count."""
        return (self.physical_max - self.physical_min) / (self.digital_max - self.digital_min)

    @property
    def offset(self) -> float:
        """Physical value of count 0."""
        return self.physical_min - self.digital_min * self.scale


@dataclass(frozen=True, slots=True)
class Header:
    """A file header. `start` is naive (UTC in our files), whole seconds; `n_records` -1 while recording."""

    bytes_per_sample: int
    patient: str
    recording: str
    start: datetime
    reserved: str
    n_records: int
    record_duration_s: float
    signals: tuple[Signal, ...]

    @property
    def header_bytes(self) -> int:
        """Length of the header."""
        return _FIXED_BYTES * (len(self.signals) + 1)

    @property
    def record_bytes(self) -> int:
        """Length of one data record."""
        return self.bytes_per_sample * sum(s.samples_per_record for s in self.signals)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Byte offset of each signal within a data record."""
        lengths = [self.bytes_per_sample * s.samples_per_record for s in self.signals]
        return tuple(sum(lengths[:k]) for k in range(len(lengths)))

    @property
    def count_range(self) -> tuple[int, int]:
        """Least and greatest count that a sample can hold."""
        top: int = 2 ** (8 * self.bytes_per_sample - 1)
        return -top, top - 1


def format_number(value: float, width: int = 8) -> str:
    """`value` as plain decimal text that reads back as the same float.

    Raises ValueError when no such text has at most `width` characters.
    """
    if not np.isfinite(value):
        raise ValueError(f"{value!r} is not a number that a header can hold")
    text = np.format_float_positional(value + 0.0, trim="-")
    if len(text) > width:
        raise ValueError(f"{value!r} does not fit {width} characters exactly")
    return text


def encode_header(header: Header) -> bytes:
    """The header's bytes; inverse of `decode_header`. Raises ValueError naming a field that does not fit."""
    if not 1985 <= header.start.year <= 2084:
        raise ValueError(
            f"start year {header.start.year} is outside 1985 to 2084, the years of an EDF header"
        )
    version = next(v for v, n in _VERSIONS.items() if n == header.bytes_per_sample)
    fixed = (
        ("patient", header.patient, 80),
        ("recording", header.recording, 80),
        ("start date", header.start.strftime("%d.%m.%y"), 8),
        ("start time", header.start.strftime("%H.%M.%S"), 8),
        ("header length", str(header.header_bytes), 8),
        ("reserved", header.reserved, 44),
        ("number of records", str(header.n_records), 8),
        ("record duration", format_number(header.record_duration_s), 8),
        ("number of signals", str(len(header.signals)), 4),
    )
    columns: tuple[tuple[str, Callable[[Signal], str], int], ...] = (
        ("label", lambda s: s.label, 16),
        ("transducer", lambda s: s.transducer, 80),
        ("unit", lambda s: s.unit, 8),
        ("physical minimum", lambda s: format_number(s.physical_min), 8),
        ("physical maximum", lambda s: format_number(s.physical_max), 8),
        ("digital minimum", lambda s: str(s.digital_min), 8),
        ("digital maximum", lambda s: str(s.digital_max), 8),
        ("prefilter", lambda s: s.prefilter, 80),
        ("samples per record", lambda s: str(s.samples_per_record), 8),
        ("signal reserved", lambda _: "", 32),
    )
    parts = [version, *(text_field(*field) for field in fixed)]
    for name, text, width in columns:
        parts += [text_field(name, text(signal), width) for signal in header.signals]
    encoded = b"".join(parts)
    decode_header(encoded)  # what we write must be what we would accept
    return encoded


def text_field(name: str, text: str, width: int) -> bytes:
    """`text` padded to `width` bytes; ValueError when it is longer or not printable ASCII."""
    if len(text) > width or not (text.isascii() and (text.isprintable() or not text)):
        raise ValueError(f"{name} {text!r} must be at most {width} printable ASCII characters")
    return text.ljust(width).encode("ascii")


def header_length(head: bytes) -> int:
    """Length of the whole header, from its first 256 bytes. Raises ValueError when they are no EDF or BDF."""
    if len(head) < _FIXED_BYTES:
        raise ValueError(f"the header is cut off: {len(head)} bytes, an EDF or BDF file has at least 256")
    if head[:8] not in _VERSIONS:
        raise ValueError(f"not an EDF or BDF file: it begins with {head[:8]!r}")
    n_signals = _integer("number of signals", head[252:256])
    if not 1 <= n_signals <= _MAX_SIGNALS:
        raise ValueError(f"header field 'number of signals' is {n_signals}, expected 1 to {_MAX_SIGNALS}")
    return _FIXED_BYTES * (n_signals + 1)


def decode_header(data: bytes) -> Header:
    """The header at the start of `data`. Raises ValueError, one line, for anything malformed or cut off."""
    length = header_length(data[:_FIXED_BYTES])
    if len(data) < length:
        raise ValueError(f"the header is cut off: {len(data)} of {length} bytes")
    stated = _integer("header length", data[184:192])
    if stated != length:
        raise ValueError(f"header field 'header length' is {stated}, expected {length} for its signals")
    n_records = _integer("number of records", data[236:244])
    if n_records < -1:
        raise ValueError(f"header field 'number of records' is {n_records}, expected -1 or more")
    duration_s = _decimal("record duration", data[244:252])
    if duration_s <= 0:
        raise ValueError(f"header field 'record duration' is {duration_s:g} s, expected more than 0")
    bytes_per_sample = _VERSIONS[data[:8]]
    return Header(
        bytes_per_sample=bytes_per_sample,
        patient=_text(data[8:88]),
        recording=_text(data[88:168]),
        start=_start(data[168:176], data[176:184]),
        reserved=_text(data[192:236]),
        n_records=n_records,
        record_duration_s=duration_s,
        signals=_decode_signals(data[_FIXED_BYTES:length], bytes_per_sample),
    )


def _decode_signals(block: bytes, bytes_per_sample: int) -> tuple[Signal, ...]:
    n_signals = len(block) // _FIXED_BYTES
    columns: list[list[bytes]] = []
    at = 0
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8):
        columns.append([block[at + k * width : at + (k + 1) * width] for k in range(n_signals)])
        at += n_signals * width
    return tuple(_decode_signal(fields, bytes_per_sample) for fields in zip(*columns, strict=True))


def _decode_signal(fields: tuple[bytes, ...], bytes_per_sample: int) -> Signal:
    label = _text(fields[0])
    signal = Signal(
        label=label,
        transducer=_text(fields[1]),
        unit=_text(fields[2]),
        physical_min=_decimal(f"physical minimum of {label!r}", fields[3]),
        physical_max=_decimal(f"physical maximum of {label!r}", fields[4]),
        digital_min=_integer(f"digital minimum of {label!r}", fields[5]),
        digital_max=_integer(f"digital maximum of {label!r}", fields[6]),
        prefilter=_text(fields[7]),
        samples_per_record=_integer(f"samples per record of {label!r}", fields[8]),
    )
    top: int = 2 ** (8 * bytes_per_sample - 1)
    if not -top <= signal.digital_min < signal.digital_max < top:
        raise ValueError(
            f"signal {label!r} has digital limits {signal.digital_min} to {signal.digital_max}, "
            f"expected rising limits within {8 * bytes_per_sample} bits"
        )
    if signal.scale == 0:
        raise ValueError(f"signal {label!r} has equal physical limits, its scale is unknown")
    if signal.samples_per_record < 1:
        raise ValueError(
            f"signal {label!r} has {signal.samples_per_record} samples per record, expected 1 or more"
        )
    return signal


def _start(date: bytes, time: bytes) -> datetime:
    day, clock = _DATE.fullmatch(_text(date)), _DATE.fullmatch(_text(time))
    if day is None or clock is None:
        raise ValueError(f"header start {_text(date)!r} {_text(time)!r} is not dd.mm.yy hh.mm.ss")
    year = int(day[3]) + (1900 if int(day[3]) >= 85 else 2000)
    try:
        return datetime(year, int(day[2]), int(day[1]), int(clock[1]), int(clock[2]), int(clock[3]))
    except ValueError:
        raise ValueError(f"header start {_text(date)!r} {_text(time)!r} is no date and time") from None


def _text(raw: bytes) -> str:
    """ASCII by the standard; UTF-8 or Latin-1 where a writer put a micro sign or a name."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.strip(" \0")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _integer(name: str, raw: bytes) -> int:
    text = _text(raw)
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"header field {name!r} is {text!r}, expected a whole number")
    return int(text)


def _decimal(name: str, raw: bytes) -> float:
    text = _text(raw)
    value = float(text) if _DECIMAL.fullmatch(text) else np.nan
    if not abs(value) <= _GREATEST:
        raise ValueError(f"header field {name!r} is {text!r}, expected a decimal number")
    return value
