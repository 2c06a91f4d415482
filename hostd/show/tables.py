"""Numbers of one test as lines: peaks, answers of muscles, trains of four, and the facts behind them. Pure.

Absent, lost and "cannot be told yet" are words, never an empty cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hostd.show.known import Known
from hostd.show.lines import Line, Span, fit, wrapped
from hostd.show.words import (
    NONE,
    ago,
    clock,
    fixed,
    harmless,
    interval,
    mapping,
    maps,
    micro,
    number,
    signed,
    spread,
    whole,
)

RECENT_S = 5.0
MOST_ROWS = 32


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; those of the lowest `keep` go first where there is no room."""

    head: str
    cells: int
    keep: int


PEAKS = (
    Column("peak", 7, 9),
    Column("derivation", 12, 2),
    Column("is", 8, 8),
    Column("latency ms", 14, 7),
    Column("Δ ms", 7, 3),
    Column("amplitude µV", 17, 6),
    Column("change", 10, 5),
)
ANSWERS = (
    Column("muscle", 13, 9),
    Column("is", 10, 8),
    Column("onset ms", 14, 4),
    Column("peak-to-peak µV", 16, 7),
    Column("change", 8, 5),
    Column("", 12, 1),
)


def _fitting(columns: Sequence[Column], cells: int) -> list[int]:
    kept = sorted(range(len(columns)), key=lambda k: -columns[k].keep)
    while len(kept) > 1 and sum(columns[k].cells for k in kept) > cells:
        kept.pop()
    return sorted(kept)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Span]], cells: int, height: int) -> list[Line]:
    """A head and the rows that fit; how many do not is said."""
    shown = _fitting(columns, cells)

    def line(spans: Sequence[Span]) -> Line:
        made: Line = []
        for k in shown:
            made += [*fit([spans[k]], columns[k].cells - 1), (" ", "")]
        return made

    lines = [line([(column.head, "dim") for column in columns])]
    room = height - 1
    lines += [line(row) for row in rows[: room if len(rows) <= room else max(room - 1, 0)]]
    if len(rows) > room > 0:
        lines.append([(f"… and {len(rows) - room + 1} more: make the terminal larger", "dim")])
    return lines[:height]


def peaks(measure: Mapping[str, Any] | None, cells: int, height: int) -> list[Line]:
    """The table of a `measure` message."""
    if measure is None:
        return [[("no measurement yet", "dim")]] if height else []
    rows = [_peak(peak) for peak in maps(measure.get("peaks"))[:MOST_ROWS]]
    return _table(PEAKS, rows, cells, height)


def verdict(peak: Mapping[str, Any]) -> str:
    """`present`, `absent`, `LOST` (absent, and the baseline had it) or `open` (too few sweeps to tell)."""
    if peak.get("present") is True:
        return "present"
    if peak.get("noise_uv") is None:
        return "open"
    return "absent" if number(peak.get("baseline_amplitude_uv")) is None else "LOST"


def _peak(peak: Mapping[str, Any]) -> list[Span]:
    is_ = verdict(peak)
    style = {"present": "good", "absent": "warn", "LOST": "bad", "open": "dim"}[is_]
    row: list[Span] = [
        (harmless(peak.get("name"), 20), "strong"),
        (harmless(peak.get("derivation"), 40), "dim"),
        (is_, style),
    ]
    if is_ == "present":
        latency, base = number(peak.get("latency_ms")), number(peak.get("baseline_latency_ms"))
        shift = None if latency is None or base is None else latency - base
        amplitude = peak.get("amplitude_uv")
        return [
            *row,
            (f"{fixed(latency, 2)} {spread(latency, peak.get('latency_ci_ms'), 2)}", ""),
            (signed(shift, 2) if shift is not None else "", ""),
            (f"{micro(amplitude)} {spread(amplitude, peak.get('amplitude_ci_uv'))}", ""),
            _change(peak.get("change_pct")),
        ]
    if is_ == "open":
        return [*row, ("needs sweeps", "dim"), ("", ""), ("", ""), ("", "")]
    was = number(peak.get("baseline_amplitude_uv"))
    said = f"noise {micro(peak.get('noise_uv'))}"
    lost = f"was {micro(was)}" if was is not None else ""
    return [*row, ("", ""), ("", ""), (said, "dim"), (lost, style)]


def _change(value: object) -> Span:
    known = number(value)
    if known is None:
        return ("", "")
    style = "bad" if known <= -50 else "warn" if known <= -30 else ""
    return (f"{signed(known, 0)} %", style)


def answers(response: Mapping[str, Any] | None, cells: int, height: int) -> list[Line]:
    """The table of a `response` message: each muscle's answer to the last stimulus."""
    if response is None:
        return [[("no stimulus has been answered yet", "dim")]] if height else []
    lines: list[Line] = []
    if response.get("accepted") is not True:
        lines.append([("not read: ", "warn"), (harmless(response.get("reason"), 120) or "no reason", "warn")])
    gate = mapping(response.get("gate"))
    if gate and gate.get("allowed") is not True:
        lines.append([("relaxation does not allow it: ", "warn"), (harmless(gate.get("why"), 120), "warn")])
    rows = [_answer(answer) for answer in maps(response.get("responses"))[:MOST_ROWS]]
    return (lines + _table(ANSWERS, rows, cells, height - len(lines)))[: max(height, 0)]


def muscle_verdict(answer: Mapping[str, Any]) -> str:
    """`present`, `absent`, `LOST` (in all repeats, and the baseline had it), or why it is not read."""
    if answer.get("clipped") is True:
        return "clipped"
    if answer.get("state") == "lost" and number(answer.get("baseline_uv")) is not None:
        return "LOST"
    return "present" if answer.get("present") is True else "absent"


def _answer(answer: Mapping[str, Any]) -> list[Span]:
    is_ = muscle_verdict(answer)
    was = number(answer.get("baseline_uv"))
    style = {"present": "good", "LOST": "bad", "clipped": "warn"}.get(is_, "bad" if was else "warn")
    row: list[Span] = [(harmless(answer.get("name"), 40), "strong"), (is_, style)]
    state = harmless(answer.get("state"), 12)
    note = (
        "spread" if answer.get("spread") is True else "artifact" if answer.get("artifact") is True else state
    )
    note = "" if note in ("steady", "lost") else note
    amplitude = answer.get("amplitude_uv")
    if answer.get("present") is True:
        onset = answer.get("onset_ms")
        row += [
            (f"{fixed(onset, 1)} {spread(onset, answer.get('onset_ci_ms'), 1)}", ""),
            (f"{micro(amplitude)} {spread(amplitude, answer.get('amplitude_ci_uv'))}", ""),
        ]
    else:
        said = f"was {micro(was)}" if was is not None else f"< {micro(answer.get('limit_uv'))}"
        row += [("", ""), (said, "dim" if was is None else style)]
    return [*row, _change(answer.get("change_pct")), (note, "warn")]


def twitches(tof: Mapping[str, Any] | None, cells: int, height: int) -> list[Line]:
    """A train of four: its bars, count and ratio, and what they allow."""
    if tof is None:
        return [[("no train of four yet", "dim")]][:height]
    sizes = [number(one) for one in tof.get("amplitudes_uv") or ()] if _is_list(tof, "amplitudes_uv") else []
    largest = max((one for one in sizes if one is not None and one > 0), default=1.0)
    room = max(min(cells - 24, 60), 4)
    count = whole(tof.get("count"))
    lines: list[Line] = [
        [
            ("train of four  ", "dim"),
            (f"{NONE if count is None else count} of 4", "strong"),
            ("   T4/T1 ", "dim"),
            (f"{fixed(tof.get('ratio'), 2)} {spread(tof.get('ratio'), tof.get('ratio_ci'), 2)}", "strong"),
        ]
    ]
    for k, one in enumerate(sizes[:4]):
        long = round(room * one / largest) if one is not None and one > 0 else 0
        lines.append([(f"T{k + 1} ", "dim"), ("█" * long, "trace"), (f" {micro(one)} µV", "")])
    for what, key in (("muscle responses", "mep"), ("EMG", "emg")):
        allowed = tof.get(f"{key}_allowed")
        word = "may be believed" if allowed is True else "MUST NOT be believed" if allowed is False else "?"
        style = "good" if allowed is True else "warn"
        why = harmless(tof.get(f"{key}_why"), 120)
        lines.append([(f"{what} ", "dim"), (word, style), (f": {why}" if why else "", "dim")])
    if reason := harmless(tof.get("reason"), 200):
        lines.append([(reason, "warn")])
    return lines[:height]


def _is_list(header: Mapping[str, Any], key: str) -> bool:
    return isinstance(header.get(key), list | tuple)


def facts(known: Known, test: str, cells: int) -> list[Line]:
    """Sweeps, proof of the stimulus, the verdict and its time: two or three lines."""
    line: Line = []
    average = known.frames.get(f"average.{test}")
    if average is not None and known.kind(test) == "average":
        h = average.header
        target = whole(h.get("sweeps_target"))
        line += [("sweeps ", "dim"), (f"{average.n_sweeps}", "strong")]
        line += [(f"/{target}", "dim")] if target else []
        line += [("  rejected ", "dim"), (f"{whole(h.get('n_rejected')) or 0}", "")]
        band = interval(h.get("band_hz"))
        line += [(f"  {band[0]:g}–{band[1]:g} Hz", "dim")] if band is not None else []
        if number(h.get("rate_hz")) is not None:
            line.append((f"  {fixed(h.get('rate_hz'), 2)}/s", "dim"))
    elif average is not None:
        line += [("answers ", "dim"), (f"{average.n_sweeps}", "strong")]
    second = proof(known, test)
    control = mapping(known.latest.get(f"measure.{test}", {}).get("control"))
    if said := harmless(control.get("text"), 60):
        seen = control.get("present") is True
        second += [("  control ", "dim"), (said, "good" if seen else "warn")]
    if decision := _decision(known, test):
        second += [("  ", ""), *decision]
    lines = [line, second] if line else [second]
    if said := harmless(known.latest.get(f"response.{test}", {}).get("text"), 300):
        lines += [[(row, "dim")] for row in wrapped(said, cells, 2)]
    return [fit(one, cells) for one in lines]


def proof(known: Known, test: str) -> Line:
    """Whether the last stimulus came back in the samples, and when that was."""
    stim = known.stims.get(test)
    if stim is None:
        return [("no stimulus seen", "dim")]
    at, now = known.seconds(stim), known.now_s()
    age = None if at is None or now is None else now - at
    if stim.get("verified") is not True:
        return [("!! stimulus NOT proven", "bad")]
    delivered = stim.get("delivery")
    if delivered not in (None, "ok", "unknown"):
        return [(f"!! current {harmless(delivered, 20)}", "bad")]
    if age is not None and age > RECENT_S:
        return [(f"no stimulus for {ago(age)}", "dim")]
    current = number(stim.get("current_ma"))  # what was measured; what was commanded may be volts
    return [("✓ stimulus proven", "good"), (f" {current:.3g} mA" if current is not None else "", "dim")]


def _decision(known: Known, test: str) -> Line:
    """What the sequential test says of the leading peak, or how long until it will."""
    told = mapping(known.latest.get(f"measure.{test}", {}).get("verdict"))
    decision = told.get("decision")
    if decision in ("present", "absent"):
        error = number(told.get("error_rate"))
        sure = f" (error ≤ {error * 100:.2g} %)" if error is not None else ""
        return [
            ("verdict ", "dim"),
            (str(decision), "good" if decision == "present" else "warn"),
            (sure, "dim"),
        ]
    if not told:
        return []
    left = number(told.get("seconds_left"))
    return [
        ("verdict in ", "dim"),
        (f"about {left:.0f} s" if left is not None else "… not to be told yet", ""),
    ]


def muscles(known: Known, test: str, height: int) -> list[Line]:
    """The last events of free-running EMG of one watch, newest first."""
    mine = [h for h in known.muscles if h.get("test") == test]
    lines: list[Line] = []
    for h in reversed(mine[-height:] if height > 0 else []):
        a_train = h.get("train") == "A"
        lines.append(
            [
                (clock(known.seconds(h)), "dim"),
                (" !! " if a_train else "    ", "warn"),
                (harmless(h.get("text"), 200), "warn" if a_train else ""),
            ]
        )
    return lines or [[("no muscle activity yet", "dim")]][:height]
