"""What a case file came to, in words: every value of every test and where it is from (`evokd check`).

Owns the table; resolves nothing. What a clinical lead is asked for first is marked where the case leaves it
to the protocol.
"""

import textwrap
import tomllib
from collections.abc import Iterator

from hostd.arrangement import arrange, collisions
from hostd.case import Case, TestPlan, WatchPlan
from hostd.casefile_faults import show, show_key
from hostd.casefile_schema import TestTable
from hostd.modalities import MODALITIES, Modality

_SHOWN = [
    key for key in TestTable.__struct_fields__ if key not in ("modality", "peak", "alert", "derivations")
]
_STRENGTH = ("current_ma", "volts", "steps_ma")
_MOST = 60


def explain(case: Case) -> Iterator[str]:
    """The lines of a case that is good."""
    document = tomllib.loads(case.text)
    tables = document.get("test", {})
    rate = f"{case.rate_hz:g} samples/s" if case.rate_hz else "the recording's samples/s"
    chosen = (
        "" if "rate_hz" in document.get("acquisition", {}) or not case.rate_hz else " (what the tests want)"
    )
    yield f"{len(case.channels)} channels, {rate}{chosen}"
    if case.rate_hz and not case.recording.annotations and not case.recording.trigger_channel:
        for hit in collisions(arrange(case, case.rate_hz), case.rate_hz):
            share = f"{hit.share:.1%} of the stimuli of {hit.test} ({hit.a_minute:.1f} a minute)"
            yield f"{share} will be left out, since those of {hit.other} come first"
    plans: list[TestPlan | WatchPlan] = [*case.tests, *case.watches]
    for plan in plans:
        yield ""
        yield from _test(plan, tables.get(plan.name, {}))


def _test(plan: TestPlan | WatchPlan, table: dict[str, object]) -> Iterator[str]:
    modality = MODALITIES[plan.modality]
    yield f"[test.{show_key(plan.name)}] {modality.protocol.title}{_of(plan)}"
    yield from textwrap.wrap(modality.protocol.about, 100, initial_indent="  ", subsequent_indent="  ")
    for key in _SHOWN:
        written, usual = table.get(key), getattr(modality.defaults, key)
        if written is None and usual is None:
            continue
        if written is None and (_said_otherwise(key, table) or _not_blanked(key, modality, table)):
            continue
        value = usual if written is None else written
        where = "the case file" if written is not None else f"protocols/{modality.name}.toml"
        if key == "search_ms" and isinstance(plan, TestPlan) and plan.response is not None:
            moved = written is None and plan.response.search_ms != modality.defaults.search_ms
            value = plan.response.search_ms
            where += ", moved with the train" if moved else ""
        asked = written is None and key in modality.protocol.ask
        yield f"  {key:<16} {show(value):<28} {where}{', ask a clinical lead' if asked else ''}"
    yield f"  {'derivations':<16} {_listed([d.name for d in plan.derivations])}"
    if isinstance(plan, TestPlan):
        yield from _measured(plan)
    ask = [key for key in modality.protocol.ask if key not in table and not _said_otherwise(key, table)]
    if missing := [key for key in ask if _open(modality, key)]:
        yield f"  nobody has said  {', '.join(missing)}: ask a clinical lead"


def _said_otherwise(key: str, table: dict[str, object]) -> bool:
    """Whether `key` says how strong, and the case says it by another one."""
    return key in _STRENGTH and any(one in table for one in _STRENGTH if one != key)


def _not_blanked(key: str, modality: Modality, table: dict[str, object]) -> bool:
    """Whether `key` is the blanking of an average that the case leaves without a filter."""
    return key == "blank_ms" and table.get("band_hz") == "off" and modality.protocol.kind == "average"


def _open(modality: Modality, key: str) -> bool:
    """Whether the protocol leaves a key open too."""
    return (
        key in TestTable.__struct_fields__
        and key not in ("alert", "peak", "root", "derivations")
        and (getattr(modality.defaults, key) is None)
    )


def _of(plan: TestPlan | WatchPlan) -> str:
    return f" of {plan.site}" if isinstance(plan, TestPlan) and plan.site else ""


def _measured(plan: TestPlan) -> Iterator[str]:
    """Peaks with their normal ranges, and rules."""
    for place, (peak, normal) in enumerate(zip(plan.peaks, plan.normals, strict=True)):
        low, high = peak.window_ms
        role = {plan.leading: ", leads", plan.control: ", control"}.get(place, "")
        text = f"{peak.name} on {plan.derivations[peak.derivation].name}, {low:g} to {high:g} ms{role}"
        if normal.latency_ms is not None:
            text += f"; normal {normal.latency_ms[0]:g} to {normal.latency_ms[1]:g} ms"
        if normal.amplitude_uv is not None:
            text += f", {normal.amplitude_uv[0]:g} to {normal.amplitude_uv[1]:g} uV"
        yield f"  {'peak':<16} {text}"
    for rule in plan.rules:
        source = f" ({rule.source})" if rule.source else ""
        yield f"  {'rule':<16} {rule.level}: {rule.peak} {rule.name}{source}"


def _listed(names: list[str]) -> str:
    """Names, as many as fit a line."""
    text = ", ".join(names)
    if len(text) <= _MOST:
        return text
    fitting = [name for k, name in enumerate(names) if len(", ".join(names[: k + 1])) <= _MOST]
    return f"{', '.join(fitting)} and {len(names) - len(fitting)} more"
