"""The LSL streams of one start of the daemon: raw samples, an average for each test, markers.

Samples and averages are pushed with their own times, and a hole is told as a marker at the first sample
behind it. Outlets are made when their layout is known and made anew when it changes. One thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hostd.bridges import markers
from hostd.bridges.lsl_clock import LslClock
from hostd.bridges.lsl_streams import AverageLayout, Origin, RawLayout, Streams, average_row
from hostd.bridges.raw_rows import RawRows
from hostd.plug_exchanges import on_scalp
from hostd.wire import Message

KINDS = ("raw", "averages", "markers")
MOST_TESTS = 64
MOST_COLUMNS = 20_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Named:
    """Of which box, start and case; `here`: the bus is of this machine."""

    box: str
    boot: str
    case: str
    here: bool


class CaseStreams:
    """Messages in, samples of LSL out. `lsl` is pylsl; `status` the first one of this start."""

    def __init__(
        self, lsl: ModuleType, named: Named, kinds: tuple[str, ...], status: Mapping[str, Any], say: Say
    ) -> None:
        self._lsl, self._kinds, self._say = lsl, kinds, say
        self._status = status
        link = status["link"].get("address", "")
        self._clock = LslClock(lsl.local_clock, named.here and str(link).startswith("unix:"))
        self._steps = 0
        self._streams = Streams(lsl, Origin(named.box, named.boot, named.case, self._clock.text))
        self._rows = RawRows()
        self._raw: Any = None
        self._raw_layout: RawLayout | None = None
        self._averages: dict[str, tuple[AverageLayout, Any]] = {}
        self._markers = self._streams.markers() if "markers" in kinds else None
        say(f"case {named.case} of {named.box}; time stamps are of {self._clock.text}")

    def wants_raw(self) -> bool:
        """Whether raw samples are to be asked for: until their layout is known, then while somebody reads."""
        if "raw" not in self._kinds:
            return False
        if self._raw is None or self._raw.have_consumers():
            return True
        self._rows.pause()
        return False

    @property
    def lost(self) -> Mapping[str, int]:
        """Samples that were missing while somebody listened, by who lost them."""
        return dict(self._rows.lost)

    def take(self, message: Message) -> None:
        """Push one message. Raises ValueError, TypeError or KeyError for a malformed one."""
        kind, _, test = message.topic.partition(".")
        now_s = self._lsl.local_clock()
        if kind == "status":
            self._status = message.header
        elif kind == "beat":
            self._clock.heard(message.header["t_ns"], now_s)
        elif kind == "raw":
            self._take_raw(message, now_s)
        elif kind == "average" and "averages" in self._kinds:
            self._take_average(message, test)
        elif (text := markers.marker(message)) is not None:
            self._mark(text, self._clock.at(message.header["t_ns"]))
        if self._clock.steps != self._steps:
            self._steps = self._clock.steps
            self.mark_now("clock", {"now": self._clock.text})
            self._say(f"the box's clock is not what it was; time stamps are now of {self._clock.text}")

    def mark_now(self, what: str, told: Mapping[str, Any]) -> None:
        """A marker of the bridge itself, at LSL's time now."""
        self._mark(markers.line(("bridge", what), told), self._lsl.local_clock())

    def _mark(self, text: str, at_s: float) -> None:
        if self._markers is not None:
            self._markers.push_sample([text], at_s)

    def _take_raw(self, message: Message, now_s: float) -> None:
        rows = self._rows.take(message, self._rate_hz())
        if rows is None:
            return
        self._describe_raw(message)
        self._clock.heard(int(rows.t_ns[-1]), now_s)
        for hole in rows.missing:
            self._mark(markers.gap(hole), self._clock.at(int(rows.t_ns[0])))
            self._say(
                f"{hole.samples} samples are missing from {hole.first_index} on, lost by the {hole.lost_by}"
            )
        self._raw.push_chunk(rows.values, (rows.t_ns * 1e-9 + self._clock.offset_s).tolist())

    def _describe_raw(self, message: Message) -> None:
        """A new outlet where there is none for what these samples are."""
        h = message.header
        channels = tuple(self._status["channels"])
        kinds = tuple("EEG" if on_scalp(name) else "misc" for name in channels)
        lsb_uv, offset_uv = tuple(h["lsb_uv"]), tuple(h["offset_uv"])
        layout = RawLayout(float(self._status["rate_hz"]), channels, kinds, lsb_uv, offset_uv)
        if layout == self._raw_layout:
            return
        if len(channels) != len(lsb_uv):
            raise ValueError(f"raw: {len(lsb_uv)} channels, but status names {len(channels)}")
        self._raw = None  # ends the old one first
        self._raw_layout, self._raw = layout, self._streams.raw(layout)

    def _rate_hz(self) -> float:
        """The rate as the edge has fitted it, between two blocks."""
        return float(self._status["timebase"]["rate_hz"])

    def _take_average(self, message: Message, test: str) -> None:
        h, mean_uv = message.header, message.array("mean_uv")
        derivations = tuple(h["derivations"])
        if mean_uv.ndim != 2 or mean_uv.shape[1] != len(derivations) or mean_uv.size > MOST_COLUMNS:
            raise ValueError(f"{message.topic}: mean_uv is not (time, derivation), or too large")
        if not mean_uv.size or len(h["noise_uv"]) != len(derivations):
            return
        t0_ms, dt_ms = float(h["t0_ms"]), float(h["dt_ms"])
        layout = AverageLayout(test, str(h["site"]), derivations, len(mean_uv), t0_ms, dt_ms)
        if test not in self._averages and len(self._averages) >= MOST_TESTS:
            raise ValueError(f"more than {MOST_TESTS} tests")
        if test not in self._averages or self._averages[test][0] != layout:
            self._averages.pop(test, None)  # ends the old one first
            self._averages[test] = layout, self._streams.average(layout)
        row = average_row(mean_uv, h["noise_uv"], h)
        self._averages[test][1].push_chunk(row, [self._clock.at(h["t_ns"])])
