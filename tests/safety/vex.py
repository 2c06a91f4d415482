"""What is known of vulnerabilities in the software of others, and what each means here: CycloneDX's VEX.

From vex.toml. Asks no service itself; that none was asked is said instead of an empty list that looks clean.
"""

import datetime
from collections.abc import Iterable
from typing import Literal

from cyclonedx.model import Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisState
from cyclonedx.model.vulnerability import BomTarget, Vulnerability, VulnerabilityAnalysis, VulnerabilitySource
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from tests.safety.records import HERE, Record, load

FILE = "vex.toml"


class Known(Record):
    """One vulnerability of one `version` of a `package`: its state here, with the reason in `detail`."""

    id: str
    source: str
    package: str
    version: str
    state: Literal["in_triage", "exploitable", "resolved", "false_positive", "not_affected"]
    detail: str
    justification: str = ""


class Asked(Record):
    """Which source was asked, and when (a date); else why not."""

    source: str
    on: str
    why_not: str


class Vex(Record):
    """vex.toml."""

    vulnerability: tuple[Known, ...]
    asked: Asked


def read() -> Vex:
    """What is known. SafetyFileError when the file is missing or anything else than declared."""
    return load(Vex, HERE / FILE)


def faults(vex: Vex, versions: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    """What is wrong with it, a line each. `versions`: of the pinned packages, as `sbom.pins` has them."""
    found = [] if bool(vex.asked.on) != bool(vex.asked.why_not) else [_unclear(vex.asked)]
    if vex.asked.on and not _is_date(vex.asked.on):
        found.append(f"{FILE}: asked on {vex.asked.on!r} is no day; write it as 2026-12-31")
    seen: set[tuple[str, str]] = set()
    for one in vex.vulnerability:
        name = canonicalize_name(one.package)
        pinned = versions.get(name, ("", ""))[1]
        if (one.id, name) in seen:
            found.append(f"{FILE}: {one.id} of {one.package} stands there twice; keep one")
        seen.add((one.id, name))
        if not pinned:
            found.append(f"{FILE}: {one.id} is of {one.package}, which is not pinned; remove it")
        elif pinned != one.version:
            found.append(
                f"{FILE}: {one.id} was judged of {one.package} {one.version}, pinned is {pinned}; judge anew"
            )
        if one.state == "not_affected" and one.justification not in _justifications():
            known = ", ".join(sorted(_justifications()))
            found.append(f"{FILE}: {one.id} is not_affected without a justification; write one of {known}")
        if not one.detail.strip():
            found.append(f"{FILE}: {one.id} is {one.state} without a reason; write its detail")
    return tuple(found)


def _unclear(asked: Asked) -> str:
    return (
        f"{FILE}: either {asked.source} was asked on a day, or there is a reason why not; write one of them"
    )


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _justifications() -> set[str]:
    return {one.value for one in ImpactAnalysisJustification}


def said(vex: Vex) -> str:
    """In a sentence: who was asked, and how many there are in each state."""
    asked = vex.asked
    if not asked.on:
        return f"Known vulnerabilities (VEX): {asked.source} has told nothing. {asked.why_not}"
    states = [one.state for one in vex.vulnerability]
    told = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "none known"
    return f"Known vulnerabilities (VEX), as {asked.source} told on {asked.on}: {told}."


def add_to(bom: Bom, vex: Vex) -> None:
    """Put all of them into a bill of materials, and who was asked."""
    bom.properties.add(Property(name="evokd:vulnerabilities", value=said(vex)))
    for one in _vulnerabilities(vex):
        bom.vulnerabilities.add(one)


def _vulnerabilities(vex: Vex) -> Iterable[Vulnerability]:
    for one in vex.vulnerability:
        name = canonicalize_name(one.package)
        purl = PackageURL("pypi", name=name, version=one.version).to_string()
        why = ImpactAnalysisJustification(one.justification) if one.justification else None
        yield Vulnerability(
            bom_ref=f"{one.id} {name}",
            id=one.id,
            source=VulnerabilitySource(name=vex.asked.source, url=XsUri(one.source)),
            analysis=VulnerabilityAnalysis(
                state=ImpactAnalysisState(one.state), justification=why, detail=one.detail
            ),
            affects=[BomTarget(ref=purl)],
        )
