"""The classes of rows: which fields attrs makes of them, in which order.

Rows are built by position, so the order of attrs counts: a field that a subclass defines again moves to the end. Where
reading the class cannot tell, attrs itself is asked, in a process of its own.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

if TYPE_CHECKING:
    from service.sqlcheck.code import Module

Options = dict[str, ast.expr]

DECORATORS = {
    f"{package}.{name}" for package in ("attr", "attrs") for name in ("define", "frozen", "mutable", "s", "attrs")
}
STRUCT = "msgspec.Struct"
# Options of a Struct that do not change which keys of JSON become its fields.
PLAIN_STRUCT = {"cache_hash", "dict", "eq", "forbid_unknown_fields", "frozen", "gc", "kw_only", "order", "weakref"}
# Bases that bring no fields.
BARE_BASES = {"object", "typing.Generic", "typing.Protocol", "abc.ABC"}
# Options of the decorator that change no order; with others, attrs is asked.
PLAIN_OPTIONS = {
    "cache_hash",
    "eq",
    "frozen",
    "hash",
    "kw_only",
    "order",
    "repr",
    "slots",
    "unsafe_hash",
    "weakref_slot",
}
ASK = """
import attrs, importlib, json, sys
fields = attrs.fields(getattr(importlib.import_module(sys.argv[1]), sys.argv[2]))
print(json.dumps([[field.name, field.init, bool(field.kw_only), field.converter is not None] for field in fields]))
"""


@attrs.frozen
class Annotation:
    """A Python type: its full name, whether None is allowed, and the values where it is an enum or a Literal.

    `element` is what a list has; `definition` the class that JSON becomes, and `of_json` whether it is one or has one.
    """

    name: str
    optional: bool = False
    values: tuple[str, ...] | None = None
    element: "Annotation | None" = None
    of_json: bool = False
    definition: "tuple[Module, ast.ClassDef] | None" = attrs.field(default=None, eq=False, repr=False)

    @property
    def optional_elements(self) -> bool:
        """Whether an element of the list may be None."""
        return self.element is not None and self.element.optional

    @override
    def __str__(self) -> str:
        """Name it as the code does."""
        short = re.sub(r"(\w+\.)+", "", self.name)
        return f"{short} | None" if self.optional else short


@attrs.frozen
class Field:
    """A field of a row's class; `converted` if attrs converts what PostgreSQL gives."""

    name: str
    annotation: Annotation
    converted: bool = False
    in_init: bool = True
    keyword_only: bool = False
    has_default: bool = False


@attrs.frozen
class Row:
    """The class of a query's rows: its fields by position, or why no row can become one."""

    name: str
    fields: tuple[Field, ...]
    problem: str = ""


class _UnclearError(Exception):
    """Reading the class does not tell what attrs makes of it."""


def row_class(module: "Module", node: ast.ClassDef) -> Row | None:
    """Return what attrs makes of a class; None if it has no fields."""
    read = {field.name: field for field in _annotated(module, node)}
    if not read:
        return None
    if [module.annotation(base).name for base in node.bases] == ["typing.NamedTuple"]:
        return Row(node.name, tuple(read.values()))
    if _decorator(module, node) is None:
        return Row(node.name, tuple(read.values()), "is no attrs class: decorate it with attrs.define")
    try:
        fields = _fields(module, node)
    except _UnclearError:
        try:
            fields = _asked(module, node, read)
        except subprocess.CalledProcessError as error:
            problem = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            return Row(node.name, tuple(read.values()), f"cannot be imported to ask attrs for its fields: {problem}")
    if keyword := next((field.name for field in fields if field.in_init and field.keyword_only), ""):
        problem = f"takes {keyword} by its name alone, and rows are built by position"
        return Row(node.name, tuple(fields), problem)
    return Row(node.name, tuple(field for field in fields if field.in_init))


def is_json_class(module: "Module", node: ast.ClassDef) -> bool:
    """Tell whether queries build a class from JSON: an attrs class or a Struct."""
    bases = [module.resolve(base) for base in node.bases]
    return _decorator(module, node) is not None or any(
        base == STRUCT
        if isinstance(base, str)
        else isinstance(base[1], ast.ClassDef) and is_json_class(base[0], base[1])
        for base in bases
    )


def json_fields(module: "Module", node: ast.ClassDef) -> dict[str, Field] | None:
    """Return by their keys the fields that msgspec fills from JSON; None if reading the class cannot tell."""
    fields: dict[str, Field] = {}
    for base in map(module.resolve, node.bases):
        if not isinstance(base, str) and isinstance(base[1], ast.ClassDef) and is_json_class(base[0], base[1]):
            inherited = json_fields(base[0], base[1])
            if inherited is None:
                return None
            fields |= inherited
        elif base not in BARE_BASES | {STRUCT}:
            return None
    options = {word.arg for word in node.keywords} | _options(_decorator(module, node)).keys()
    own = list(_own(module, node))
    if not options <= PLAIN_STRUCT | PLAIN_OPTIONS or any({"name", "init", "**"} & its.keys() for _, its in own):
        return None
    return fields | {field.name: field for field, _ in own}


def _decorator(module: "Module", node: ast.ClassDef) -> ast.expr | None:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if module.annotation(called).name in DECORATORS:
            return decorator
    return None


def _bases(module: "Module", node: ast.ClassDef) -> "Iterator[tuple[Module, ast.ClassDef]]":
    for base in node.bases:
        found = module.resolve(base.value if isinstance(base, ast.Subscript) else base)
        if not isinstance(found, str) and isinstance(found[1], ast.ClassDef):
            yield found[0], found[1]
        elif found not in BARE_BASES:
            raise _UnclearError


def _annotated(module: "Module", node: ast.ClassDef) -> Iterator[Field]:
    """Yield the fields that stand in a class or its bases, whatever their order."""
    for base in node.bases:
        found = module.resolve(base)
        if not isinstance(found, str) and isinstance(found[1], ast.ClassDef):
            yield from _annotated(found[0], found[1])
    yield from (field for field, _ in _own(module, node))


def _own(module: "Module", node: ast.ClassDef) -> Iterator[tuple[Field, Options]]:
    """Yield the fields that stand in a class, each with the options of its attrs.field()."""
    for line in node.body:
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        annotation = module.annotation(line.annotation)
        if not annotation.name.rpartition(".")[2].startswith("ClassVar"):
            options = _options(line.value)
            name, converted = line.target.id, "converter" in options
            yield Field(name, annotation, converted, has_default=_has_default(line.value, options)), options


def _fields(module: "Module", node: ast.ClassDef) -> list[Field]:
    """Return the fields as attrs orders them. Raises _UnclearError."""
    bases = list(_bases(module, node))
    if len(bases) > 1 or len(node.decorator_list) > 1:
        raise _UnclearError
    inherited = [field for base in bases for field in _fields(*base)]
    decorator = _decorator(module, node)
    if decorator is None:
        return inherited
    options = _options(decorator)
    if not options.keys() <= PLAIN_OPTIONS or any(_is_field(line) for line in node.body):
        raise _UnclearError
    keyword_only = _flag(options, "kw_only", default=False)
    own = [
        attrs.evolve(
            field,
            in_init=_flag(its, "init", default=True),
            keyword_only=_flag(its, "kw_only", default=keyword_only),
        )
        for field, its in _own(module, node)
    ]
    names = {field.name for field in own}
    return [*(field for field in inherited if field.name not in names), *own]


def _has_default(value: ast.expr | None, options: Options) -> bool:
    return value is not None and (
        not _makes_field(value) or bool({"default", "factory", "default_factory"} & options.keys())
    )


def _is_field(line: ast.stmt) -> bool:
    """Tell whether a line makes a field without an annotation, by which attrs then goes."""
    return isinstance(line, ast.Assign) and _makes_field(line.value)


def _makes_field(value: ast.expr) -> bool:
    name = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
    return name.rpartition(".")[2] in {"field", "ib", "attrib"}


def _options(call: ast.expr | None) -> Options:
    return {word.arg or "**": word.value for word in call.keywords} if isinstance(call, ast.Call) else {}


def _flag(options: Options, name: str, *, default: bool) -> bool:
    """Return an option that is written in place. Raises _UnclearError."""
    value = options.get(name)
    if value is None and "**" not in options:
        return default
    if not (isinstance(value, ast.Constant) and isinstance(value.value, bool)):
        raise _UnclearError
    return value.value


def _asked(module: "Module", node: ast.ClassDef, read: dict[str, Field]) -> list[Field]:
    """Ask attrs for the fields of a class. Raises CalledProcessError."""
    command = [sys.executable, "-c", ASK, module.name, node.name]
    done = subprocess.run(command, cwd=module.code.root, capture_output=True, check=True)  # noqa: S603 - ours
    return [
        Field(name, read[name].annotation if name in read else Annotation("object"), converted, in_init, keyword_only)
        for name, in_init, keyword_only, converted in json.loads(done.stdout)
    ]
