"""The chapters about risk: hazards with their controls and proofs, interlocks, and the trace back."""

from collections.abc import Iterator

from hostd.export.document import Block, Heading, Paragraph, Table
from tests.safety.matrix import controls_of
from tests.safety.proofs import Proof
from tests.safety.records import Control
from tests.safety.whole import Whole


def summary(whole: Whole) -> Iterator[tuple[str, str]]:
    """What is counted in the file's head."""
    controls = controls_of(whole.hazards)
    proven = sum(bool(whole.matrix.proofs[one.id]) for one in controls)
    threats = [threat for interface in whole.threats.interface for threat in interface.threat]
    yield "Version", f"evokd {whole.version}"
    yield "Hazards", f"{len(whole.hazards.hazard)}, with {len(controls)} controls"
    yield "Proven", f"{proven} controls by {len(whole.proofs)} tests; {len(whole.gaps)} are known gaps"
    yield (
        "Threats",
        f"{len(threats)} at {len(whole.threats.interface)} interfaces, {_open(threats)} with a rest",
    )
    if whole.ran:
        yield "Run", f"all {len(whole.ran)} proofs passed in the run that was given"
    else:
        yield "Run", "no results of a run were given: this file says what would prove, not that it did"


def _open(threats: list) -> int:  # type: ignore[type-arg]
    return sum(bool(threat.open) for threat in threats)


def hazards(whole: Whole) -> Iterator[Block]:
    """Each hazard with its controls."""
    yield Heading("Hazards and controls (ISO 14971)")
    for hazard in whole.hazards.hazard:
        yield Heading(f"{hazard.id}: {hazard.hazard}", 3)
        yield Paragraph(f"{hazard.sequence} Harm: {hazard.harm} Severity: {hazard.severity}.")
        rows = tuple(_control(one, whole.matrix.proofs[one.id]) for one in hazard.control)
        tones = tuple("warn" if one.gap else "plain" for one in hazard.control)
        yield Table(("id", "control", "in", "proven by"), rows, (7, 36, 22, 35), "llll", tones)


def _control(control: Control, proofs: tuple[Proof, ...]) -> tuple[str, str, str, str]:
    proven = ", ".join(map(_short, proofs)) or f"not proven. {control.gap}"
    return control.id, control.what, ", ".join(control.modules) or "nothing here", proven


def _short(proof: Proof) -> str:
    condition = " (skipped where something of it is missing)" if proof.condition else ""
    return f"{proof.path.removeprefix('tests/')}::{proof.test}{condition}"


def interlocks(whole: Whole) -> Iterator[Block]:
    """What the box should own, and which controls are it."""
    yield Heading("Interlocks")
    gaps = {one.id for one in controls_of(whole.hazards) if one.gap}
    rows = tuple(
        (
            one.name,
            one.rule,
            ", ".join(name for name in one.controls if name not in gaps) or "none",
            ", ".join(name for name in one.controls if name in gaps),
        )
        for one in whole.hazards.interlock
    )
    yield Table(("interlock", "rule", "controls", "not proven"), rows, (18, 42, 24, 16), "llll")


def _unnamed(whole: Whole) -> Iterator[str]:
    """What is of class C and stands in no control: helpers of those that do, and what nobody thought of."""
    grades = {unit.name: unit.grade for unit in whole.units.unit}
    for path, name in sorted(whole.split.unit_of.items()):
        if grades[name] == "C" and path not in whole.matrix.controls and not path.endswith("__init__.py"):
            yield path


def trace(whole: Whole) -> Iterator[Block]:
    """Back from modules and tests to controls."""
    yield Heading("Trace: from modules to controls")
    rows = tuple((module, ", ".join(ids)) for module, ids in whole.matrix.controls.items())
    yield Table(("module", "controls"), rows, (60, 40), "ll")
    yield Paragraph(
        f"Modules of class C that no control names: {', '.join(_unnamed(whole)) or 'none'}.", "quiet"
    )
    yield Heading("Trace: from tests to controls")
    tests = tuple(
        (one.node.removeprefix("tests/"), ", ".join(one.controls), whole.ran.get(one.node, ""))
        for one in whole.proofs
    )
    yield Table(("test", "controls", "in the run"), tests, (72, 16, 12), "lll")
