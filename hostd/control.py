"""Control requests: bytes to a checked command, results and errors to a reply. Pure.

`{"id", "command", "args"}` in, `{"id", "ok", "result" | "error"}` out. Whatever comes in, something proper
goes out; the daemon does the commands.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from hostd import wire
from hostd.bus import MAX_REQUEST_BYTES
from hw.lead_off import DEFAULT_NA

Code = Literal["bad_request", "unknown_command", "not_allowed", "bad_state", "refused", "busy", "internal"]
CODES: dict[Code, str] = {
    "bad_request": "no request, or its arguments are not what the command takes",
    "unknown_command": "there is no such command",
    "not_allowed": "the client's role does not allow it",
    "bad_state": "not now: the message says what stands in the way",
    "refused": "a safety limit, which the message names",
    "busy": "too many requests; a stop is never refused for that",
    "internal": "a fault of the host's own",
}
MAX_TEXT = 2000
MAX_ID_LEVELS = 16
MAX_VALUES = 32


class NoArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command without arguments."""


class HelloArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is there: a name for the record, and the role wanted: `observer`, `remote` (what its key allows
    elsewhere: no current), or all that the key and the place allow (see hostd.clients). `watch_s`: a display
    that is to be missed, by an alert of kind `link`, when it has asked for nothing for so long (0: no
    longer). `mirror`: the bus on which it says everything again; while it is heard of (it needs `watch_s`),
    `status.mirrors` tells it to every display."""

    name: str = ""
    role: Literal["operator", "remote", "observer", "technologist", "engineer"] = "operator"
    watch_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    mirror: Annotated[str, msgspec.Meta(max_length=200)] = ""


class FireArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stimulus of a test; `current_ma` 0: the case's, or the next of its steps."""

    test: str
    current_ma: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class RateArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another stimulus rate for a test; 0: the best one near, for the mains as measured."""

    test: str
    rate_hz: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0


class TestArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command about one test."""

    test: str


class MarkArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a person or a monitor says happened, with numbers: `map_mmhg`, `temperature_c`, `mac`,
    `propofol_ug_ml`, `bolus_mg`, `relaxant_mg` and others (hostd.vitals) explain changes of responses."""

    text: str
    kind: str = "note"
    author: str = ""
    values: dict[Annotated[str, msgspec.Meta(max_length=40)], float] = {}


class AlertArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command about one alert."""

    id: Annotated[str, msgspec.Meta(max_length=200)]
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class CriticalArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A critical step of the operation begins (`on`) or is over: screw, distraction, clamp, tumour edge."""

    on: bool = True
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class NoteArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done about an alert, for the ledger: the surgeon was `told`, somebody `acted`."""

    id: Annotated[str, msgspec.Meta(max_length=200)]
    step: Literal["told", "acted"]
    text: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SignalArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether alarms sound (`audio`) and are signalled at all (`alarm`): on, paused for so long, off; or
    whether they are `latching` (on, off). Nothing is suppressed: displays go on showing every alert."""

    what: Literal["audio", "alarm", "latching"]
    state: Literal["on", "paused", "off"]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=120)] = 120.0
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class PlugsArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Check the plugs of a test, or ("") of all that can be."""

    test: str = ""
    author: Annotated[str, msgspec.Meta(max_length=200)] = ""


class ImpedanceArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Measure electrodes: which current, at which frequency (0: the part's usual one), which inputs (`auto`:
    those with an electrode of their own); `phantom`: no person is connected."""

    current_na: Annotated[int, msgspec.Meta(ge=1, le=24_000)] = DEFAULT_NA
    frequency_hz: Annotated[float, msgspec.Meta(ge=0, le=8_000)] = 0.0
    sides: Literal["auto", "p", "n", "both"] = "auto"
    phantom: bool = False


class WatchArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Watch for open leads by a direct current; 0: no longer."""

    current_na: Annotated[int, msgspec.Meta(ge=0, le=24_000)] = DEFAULT_NA


COMMANDS: dict[str, type[msgspec.Struct]] = {
    "hello": HelloArgs,
    "snapshot": NoArgs,
    "config.get": NoArgs,
    "case.start": NoArgs,
    "case.close": NoArgs,
    "test.start": TestArgs,
    "test.stop": TestArgs,
    "test.rate": RateArgs,
    "stim.arm": TestArgs,
    "stim.fire": FireArgs,
    "stim.stop": NoArgs,
    "baseline.set": TestArgs,
    "baseline.clear": TestArgs,
    "mark": MarkArgs,
    "alert.acknowledge": AlertArgs,
    "alert.note": NoteArgs,
    "case.critical": CriticalArgs,
    "alarm.signal": SignalArgs,
    "impedance.start": ImpedanceArgs,
    "impedance.stop": NoArgs,
    "leads.watch": WatchArgs,
    "plugs.check": PlugsArgs,
}


DOES: dict[str, str] = {
    "hello": "Who the host is: versions, source, endpoints, commands, tests and the client's role.",
    "snapshot": "`messages`: the latest of every topic that is state, each {topic, header, parts}.",
    "config.get": "`toml`: the case file as it runs.",
    "case.start": "Refused while a case is open: a case begins when evokd starts.",
    "case.close": "Stop everything and close the case's files; the host ends.",
    "test.start": "Begin a new average; a test that repeats is stimulated from now on, if it is armed.",
    "test.stop": "Take no more stimuli, and fire none; the average stays as it is.",
    "test.rate": "Another stimulus rate, with another average and no baseline; 0 asks for the best one near.",
    "stim.arm": "Allow a test to be started or fired within the next 30 s.",
    "stim.fire": "One stimulus of a test, or its next step.",
    "stim.stop": "Stop all stimulation and disarm; always allowed, to everybody.",
    "baseline.set": "Compare from now on with the average as it is.",
    "baseline.clear": "Compare with nothing.",
    "mark": "Put a moment on record, with numbers if there are any.",
    "alert.acknowledge": "A person has seen an alert; it is silent from now on.",
    "alert.note": "Somebody was told of an alert, or acted: for the response ledger.",
    "case.critical": "A critical step of the operation begins, or is over.",
    "alarm.signal": "Sound and flash of alarms: on, paused, off; whether alarms latch.",
    "impedance.start": "Measure the electrodes; no test may run. The answer is topic `impedance`.",
    "impedance.stop": "End that early.",
    "leads.watch": "Watch for open leads, or no longer; `status.leads` has the result.",
    "plugs.check": "Look anew where a test's responses are, or all tests'; `plugs.TEST` has the result.",
}


FROM_TEXT = (ImpedanceArgs, WatchArgs, FireArgs, RateArgs, MarkArgs, SignalArgs, CriticalArgs, HelloArgs)
"""Numbers in these may come as text, as `evokd ctl` sends every value."""


@dataclass(frozen=True, slots=True)
class Request:
    """One checked request."""

    id: Any
    command: str
    args: dict[str, Any] = field(default_factory=dict)


class RequestError(ValueError):
    """A request that cannot be taken; `reply` is the answer to it."""

    def __init__(self, request_id: Any, code: Code, text: str) -> None:
        super().__init__(text)
        self.reply = error_reply(request_id, code, text)


def error_reply(request_id: Any, code: Code, text: str) -> dict[str, Any]:
    """The reply that says no."""
    return {"id": request_id, "ok": False, "error": {"code": code, "message": text}}


def ok_reply(request_id: Any, result: dict[str, Any] | None = None) -> dict[str, Any]:
    """The reply that says yes."""
    return {"id": request_id, "ok": True, "result": result or {}}


def parse(body: bytes) -> Request:
    """The request in `body`. Raises RequestError for anything else."""
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestError(None, "bad_request", f"{len(body)} bytes, the limit is {MAX_REQUEST_BYTES}")
    try:
        given = wire.decode_map(body)
    except ValueError as error:
        raise RequestError(None, "bad_request", str(error)) from None
    request_id = given.get("id")
    if _nested(request_id, MAX_ID_LEVELS):  # it goes back with the reply, from deeper in the stack
        raise RequestError(None, "bad_request", f"id is nested deeper than {MAX_ID_LEVELS} levels")
    command = given.get("command")
    if not isinstance(command, str):
        raise RequestError(request_id, "bad_request", "a request is {id, command, args}; command is missing")
    form = COMMANDS.get(command)
    if form is None:
        known = ", ".join(COMMANDS)
        raise RequestError(request_id, "unknown_command", f"{command[:60]!r} is not one of {known}")
    try:
        args = msgspec.convert(given.get("args", {}), form, strict=form not in FROM_TEXT)
    except msgspec.ValidationError as error:
        raise RequestError(request_id, "bad_request", f"{command}: {error}") from None
    if isinstance(args, MarkArgs) and max(map(len, (args.text, args.kind, args.author))) > MAX_TEXT:
        raise RequestError(request_id, "bad_request", f"mark: a text longer than {MAX_TEXT} characters")
    if isinstance(args, MarkArgs) and (wrong := _no_numbers(args.values)):
        raise RequestError(request_id, "bad_request", f"mark: {wrong}")
    return Request(request_id, command, msgspec.to_builtins(args))


def _no_numbers(values: dict[str, float]) -> str:
    """What is wrong with the numbers of a mark."""
    if len(values) > MAX_VALUES:
        return f"{len(values)} values; give {MAX_VALUES} at most"
    for name, value in values.items():
        if not math.isfinite(value):
            return f"values.{name[:40]} is no number"
    return ""


def _nested(value: Any, levels: int) -> bool:
    """Whether maps and lists lie within each other more than `levels` deep."""
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = [*value]
    else:
        return False
    return levels == 0 or any(_nested(v, levels - 1) for v in inner)
