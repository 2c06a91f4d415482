"""The whole screen: what is known, seen as somebody looks at it, in so many cells. Pure; a test of it needs
no terminal.

While nothing is live all of it is grey and says so: old data never looks new.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hostd.show import banner, bars, lists, tables, traces, trends, waves
from hostd.show.known import Known
from hostd.show.lines import Line, apart, beside, fit, padded
from hostd.show.theme import GREY_KEPT
from hostd.show.traces import marks_of
from hostd.show.view import Rights, View
from hostd.show.words import fixed, harmless, mapping, maps, micro, number, strings, title, whole

WIDE = 132
SIDE = 68
LEAST = (60, 16)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the screen is told besides what is known: monotonic ns, where in its cycle a flash is (ns), what
    was last asked for and came of it, why the bus cannot be reached, the state of the sound, the
    mirror by which the box is heard."""

    now_ns: int
    flash_ns: int = 0
    note: str = ""
    why: str = ""
    sound: str = ""
    via: str = ""


def screen(known: Known, view: View, rights: Rights, at: Moment, size: tuple[int, int]) -> list[Line]:
    """Exactly `size` (columns, rows) cells of it."""
    cells, rows = size
    quiet = banner.silence(known, at.now_ns, at.why, cells)
    notes = [("  ", "bar"), (at.sound, "bar warn" if at.sound != "♪" else "bar good")] if at.sound else []
    notes += [("  ", "bar"), (f"by mirror {at.via}", "bar warn")] if at.via else []
    top = [bars.header(known, at.now_ns, cells, notes), *quiet]
    top += banner.banner(known, view, rights, at.now_ns, at.flash_ns, cells, 4)
    bottom = [bars.status_line(known, cells, at.note), bars.footer(known, rights, cells)]
    if cells < LEAST[0] or rows < LEAST[1]:
        bottom = [[(f"{cells} x {rows}: make the terminal 80 x 24 or larger", "warn")], bottom[-1]]
    body = _page(known, view, rights, cells, max(rows - len(top) - len(bottom), 0))
    lines = (top[: max(rows - 1, 0)] + body)[: max(rows - len(bottom), 0)] + bottom
    lines = [fit(line, cells) for line in padded(lines, rows)]
    if banner.stale_s(known, at.now_ns) is not None:
        lines = [[(text, style if style in GREY_KEPT else "grey") for text, style in line] for line in lines]
    return lines


def _page(known: Known, view: View, rights: Rights, cells: int, height: int) -> list[Line]:
    if view.page == "help":
        return lists.help_(rights, cells, height)
    if view.page == "events":
        return padded(
            [[("Events, newest first", "title")], *lists.events(known, cells, height - 1, view.scroll)],
            height,
        )
    if view.page == "alerts":
        return lists.alerts(known, view, cells, height)
    head = bars.tabs(known, view, cells, 1 if cells >= 110 or height < 12 else 2)
    chosen = view.chosen if view.chosen in known.tests() else None
    if view.page == "trends":
        return padded(head + trends.page(known, chosen, cells, height - len(head)), height)
    if chosen is None:
        log = max(0, min(8, height // 6)) if height >= 16 else 0
        grid = _all(known, view, cells, height - log)
        return padded(grid + lists.events(known, cells, log), height)
    room = height - len(head)
    log = 0 if room < 14 else min(6, room // 7)
    body = _one(known, view, chosen, cells, room - log)
    return padded(head + body + lists.events(known, cells, log), height)


def _one(known: Known, view: View, test: str, cells: int, height: int) -> list[Line]:
    """One test in full: its picture beside its numbers, above them where the terminal is narrow."""
    if known.kind(test) == "tof":
        numbers = _numbers(known, test, cells, height)
        return padded(numbers + trends.block(known, test, cells, height - len(numbers), head=False), height)
    if cells >= WIDE and height >= 14:
        side = _side(known, test, SIDE, height)
        return beside(
            [(_picture(known, view, test, cells - SIDE - 2, height), cells - SIDE - 2), (side, SIDE)],
            height,
            2,
        )
    numbers = _numbers(known, test, cells, max(height // 2, 3))
    return _picture(known, view, test, cells, height - len(numbers)) + numbers


def _side(known: Known, test: str, cells: int, height: int) -> list[Line]:
    lines = [[], *_numbers(known, test, cells, height - 8), []]
    courses = known.courses.of_test(test)
    room = height - len(lines)
    if courses and room >= 4:
        lines += trends.block(known, test, cells, min(room, 9 * len(courses)), head=False)
    return padded(lines, height)


def _numbers(known: Known, test: str, cells: int, height: int) -> list[Line]:
    """Facts and table of one test, in at most `height` lines."""
    kind = known.kind(test)
    if kind == "emg":
        return tables.muscles(known, test, height)
    if kind == "eeg":
        return eeg_facts(known, test, cells)[:height]
    facts = tables.facts(known, test, cells)[: max(height - 2, 1)]
    room = height - len(facts)
    if kind == "single":
        return facts + tables.answers(known.latest.get(f"response.{test}"), cells, room)
    if kind == "tof":
        return facts + tables.twitches(known.by_test.get(("tof", test)), cells, room)
    return facts + tables.peaks(known.latest.get(f"measure.{test}"), cells, room)


def _picture(known: Known, view: View, test: str, cells: int, height: int, small: bool = False) -> list[Line]:
    kind = known.kind(test)
    if kind in ("emg", "eeg"):
        wave = known.courses.waves.get(test)
        if kind == "emg" or height < 12:
            return waves.picture(wave, (cells, height), negative_up=view.negative_up, small=small)
        split = height // 2
        upper = waves.picture(wave, (cells, height - split), negative_up=view.negative_up, small=small)
        return upper + waves.density(known.courses.spectra.get(test), cells, split)
    frame = known.frames.get(f"average.{test}")
    if frame is None or len(frame.mean_uv) < 2:
        said = "no average yet" if kind == "average" else "no answer yet"
        return padded([[], [(f" {said}", "dim")]], height)
    marks = marks_of(known.latest.get(f"response.{test}" if kind == "single" else f"measure.{test}"))
    first = (*_followed(known, test), *(mark.derivation for mark in marks))
    return traces.picture(
        frame,
        known.baseline(test),
        marks,
        (cells, height),
        negative_up=view.negative_up,
        gain=view.gain,
        first=first,
        small=small,
    )


def _followed(known: Known, test: str) -> tuple[str, ...]:
    """The derivation that the verdict is of; () where nothing says which."""
    followed = mapping(known.latest.get(f"measure.{test}", {}).get("choice")).get("followed")
    return (followed,) if isinstance(followed, str) else ()


def _all(known: Known, view: View, cells: int, height: int) -> list[Line]:
    """All tests at once, in a grid whose panels are as near to 50 x 9 as the terminal allows."""
    tests = known.tests()
    if not tests:
        return padded([[], [(" waiting for the case's tests", "dim")]], height)
    columns = max(
        range(1, max(cells // 36, 1) + 1), key=lambda n: min(cells / n / 50, height / -(-len(tests) // n) / 9)
    )
    rows = min(-(-len(tests) // columns), max(height // 3, 1))
    wide = (cells - columns + 1) // columns
    lines: list[Line] = []
    for row in range(rows):
        high = (row + 1) * height // rows - row * height // rows
        names = list(enumerate(tests))[row * columns : (row + 1) * columns]
        blocks = [(_panel(known, view, name, k + 1, wide, high), wide) for k, name in names]
        lines += beside(blocks, high)
    return padded(lines, height)


def _panel(known: Known, view: View, test: str, number_: int, cells: int, height: int) -> list[Line]:
    """One test among all: a heading with its leading number, and its curves."""
    worst = banner.alert_of(known, test)
    head = [(text, f"bar {worst}" if worst else "title") for text, _ in bars.tab(known, test, number_, False)]
    told, style = leading(known, test)
    line = apart(head, [(f"{told} ", style)], cells, "title")
    on_bar = {
        "title": "bar strong",
        "strong": "bar strong",
        "dim": "bar dim",
        "warn": "bar warn",
        "bad": "bar lost",
    }
    lines: list[Line] = [[(text, on_bar.get(style, style)) for text, style in line]]
    room = height - 1
    if known.kind(test) == "tof" and room >= 1:
        return padded(lines + tables.twitches(known.by_test.get(("tof", test)), cells, room), height)
    if known.kind(test) == "average" and room >= 7:
        fact = tables.facts(known, test, cells)[:2]
        return lines + fact + _picture(known, view, test, cells, room - len(fact))
    return lines + _picture(known, view, test, cells, room, small=room < 7)


def leading(known: Known, test: str) -> tuple[str, str]:
    """The one number of a test that people look for, and its style."""
    kind = known.kind(test)
    if kind == "tof":
        tof = known.by_test.get(("tof", test), {})
        count = whole(tof.get("count"))
        return (f"{count} of 4  T4/T1 {fixed(tof.get('ratio'), 2)}" if count is not None else "", "strong")
    if kind == "single":
        return _muscles(known.latest.get(f"response.{test}", {}))
    if kind == "eeg":
        return (harmless(known.by_test.get(("eeg", test), {}).get("text"), 60).partition(": ")[2], "strong")
    if kind == "emg":
        mine = [h for h in known.muscles if h.get("test") == test]
        a_s = sum({str(h.get("derivation")): number(h.get("a_train_s")) or 0.0 for h in mine}.values())
        return (f"A-trains {a_s:.1f} s" if a_s else "no A-train", "warn" if a_s else "dim")
    measure = known.latest.get(f"measure.{test}", {})
    peaks = maps(measure.get("peaks"))
    peak = next((p for p in peaks if p.get("name") == measure.get("leading")), peaks[0] if peaks else None)
    if peak is None:
        return ("", "dim")
    name, is_ = harmless(peak.get("name"), 12), tables.verdict(peak)
    if is_ != "present":
        return (f"{name} {is_}", {"LOST": "bad", "absent": "warn"}.get(is_, "dim"))
    change = number(peak.get("change_pct"))
    said = f"{name} {fixed(peak.get('latency_ms'), 1)} ms {micro(peak.get('amplitude_uv'))} µV"
    said += f" {change:+.0f} %".replace("-", "−") if change is not None else ""
    return (said, "bad" if change is not None and change <= -50 else "strong")


def _muscles(response: Mapping[str, Any]) -> tuple[str, str]:
    found = maps(response.get("responses"))
    if not found:
        return ("", "dim")
    lost = [
        a for a in found if tables.muscle_verdict(a) in ("LOST", "absent") and number(a.get("baseline_uv"))
    ]
    if lost:
        names = [harmless(a.get("name"), 12).partition("-")[0] for a in lost]
        return ("LOST " + " ".join(names[:3]) + (" …" if len(names) > 3 else ""), "bad")
    seen = sum(a.get("present") is True for a in found)
    return (f"{seen} of {len(found)} answer", "strong" if seen == len(found) else "warn")


def eeg_facts(known: Known, test: str, cells: int) -> list[Line]:
    """Edges, suppression and ischaemia of the EEG."""
    eeg = known.by_test.get(("eeg", test), {})
    lines: list[Line] = [[(harmless(eeg.get("text"), 200) or "no EEG yet", "strong" if eeg else "dim")]]
    edges, rms = eeg.get("sef95_hz"), eeg.get("rms_uv")
    artifacts = eeg.get("artifact")
    for k, name in enumerate(strings(eeg.get("derivations"))[:8]):
        line = [(f"{harmless(name, 16):16} ", "dim"), ("SEF95 ", "dim"), (_of(edges, k, 1, " Hz"), "")]
        line += [("   rms ", "dim"), (_of(rms, k, 1, " µV"), "")]
        if (
            said := harmless(artifacts[k], 60)
            if isinstance(artifacts, list | tuple) and k < len(artifacts)
            else ""
        ):
            line += [("   ", ""), (said, "warn")]
        lines.append(fit(line, cells))
    ischaemia = mapping(eeg.get("ischaemia"))
    if (level := harmless(ischaemia.get("level"), 12)) not in ("", "none", "unknown"):
        lines.append([(f"!! {level} ischaemia {harmless(ischaemia.get('side'), 8)}", "bad")])
    return lines


def _of(values: object, at: int, digits: int, unit: str) -> str:
    if not isinstance(values, list | tuple) or at >= len(values):
        return "–"
    one = values[at]
    one = one[0] if isinstance(one, list | tuple) and one else one
    return fixed(one, digits) + (unit if number(one) is not None else "")


__all__ = ["Moment", "screen", "title"]
