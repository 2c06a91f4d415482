"""The journal and the open alerts as lists, and what the keys do. Pure."""

from collections.abc import Mapping
from typing import Any

from hostd.show.banner import SIGN
from hostd.show.known import Entry, Known
from hostd.show.lines import Line, fit, padded, wrapped
from hostd.show.view import Rights, View
from hostd.show.words import NONE, clock, fixed, harmless, mapping, maps, number, percent, strings, title, utc

HELP = (
    ("x", "stop all stimulation, at once; everybody may"),
    ("a", "acknowledge the alert on top, or the one picked in the list of alerts: it falls silent"),
    ("s", "pause the sound of alarms for two minutes; again: sound on"),
    ("m", "mark a moment with a text; numbers explain changes: map_mmhg=62 mac=0.7 bolus_mg=100"),
    ("1-9, tab", "one test"),
    ("0", "all tests"),
    ("t, e, l", "trends, events, open alerts; again or esc: back"),
    ("up, down, page", "scroll a list, pick an alert"),
    ("p", "negative up (the convention), or positive up"),
    ("+, -", "gain"),
    ("q", "quit the display; the case goes on"),
)


def events(known: Known, cells: int, height: int, scroll: int = 0) -> list[Line]:
    """The journal, newest first."""
    entries = list(known.journal)[::-1][scroll : scroll + max(height, 0)]
    return [entry_line(known, entry, cells) for entry in entries]


def entry_line(known: Known, entry: Entry, cells: int) -> Line:
    """One line of the journal."""
    h = entry.header
    line: Line = [(f"{utc(h.get('utc_ns'), '%H:%M:%S')} ", "dim"), (f"{clock(known.seconds(h)):>7} ", "dim")]
    if entry.topic == "alert":
        priority = h.get("priority") if isinstance(h.get("priority"), str) else "info"
        style = f"{priority} text" if h.get("state") in ("raised", "confirmed") else "dim"
        line += [(f"{SIGN.get(str(priority), 'i'):3} {harmless(h.get('state'), 14)} ", style)]
        line += [(harmless(h.get("text") or h.get("kind"), 400), style)]
    elif entry.topic == "stim":
        line += [
            ("!!  stimulus not proven ", "bad"),
            (f"{title(h.get('test'))} {harmless(h.get('site'), 60)}", ""),
        ]
    elif entry.topic == "emg":
        a_train = h.get("train") == "A"
        line += [
            ("!!  " if a_train else "    ", "warn"),
            (harmless(h.get("text"), 200), "warn" if a_train else "dim"),
        ]
    else:
        kind = harmless(h.get("kind"), 30)
        line += [
            ("    ", ""),
            (harmless(h.get("text"), 400) or kind or NONE, "strong" if kind == "surgeon" else ""),
        ]
        if author := harmless(h.get("author"), 60):
            line.append((f"  {author}", "faint"))
    return fit(line, cells)


def alerts(known: Known, view: View, cells: int, height: int) -> list[Line]:
    """Every open alert with its evidence; the picked one is marked and told in full."""
    found = known.open_alerts()
    if not found:
        return padded([[("✓ no alert is open", "good")]], height)
    picked = view.alert if view.alert in [h.get("id") for h in found] else found[0].get("id")
    lines: list[Line] = []
    at = 0
    for h in found:
        if h.get("id") == picked:
            at = len(lines)
        lines += _alert(known, h, h.get("id") == picked, cells)
    first = max(0, min(at - 2, len(lines) - height))
    return padded(lines[first:], height)


def _alert(known: Known, h: Mapping[str, Any], picked: bool, cells: int) -> list[Line]:
    priority = h.get("priority") if h.get("priority") in SIGN else "info"
    state = harmless(h.get("state"), 14)
    head = f"{'▸' if picked else ' '} {SIGN[str(priority)]:3} {str(priority).upper():6} {state:12} "
    head += f"{clock(known.seconds(h)):>7}  {title(h.get('test'))} {harmless(h.get('kind'), 20)}"
    style = str(priority) if picked and state != "acknowledged" else f"{priority} text"
    lines: list[Line] = [fit([(head, style)], cells, style if picked else "")]
    text = harmless(h.get("text"), 1200)
    lines += [
        [("      ", ""), (row, "strong" if picked else "")]
        for row in wrapped(text, cells - 8, 6 if picked else 1)
    ]
    if picked:
        lines += [[("      ", ""), (row, "dim")] for row in _evidence(h, cells - 8)]
    return lines


def _evidence(h: Mapping[str, Any], cells: int) -> list[str]:
    """What an alert rests on, in words."""
    rows: list[str] = []
    likely = mapping(h.get("likelihood"))
    odds = [
        f"{harmless(name, 14)} {percent(share)}"
        for name, share in likely.items()
        if (number(share) or 0) >= 0.01
    ]
    if odds:
        rows += wrapped("cause: " + ", ".join(odds), cells, 2)
    evidence = mapping(h.get("evidence"))
    fallen = [
        f"{harmless(one.get('name'), 30)} at {percent(one.get('ratio'))} of before"
        for one in maps(evidence.get("responses"))
        if number(one.get("ratio")) is not None
    ]
    if fallen:
        rows += wrapped("changed: " + ", ".join(fallen), cells, 2)
    sites = [
        f"{harmless(s.get('name'), 30)} ×{fixed(s.get('ratio'), 2)}" for s in maps(evidence.get("sites"))
    ]
    if sites:
        rows += wrapped("elsewhere: " + ", ".join(sites), cells, 3)
    for key, word in (("suspects", "suspects: "), ("checklist", "do: ")):
        if said := [harmless(one, 120) for one in strings(evidence.get(key))]:
            rows += wrapped(word + "; ".join(said), cells, 3)
    return rows


def help_(rights: Rights, cells: int, height: int) -> list[Line]:
    """What the keys do, and what this display may ask for."""
    lines: list[Line] = [[("Keys", "title")]]
    for key, said in HELP:
        rows = wrapped(said, cells - 18, 3)
        lines += [[(f"{key if k == 0 else '':>15}  ", "strong"), (row, "")] for k, row in enumerate(rows)]
    role = harmless(rights.role, 30) or "not known yet"
    lines += [[], [("Role ", "dim"), (role, "strong"), (". No key of this display fires a stimulus.", "dim")]]
    lines += [
        [
            ("Curves: the average over its ", "dim"),
            ("baseline", "baseline"),
            (", single answers ", "dim"),
            ("earlier", "answer"),
            (" and ", "dim"),
            ("last", "trace"),
            ("; ± is the noise of the mean.", "dim"),
        ]
    ]
    return padded(lines, height)
