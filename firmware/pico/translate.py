"""From the box's compiled steps to MicroPython: the same functions, without numpy and numba.

Owns the rules of the translation (tables of arrays become lists of lists, named constants become numbers,
types and documentation go), so that the coprocessor's arbiter and limits are the box's own and not a second
writing of them. Refuses what it has no rule for with a ValueError that names place and line.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

Constants = Mapping[str, int | float | str]


def constants_of(*modules: ModuleType) -> dict[str, int | float | str]:
    """The numbers and texts in capitals of `modules`, by name; later ones win."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int | float | str)
    }


class _Rules(ast.NodeTransformer):
    """The translation of one module's functions. `renames`: called names -> names on the board."""

    def __init__(self, where: str, constants: Constants, renames: Mapping[str, str]) -> None:
        self._where, self._constants, self._renames = where, constants, renames

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list, node.returns = [], None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        node.name = self._renames.get(node.name, node.name)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            raise ValueError(f"{self._where}:{node.lineno}: a declaration without a value")
        plain = ast.Assign([node.target], node.value, lineno=node.lineno)
        return self.generic_visit(plain)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.slice, ast.Tuple):
            return node
        if any(isinstance(part, ast.Slice) for part in node.slice.elts):
            raise ValueError(f"{self._where}:{node.lineno}: a slice of a table has no rule")
        inner: ast.expr = node.value
        for part in node.slice.elts[:-1]:
            inner = ast.Subscript(inner, part, ast.Load())
        return ast.Subscript(inner, node.slice.elts[-1], node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Name(id="int64"):
                node.func = ast.Name("int", ast.Load())
            case ast.Attribute(value=ast.Name(id="np"), attr="ceil"):
                node.func = ast.Attribute(ast.Name("math", ast.Load()), "ceil", ast.Load())
            case ast.Attribute(attr="sum", value=values) if not node.args:
                return ast.Call(ast.Name("sum", ast.Load()), [values], [])
            case ast.Attribute(value=ast.Name(id="np")):
                raise ValueError(f"{self._where}:{node.lineno}: {ast.unparse(node.func)} has no rule")
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        """`(*a, b)` is `tuple(a) + (b,)` there."""
        self.generic_visit(node)
        head = node.elts[0] if node.elts else None
        if not isinstance(head, ast.Starred) or not isinstance(node.ctx, ast.Load):
            return node
        whole = ast.Call(ast.Name("tuple", ast.Load()), [head.value], [])
        return ast.BinOp(whole, ast.Add(), ast.Tuple(node.elts[1:], ast.Load()))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._constants:
            return ast.Constant(self._constants[node.id])
        return ast.Name(self._renames.get(node.id, node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            dotted = f"{node.value.id}.{node.attr}"
            if dotted in self._renames:
                return ast.Name(self._renames[dotted], node.ctx)
            if node.value.id.islower() and node.attr in self._constants and node.attr.isupper():
                return ast.Constant(self._constants[node.attr])
        self.generic_visit(node)
        return node


def functions(
    module: ModuleType, names: Iterable[str], constants: Constants, renames: Mapping[str, str]
) -> str:
    """The functions `names` of `module` in their order there, as MicroPython. ValueError: a name or rule is
    missing."""
    wanted = set(names)
    tree = ast.parse(inspect.getsource(module))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    if missing := wanted - {node.name for node in found}:
        raise ValueError(f"{module.__name__} has no function {', '.join(sorted(missing))}")
    return _written(found, _Rules(module.__name__, constants, renames))


def statements(
    module: ModuleType, wanted: Callable[[ast.stmt], bool], constants: Constants, renames: Mapping[str, str]
) -> str:
    """The top-level statements of `module` that are `wanted`, as MicroPython."""
    found = [node for node in ast.parse(inspect.getsource(module)).body if wanted(node)]
    return _written(found, _Rules(module.__name__, constants, renames))


def assigns(*names: str) -> Callable[[ast.stmt], bool]:
    """Whether a statement gives one of `names` its value."""

    def wanted(node: ast.stmt) -> bool:
        targets: list[Any] = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        return any(isinstance(target, ast.Name) and target.id in names for target in targets)

    return wanted


def record(kind: type, fields: Iterable[tuple[str, str | None]]) -> str:
    """A class with an `__init__` of `fields`: (name, default as written or None)."""
    rows = list(fields)
    arguments = ", ".join(name if default is None else f"{name}={default}" for name, default in rows)
    body = "".join(f"        self.{name} = {name}\n" for name, _ in rows)
    return f"class {kind.__name__}:\n    def __init__(self, {arguments}):\n{body}\n"


def _written(nodes: Iterable[ast.stmt], rules: _Rules) -> str:
    written = (ast.fix_missing_locations(rules.visit(node)) for node in nodes)
    return "\n\n".join(ast.unparse(node) for node in written) + "\n"
