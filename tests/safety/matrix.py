"""The trace matrix: hazard → control → modules → tests, and back; and what keeps it from being whole.

A control without a test is a fault unless it says why (`gap`); so is a gap that a test has closed, a marker
that names no control, a module that there is not, and an id that is given twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.safety.proofs import Proof
from tests.safety.records import ROOT, Control, Hazards, Threats


@dataclass(frozen=True, slots=True)
class Matrix:
    """`proofs` of each control id, `controls` that each module carries, and all `faults`."""

    proofs: dict[str, tuple[Proof, ...]]
    controls: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]


def controls_of(hazards: Hazards) -> tuple[Control, ...]:
    """All controls in their order."""
    return tuple(control for hazard in hazards.hazard for control in hazard.control)


def matrix(hazards: Hazards, threats: Threats, proofs: Iterable[Proof], root: Path = ROOT) -> Matrix:
    """What proves what, in the order of the hazard list."""
    proofs = tuple(proofs)
    controls = controls_of(hazards)
    by_control = {
        control.id: tuple(proof for proof in proofs if control.id in proof.controls) for control in controls
    }
    by_module: dict[str, list[str]] = {}
    for control in controls:
        for module in control.modules:
            by_module.setdefault(module, []).append(control.id)
    faults = (
        *_names(hazards, threats),
        *(fault for control in controls for fault in _of_control(control, by_control[control.id], root)),
        *_markers(proofs, set(by_control)),
        *_references(hazards, threats, set(by_control)),
    )
    carried = {module: tuple(ids) for module, ids in sorted(by_module.items())}
    return Matrix(by_control, carried, faults)


def _names(hazards: Hazards, threats: Threats) -> Iterator[str]:
    """Each id once, each control's in its hazard's name."""
    for hazard in hazards.hazard:
        if not hazard.control:
            yield f"hazards.toml: {hazard.id} ({hazard.hazard}) has no control; write one, or its gap"
        for control in hazard.control:
            if not control.id.startswith(f"{hazard.id}."):
                yield f"hazards.toml: control {control.id} stands under {hazard.id}; call it {hazard.id}.N"
    ids = [hazard.id for hazard in hazards.hazard] + [control.id for control in controls_of(hazards)]
    ids += [threat.id for interface in threats.interface for threat in interface.threat]
    for name, times in Counter(ids).items():
        if times > 1:
            yield f"id {name} is given {times} times; give each its own"


def _of_control(control: Control, proofs: tuple[Proof, ...], root: Path) -> Iterator[str]:
    where = f"hazards.toml: control {control.id} ({control.what})"
    if not proofs and not control.gap:
        cure = (
            f'mark the test that proves it, @pytest.mark.control("{control.id}"), or say why none does (gap)'
        )
        yield f"{where} has no test; {cure}"
    if proofs and control.gap:
        yield f"{where} has a gap and a test, {proofs[0].node}; take out whichever is wrong"
    if not control.modules and not control.gap:
        yield f"{where} is in no module; name those that carry it"
    for module in control.modules:
        if not (root / module).is_file():
            yield f"{where} names {module}, which there is not; correct it"


def _markers(proofs: tuple[Proof, ...], known: set[str]) -> Iterator[str]:
    for proof in proofs:
        for name, times in Counter(proof.controls).items():
            where = f"{proof.path}:{proof.line}: {proof.test}"
            if name not in known:
                yield f"{where} proves {name}, which is no control of hazards.toml; correct it"
            elif times > 1:
                yield f"{where} names {name} {times} times; once is enough"


def _references(hazards: Hazards, threats: Threats, known: set[str]) -> Iterator[str]:
    for interlock in hazards.interlock:
        for name in interlock.controls:
            if name not in known:
                yield f"hazards.toml: interlock {interlock.name} names {name}, which is no control"
        if not interlock.controls:
            yield f"hazards.toml: interlock {interlock.name} names no control; name those that are it"
    for interface in threats.interface:
        for threat in interface.threat:
            for name in threat.controls:
                if name not in known:
                    yield f"threats.toml: {threat.id} names {name}, which is no control of hazards.toml"
            if not threat.controls and not threat.open:
                yield f"threats.toml: {threat.id} has no control and says nothing of what is open; do either"
