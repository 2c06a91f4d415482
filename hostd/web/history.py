"""What a browser that comes late is told of the past: trends, the last whole averages, spectra of minutes.

Pure state of one daemon start, fed by one thread. Everything in here is bounded, and thinned rather than cut
where a whole case has to fit.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hostd import wire
from hostd.wire import Message


class Trend:
    """Latency and amplitude of a test's leading peak over the case, thinned to `LIMIT` rows at most."""

    LIMIT = 1024

    def __init__(self) -> None:
        self._name = ""
        self._rows: list[tuple[float, ...]] = []
        self._spacing_ns = 1_000_000_000

    def add(self, message: Message) -> None:
        """Append the leading peak of a `measure` message; closer than the spacing replaces the newest row."""
        t_ns, peak = message.header.get("t_ns"), leading_peak(message.header)
        if not isinstance(t_ns, int) or not peak:
            return
        self._name = str(peak.get("name", ""))
        row = (
            float(t_ns),
            _number(peak.get("latency_ms")),
            *_interval(peak.get("latency_ci_ms")),
            _number(peak.get("amplitude_uv")),
            *_interval(peak.get("amplitude_ci_uv")),
            _verdict(peak),
        )
        if len(self._rows) > 1 and t_ns - self._rows[-2][0] < self._spacing_ns:
            self._rows[-1] = row
            return
        self._rows.append(row)
        if len(self._rows) > self.LIMIT:
            self._rows = self._rows[::2]
            self._spacing_ns *= 2

    def message(self, test: str, boot: str) -> Message:
        """Message `trend.TEST`: `rows` (n, 8) <f8: t_ns, latency, lo, hi, amplitude, lo, hi, present.

        Present is 1, absent 0, not judged yet 0.5."""
        rows = np.array(self._rows, dtype=np.float64).reshape(len(self._rows), 8)
        header, parts = wire.pack_arrays({"boot": boot, "name": self._name, "rows": rows})
        return Message(f"trend.{test}", header, parts)


class Waterfall:
    """The last `LIMIT` averages of a test that share no sweep, oldest first."""

    LIMIT = 12

    def __init__(self) -> None:
        self._frame: tuple[Any, ...] = ()
        self._rows: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=self.LIMIT)

    def add(self, message: Message) -> None:
        """Take the mean of a final `average`; another montage or window begins anew."""
        header = message.header
        if header.get("final") is not True or not isinstance(header.get("t_ns"), int):
            return
        try:
            mean = message.array("mean_uv")
        except (ValueError, KeyError, TypeError):
            return
        frame = (header.get("derivations"), header.get("t0_ms"), header.get("dt_ms"), mean.shape)
        if mean.ndim != 2 or mean.dtype != np.float32:
            return
        if frame != self._frame:
            self._rows.clear()
            self._frame = frame
        self._rows.append((float(header["t_ns"]), mean))

    def message(self, test: str, boot: str) -> Message | None:
        """Message `waterfall.TEST`: `t_ns` (n,) <f8, `mean_uv` (n, time, derivation) <f4; None if none."""
        if not self._rows:
            return None
        names, t0_ms, dt_ms, _ = self._frame
        fields = {
            "boot": boot,
            "derivations": names,
            "t0_ms": t0_ms,
            "dt_ms": dt_ms,
            "t_ns": np.array([t_ns for t_ns, _ in self._rows]),
            "mean_uv": np.stack([mean for _, mean in self._rows]),
        }
        return Message(f"waterfall.{test}", *wire.pack_arrays(fields))


class Spectra:
    """The spectra of the last quarter of an hour, for the density array of somebody who comes late."""

    LIMIT = 900

    def __init__(self) -> None:
        self._frame: tuple[Any, ...] = ()
        self._rows: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=self.LIMIT)

    def add(self, message: Message) -> None:
        """Take one `spectrum`; other derivations or frequencies begin anew."""
        header = message.header
        try:
            density = message.array("density_db")
        except (ValueError, KeyError, TypeError):
            return
        frame = (header.get("derivations"), header.get("hz"), density.shape)
        if density.ndim != 2 or density.dtype != np.float32 or not isinstance(header.get("t_ns"), int):
            return
        if frame != self._frame:
            self._rows.clear()
            self._frame = frame
        self._rows.append((float(header["t_ns"]), density))

    def message(self, boot: str) -> Message | None:
        """Message `spectra`: `t_ns` (n,) <f8, `density_db` (n, derivation, bin) <f4; None without any."""
        if not self._rows:
            return None
        names, hz, _ = self._frame
        fields = {
            "boot": boot,
            "derivations": names,
            "hz": hz,
            "t_ns": np.array([t_ns for t_ns, _ in self._rows]),
            "density_db": np.stack([density for _, density in self._rows]),
        }
        return Message("spectra", *wire.pack_arrays(fields))


def leading_peak(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The peak that a `measure` names as leading, else its first; {} without any."""
    peaks = header.get("peaks")
    named = [peak for peak in peaks if isinstance(peak, Mapping)] if isinstance(peaks, list) else []
    return next((p for p in named if p.get("name") == header.get("leading")), named[0] if named else {})


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _verdict(peak: Mapping[str, Any]) -> float:
    if peak.get("present") is True:
        return 1.0
    return 0.5 if peak.get("noise_uv") is None else 0.0


def _interval(value: Any) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    return float("nan"), float("nan")
