"""LSL outlets and their XML descriptions: raw samples, averages, markers. The only place that knows pylsl.

Outlets only: nothing is ever read from the network. Refuses to start where pylsl or liblsl is missing, with
the cure. An outlet belongs to one start of the daemon and to one layout, which its source id tells, so that
no reader takes another case for the one that it began with.
"""

import importlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd.errors import UsageError

BUFFERED_S = 30
"""Seconds that liblsl keeps for a reader that is slow; it drops the oldest ones without a word."""
BUFFERED_ROWS = 1
"""In hundreds: what it keeps of streams without a rate."""
TRIGGER = "TRIG"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose streams these are: `box` and, of its daemon, `boot` and `case`; `clock`: how good times are."""

    box: str
    boot: str
    case: str
    clock: str

    def source_id(self, *layout: object) -> str:
        """Another one for every start and every layout."""
        return f"evokd:{self.box}:{self.boot}:{zlib.crc32(repr(layout).encode()):08x}"


@dataclass(frozen=True, slots=True)
class RawLayout:
    """What has to be the same for blocks of one stream; `kinds` are LSL's channel types."""

    rate_hz: float
    channels: tuple[str, ...]
    kinds: tuple[str, ...]
    lsb_uv: tuple[float, ...]
    offset_uv: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AverageLayout:
    """Columns of an average: `rows` moments of each derivation, then what goes with them (`TAIL`)."""

    test: str
    site: str
    derivations: tuple[str, ...]
    rows: int
    t0_ms: float
    dt_ms: float

    TAIL = ("n_sweeps", "n_rejected", "final")


def library() -> ModuleType:
    """pylsl. Raises UsageError where it, or its liblsl, is missing."""
    try:
        return importlib.import_module("pylsl")
    except ModuleNotFoundError:
        raise UsageError("LSL needs pylsl: pip install 'evokd[lsl]'") from None
    except (RuntimeError, OSError) as error:
        why = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"pylsl finds no liblsl here ({why}); on arm64 its wheel has none: build liblsl and name it in "
            "PYLSL_LIB, or run the bridge on another machine with --bus and --keys"
        ) from None


class Streams:
    """Makes outlets. `lsl` is pylsl."""

    def __init__(self, lsl: ModuleType, origin: Origin) -> None:
        self._lsl, self._origin = lsl, origin

    def raw(self, layout: RawLayout) -> Any:
        """An outlet of float32 rows: every channel in microvolts, then the trigger bits (0 to 255)."""
        n = len(layout.channels) + 1
        info = self._info("raw", "EEG", n, layout.rate_hz, self._lsl.cf_float32, layout)
        columns = [
            (name, "microvolts", kind) for name, kind in zip(layout.channels, layout.kinds, strict=True)
        ]
        each = _channels(info, [*columns, (TRIGGER, "none", "stim")])
        for channel, lsb, offset in zip(each, layout.lsb_uv, layout.offset_uv, strict=False):
            _tell(channel, {"lsb_uv": repr(lsb), "offset_uv": repr(offset)})
        return self._lsl.StreamOutlet(info, 0, BUFFERED_S)

    def average(self, layout: AverageLayout) -> Any:
        """An outlet with a row per update of a test's average, see `average_row`."""
        labels = [
            (f"{name} {layout.t0_ms + k * layout.dt_ms:g} ms", "microvolts", "EP")
            for name in layout.derivations
            for k in range(layout.rows)
        ]
        labels += [(f"{name} noise", "microvolts", "noise") for name in layout.derivations]
        labels += [(name, "none", "count") for name in layout.TAIL]
        kind = self._lsl.cf_float32
        info = self._info(f"average {layout.test}", "EP", len(labels), self._lsl.IRREGULAR_RATE, kind, layout)
        _channels(info, labels)
        told = {"test": layout.test, "site": layout.site, "rows": layout.rows}
        told |= {"t0_ms": repr(layout.t0_ms), "dt_ms": repr(layout.dt_ms)}
        at = info.desc().append_child("average")
        _tell(at, told)
        for name in layout.derivations:
            at.append_child("derivations").append_child_value("derivation", _text(name))
        return self._lsl.StreamOutlet(info, 0, BUFFERED_ROWS)

    def markers(self) -> Any:
        """An outlet of one string a row, see `hostd.bridges.markers`."""
        rate = self._lsl.IRREGULAR_RATE
        info = self._info("markers", "Markers", 1, rate, self._lsl.cf_string, "markers")
        _channels(info, [("marker", "none", "marker")])
        return self._lsl.StreamOutlet(info, 0, BUFFERED_ROWS)

    def _info(self, name: str, kind: str, n: int, rate_hz: float, dtype: int, layout: object) -> Any:
        origin = self._origin
        title = _text(f"evokd {name} ({origin.box})")
        info = self._lsl.StreamInfo(title, kind, n, rate_hz, dtype, origin.source_id(name, layout))
        desc = info.desc()
        _tell(desc, {"manufacturer": "evokd"})
        told = {"box": origin.box, "boot": origin.boot, "case": origin.case, "clock": origin.clock}
        _tell(desc.append_child("evokd"), told)
        # Time stamps are the samples' own: a reader that smooths them would close the gaps.
        _tell(desc.append_child("synchronization"), {"can_drop_samples": "true"})
        return info


def average_row(
    mean_uv: NDArray[np.float32], noise_uv: Sequence[float | None], tail: Mapping[str, Any]
) -> Any:
    """(1, columns) float32: the trace of each derivation in turn, noise (NaN: not known), then `TAIL`."""
    noise = [np.nan if value is None else value for value in noise_uv]
    rest = [float(tail[name]) for name in AverageLayout.TAIL]
    return np.concatenate([mean_uv.T.ravel(), noise, rest]).astype(np.float32)[None, :]


def _channels(info: Any, columns: Sequence[tuple[str, str, str]]) -> list[Any]:
    """Describe the columns as (label, unit, type), in LSL's own words; their XML elements."""
    at = info.desc().append_child("channels")
    found = []
    for label, unit, kind in columns:
        channel = at.append_child("channel")
        _tell(channel, {"label": label, "unit": unit, "type": kind})
        found.append(channel)
    return found


def _tell(element: Any, told: Mapping[str, Any]) -> None:
    for key, value in told.items():
        element.append_child_value(key, _text(value))


def _text(value: object) -> str:
    """Without what XML has no words for: names are a case file's, and a NUL would end a C string."""
    return "".join(c if c.isprintable() else " " for c in str(value))
