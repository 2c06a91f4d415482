"""The lines around the picture: header, alarm banner, tabs of tests, status, keys. Pure.

Alarm signals after IEC 60601-1-8: high flashes at 2 Hz, medium at 0.6 Hz, low is steady; `!!!`, `!!`, `!`
and the word say the same without a colour.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hostd.show.known import STALE_S, Known
from hostd.show.lines import Line, Span, apart, cut, fit, width_of, wrapped
from hostd.show.view import OFFERS, Rights, View, to_acknowledge
from hostd.show.words import (
    clock,
    harmless,
    listed,
    mapping,
    maps,
    number,
    percent,
    size,
    strings,
    title,
    utc,
    whole,
)

SIGN = {"high": "!!!", "medium": "!!", "low": "!", "info": "i"}
FLASH_HZ = {"high": 2.0, "medium": 0.6}
FLASH_DUTY = {"high": 0.5, "medium": 0.5}
RUN_SIGN = {"running": "▶", "armed": "◆", "stopped": "■"}


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


def header(known: Known, now_ns: int, cells: int, notes: Sequence[Span] = ()) -> Line:
    """Case, state, source, time, losses, recording, and whether this is live."""
    status = known.status()
    phase = harmless(known.latest.get("case", {}).get("phase") or status.get("state") or "waiting", 20)
    name = harmless(status.get("name") or status.get("case") or "evokd", 60)
    rate = known.rate_hz()
    samples = number(status.get("samples"))
    lost = whole(status.get("lost_samples")) or 0
    gaps = whole(status.get("gaps")) or 0
    fields: Line = [(" " + phase.upper(), "bar strong")]
    if cells >= 100:
        fields.append(("  " + harmless(status.get("source") or "", 30), "bar dim"))
    fields.append(("  " + clock(samples / rate if samples is not None and rate else None), "bar strong"))
    if lost:
        said = f" lost {lost} in {gaps} gap{'s' if gaps != 1 else ''} " if cells >= 100 else f" lost {lost} "
        fields += [("  ", "bar"), (said, "bar bad")]
    elif status:
        fields.append(("  lost 0", "bar dim"))
    fields += [("  ", "bar"), *_recording(status, cells)]
    fields += list(notes)
    fields += [("  ", "bar"), _live(known, now_ns), (" ", "bar")]
    room = cells - width_of(fields)
    return fit([(" " + cut(name, max(room - 2, 0)), "bar strong")], max(room, 0), "bar") + fit(
        fields, min(width_of(fields), cells), "bar"
    )


def _recording(status: Mapping[str, Any], cells: int) -> Line:
    recording = mapping(status.get("recording"))
    missing = whole(recording.get("lost_samples")) or 0
    state = recording.get("state")
    if not status:
        return [("REC –", "bar dim")]
    if state == "failing" or missing:
        return [(f" REC {harmless(state, 10)} {missing} missing ".upper(), "bar bad")]
    if not recording.get("path"):
        return [("NOT recorded", "bar warn")]
    if state == "slow":
        return [("● REC disk slow", "bar warn")]
    return [("● REC", "bar good"), (f" {size(recording.get('bytes'))}" if cells >= 90 else "", "bar dim")]


def _live(known: Known, now_ns: int) -> Span:
    if closed(known):
        return (" CLOSED ", "bar warn")
    age = known.silence.age_s(now_ns)
    if age is None:
        return (" NO DATA ", "silence")
    if age >= STALE_S:
        return (f" NO DATA {age:.0f} s ", "silence")
    return ("● LIVE" + (f" {age:.1f} s" if age >= 0.5 else ""), "bar good")


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


def banner(known: Known, view: View, rights: Rights, now_ns: int, cells: int, most: int) -> list[Line]:
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
    bright = seen or not flashing or lit(priority, now_ns)
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


def tab(known: Known, test: str, number_: int, chosen: bool) -> Line:
    """A test's number, name and how it stands."""
    run = mapping(known.status().get("tests")).get(test)
    sign = RUN_SIGN.get(run, "") if isinstance(run, str) else "~"
    worst = alert_of(known, test)
    style = "chosen" if chosen else f"{worst} text" if worst else "" if run in ("running", None) else "dim"
    key = f"{number_}" if number_ <= 9 else "·"
    return [(f" {key} {title(test)} {sign}{SIGN[worst] if worst else ''} ", style)]


def tabs(known: Known, view: View, cells: int, most: int) -> list[Line]:
    """All tests in at most `most` lines; one that is chosen is marked."""
    pieces: list[Line] = [[(" 0 all ", "chosen" if view.chosen is None else "dim")]]
    pieces += [tab(known, name, k + 1, name == view.chosen) for k, name in enumerate(known.tests())]
    lines: list[Line] = [[]]
    for piece in pieces:
        if width_of(lines[-1]) + width_of(piece) > cells:
            if len(lines) == most:
                break
            lines.append([])
        lines[-1] += piece
    return [fit(line, cells) for line in lines]


def status_line(known: Known, cells: int, note: str) -> Line:
    """Mains, leads, stimulation, sound, what was dropped; at its end what was last asked for and came of
    it."""
    status = known.status()
    line: Line = [(" ", "bar")]
    mains = known.latest.get("mains", {})
    hz = number(mains.get("hz"))
    line += [("mains ", "bar dim"), (f"{hz:.2f} Hz" if hz is not None else "–", "bar")]
    leads = mapping(status.get("leads"))
    off = strings(leads.get("off")) + strings(leads.get("railed"))
    if off:
        line += [("  leads ", "bar dim"), (f" OFF {listed(off, 3)} ", "bar bad")]
    else:
        line += [("  leads ", "bar dim"), ("ok" if leads.get("watched") is True else "not watched", "bar")]
    line += _impedance(known)
    stimulation = mapping(status.get("stimulation"))
    locks = strings(stimulation.get("locks"))
    if locks:
        line += [("  stim ", "bar dim"), (f"locked: {harmless(locks[0], 60)}", "bar warn")]
    else:
        armed = [title(k) for k in mapping(stimulation.get("armed_s"))]
        line += [("  stim ", "bar dim"), ("armed " + listed(armed, 2) if armed else "free", "bar")]
    if (never := whole(stimulation.get("never_seen"))) is not None and never > 0:
        line += [("  ", "bar"), (f"{never} pulses never seen", "bar warn")]
    link = mapping(status.get("link"))
    if link.get("connected") is False:
        line += [("  ", "bar"), (" EDGE NOT CONNECTED ", "bar bad")]
    line += _sound(known)
    if known.malformed:
        line += [("  ", "bar"), (f"{known.malformed} malformed dropped", "bar warn")]
    right: Line = [(f" {note} ", "bar strong")] if note else []
    return apart(line, right, cells, "bar")


def _impedance(known: Known) -> Line:
    told = known.latest.get("impedance")
    if told is None:
        return [("  impedance ", "bar dim"), ("not measured", "bar")]
    ohms = [(number(lead.get("ohm")), harmless(lead.get("lead"), 12)) for lead in maps(told.get("leads"))]
    bad = [name for ohm, name in ohms if ohm is None]
    if bad:
        return [("  impedance ", "bar dim"), (f"{len(bad)} of {len(ohms)} open: {listed(bad, 2)}", "bar warn")]
    worst, name = max(((ohm, name) for ohm, name in ohms if ohm is not None), default=(0.0, "no lead"))
    return [("  impedance ", "bar dim"), (f"≤ {worst / 1000:.1f} kΩ ({name})", "bar")]


def _sound(known: Known) -> Line:
    alarms = known.latest.get("alarms", {})
    line: Line = []
    for key, word in (("audio", "alarm sound"), ("alarm", "alarm signals")):
        state = alarms.get(key)
        if state == "paused":
            until, rate, now = whole(alarms.get(f"{key}_until")), known.rate_hz(), known.now_s()
            left = (
                f" {max(until / rate - now, 0):.0f} s"
                if until is not None and rate and now is not None
                else ""
            )
            line += [("  ", "bar"), (f"{word} PAUSED{left}", "bar warn")]
        elif state == "off":
            line += [("  ", "bar"), (f"{word} OFF", "bar warn")]
    return line


def footer(known: Known, rights: Rights, cells: int) -> Line:
    """The keys that do something now; the most needed first where there is no room for all."""
    paused = known.latest.get("alarms", {}).get("audio") == "paused"
    unseen = any(h.get("state") != "acknowledged" for h in known.open_alerts())
    offers = [o for o in OFFERS if not o.command or rights.allows(o.command)]
    offers = [o for o in offers if o.command != "alert.acknowledge" or unseen]
    for narrow in (False, True):
        line: Line = []
        for offer in offers:
            word = offer.short if narrow else offer.word
            if offer.command == "alarm.signal" and paused:
                word = "sound"
            line += [(offer.key if narrow else f" {offer.key} ", "key"), (f" {word} ", "dim")]
        if width_of(line) <= cells:
            break
    return fit(line, cells)
