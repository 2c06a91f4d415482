"""Who imports whom, read from the sources of the four packages: modules of ours, and libraries of others.

An import inside of a function counts as one at the top. What is copied to the coprocessor's board runs under
another interpreter and imports nothing of others (`BOARD`).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from sys import stdlib_module_names

from tests.safety.records import ROOT

PACKAGES = ("hw", "firmware", "dsp", "hostd")
BOARD = "firmware/pico/board/"
"""MicroPython: its libraries are its own."""
BY_NAME = ("import_module", "binding")
"""Functions whose first argument names what they import (`firmware.linux.binding`)."""
EXAMPLES = "hostd/clients/"
"""Displays for authors of others: they are read, not run, by the product."""


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its path from the root, modules of ours that it imports, libraries that it imports."""

    path: str
    ours: frozenset[str]
    others: frozenset[str]


@cache
def modules(root: Path = ROOT) -> tuple[Module, ...]:
    """All Python files of the four packages in order of path."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    there = {p.relative_to(root).as_posix() for p in paths if "node_modules" not in p.parts}
    return tuple(of_source((root / path).read_text(encoding="utf-8"), path, there) for path in sorted(there))


def of_source(text: str, path: str, there: set[str]) -> Module:
    """What one file imports; `there`: the paths that exist."""
    names: set[str] = set()
    tree = ast.parse(text)
    # Whoever calls nothing that imports by name is not searched expression by expression.
    nodes = ast.walk(tree) if any(f"{name}(" in text for name in BY_NAME) else _statements(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            names |= _by_name(node)
    ours = {found for name in names if (found := _path(name, there))}
    others = {name.partition(".")[0] for name in names} - set(PACKAGES) - set(stdlib_module_names)
    mute = path.startswith(BOARD)
    return Module(path, frozenset(ours - {path}), frozenset() if mute else frozenset(others))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below, without their expressions: most of a tree is these."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()) if not isinstance(node, ast.expr) else ():
            yield child
            yield from _statements(child)


def _by_name(call: ast.Call) -> set[str]:
    """What a call imports by a written name: bindings that only some machines have."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called in BY_NAME and call.args and isinstance(call.args[0], ast.Constant):
        return {str(call.args[0].value)}
    return set()


def _path(name: str, there: set[str]) -> str:
    """The file of a module of ours, or nothing."""
    base = name.replace(".", "/")
    return next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in there), "")


def users(root: Path = ROOT) -> dict[str, tuple[str, ...]]:
    """Library (its import name) to the paths of ours that import it; examples for authors left out."""
    found: dict[str, list[str]] = {}
    for module in modules(root):
        for other in module.others:
            if not module.path.startswith(EXAMPLES):
                found.setdefault(other, []).append(module.path)
    return {name: tuple(paths) for name, paths in sorted(found.items())}
