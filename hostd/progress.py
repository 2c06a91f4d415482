"""The terminal's view of a running case: a bus client that draws a live table, or plain lines.

Shows time, sweeps, lost samples and the first peak of every test with its intervals, open alerts, what locks
stimulation, and where to look.
"""

import time
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hostd.case_clock import case_clock
from hostd.client import Subscription
from hostd.fingerprint import closed_line
from hostd.keys import Secret
from hostd.wire import Message

PLAIN_EVERY_NS = 5_000_000_000
STALE_NS = 3_000_000_000
SAID = ("response", "tof", "eeg", "emg")
"""What says in a sentence how it stands; the latest of each test is shown."""
TOPICS = ("status", "average.", "measure.", "event", "alert", "response.", "tof", "eeg", "emg")
TITLES = ("test", "sweeps", "rejected", "peak", "latency ms", "amplitude uV", "change", "noise uV")


class Progress:
    """What is known of the case, updated message by message."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places
        self._status: dict[str, Any] = {}
        self._averages: dict[str, dict[str, Any]] = {}
        self._peaks: dict[str, list[dict[str, Any]]] = {}
        self._leading: dict[str, str | None] = {}
        self._said: dict[str, str] = {}
        self._event = ""
        self._alerts: dict[str, dict[str, Any]] = {}
        self.refused = ""
        self._heard_ns = time.monotonic_ns()

    def take(self, message: Message) -> None:
        """Learn from one message."""
        self._heard_ns = time.monotonic_ns()
        kind, _, test = message.topic.partition(".")
        if kind == "status":
            self._status = dict(message.header)
        elif kind == "average":
            self._averages[test] = dict(message.header)
        elif kind == "measure":
            self._peaks[test] = message.header["peaks"]
            self._leading[test] = message.header.get("leading")
        elif kind in SAID and "text" in message.header:
            self._said[test or str(message.header.get("test"))] = _printable(str(message.header["text"]))
        elif kind == "alert":
            self._alerts[message.header["id"]] = dict(message.header)
        elif kind == "event":
            self._event = _printable(f"{message.header.get('kind')}: {message.header.get('text')}")

    def _seconds(self) -> float:
        return float(self._status.get("samples", 0)) / float(self._status.get("rate_hz") or 1.0)

    def line(self) -> str:
        """Everything in one plain line."""
        tests = "; ".join(
            f"{name} {a['n_sweeps']} sweeps ({a['n_rejected']} rejected) {self._first_peak(name)}"
            for name, a in sorted(self._averages.items())
        )
        lost = self._status.get("lost_samples", 0)
        warnings = "".join(f"{text} | " for text, _ in self._warnings())
        said = "".join(f"; {text}" for text in self._said.values())
        return f"{case_clock(self._seconds())} lost {lost} | {warnings}{tests or 'waiting for sweeps'}{said}"

    def _warnings(self) -> list[tuple[str, str]]:
        """Open alerts and what locks stimulation, each with its style."""
        alerts = [a for a in self._alerts.values() if a.get("state") != "cleared"]
        said = [
            (_printable(f"ALERT {a.get('priority')} {a.get('state')}: {a.get('text')}"), "bold red")
            for a in alerts
        ]
        locks = (self._status.get("stimulation") or {}).get("locks", [])
        said += [(f"no stimuli: {_printable(lock)}", "yellow") for lock in locks]
        return said + ([(self.refused, "bold red")] if self.refused else [])

    def closed(self) -> str:
        """What is said when the case has ended; "" where nothing was recorded."""
        return closed_line(self._status.get("recording") or {})

    def places(self) -> str:
        """Where to look, in one plain line."""
        return "  ".join(f"{name} {place}" for name, place in self._places.items() if place)

    def _first_peak(self, test: str) -> str:
        """The leading peak, else the first listed."""
        peaks = self._peaks.get(test, [])
        for peak in peaks:
            if peak["name"] == self._leading.get(test):
                return peak_text(peak)
        return peak_text(peaks[0]) if peaks else ""

    def panel(self) -> Group:
        """The live view."""
        s = self._status
        recording = s.get("recording") or {}
        head = Text.assemble(
            ("evokd ", "bold"),
            f"{s.get('name', '')}  ",
            (case_clock(self._seconds()), "bold"),
            f"  {s.get('source', '')} {s.get('rate_hz', 0):g} Hz{_clock_error(s)}  lost ",
            (str(s.get("lost_samples", 0)), "bold red" if s.get("lost_samples") else "green"),
            f"  recorded {recording.get('bytes', 0) / 1e6:.1f} MB",
        )
        if time.monotonic_ns() - self._heard_ns > STALE_NS:
            head.append("  NO DATA", "bold red")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns hold it
        for title in TITLES:
            table.add_column(title, justify="left" if title in ("test", "peak") else "right")
        for name, average in sorted(self._averages.items()):
            for k, peak in enumerate(self._peaks.get(name, [])):
                first = (
                    f"{name}",
                    f"{average['n_sweeps']}/{average['sweeps_target']}",
                    str(average["n_rejected"]),
                )
                table.add_row(*(first if k == 0 else ("", "", "")), *_cells(peak))
        rows: list[Any] = [head, table]
        rows += [Text(text, no_wrap=True, overflow="ellipsis") for text in self._said.values()]
        rows += [Text(text, style=style) for text, style in self._warnings()]
        if self._event:
            rows.append(Text(self._event, style="dim", no_wrap=True, overflow="ellipsis"))
        rows += [Text(f"{name:9s} {place}", style="cyan") for name, place in self._places.items() if place]
        return Group(*rows)


def _printable(text: str) -> str:
    """Whatever somebody sent, without what moves a cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _clock_error(status: dict[str, Any]) -> str:
    """The converter's clock against nominal, and the scatter of its edges; empty until it is known."""
    timebase = status.get("timebase") or {}
    if not timebase.get("settled"):
        return ""
    return f" {timebase['ppm']:+.1f} ppm ±{timebase['residual_us']:.1f} us"


def _spread(value: float, interval: list[float] | None) -> str:
    """How far the interval reaches: ±0.40, or +1.90-0.90 where it reaches twice as far up as down, or ± would
    say below zero what is not."""
    if not interval:
        return ""
    below, above = value - interval[0], interval[1] - value
    half = (above + below) / 2
    if 3 * abs(above - below) <= 2 * half and (half <= value or interval[0] < 0):
        return f"±{half:.2f}"
    return f"+{above:.2f}-{below:.2f}"


def peak_text(peak: dict[str, Any]) -> str:
    """One peak in words: `N20 19.98±0.21 ms 2.71±0.40 uV`, or absent with the noise it was judged against."""
    if not peak["present"]:
        if peak.get("noise_uv") is None:
            return f"{peak['name']} open (needs 16 sweeps)"
        return f"{peak['name']} absent (noise {peak['noise_uv']:.2f} uV)"
    latency = f"{peak['latency_ms']:.2f}{_spread(peak['latency_ms'], peak['latency_ci_ms'])} ms"
    amplitude = f"{peak['amplitude_uv']:.2f}{_spread(peak['amplitude_uv'], peak['amplitude_ci_uv'])} uV"
    return f"{peak['name']} {latency} {amplitude}"


def _cells(peak: dict[str, Any]) -> tuple[str, ...]:
    noise = f"{peak['noise_uv']:.2f}" if peak.get("noise_uv") is not None else ""
    if not peak["present"]:
        return peak["name"], "absent" if noise else "needs 16 sweeps", "", "", noise
    change = f"{peak['change_pct']:+.0f} %" if peak["change_pct"] is not None else ""
    return (
        peak["name"],
        f"{peak['latency_ms']:.2f} {_spread(peak['latency_ms'], peak['latency_ci_ms'])}",
        f"{peak['amplitude_uv']:.2f} {_spread(peak['amplitude_uv'], peak['amplitude_ci_uv'])}",
        change,
        noise,
    )


def watch(
    bus: str, places: dict[str, str], out: TextIO, running: Callable[[], bool], key: Secret | None = None
) -> None:
    """Show the case at `bus` on `out` until `running` says no: live on a terminal, plain lines elsewhere."""
    progress = Progress(places)
    console = Console(file=out)
    with Subscription(bus, TOPICS, key=key) as subscription:
        if console.is_terminal:
            with Live(console=console, refresh_per_second=4, get_renderable=progress.panel):
                while running():
                    _listen(subscription, progress)
            _listen(subscription, progress)
            out.write(progress.closed())
            out.flush()
            return
        out.write(progress.places() + "\n")
        out.flush()
        next_ns = time.monotonic_ns() + PLAIN_EVERY_NS
        while running():
            _listen(subscription, progress)
            if time.monotonic_ns() >= next_ns:
                next_ns += PLAIN_EVERY_NS
                out.write(progress.line() + "\n")
                out.flush()
        _listen(subscription, progress)
        out.write(progress.line() + "\n" + progress.closed())
        out.flush()


def _listen(subscription: Subscription, progress: Progress) -> None:
    for message in subscription.receive(200):
        progress.take(message)
    progress.refused = subscription.refused
