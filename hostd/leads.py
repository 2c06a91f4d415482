"""Leads as the case knows them: messages of the edge about electrodes to what the bus says. Pure.

Owns the words and the names; decides nothing. What the edge said is kept as commands in the case's record, so
that replay says the same: `span_args` and friends make the arguments, `Leads` the messages.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hostd.outgoing import Outgoing, event
from hw.link import NOT_SEEN, Excited, Impedance
from hw.link import Leads as LeadFlags

REASON = "impedance"
COMMANDS = ("impedance.span", "impedance.result", "leads")
UNKNOWN: Mapping[str, Any] = {"off": [], "railed": [], "watched": False}


def span_args(said: Excited) -> dict[str, Any]:
    """A span of samples with a current in them; `end_index` None while it flows."""
    end = None if said.end_index == NOT_SEEN else said.end_index
    return {"first_index": said.first_index, "end_index": end}


def result_args(said: Impedance) -> dict[str, Any]:
    """A finished measurement; what is not known is None."""
    names = ("lead", "ohm", "low_ohm", "high_ohm", "phase_deg", "drift_deg", "note")
    columns = (said.leads, said.ohm, said.low_ohm, said.high_ohm, said.phase_deg, said.drift_deg, said.notes)
    leads = [
        {
            n: None if isinstance(v, float) and not math.isfinite(v) else v
            for n, v in zip(names, row, strict=True)
        }
        for row in zip(*columns, strict=True)
    ]
    return {
        "command_id": said.command,
        "first_index": said.first_index,
        "last_index": None if said.end_index == NOT_SEEN else said.end_index - 1,
        "frequency_hz": said.frequency_hz,
        "current_na": said.current_na,
        "board": said.board or None,
        "leads": leads,
    }


def flag_args(said: LeadFlags, channels: Sequence[str]) -> dict[str, Any]:
    """Which leads comparators see off, and which channels stand at a rail, by name."""
    off = [
        channel + sign
        for bits, sign in ((said.off_p, "+"), (said.off_n, "-"))
        for k, channel in enumerate(channels)
        if bits >> k & 1
    ]
    railed = [channel for k, channel in enumerate(channels) if said.railed >> k & 1]
    return {"off": off, "railed": railed, "watched": bool(said.watched)}


class Leads:
    """What is known of the leads; `status` is for the status message."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self.status: dict[str, Any] = dict(UNKNOWN)

    def told(self, name: str, args: dict[str, Any], index: int) -> list[Outgoing]:
        """The messages of one of `COMMANDS` at sample `index`."""
        if name == "impedance.result":
            return [Outgoing("impedance", index, args)]
        if name == "leads":
            self.status = dict(args)
            return [_event(index, self._flags_text(), "leads")]
        first, end = args["first_index"], args["end_index"]
        if end is None:
            return [_event(index, f"impedance current in the electrodes from sample {first} on", REASON)]
        text = f"impedance current in samples {first} to {end - 1}: no average uses them"
        return [_event(index, text, REASON)]

    def _flags_text(self) -> str:
        off, railed = self.status["off"], self.status["railed"]
        said = []
        if len(off) > 1 and len([lead for lead in off if lead[-1] == "+"]) == self._channels:
            said.append("all electrodes seem off: check reference and bias, a loose one makes all look so")
        elif off:
            said.append(f"off: {', '.join(off)}")
        if railed:
            said.append(f"railed: {', '.join(railed)}")
        watched = "" if self.status["watched"] or railed else " (only railed channels are watched)"
        return "leads: " + ("; ".join(said) or f"nothing wrong{watched}")


def _event(index: int, text: str, kind: str) -> Outgoing:
    return event(index, text, kind, "edge")
