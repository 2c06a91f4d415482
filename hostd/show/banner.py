"""The alarm banner, and the one of no data. Pure.

Alarm signals after IEC 60601-1-8: high flashes at 2 Hz, medium at 0.6 Hz, low is steady; `!!!`, `!!`, `!` and
the word say the same without a colour. Never says that there is no alert while nothing is heard.
"""

from collections.abc import Mapping
from typing import Any

from hostd.show.known import STALE_S, Known
from hostd.show.lines import Line, apart, fit, wrapped
from hostd.show.view import Rights, View, to_acknowledge
from hostd.show.words import clock, harmless, listed, mapping, maps, number, percent, strings, title, utc

SIGN = {"high": "!!!", "medium": "!!", "low": "!", "info": "i"}
FLASH_HZ = {"high": 2.0, "medium": 0.6}
FLASH_DUTY = {"high": 0.5, "medium": 0.5}


def stale_s(known: Known, now_ns: int) -> float | None:
    """How old everything is when nothing is live, None while it is: silent for 2 s, or nothing was ever heard
    (then 0)."""
    age = known.silence.age_s(now_ns)
    if age is None:
        return 0.0
    return age if age >= STALE_S else None


def closed(known: Known) -> bool:
    """The case was closed: no more data is no fault."""
    return known.status().get("state") == "closed"


def silence(known: Known, now_ns: int, why: str, cells: int) -> list[Line]:
    """The banner of no data: for how long, and from when what is shown is."""
    age = stale_s(known, now_ns)
    if closed(known):
        return [fit([(" CASE CLOSED ", "medium"), (" what is shown is the end of it", "warn")], cells)]
    if age is None:
        return []
    since = known.newest_utc_ns
    if since is None:
        text, more = " NO DATA yet", why or "waiting for the bus"
    else:
        standing = known.silence.heard_ns is not None and (now_ns - known.silence.heard_ns) / 1e9 < STALE_S
        what = "the box answers but its samples stand still" if standing else "nothing comes from the box"
        text = f" NO DATA for {age:.0f} s: {what}"
        more = f"All below is from {utc(since, '%H:%M:%S')} UTC and NOT live. {why}"
    return [fit([(text, "silence")], cells, "silence"), fit([(" " + more, "silence")], cells, "silence")]


def lit(priority: str, now_ns: int) -> bool:
    """Whether a flashing signal of `priority` is in its lit half now; what does not flash always is."""
    hz = FLASH_HZ.get(priority)
    return hz is None or (now_ns / 1e9 * hz) % 1.0 < FLASH_DUTY[priority]


def banner(
    known: Known, view: View, rights: Rights, now_ns: int, flash_ns: int, cells: int, most: int
) -> list[Line]:
    """The worst open alert with its sentence, cause and key, how many more there are, and faults of the
    daemon.

    One line at least, so that the picture does not jump about; an acknowledged alert is shown in one line,
    quiet.
    """
    alerts = known.open_alerts()
    faults = known.faults()
    if not alerts:
        lines = [
            fit([(f" !! FAULT {harmless(fault, 200)}", "fault")], cells, "fault") for fault in faults[:2]
        ]
        return (lines or [fit(_quiet(known, stale_s(known, now_ns) is None), cells)])[:most]
    first = alerts[0]
    priority = _priority(first)
    seen = first.get("state") == "acknowledged"
    flashing = known.latest.get("alarms", {}).get("flashing") is not None or "alarms" not in known.latest
    bright = seen or not flashing or lit(priority, flash_ns)
    style = "info" if seen else priority if bright else f"{priority} off"
    sentence = wrapped(
        harmless(first.get("text") or first.get("kind"), 600), cells - 6, 1 if seen else most - 1
    )
    lines = [fit(_alert_head(known, view, rights, first, len(alerts) + len(faults) - 1, cells), cells, style)]
    lines = [[(text, style) for text, _ in line] for line in lines]
    body = "info text" if seen else f"{priority} text"
    lines += [[(" │ ", body), (row, "strong" if not seen else body)] for row in sentence]
    return lines[:most]


def _priority(alert: Mapping[str, Any]) -> str:
    priority = alert.get("priority")
    return priority if isinstance(priority, str) and priority in SIGN else "info"


def _alert_head(
    known: Known, view: View, rights: Rights, alert: Mapping[str, Any], more: int, cells: int
) -> Line:
    priority = _priority(alert)
    cause = alert.get("cause")
    likely = mapping(alert.get("likelihood")).get(cause) if isinstance(cause, str) else None
    said = f" {SIGN[priority]:3} {priority.upper()} {harmless(alert.get('state'), 14)}"
    said += f" {clock(known.seconds(alert))}"
    said += f"  {title(alert.get('test')) or harmless(alert.get('kind'), 20)}"
    if isinstance(cause, str) and alert.get("kind") in ("change", "drift"):
        said += f"  cause {harmless(cause, 12)}"
        said += f" {percent(likely)}" if number(likely) is not None else ""
    right = f"+{more} more [l]" if more > 0 else ""
    pairs = [(str(h.get("id")), h.get("state") == "acknowledged") for h in known.open_alerts()]
    if rights.allows("alert.acknowledge") and to_acknowledge(view, pairs) == alert.get("id"):
        right = (right + "  " if right else "") + ("[a] acknowledge" if cells >= 110 else "[a] ack")
    return apart([(said, "")], [(" " + right + " " if right else "", "")], cells)


def _quiet(known: Known, live: bool) -> Line:
    """What is told where no alert is; that there is none is only known while something is heard."""
    case = known.latest.get("case", {})
    line: Line = [(" ✓ no alert" if live else " ? whether there is an alert is not known", "good")]
    waiting = [harmless(one, 40) for one in strings(case.get("waiting"))]
    if case.get("critical") is True:
        line += [("   critical step ", "warn"), (harmless(case.get("text"), 80), "warn")]
    if waiting:
        line += [("   baseline waits for ", "dim"), (listed([title(w) for w in waiting], 5), "")]
    steps = [
        s for s in maps(case.get("steps")) if s.get("state") in ("not measured", "reversed", "wrong jack")
    ]
    if steps:
        said = listed(
            [
                f"{harmless(s.get('step'), 20)} {title(s.get('test'))} {harmless(s.get('state'), 20)}"
                for s in steps
            ],
            2,
        )
        line += [("   set-up: ", "dim"), (" ".join(said.split()), "dim")]
    return line


def alert_of(known: Known, test: str) -> str:
    """The worst priority of what is open and unseen of a test, "" without any."""
    mine = [h for h in known.open_alerts() if h.get("test") == test and h.get("state") != "acknowledged"]
    return _priority(mine[0]) if mine else ""
