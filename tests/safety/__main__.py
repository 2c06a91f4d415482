"""The command: writes the safety file, or says what keeps it from being whole."""

import argparse
import json
import sys
from pathlib import Path

from hostd.export import html
from tests.safety import chapters, markdown, proofs, records, sbom, whole
from tests.safety.matrix import controls_of
from tests.safety.records import ROOT, SafetyFileError


def main(words: list[str] | None = None) -> int:
    """Exit code: 0 whole, 1 not whole or not writable (a line each on standard error), 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.safety", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "safety", metavar="DIR", help="where to")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--sbom", type=Path, metavar="FILE", help="the bill of materials alone")
    parser.add_argument("--results", type=Path, metavar="XML", help="a run of the tests: pytest --junitxml")
    parser.add_argument("--proofs", nargs="+", metavar="ID", help="the tests of these controls, for pytest")
    given = parser.parse_args(words)
    try:
        if given.proofs:
            print("\n".join(proofs_of(given.proofs)))
            return 0
        if given.sbom:
            given.sbom.write_text(sbom.as_json(sbom.bill()), encoding="utf-8")
            print(f"{given.sbom}: written")
            return 0
        made = whole.read(results=given.results)
        if not given.check:
            write(made, given.out)
    except SafetyFileError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"evokd safety: {error}", file=sys.stderr)
        return 1
    where = "" if given.check else f", written to {given.out}"
    proven = sum(map(bool, made.matrix.proofs.values()))
    print(
        f"{len(made.matrix.proofs)} controls, {proven} proven by {len(made.proofs)} tests, "
        f"{len(made.gaps)} known gaps{where}"
    )
    return 0


def proofs_of(ids: list[str]) -> list[str]:
    """The tests that prove any of these, as pytest names them. SafetyFileError for one that is no control."""
    known = {control.id for control in controls_of(records.hazards())}
    if strange := [name for name in ids if name not in known]:
        raise SafetyFileError((f"{strange[0]} is no control; hazards.toml has their ids",))
    return [one.node for one in proofs.read()[0] if set(ids) & set(one.controls)]


def write(made: whole.Whole, out: Path) -> None:
    """All four files. OSError where they cannot be written."""
    report = chapters.document(made)
    out.mkdir(parents=True, exist_ok=True)
    (out / "safety.md").write_text(markdown.page(report), encoding="utf-8")
    (out / "safety.html").write_text(html.page(report), encoding="utf-8")
    values = json.dumps(markdown.values(made), indent=2, ensure_ascii=False)
    (out / "safety.json").write_text(values + "\n", encoding="utf-8")
    (out / "sbom.cdx.json").write_text(sbom.as_json(sbom.bill()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
