"""Which test proves which control: the markers `@pytest.mark.control("H1.1")`, read from the sources.

Nothing is collected or imported, so that all tests are read in about a second. What a reader of sources
cannot follow (a computed id, `pytestmark`, a class) is a fault rather than a proof that nobody sees.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.safety.records import ROOT

MARKER = "control"
NEVER_RUN = ("skip", "xfail")


@dataclass(frozen=True, slots=True)
class Proof:
    """One marked test; `condition`: it is skipped where something of it is missing."""

    path: str
    test: str
    line: int
    controls: tuple[str, ...]
    condition: bool = False

    @property
    def node(self) -> str:
        """As pytest names it."""
        return f"{self.path}::{self.test}"


@cache
def read(root: Path = ROOT) -> tuple[tuple[Proof, ...], tuple[str, ...]]:
    """All proofs under `root`/tests in order of path and line, and what is wrong with markers there."""
    proofs: list[Proof] = []
    faults: list[str] = []
    for path in sorted((root / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"mark.{MARKER}" not in text:
            continue
        for one in of_source(text, path.relative_to(root).as_posix()):
            if isinstance(one, Proof):
                proofs.append(one)
            else:
                faults.append(one)
    return tuple(proofs), tuple(faults)


def of_source(text: str, path: str) -> Iterator[Proof | str]:
    """The proofs of one file of tests, and in a line each what is wrong with its markers."""
    tree = ast.parse(text)
    seen = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            marks = [one for one in node.decorator_list if _mark_of(one) == MARKER]
            if marks:
                seen |= {one.lineno for one in marks}
                yield _proof(node, marks, path)
    expressions = (node for node in ast.walk(tree) if isinstance(node, ast.expr))
    everywhere = {node.lineno for node in expressions if _mark_of(node) == MARKER}
    for line in sorted(everywhere - seen):
        yield f"{path}:{line}: this marker stands on no function of its own; put it right on the test"


def _proof(node: ast.FunctionDef, marks: list[ast.expr], path: str) -> Proof | str:
    where = f"{path}:{node.lineno}: {node.name}"
    if not (path.rpartition("/")[2].startswith("test_") and node.name.startswith("test_")):
        return f"{where} is nothing that pytest collects; mark a test"
    ids: list[str] = []
    for mark in marks:
        given = mark.args if isinstance(mark, ast.Call) and not mark.keywords else []
        texts = [arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if not texts or len(texts) < len(given):
            return f"{where}: write the ids of its controls as plain texts"
        ids += texts
    others = {_mark_of(one) for one in node.decorator_list}
    if never := sorted(others & set(NEVER_RUN)):
        return f"{where} is marked {never[0]} too; what is not run proves nothing"
    return Proof(path, node.name, node.lineno, tuple(ids), "skipif" in others)


def _mark_of(node: ast.AST) -> str:
    """The x of `pytest.mark.x` and `pytest.mark.x(...)`, or nothing."""
    if isinstance(node, ast.Call):
        node = node.func
    match node:
        case ast.Attribute(attr=name, value=ast.Attribute(attr="mark")):
            return name
    return ""
