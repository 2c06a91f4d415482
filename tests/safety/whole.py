"""All parts of the safety file, read once and checked against each other."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from tests.safety import anomalies, imports, matrix, proofs, records, sbom, segregation, soup, vex
from tests.safety.records import HERE, ROOT, SafetyFileError


@dataclass(frozen=True, slots=True)
class Whole:
    """What the chapters are made of. `ran`: each proof's outcome in a run of the tests, if one was given."""

    version: str
    prose: dict[str, str]
    units: records.Units
    split: segregation.Split
    hazards: records.Hazards
    threats: records.Threats
    proofs: tuple[proofs.Proof, ...]
    matrix: matrix.Matrix
    soups: records.Soups
    used: tuple[soup.Used, ...]
    packages: tuple[sbom.Package, ...]
    gaps: tuple[anomalies.Anomaly, ...]
    open: tuple[anomalies.Anomaly, ...]
    rig: tuple[anomalies.Anomaly, ...]
    vulnerabilities: vex.Vex
    ran: dict[str, str] = field(default_factory=dict)


def read(folder: Path = HERE, root: Path = ROOT, results: Path | None = None) -> Whole:
    """Everything. SafetyFileError has a line for each thing that keeps it from being whole."""
    hazards, threats = records.hazards(folder), records.threats(folder)
    units, soups = records.units(folder), records.soups(folder)
    found, faults = proofs.read(root)
    traced = matrix.matrix(hazards, threats, found, root)
    split = segregation.split(units, imports.modules(root))
    used, soup_faults = soup.used(soups, root)
    packages, bill_faults = sbom.packages(root)
    known = vex.read()
    ran = outcomes(results, found) if results else {}
    told = (
        *faults,
        *traced.faults,
        *split.faults,
        *soup_faults,
        *bill_faults,
        *vex.faults(known, sbom.pins(root)),
        *(f"{node} {outcome} in {results}: it proves nothing there" for node, outcome in _bad(ran)),
    )
    if told:
        raise SafetyFileError(tuple(told))
    return Whole(
        sbom.project(root)["version"],
        anomalies.sections((folder / "README.md").read_text(encoding="utf-8")),
        units,
        split,
        hazards,
        threats,
        found,
        traced,
        soups,
        used,
        packages,
        anomalies.gaps(hazards),
        (*anomalies.of_the_product(root), *anomalies.of_readmes(root)),
        anomalies.of_the_rig(),
        known,
        ran,
    )


def outcomes(results: Path, found: tuple[proofs.Proof, ...]) -> dict[str, str]:
    """What became of each proof in a run (`pytest --junitxml`): passed, failed, skipped or not run.

    Of a test with parameters the worst counts. SafetyFileError when the file is none.
    """
    try:
        tree = ElementTree.parse(results)  # of our own test run
    except (OSError, ElementTree.ParseError) as error:
        raise SafetyFileError((f"{results}: {error}; write it with pytest --junitxml",)) from error
    worst: dict[tuple[str, str], str] = {}
    for case in tree.iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        key = case.get("classname", ""), case.get("name", "").partition("[")[0]
        worst[key] = min(worst.get(key, outcome), outcome)  # failed, passed, skipped: any that ran counts
    return {one.node: _of(one, worst) for one in found}


def _of(one: proofs.Proof, worst: dict[tuple[str, str], str]) -> str:
    """By the module's name, whose first folders pytest may leave out."""
    module = one.path.removesuffix(".py").replace("/", ".")
    found = [outcome for (where, test), outcome in worst.items() if test == one.test and _is(where, module)]
    return found[0] if found else "was not run"


def _is(where: str, module: str) -> bool:
    return bool(where) and (module == where or module.endswith(f".{where}"))


def _bad(ran: dict[str, str]) -> list[tuple[str, str]]:
    return [(node, outcome) for node, outcome in ran.items() if outcome != "passed"]
