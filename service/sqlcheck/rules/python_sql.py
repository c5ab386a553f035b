"""SQL in Python code, built from strings or written as a literal, which the checks of the SQL files do not cover."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cached_property

import attrs

from service.sqlcheck.code import Code, Module
from service.sqlcheck.findings import Finding

# The methods of connections and cursors in asyncpg and psycopg whose first argument is SQL.
EXECUTE_METHODS = {
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "prepare", "cursor", "copy", "stream"),
    "copy_from_query",
}
# Statements that begin or end transactions are not queries.
QUERY = re.compile(
    r"(\s|--.*\n|/\*(?s:.*?)\*/|\()*"
    r"(select|with|values|table|insert|update|delete|merge|create|alter|drop|truncate|refresh|call|do|lock|copy"
    r"|vacuum|analyze|cluster|reindex|grant|revoke|comment|notify|listen)\b",
    re.IGNORECASE,
)
# In a module, or in a package for all its modules: `# inline-sql: ok reason`.
ACCEPTED = re.compile(r"^# (?P<check>inline-sql|built-sql): ok \S", re.MULTILINE)
QUOTING_CLASSES = {"Identifier", "Literal"}  # of psycopg.sql
FORMATTING_METHODS = {"format", "format_map", "join", "replace", "substitute", "safe_substitute"}
PROPERTIES = {"property", "cached_property"}


class StringKind(IntEnum):
    """What is known of a string; of several, the greatest counts."""

    OTHER = 1
    QUERY = 2
    BUILT = 3  # at run time


def find_sql(code: Code) -> Iterator[Finding]:
    """Find SQL that Python builds from strings, and SQL in string literals; psycopg.sql is safe."""
    strings = {name: _ModuleStrings(module) for name, module in code.modules.items()}
    for name, module in code.modules.items():
        for node in module.source.nodes:
            if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in EXECUTE_METHODS:
                continue
            given = [*node.args[:1], *(each.value for each in node.keywords if each.arg in {"query", "sql", "command"})]
            text = _Tracer(strings).trace(name, given[0]) if given else None
            if text == StringKind.BUILT and not _is_accepted(code, name, "built-sql"):
                sentence = "SQL is built from strings: move it to a file in sql/ with $n for each value"
                yield Finding(module.path.as_posix(), node.lineno, sentence, "built-sql")
            elif text == StringKind.QUERY and not _is_accepted(code, name, "inline-sql"):
                sentence = "SQL in Python is not checked: move it to a file in sql/"
                yield Finding(module.path.as_posix(), node.lineno, sentence, "inline-sql")


def _is_accepted(code: Code, name: str, check: str) -> bool:
    parts = name.split(".")
    around = [code.modules.get(".".join(parts[: length + 1])) for length in range(len(parts))]
    return any(check in ACCEPTED.findall(module.source.text) for module in around if module)


@attrs.define
class _ModuleStrings:
    """The expressions of a module of which strings can consist."""

    module: Module

    @cached_property
    def bound(self) -> dict[tuple[str, bool], list[ast.expr]]:
        """What a name or an attribute stands for; with True, what a call of it returns."""
        found: defaultdict[tuple[str, bool], list[ast.expr]] = defaultdict(list)
        for target, value in _assignments(self.module.source.nodes):
            for name in _assigned_names(target):
                found[name, False].append(value)
                if isinstance(value, ast.Lambda):
                    found[name, True].append(value.body)
        for function in self.module.source.nodes:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
                found[function.name, True] += returned
                if any(ast.unparse(each).rpartition(".")[2] in PROPERTIES for each in function.decorator_list):
                    found[function.name, False] += returned
        return found


def _assignments(nodes: list[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target of an assignment with its value; that of a loop with the list, tuple or set."""
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target, value) for target in targets)
            case ast.AugAssign(target=target, value=value):
                yield target, ast.BinOp(left=ast.Constant(""), op=ast.Add(), right=value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                yield target, value
            case (
                ast.For(target=target, iter=ast.List() | ast.Tuple() | ast.Set() as values)
                | ast.comprehension(target=target, iter=ast.List() | ast.Tuple() | ast.Set() as values)
            ):
                yield target, values
            case _:
                pass  # no assignment


def _assigned_names(target: ast.expr) -> list[str]:
    """Return the names and attributes that a target of an assignment consists of."""
    if isinstance(target, ast.Tuple | ast.List):
        return [name for each in target.elts for name in _assigned_names(each)]
    name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", None)
    return [name] if name else []


@attrs.define
class _Tracer:
    """Traces an expression to the strings of which it consists, through names, attributes and functions."""

    _strings: dict[str, _ModuleStrings]
    _known: dict[int, StringKind | None] = attrs.field(factory=dict)

    def trace(self, module: str, node: ast.expr) -> StringKind | None:
        """Return what is known of a string; None if the expression is not known to be one."""
        if id(node) not in self._known:
            self._known[id(node)] = None  # a function that calls itself ends here
            self._known[id(node)] = self._trace(module, node)
        return self._known[id(node)]

    def _trace(self, module: str, node: ast.expr) -> StringKind | None:  # noqa: C901, PLR0911 - one return per case
        match node:
            case ast.Constant(value=str(text)):
                return StringKind.QUERY if QUERY.match(text) else StringKind.OTHER
            case ast.JoinedStr(values=parts):
                is_built = any(isinstance(part, ast.FormattedValue) for part in parts)
                return StringKind.BUILT if is_built else self._either(module, parts)
            case ast.BinOp(op=ast.Add() | ast.Mod() as op):
                left, right = self.trace(module, node.left), self.trace(module, node.right)
                if left and right and StringKind.BUILT not in {left, right} and isinstance(op, ast.Add):
                    return left
                return StringKind.BUILT if left or right else None
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Subscript(value=value):
                return self.trace(module, value)
            case ast.IfExp():
                return self._either(module, [node.body, node.orelse])
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
                return self._either(module, parts)  # any of its strings can be executed
            case ast.Call():
                return self._call(module, node)
            case ast.Name(id=name):
                return self._bound(*self._origin(module, name))
            case ast.Attribute(attr=name):
                found = self._strings[module].module.resolve(node)
                return self._bound(found[0].name if isinstance(found, tuple) else module, name)
            case _:
                return None

    def _either(self, module: str, nodes: Iterable[ast.expr]) -> StringKind | None:
        return max((text for node in nodes if (text := self.trace(module, node))), default=None)

    def _call(self, module: str, node: ast.Call) -> StringKind | None:
        """Trace "…".format(x), f"…".strip(), dedent(f"…"), sql.SQL(f"…"), Template("…").substitute(x), where(x)."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in QUOTING_CLASSES:
            return None
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(receiver, ast.Name) and receiver.id == "str" and node.args:  # str.format("…", x)
            receiver = node.args[0]
        around = self.trace(module, receiver) if receiver else None
        if name in FORMATTING_METHODS and (around or "substitute" in name):
            return StringKind.BUILT
        returned = self._returned(module, node.func)
        inside = self._either(module, node.args)
        if StringKind.BUILT in {around, returned, inside}:
            return StringKind.BUILT
        return returned or around  # nothing of sql.SQL("…").format(…), which is not a string

    def _returned(self, module: str, function: ast.expr) -> StringKind | None:
        name = getattr(function, "attr", "")
        if isinstance(function, ast.Name):
            module, name = self._origin(module, function.id)
        return self._bound(module, name, called=True)

    def _origin(self, module: str, name: str) -> tuple[str, str]:
        """Return the module of the service that defines a name, and its name there."""
        target = self._strings[module].module.names.get(name)
        return target if isinstance(target, tuple) and target[0] in self._strings else (module, name)

    def _bound(self, module: str, name: str, *, called: bool = False) -> StringKind | None:
        return self._either(module, self._strings[module].bound.get((name, called), []))
