"""What is known to be open, gathered from where it is said: READMEs, the gaps of controls, the rig's table.

Nothing is typed again here: a README's section, a paragraph or a row of its tables is quoted as it stands.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.safety.records import ROOT, Hazards

SECTIONS = ("Open", "Not as on a Pi", "What it cannot say")
PARAGRAPH = "What it cannot hold yet: "
README = "README.md"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One known anomaly: where it is said, and its words."""

    where: str
    text: str


def gaps(hazards: Hazards) -> tuple[Anomaly, ...]:
    """Controls that no test proves, each with its reason."""
    return tuple(
        Anomaly(f"{control.id} ({hazard.hazard})", f"{control.what} {control.gap}")
        for hazard in hazards.hazard
        for control in hazard.control
        if control.gap
    )


def of_readmes(root: Path = ROOT) -> tuple[Anomaly, ...]:
    """Sections that say what is open, in every README but this folder's, in order of path."""
    found = []
    for package in ("hw", "firmware", "dsp", "hostd"):
        for path in sorted((root / package).rglob(README)):
            if "node_modules" in path.parts:
                continue
            told = sections(path.read_text(encoding="utf-8"))
            where = path.relative_to(root).as_posix()
            found += [Anomaly(f"{where}, {name}", told[name]) for name in SECTIONS if name in told]
    return tuple(found)


def of_the_product(root: Path = ROOT) -> tuple[Anomaly, ...]:
    """The product README's own paragraph, and rows of its figures that name a bar missed (in bold)."""
    text = (root / README).read_text(encoding="utf-8")
    paragraph = next(p for p in text.split("\n\n") if p.startswith(PARAGRAPH))
    rows = [line for line in text.splitlines() if line.startswith("|") and _missed(line)]
    told = [Anomaly(README, plain(paragraph))]
    return (*told, *(Anomaly(f"{README}, a bar missed", plain(row.strip("| "))) for row in rows))


def _missed(row: str) -> bool:
    """Whether a bold passage of a row says that something is not so."""
    bold = re.findall(r"\*\*(.+?)\*\*", row)
    return any(re.search(r"\b(not|no|too small)\b", passage) for passage in bold)


def of_the_rig() -> tuple[Anomaly, ...]:
    """Where the rig's model of the kernel is known to answer otherwise than a kernel did."""
    from tests.rig.kernel_rules.registry import RIG_DIFFERS

    return tuple(Anomaly(f"rig, case {name}", reason) for name, reason in sorted(RIG_DIFFERS.items()))


def sections(text: str) -> dict[str, str]:
    """The sections of a page of Markdown by their heading (`## Name`), as plain words."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = plain(body)
    return found


def plain(text: str) -> str:
    """Words without Markdown's marks; paragraphs stay apart by an empty line, lines of a list by a break."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    text = re.sub(r"[*`]{1,2}(\S(?:.*?\S)?)[*`]{1,2}", r"\1", text)
    paragraphs = (re.sub(r"\n(?![-|])\s*", " ", one.strip()) for one in text.split("\n\n"))
    return "\n\n".join(one for one in paragraphs if one)
