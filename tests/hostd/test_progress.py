"""The terminal's view: right at every state, within 80 columns, and never live when nothing comes."""

import io
import threading
from typing import Any

import pytest
from rich.console import Console

from hostd import progress
from hostd.progress import Progress, peak_text, watch
from hostd.wire import Message
from tests.hostd.conftest import Live
from tests.support.ports import free_bus
from tests.support.session import LiveHost

PLACES = {
    "case": "Median nerve SSEP",
    "bus": "tcp://127.0.0.1:5750",
    "data": "",
    "page": "http://127.0.0.1:5780/",
}


def peak(name: str = "N20", derivation: str = "CP4-CP3", **fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        (
            "latency_ms",
            "latency_ci_ms",
            "amplitude_uv",
            "amplitude_ci_uv",
            "noise_uv",
            "baseline_latency_ms",
            "baseline_amplitude_uv",
            "change_pct",
        )
    )
    return {"name": name, "derivation": derivation, "present": False} | empty | fields


FOUND = peak(
    present=True,
    latency_ms=20.031,
    latency_ci_ms=[19.9, 20.1],
    amplitude_uv=2.714,
    amplitude_ci_uv=[2.5, 2.9],
    noise_uv=0.12,
    change_pct=-51.4,
)


def status(**fields: Any) -> Message:
    usual = {
        "name": "Median nerve SSEP, left and right",
        "source": "simulated",
        "rate_hz": 4000.0,
        "samples": 500_000,
        "lost_samples": 0,
        "recording": {"path": "/x", "bytes": 12_300_000},
    }
    return Message("status", usual | fields)


def average(test: str, n_sweeps: int = 120, n_rejected: int = 3) -> Message:
    said = {"n_sweeps": n_sweeps, "n_rejected": n_rejected, "sweeps_target": 300, "derivations": ["CP4-CP3"]}
    return Message(f"average.{test}", said)


def measure(test: str, *peaks: dict[str, Any], leading: str | None = "N20") -> Message:
    return Message(f"measure.{test}", {"peaks": list(peaks), "leading": leading})


def shown(view: Progress, width: int = 80) -> list[str]:
    """The panel's lines as a terminal of `width` columns shows them."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(view.panel())
    lines = capture.get().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    return lines


def taken(*messages: Message) -> Progress:
    view = Progress(PLACES)
    for message in messages:
        view.take(message)
    return view


def test_before_the_first_message_it_waits() -> None:
    view = Progress(PLACES)
    assert view.line() == "00:00 lost 0 | waiting for sweeps"
    assert view.places() == "case Median nerve SSEP  bus tcp://127.0.0.1:5750  page http://127.0.0.1:5780/"
    text = "\n".join(shown(view))
    assert "00:00" in text and "http://127.0.0.1:5780/" in text and "NO DATA" not in text


def test_a_line_tells_time_sweeps_and_the_leading_peak() -> None:
    view = taken(status(), average("left"), measure("left", peak("N9", "EPL-EPR"), FOUND))
    assert view.line() == "02:05 lost 0 | left 120 sweeps (3 rejected) N20 20.03±0.10 ms 2.71±0.20 uV"
    view.take(average("arm", 7, 0))
    view.take(status(samples=14_400_000, lost_samples=12))
    assert view.line().startswith("1:00:00 lost 12 | arm 7 sweeps (0 rejected) ; left 120 sweeps")


@pytest.mark.parametrize(
    "p,text",
    [
        (FOUND, "N20 20.03±0.10 ms 2.71±0.20 uV"),
        (FOUND | {"amplitude_ci_uv": [2.5, 4.6]}, "N20 20.03±0.10 ms 2.71+1.89-0.21 uV"),
        (
            FOUND | {"amplitude_uv": 1.07, "amplitude_ci_uv": [0.0, 2.74]},
            "N20 20.03±0.10 ms 1.07+1.67-1.07 uV",
        ),
        (FOUND | {"latency_ci_ms": None, "amplitude_ci_uv": None}, "N20 20.03 ms 2.71 uV"),
        (peak(noise_uv=0.348), "N20 absent (noise 0.35 uV)"),
        (peak(), "N20 open (needs 16 sweeps)"),
    ],
)
def test_a_peak_in_words(p: dict[str, Any], text: str) -> None:
    assert peak_text(p) == text
    assert taken(average("left"), measure("left", p)).line().endswith(text)


def test_without_a_leading_peak_the_first_one_is_shown() -> None:
    assert "V open" in taken(average("ear"), measure("ear", peak("V"), FOUND, leading=None)).line()
    assert taken(average("ear"), measure("ear", leading=None)).line().endswith("(3 rejected) ")


def test_the_panel_tells_the_clocks_error_once_it_is_settled() -> None:
    timebase = {"ppm": -1248.43, "residual_us": 2.06, "settled": True}
    text = " ".join("\n".join(shown(taken(status(timebase=timebase)))).split())
    assert "4000 Hz -1248.4 ppm ±2.1 us lost 0" in text
    for unknown in ({"ppm": None, "residual_us": None, "settled": False}, timebase | {"settled": False}, {}):
        assert "ppm" not in "\n".join(shown(taken(status(timebase=unknown))))


STATES = {
    "no peaks": (status(), average("left_median")),
    "absent": (status(), average("left_median"), measure("left_median", peak(noise_uv=0.35), peak("N13"))),
    "found": (
        status(),
        average("left_median"),
        measure("left_median", peak("N9"), FOUND),
        average("right_median"),
        measure("right_median", FOUND | {"change_pct": None}, FOUND | {"name": "N13", "change_pct": 12.0}),
    ),
    "long names": (
        average("left_posterior_tibial_nerve_popliteal", 12_345, 6_789),
        measure("left_posterior_tibial_nerve_popliteal", FOUND),
    ),
    "lost": (status(lost_samples=12345, recording={"path": None, "bytes": 0}), average("left_median")),
    "an event": (
        status(),
        Message("event", {"kind": "surgeon", "text": "aneurysm clip \x1b[2J\n closed " * 20}),
    ),
    "a status of another version": (Message("status", {"samples": 4000}),),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("width", [80, 200])
def test_the_panel_fits_its_columns_at_every_state(state: str, width: int) -> None:
    lines = shown(taken(*STATES[state]), width)
    text = "\n".join(lines)
    assert "evokd" in lines[0] and "http://127.0.0.1:5780/" in lines[-1]
    if state == "found":
        assert len([line for line in lines if "20.03 ±0.10" in line and "2.71 ±0.20" in line]) == 3, text
        assert "-51 %" in text and "+12 %" in text and "0.12" in text and "120/300" in text
        assert "right_median" in text and "…" not in text
    if state == "absent":
        assert len([line for line in lines if "absent" in line and "0.35" in line]) == 1
        assert len([line for line in lines if "needs 16 sweeps" in line]) == 1
    if state == "long names":
        (row,) = (line for line in lines if "N20" in line)
        assert " ".join(row.split()).endswith("12345/300 6789 N20 20.03 ±0.10 2.71 ±0.20 -51 % 0.12")
    if state == "an event":
        (event,) = (line for line in lines if "surgeon: aneurysm clip  [2J  closed" in line)
        assert event.rstrip().endswith("…") and "\x1b" not in text
    if state == "lost":
        assert "12345" in " ".join(text.split()) and "0.0 MB" in " ".join(text.split())


def test_silence_is_shown_as_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = [10**12]
    monkeypatch.setattr(progress.time, "monotonic_ns", lambda: now_ns[0])
    view = taken(*STATES["found"])
    now_ns[0] += progress.STALE_NS
    assert "NO DATA" not in "\n".join(shown(view))
    now_ns[0] += 1
    assert "NO DATA" in " ".join("\n".join(shown(view)).split())
    view.take(status())
    assert "NO DATA" not in "\n".join(shown(view))


def test_the_messages_of_a_whole_session_can_be_shown(live: Live) -> None:
    view = Progress(PLACES)
    for k, message in enumerate(live.heard):
        view.take(message)
        if k % 400 == 0:
            view.line()
            shown(view)
    assert live.stdout.endswith(f"\n{view.line()}\n{view.closed()}")


def test_watching_a_host_writes_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY_NS", 200_000_000)
    out = io.StringIO()
    with LiveHost() as host:
        watch(host.bus, PLACES, out, lambda: out.getvalue().count("sweeps (") < 3)
    first, *lines = out.getvalue().splitlines()
    assert first == Progress(PLACES).places()
    assert any("left_median" in line and "right_median" in line for line in lines)


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_watching_on_a_terminal_draws_the_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    with LiveHost() as host:
        watch(host.bus, PLACES, out, lambda: "left_median" not in out.getvalue())
    assert "\x1b[" in out.getvalue() and "lost" in out.getvalue()


def test_watching_where_nobody_speaks_ends_when_told() -> None:
    stop = threading.Event()
    out = io.StringIO()
    watcher = threading.Thread(target=watch, args=(free_bus(), PLACES, out, lambda: not stop.is_set()))
    watcher.start()
    stop.set()
    watcher.join(60)
    assert not watcher.is_alive()
    assert out.getvalue().splitlines()[-1] == "00:00 lost 0 | waiting for sweeps"


def test_what_stands_in_a_sentence_is_shown_as_it_is() -> None:
    progress = Progress({})
    progress.take(Message("response.mep", {"text": "left hemisphere: TAR lost in 2 repeats"}, []))
    progress.take(Message("eeg", {"test": "eeg", "text": "eeg: SEF95 12.0 Hz"}, []))
    progress.take(Message("emg.audio", {"test": "emg"}, []))
    progress.take(Message("eeg", {"test": "eeg", "text": "eeg: SEF95 11.0 Hz"}, []))
    assert progress.line().endswith("; left hemisphere: TAR lost in 2 repeats; eeg: SEF95 11.0 Hz")
    shown = Console(width=100, record=True, file=io.StringIO())
    shown.print(progress.panel())
    assert "TAR lost in 2 repeats" in shown.export_text()
