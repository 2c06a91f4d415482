"""The lines around the picture: header, tabs of tests, status, keys. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from hostd.show.banner import SIGN, alert_of, closed
from hostd.show.known import STALE_S, Known
from hostd.show.lines import Line, Span, apart, cut, fit, width_of
from hostd.show.view import OFFERS, Rights, View
from hostd.show.words import (
    clock,
    harmless,
    listed,
    mapping,
    maps,
    number,
    size,
    strings,
    title,
    whole,
)

RUN_SIGN = {"running": "▶", "armed": "◆", "stopped": "■"}


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


def tab(known: Known, test: str, number_: int, chosen: bool) -> Line:
    """A test's number, name and how it stands."""
    run = mapping(known.status().get("tests")).get(test)
    sign = RUN_SIGN.get(run, "") if isinstance(run, str) else "~"
    worst = alert_of(known, test)
    style = "chosen" if chosen else f"{worst} text" if worst else "" if run in ("running", None) else "dim"
    key = f"{number_}" if number_ <= 9 else "·"
    return [(f"{'▸' if chosen else ' '}{key} {title(test)} {sign}{SIGN[worst] if worst else ''} ", style)]


def tabs(known: Known, view: View, cells: int, most: int) -> list[Line]:
    """All tests in at most `most` lines; one that is chosen is marked."""
    pieces: list[Line] = [[("▸0 all ", "chosen")] if view.chosen is None else [(" 0 all ", "dim")]]
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
        lost_s = number(link.get("lost_s"))
        since = "" if lost_s is None else f" for {lost_s:.0f} s"
        line += [("  ", "bar"), (f" EDGE NOT CONNECTED{since} ", "bar bad")]
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
        return [
            ("  impedance ", "bar dim"),
            (f"{len(bad)} of {len(ohms)} open: {listed(bad, 2)}", "bar warn"),
        ]
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
