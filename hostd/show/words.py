"""How numbers and texts are said on a terminal.

What is no finite number is an en dash, never a zero. Texts come off the bus from anybody: nothing in them can
move a cursor, change a colour or reorder a line.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NONE = "–"
MINUS = "−"
LONGEST = 2000
MOST = 1e18
_NEVER = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def harmless(value: object, longest: int = LONGEST) -> str:
    """`value` as one line that no terminal acts upon: controls, escapes, bidirectional marks become `·`."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    cut = text[:longest]
    if cut.isascii() and cut.isprintable():
        return cut + ("…" if len(text) > longest else "")
    said = "".join(" " if c in "\t\n\r" else "·" if unicodedata.category(c) in _NEVER else c for c in cut)
    return said + ("…" if len(text) > longest else "")


def title(name: object) -> str:
    """A test's name as people say it."""
    return harmless(name, 60).replace("_", " ")


def number(value: object) -> float | None:
    """`value` as a number that a measurement can be (within 1e18), None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        return None
    return float(value)


def whole(value: object) -> int | None:
    """`value` as an integer of 64 bits, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 1 << 63 else None


def interval(value: object) -> tuple[float, float] | None:
    """`value` as a finite interval, None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def maps(value: object) -> list[Mapping[str, Any]]:
    """The maps in a list; nothing of what is neither."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def items(value: object) -> list[Any]:
    """What a list holds; nothing of what is none."""
    return list(value) if isinstance(value, list | tuple) else []


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a map, an empty one else."""
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> list[str]:
    """The texts in a list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def fixed(value: object, digits: int) -> str:
    """`value` with so many decimals and a real minus sign."""
    known = number(value)
    return NONE if known is None else f"{known:.{digits}f}".replace("-", MINUS)


def signed(value: object, digits: int) -> str:
    """`value` with its sign; no sign for what rounds to nothing."""
    known = number(value)
    if known is None:
        return NONE
    said = f"{known:+.{digits}f}"
    return said[1:] if float(said) == 0 else said.replace("-", MINUS)


def micro(value: object) -> str:
    """Three significant digits at most, as an amplitude is said."""
    known = number(value)
    if known is None:
        return NONE
    return fixed(known, 0 if abs(known) >= 100 else 1 if abs(known) >= 10 else 2)


def spread(value: object, bounds: object, digits: int | None = None) -> str:
    """How far an interval reaches: `±0.40`, or `+1.90−0.90` where it is lopsided."""
    known, reach = number(value), interval(bounds)
    if known is None or reach is None:
        return ""
    below, above = known - reach[0], reach[1] - known
    half = (above + below) / 2

    def said(x: float) -> str:
        return micro(x) if digits is None else fixed(x, digits)

    even = 3 * abs(above - below) <= 2 * half and (half <= abs(known) or reach[0] < 0)
    return f"±{said(half)}" if even else f"+{said(above)}{MINUS}{said(below)}"


def clock(seconds: object) -> str:
    """Seconds of a case as H:MM:SS."""
    known = number(seconds)
    if known is None:
        return NONE
    at = int(max(known, 0.0))
    return f"{at // 3600}:{at // 60 % 60:02d}:{at % 60:02d}"


def utc(utc_ns: object, pattern: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """Wall time, in UTC."""
    known = whole(utc_ns)
    if known is None:
        return NONE
    try:
        return datetime.fromtimestamp(known / 1e9, UTC).strftime(pattern)
    except (OverflowError, ValueError, OSError):
        return NONE


def size(count: object) -> str:
    """Bytes in three digits."""
    known = number(count)
    if known is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if known < 1000:
            return f"{known:.{1 if unit != 'B' and known < 100 else 0}f} {unit}"
        known /= 1000
    return f"{known:.1f} TB"


def ago(seconds: float) -> str:
    """An age."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min"


def percent(share: object) -> str:
    """A probability."""
    known = number(share)
    return NONE if known is None else f"{known * 100:.0f} %"


def listed(names: Sequence[object], most: int = 4) -> str:
    """Names in a row, the rest as a count."""
    said = ", ".join(harmless(name, 60) for name in names[:most])
    return said + (f" +{len(names) - most}" if len(names) > most else "")
