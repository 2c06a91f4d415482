"""The safety file as a document: headings, paragraphs and tables, whatever shows them."""

from collections.abc import Iterable, Iterator

from hostd.export.document import Block, Facts, Heading, Paragraph, Report, Table
from tests.safety import limit_table, vex
from tests.safety.anomalies import Anomaly
from tests.safety.chapters_trace import hazards, interlocks, summary, trace
from tests.safety.records import STRIDE
from tests.safety.whole import Whole

TITLE = "evokd: safety and security file"


def document(whole: Whole) -> Report:
    """All chapters. The same for the same sources."""
    blocks = (
        Heading(TITLE, 1),
        Facts(tuple(summary(whole))),
        Paragraph("Not a medical device. Nothing here has been cleared for use on people.", "bad"),
        *_prose(whole, "Intended use"),
        *_units(whole),
        *hazards(whole),
        *interlocks(whole),
        *_limits(),
        *_threats(whole),
        *_soup(whole),
        *_anomalies(whole),
        *trace(whole),
        *_prose(whole, "Reporting a vulnerability"),
    )
    footer = f"evokd {whole.version}. Made from the sources by tests/safety; the sources are the record."
    return Report("Safety and security file", footer, tuple(blocks))


def _prose(whole: Whole, name: str) -> Iterator[Block]:
    yield Heading(name)
    yield from map(Paragraph, whole.prose[name].split("\n\n"))


def _units(whole: Whole) -> Iterator[Block]:
    yield Heading("Software units and their classes (IEC 62304)")
    grades = {unit.name: unit.grade for unit in whole.units.unit}
    rows = []
    for unit in whole.units.unit:
        number = sum(name == unit.name for name in whole.split.unit_of.values())
        leans = ", ".join(f"{one} ({grades[one]})" for one in whole.split.leans.get(unit.name, ()))
        where = ", ".join(unit.modules)
        rows.append(
            (unit.name, unit.grade, f"{where} ({number} modules)", unit.why, leans or "nothing of ours")
        )
    yield Table(("unit", "class", "modules", "why", "imports"), tuple(rows), (14, 6, 24, 36, 20), "lllll")
    yield Paragraph(
        "Edge and host are processes of their own that meet on the link. The host holds units of class C and "
        "B in one process, without segregation in it."
    )


def _limits() -> Iterator[Block]:
    yield Heading("Limits of stimulation")
    yield Paragraph(
        "From hw/limits.py, which host and edge check: ceilings, not advice. A case may tighten them."
    )
    columns, rows = limit_table.by_kind()
    yield Table(columns, rows, (28, *(12 for _ in columns[1:])), "l" + "r" * (len(columns) - 1))
    yield Table(("whatever the kind", "value"), limit_table.times(), (80, 20), "lr")


def _threats(whole: Whole) -> Iterator[Block]:
    yield Heading("Threats (STRIDE)")
    for interface in whole.threats.interface:
        yield Heading(interface.name, 3)
        yield Paragraph(f"Carries {interface.what}. Trust: {interface.trust}.", "quiet")
        rows = tuple(
            (one.id, STRIDE[one.stride], one.threat, ", ".join(one.controls) or "none", one.open)
            for one in interface.threat
        )
        tones = tuple("plain" if one.controls else "warn" for one in interface.threat)
        columns = ("id", "kind", "threat", "controls", "open")
        yield Table(columns, rows, (7, 15, 30, 16, 32), "lllll", tones)


def _soup(whole: Whole) -> Iterator[Block]:
    yield Heading("Software of others (SOUP)")
    yield Paragraph(
        "Versions are those pinned in constraints.txt; users are the modules that import it.", "quiet"
    )
    columns = ("name, version", "for", "if it fails", "known anomalies that matter here", "used by")
    rows = [
        (
            f"{one.soup.name} {one.version} ({one.scope})",
            one.soup.purpose,
            one.soup.failure,
            _list(one.soup.anomalies),
            _some(one.users),
        )
        for one in whole.used
    ]
    rows += [
        (f"{one.name} ({one.version})", one.purpose, one.failure, _list(one.anomalies), "the machine")
        for one in whole.soups.system
    ]
    yield Table(columns, tuple(rows), (16, 16, 22, 28, 18), "lllll")
    scopes = [one.scope for one in whole.packages]
    told = ", ".join(f"{scopes.count(name)} {name}" for name in ("required", "optional", "excluded"))
    yield Paragraph(
        f"The bill of materials (sbom.cdx.json, CycloneDX 1.6) has {len(scopes)} packages: {told}."
    )
    yield Paragraph(vex.said(whole.vulnerabilities))
    if whole.vulnerabilities.vulnerability:
        rows = [
            (one.id, f"{one.package} {one.version}", one.state, one.justification, one.detail)
            for one in whole.vulnerabilities.vulnerability
        ]
        yield Table(("id", "of", "state", "because", "detail"), tuple(rows), (18, 16, 14, 18, 34), "lllll")


def _anomalies(whole: Whole) -> Iterator[Block]:
    yield Heading("Known anomalies")
    for name, some in (
        ("Controls that no test proves", whole.gaps),
        ("Open, as the READMEs say it", whole.open),
        ("Where the rig's model differs from a kernel", whole.rig),
    ):
        yield Heading(name, 3)
        yield Table(("where", "what"), tuple(map(_row, some)), (25, 75), "ll")


def _row(one: Anomaly) -> tuple[str, str]:
    return one.where, one.text


def _list(texts: Iterable[str]) -> str:
    return " ".join(texts) or "none known"


def _some(paths: tuple[str, ...], most: int = 6) -> str:
    """The paths, or how many there are in each package."""
    if len(paths) <= most:
        return ", ".join(paths) or "no module; declared for clients"
    packages = [path.partition("/")[0] for path in paths]
    return ", ".join(f"{name}/ ({packages.count(name)})" for name in sorted(set(packages)))
