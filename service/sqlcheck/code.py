"""References to queries in the Python code, which is parsed, not imported.

A query is named by a call of a function that is imported from ``service.sql``: ``one("pets.create_pet",
VersionedPet)``. The class is followed through imports and base classes to its fields; a name from outside the service
becomes its full name (``datetime.datetime``).
"""

import ast
import builtins
from collections.abc import Iterator
from functools import cache, cached_property, reduce
from pathlib import Path
from typing import Any

import attrs

from service.sqlcheck.row_classes import Annotation, Row, is_json_class, row_class

QUERY_FUNCTIONS = {"one", "maybe", "many", "value", "count"}
# The modules that export these functions, and the one that defines them.
QUERY_MODULES = {"service.sql", "service.postgres", "service.postgres.queries"}


@attrs.frozen
class QueryReference:
    """A place in the code that names a query; `row` is a row class, the type of a value, or None for a count."""

    path: str
    line: int
    query: str
    cardinality: str
    row: Row | Annotation | None

    @property
    def returns(self) -> str:
        """The result that the code expects, as the header would declare it."""
        return f"{self.cardinality} {self.row.name}" if isinstance(self.row, Row) else self.cardinality


@attrs.frozen
class Source:
    """A parsed Python file, with its nodes at any depth."""

    text: str
    body: list[ast.stmt]
    nodes: list[ast.AST]


@attrs.define
class Module:
    """A parsed module of the service."""

    code: "Code"
    name: str
    path: Path
    source: Source
    open_aliases: list[ast.stmt] = attrs.field(factory=list, init=False, eq=False)

    @cached_property
    def names(self) -> dict[str, ast.stmt | tuple[str, str]]:
        """The top-level names: statements of this module, or (module, name) if imported."""
        names: dict[str, ast.stmt | tuple[str, str]] = {}
        for node in _unconditional(self.source.body):
            if isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name: (self._absolute(node), alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                for alias in node.names:  # `import service.pets.models` binds the name `service`
                    bound = alias.name if alias.asname else alias.name.partition(".")[0]
                    names[alias.asname or bound] = bound, ""
            else:  # a class, a function, an assignment or `type PetId = int`
                target: Any = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", node)
                target = getattr(target, "name", target)
                name = getattr(target, "id", target)
                if isinstance(name, str):
                    names[name] = node
        return names

    def query_function(self, node: ast.expr) -> str:
        """Return which of QUERY_FUNCTIONS an expression names, as `one` or `sql.one`; an empty string if none."""
        if isinstance(node, ast.Attribute) and node.attr not in QUERY_FUNCTIONS:
            return ""  # most calls end here
        found = self.resolve(node)
        full_name = found if isinstance(found, str) else f"{found[0].name}.{getattr(found[1], 'name', '')}"
        module, _, name = full_name.rpartition(".")
        return name if module in QUERY_MODULES and name in QUERY_FUNCTIONS else ""

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module from which a statement imports, even by a relative name."""
        if not node.level:
            return node.module or ""
        package = self.name.split(".")[: None if self.path.name == "__init__.py" else -1]
        return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])

    def find(self, name: str) -> "tuple[Module, ast.stmt] | str":
        """Return the module and statement of the service that define `name`, or its full name if it is from outside."""
        target = self.names.get(name)
        if target is None:
            return name if hasattr(builtins, name) else f"{self.name}.{name}"
        if isinstance(target, ast.stmt):
            return self, target
        module, attribute = target
        origin = self.code.modules.get(module)
        full_name = f"{module}.{attribute}".strip(".")
        if origin is None or origin is self or full_name in self.code.modules:  # a package can import its own modules
            return full_name
        return origin.find(attribute)

    def annotation(self, node: ast.expr) -> Annotation:
        """Return the type that an annotation denotes."""
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self.annotation(ast.parse(text, mode="eval").body)
                except SyntaxError:  # StrEnum("Kind", "cat dog")
                    return Annotation(text)
            case ast.BinOp():
                return _union(self.annotation(node.left), self.annotation(node.right))
            case ast.Subscript():
                return self._subscript(node)
            case ast.Attribute() | ast.Name():
                return self._named(node)
            case _:
                return Annotation(ast.unparse(node))

    def _named(self, node: ast.Attribute | ast.Name) -> Annotation:
        found = self.resolve(node)
        if isinstance(found, str):
            return Annotation(found)
        module, statement = found
        if isinstance(statement, ast.ClassDef):
            definition = (module, statement) if is_json_class(module, statement) else None
            values = _enum_values(module, statement)
            return Annotation(statement.name, values=values, has_json_class=bool(definition), definition=definition)
        # A function, or an alias that refers to itself, such as one for JSON, or TypeVar("T").
        target = getattr(statement, "value", None)
        if target is None or statement in module.open_aliases:
            return Annotation(ast.unparse(node))
        module.open_aliases.append(statement)
        if isinstance(target, ast.Call):  # NewType("PetId", int)
            [*_, target] = target.args or [target.func]
        annotation = module.annotation(target)
        module.open_aliases.pop()
        return annotation

    def _subscript(self, node: ast.Subscript) -> Annotation:
        full_name = self.annotation(node.value).name
        outer = full_name.rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            is_known = all(isinstance(each, ast.Constant | ast.UnaryOp) for each in inner)  # not members of an enum
            values = tuple(str(ast.literal_eval(each)) for each in inner) if is_known else None
            return Annotation("Literal", values=values)
        first = self.annotation(inner[0])
        if outer == "Annotated":
            return first
        if outer == "Optional":
            return attrs.evolve(first, optional=True)
        if outer == "Union":
            return reduce(_union, map(self.annotation, inner))
        each = [first, *map(self.annotation, inner[1:])]
        name = f"{full_name}[{', '.join(part.name for part in each)}]"
        has_json_class = any(part.has_json_class for part in each)
        return Annotation(name, element=first if outer == "list" else None, has_json_class=has_json_class)

    def row(self, node: ast.expr) -> Row | Annotation:
        """Return the row class that an expression names, or another type."""
        found = self.resolve(node)
        if not isinstance(found, str):
            module, definition = found
            if isinstance(definition, ast.ClassDef) and (row := row_class(module, definition)):
                return row
        return self.annotation(node)

    def resolve(self, node: ast.expr) -> "tuple[Module, ast.stmt] | str":
        """Return, for `X` or `models.X`, the module and statement that define it, or its full name, as `find` does."""
        if isinstance(node, ast.Name):
            return self.find(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = self.resolve(node.value)
            if isinstance(owner, str) and owner in self.code.modules:
                return self.code.modules[owner].find(node.attr)
            return f"{self.annotation(node.value).name}.{node.attr}"
        return ""


class Code:
    """The parsed Python code of the service."""

    def __init__(self, root: Path) -> None:
        """Parse all modules below `root`/service. Raises SyntaxError."""
        self.root = root
        self.modules: dict[str, Module] = {}
        for path in sorted((root / "service").rglob("[!.]*.py")):
            relative = path.relative_to(root)
            name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            self.modules[name] = Module(self, name, relative, _parse(path.read_bytes(), str(relative)))

    @cached_property
    def references(self) -> list[QueryReference]:
        """All places that name a query."""
        return [reference for module in self.modules.values() for reference in _references(module)]


@cache
def _parse(source: bytes, path: str) -> Source:
    """Parse a file, once for the same content."""
    if b"\0" in source:
        raise SyntaxError("it contains null bytes", (path, 1, None, None))
    tree = ast.parse(source, path)
    return Source(source.decode("utf-8", "replace"), tree.body, list(ast.walk(tree)))


def _references(module: Module) -> Iterator[QueryReference]:
    for node in module.source.nodes:
        if isinstance(node, ast.Call) and (function := module.query_function(node.func)):
            keywords = ("name", "row", "python_type")
            given = [*node.args, *(word.value for each in keywords for word in node.keywords if word.arg == each)]
            name = given[0] if given else None
            yield QueryReference(
                path=module.path.as_posix(),
                line=node.lineno,
                query=name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else "",
                cardinality=function,
                row=module.row(given[1]) if len(given) > 1 else None,
            )


def _unconditional(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, with those of `if TYPE_CHECKING:` and `try:`."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _unconditional(node.body)
        else:
            yield node


def _union(left: Annotation, right: Annotation) -> Annotation:
    parts = [part for part in (left, right) if part.name != "None"]
    optional = any(part.name == "None" or part.optional for part in (left, right))
    if len(parts) == 1:
        return attrs.evolve(parts[0], optional=optional)
    names = sorted({name for part in parts for name in part.name.split(" | ")})
    return Annotation(" | ".join(names), optional, has_json_class=any(part.has_json_class for part in parts))


def _enum_values(module: Module, node: ast.ClassDef) -> tuple[str, ...] | None:
    """Return the values of a StrEnum; None for another class."""
    if "StrEnum" not in {module.annotation(base).name.rpartition(".")[2] for base in node.bases}:
        return None
    return tuple(
        # auto() is the name in lower case
        str(getattr(line.value, "value", ast.unparse(line.targets[0]).lower()))
        for line in node.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant | ast.Call)
    )
