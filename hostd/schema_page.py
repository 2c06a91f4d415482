"""The schema for people and programs: a Markdown reference and JSON schema, from the declarations alone.

Topics from `hostd.schema`, requests from `hostd.control`, an example of each from `schema_examples.json`:
real messages of a seeded simulated case, written by `python -m tests.hostd.golden`; tests fail where they
are no longer what is declared.
"""

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any, get_args

import msgspec

from hostd.control import CODES, COMMANDS, DOES, NoArgs
from hostd.endpoints import DEFAULT_BUS, parse_bus
from hostd.schema import TOPICS
from hostd.schema_alerts import ChangeEvidence
from hostd.schema_header import Array, Header
from hostd.wire import SCHEMA_VERSION

PORTS = {"events": "XPUB", "control": "ROUTER", "traces": "XPUB", "raw": "XPUB, while somebody subscribes"}
_LONG = 100
_BOUNDS = {"ge": "at least", "le": "at most", "max_length": "characters at most"}


def examples() -> dict[str, Any]:
    """`topics`: a header of each; `control`: for each command a request and its reply."""
    text = (resources.files("hostd") / "schema_examples.json").read_text("utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def as_json() -> str:
    """JSON schema of every topic's header, and under `control` of every request's arguments."""
    shown = examples()
    topics: dict[str, Any] = {
        topic: {
            "endpoint": endpoint,
            "header": msgspec.json.schema(kind),
            "example": shown["topics"].get(topic),
        }
        for topic, (endpoint, kind) in TOPICS.items()
    }
    commands = {
        command: {
            "does": DOES[command],
            "args": msgspec.json.schema(form),
            "example": shown["control"].get(command),
        }
        for command, form in COMMANDS.items()
    }
    topics["control"] = {"endpoint": "control", "commands": commands, "codes": CODES}
    return json.dumps(topics, indent=2)


def as_markdown() -> str:
    """The same as a page."""
    shown = examples()
    lines = ["# The bus", "", f"Schema version {SCHEMA_VERSION}: `v` of every header. {_RULES}", ""]
    lines += [*_endpoints(), *_common(), ""]
    for topic, (endpoint, kind) in TOPICS.items():
        own = [f for f in msgspec.structs.fields(kind) if f.name not in Header.__struct_fields__]
        lines += [f"## `{topic}` ({endpoint})", "", _said(kind), "", *(_field(f) for f in own), ""]
        lines += _example(shown["topics"].get(topic))
    lines += ["## Parts", "", "What fields above are made of.", ""]
    for part in _parts():
        lines += [f"### {part.__name__}", "", _said(part), "", *map(_field, msgspec.structs.fields(part)), ""]
    lines += _control(shown["control"])
    return "\n".join(lines)


_RULES = (
    "Fields and topics are only added, so ignore keys that you do not know. A message of another version is "
    "to be refused, in words."
)
_REQUESTS = """## Control

A request is one MessagePack map `{"id", "command", "args"}`, sent by DEALER or REQ; the reply is
`{"id", "ok": true, "result"}` or `{"id", "ok": false, "error": {"code", "message"}}`. Arguments that a
command does not know are refused.
"""


def _endpoints() -> Iterator[str]:
    at = parse_bus(DEFAULT_BUS)
    yield "| endpoint | default | socket | topics |"
    yield "|---|---|---|---|"
    for name, socket in PORTS.items():
        topics = ", ".join(f"`{topic}`" for topic, (endpoint, _) in TOPICS.items() if endpoint == name)
        yield f"| {name} | {getattr(at, name)} | {socket} | {topics or 'requests and replies'} |"
    yield ""


def _common() -> Iterator[str]:
    yield f"Every header: {', '.join(f'`{f.name}`' for f in msgspec.structs.fields(Header))}."
    yield _said(Header)
    yield f"An array in a header is `{{dtype, shape, part}}`. {_said(Array)}"


def _control(shown: dict[str, Any]) -> Iterator[str]:
    yield from (_REQUESTS, "| code | means |", "|---|---|")
    yield from (f"| `{code}` | {means} |" for code, means in CODES.items())
    yield ""
    for command, form in COMMANDS.items():
        yield from (f"### `{command}`", "", DOES[command])
        yield from ("",) if form is NoArgs else ("", _said(form), "")
        yield from (_field(f) for f in msgspec.structs.fields(form))
        yield from ("", *(line for said in shown.get(command, ()) for line in _example(said)))


def _field(field: Any) -> str:
    """`name`: type, its bounds and its default."""
    meta = msgspec.inspect.type_info(field.type)
    limits = ((word, getattr(meta, k, None)) for k, word in _BOUNDS.items())
    said = [f"{word} {limit:g}" for word, limit in limits if limit is not None]
    if field.default is not msgspec.NODEFAULT:
        said.append(f"default {json.dumps(field.default)}")
    kind = get_args(field.type)[0] if said and hasattr(field.type, "__metadata__") else field.type
    return f"- `{field.name}`: {', '.join([type_name(kind), *said])}"


def type_name(kind: Any) -> str:
    """A type as the page writes it."""
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    text = str(kind).replace("typing.", "")
    for part in _structs(kind):
        text = text.replace(f"{part.__module__}.{part.__qualname__}", part.__name__)
    return text


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from _structs(inner)


def _parts() -> list[type[msgspec.Struct]]:
    """Every struct inside of the topics, in the order in which they are met."""
    met: dict[type[msgspec.Struct], None] = {}
    waiting: list[type[msgspec.Struct]] = [kind for _, kind in TOPICS.values()]
    met[ChangeEvidence] = None
    waiting.append(ChangeEvidence)
    while waiting:
        for field in msgspec.structs.fields(waiting.pop(0)):
            for part in _structs(field.type):
                if part not in met:
                    met[part] = None
                    waiting.append(part)
    return list(met)


def _said(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").strip().replace("\n    ", "\n")


def _example(said: Any) -> list[str]:
    """As JSON, a key a line."""
    if said is None:
        return []
    rows = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in said.items()]
    whole = json.dumps(said, ensure_ascii=False)
    text = whole if len(whole) <= _LONG else "{\n" + ",\n".join(rows) + "\n}"
    return ["```json", text, "```", ""]
