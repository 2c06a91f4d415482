"""The evidence of an alert about the patient in words, for the report: what fell, what stands, what explains.

Reads what is on file, whoever wrote it: a part that is missing or of another kind is left out, never guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any


def change_words(evidence: Mapping[str, Any], time_of: Callable[[int], str]) -> str:
    """A few plain sentences; `time_of` tells a sample as the report does."""
    parts = [
        _since(evidence, time_of),
        _joined("", [_fallen(one) for one in _maps(evidence, "responses")]),
        _joined("Control: ", [_site(one) for one in _maps(evidence, "sites") if one.get("control")]),
        _joined("All sites: ", [_site(one) for one in _maps(evidence, "sites") if not one.get("control")]),
        _stimulus(evidence.get("stimulus")),
        _joined("Explains: ", [str(one.get("text", "")) for one in _maps(evidence, "confounders")]),
        _joined("Technical: ", [str(one) for one in evidence.get("suspects") or []]),
        _joined("Fixed rules met: ", [_rule(one) for one in _maps(evidence, "legacy")]),
    ]
    return " ".join(part for part in parts if part)


def _maps(evidence: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    listed = evidence.get(key)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _joined(head: str, said: list[str]) -> str:
    said = [one for one in said if one]
    return f"{head}{', '.join(said)}." if said else ""


def _since(evidence: Mapping[str, Any], time_of: Callable[[int], str]) -> str:
    since = evidence.get("since_index")
    return f"Since {time_of(since)}." if isinstance(since, int) else ""


def _fallen(one: Mapping[str, Any]) -> str:
    name, ratio, interval = one.get("name"), one.get("ratio"), one.get("ratio_ci")
    if not isinstance(ratio, int | float):
        return f"{name} changed"
    said = f"{name} at {ratio:.0%} of before"
    if isinstance(interval, list) and len(interval) == 2:
        said += f" ({interval[0]:.0%} to {interval[1]:.0%})"
    return f"{said}, {one.get('sweeps')} sweeps, {one.get('replicates')} of them after the suspicion"


def _site(one: Mapping[str, Any]) -> str:
    ratio = one.get("ratio")
    if not isinstance(ratio, int | float):
        return ""
    return f"{one.get('name')} absent" if one.get("absent") else f"{one.get('name')} {max(ratio, 0.0):.0%}"


def _stimulus(proof: object) -> str:
    if not isinstance(proof, Mapping):
        return ""
    ratio = proof.get("artifact_ratio")
    artifact = f", artifact {ratio:.0%} of the usual" if isinstance(ratio, int | float) else ""
    return f"Stimulus: {proof.get('delivery')}{artifact}."


def _rule(one: Mapping[str, Any]) -> str:
    return " ".join(str(one[key]) for key in ("peak", "name", "verdict") if one.get(key))
