"""Row classes: their fields, in the order in which attrs takes them.

The order matters because rows are built by position. A field that a subclass redefines moves to the end. If the source
does not show the order, a separate process imports the class and asks attrs.
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

DECORATORS = {f"{package}.{name}" for package in ("attr", "attrs") for name in ("define", "frozen", "mutable")}
OLD_DECORATORS = {f"{package}.{name}" for package in ("attr", "attrs") for name in ("s", "attrs")}  # need attr.ib()
STRUCT = "msgspec.Struct"
# Bases without fields.
FIELDLESS_BASES = {"object", "typing.Generic", "typing.Protocol", "abc.ABC"}
# Options of the decorator that do not affect the fields and their order.
NEUTRAL_OPTIONS = {
    *("cache_hash", "eq", "frozen", "hash", "kw_only", "order", "repr", "slots", "unsafe_hash", "weakref_slot"),
}
# Options of a class or of a Struct that do not affect which JSON keys its fields have.
NEUTRAL_JSON_OPTIONS = NEUTRAL_OPTIONS | {"dict", "forbid_unknown_fields", "gc", "weakref"}
FIELDS_SCRIPT = """
import attrs, importlib, json, sys
fields = attrs.fields(getattr(importlib.import_module(sys.argv[1]), sys.argv[2]))
print(json.dumps([[field.name, field.init, bool(field.kw_only), field.converter is not None] for field in fields]))
"""


@attrs.frozen
class Annotation:
    """A Python type: its full name, whether None is allowed, and the values of an enum or a Literal.

    `element`: the type of a list's elements. `definition`: the class, if it is built from JSON.
    `has_json_class`: whether the type is, or contains, a class that is built from JSON.
    """

    name: str
    optional: bool = False
    values: tuple[str, ...] | None = None
    element: "Annotation | None" = None
    has_json_class: bool = False
    definition: "tuple[Module, ast.ClassDef] | None" = attrs.field(default=None, eq=False, repr=False)

    @property
    def optional_elements(self) -> bool:
        """Whether an element of the list, or of a list in it, can be None."""
        return self.element is not None and (self.element.optional or self.element.optional_elements)

    @override
    def __str__(self) -> str:
        """Return its short name, as in the code."""
        short = re.sub(r"(\w+\.)+", "", self.name)
        return f"{short} | None" if self.optional else short


@attrs.frozen
class Field:
    """A field of a row class; `converted` if it has a converter."""

    name: str
    annotation: Annotation
    converted: bool = False
    in_init: bool = True
    keyword_only: bool = False
    has_default: bool = False


@attrs.frozen
class Row:
    """A row class: its fields by position, or the `problem` that prevents building one from a row."""

    name: str
    fields: tuple[Field, ...]
    problem: str = ""


class _UnclearError(Exception):
    """The source of a class does not show its fields."""


def row_class(module: "Module", node: ast.ClassDef) -> Row | None:
    """Return a class as attrs builds it; None if it has no fields."""
    read = {field.name: field for field in _declared_fields(module, node)}
    if not read:
        return None
    if [module.annotation(base).name for base in node.bases] == ["typing.NamedTuple"]:
        return Row(node.name, tuple(read.values()))
    if _decorator(module, node) is None:
        return Row(node.name, tuple(read.values()), "is not an attrs class: decorate it with attrs.define")
    try:
        fields = _ordered_fields(module, node)
    except _UnclearError:
        try:
            fields = _fields_by_import(module, node, read)
        except subprocess.CalledProcessError as error:
            problem = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            return Row(node.name, tuple(read.values()), f"cannot be imported to ask attrs for its fields: {problem}")
    if keyword := next((field.name for field in fields if field.in_init and field.keyword_only), ""):
        problem = f"takes {keyword} by keyword only, but rows are built by position"
        return Row(node.name, tuple(fields), problem)
    return Row(node.name, tuple(field for field in fields if field.in_init))


def is_json_class(module: "Module", node: ast.ClassDef) -> bool:
    """Return whether msgspec builds a class from JSON: an attrs class or a Struct."""
    return _decorator(module, node) is not None or any(
        base == STRUCT if isinstance(base, str) else is_json_class(*base) for base in _bases(module, node)
    )


def json_fields(module: "Module", node: ast.ClassDef) -> dict[str, Field] | None:
    """Return the fields that msgspec fills from JSON, by key; None if the source does not show them."""
    fields: dict[str, Field] = {}
    for base in _bases(module, node):
        inherited: dict[str, Field] | None = None
        if isinstance(base, str):
            inherited = {} if base in FIELDLESS_BASES | {STRUCT} else None
        elif is_json_class(*base):
            inherited = json_fields(*base)
        if inherited is None:
            return None
        fields |= inherited
    options = {word.arg for word in node.keywords} | _options(_decorator(module, node)).keys()
    own = list(_own_fields(module, node))
    if not options <= NEUTRAL_JSON_OPTIONS or any({"name", "init", "**"} & given.keys() for _, given in own):
        return None
    return fields | {field.name: field for field, _ in own}


def _decorator(module: "Module", node: ast.ClassDef) -> ast.expr | None:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if module.annotation(called).name in DECORATORS | OLD_DECORATORS:
            return decorator
    return None


def _bases(module: "Module", node: ast.ClassDef) -> "Iterator[tuple[Module, ast.ClassDef] | str]":
    """Yield the bases of a class: those in the service as classes, others by their full names."""
    for base in node.bases:
        found = module.resolve(base.value if isinstance(base, ast.Subscript) else base)
        if isinstance(found, str):
            yield found
        else:
            yield (found[0], found[1]) if isinstance(found[1], ast.ClassDef) else ast.unparse(base)


def _declared_fields(module: "Module", node: ast.ClassDef) -> Iterator[Field]:
    """Yield the fields that a class and its bases declare, in any order."""
    for base in _bases(module, node):
        yield from _declared_fields(*base) if not isinstance(base, str) else ()
    yield from (field for field, _ in _own_fields(module, node))


def _own_fields(module: "Module", node: ast.ClassDef) -> Iterator[tuple[Field, Options]]:
    """Yield the fields that a class declares itself, with the options of their attrs.field()."""
    for line in node.body:
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        annotation = module.annotation(line.annotation)
        if annotation.name.partition("[")[0].rpartition(".")[2] != "ClassVar":
            options = _options(line.value)
            name, converted = line.target.id, "converter" in options
            yield Field(name, annotation, converted, has_default=_has_default(line.value, options)), options


def _ordered_fields(module: "Module", node: ast.ClassDef) -> list[Field]:
    """Return the fields in the order of attrs. Raises _UnclearError."""
    bases = [base for base in _bases(module, node) if not isinstance(base, str)]
    unknown = {base for base in _bases(module, node) if isinstance(base, str)} - FIELDLESS_BASES
    if unknown or len(bases) > 1 or len(node.decorator_list) > 1:
        raise _UnclearError
    inherited = [field for base in bases for field in _ordered_fields(*base)]
    decorator = _decorator(module, node)
    if decorator is None:
        return inherited
    options = _options(decorator)
    without_annotation = any(isinstance(line, ast.Assign) and _makes_field(line.value) for line in node.body)
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    resolved = module.resolve(called)  # no name for row = functools.partial(attrs.define, kw_only=True)
    is_plain = isinstance(resolved, str) and resolved in DECORATORS
    if not is_plain or without_annotation or not options.keys() <= NEUTRAL_OPTIONS:
        raise _UnclearError
    keyword_only = _boolean_option(options, "kw_only", default=False)
    own = [
        attrs.evolve(
            field,
            in_init=_boolean_option(given, "init", default=True),
            keyword_only=_boolean_option(given, "kw_only", default=keyword_only),
        )
        for field, given in _own_fields(module, node)
    ]
    names = {field.name for field in own}
    return [*(field for field in inherited if field.name not in names), *own]


def _has_default(value: ast.expr | None, options: Options) -> bool:
    return value is not None and (
        not _makes_field(value) or bool({"default", "factory", "default_factory"} & options.keys())
    )


def _makes_field(value: ast.expr) -> bool:
    name = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
    return name.rpartition(".")[2] in {"field", "ib", "attrib"}


def _options(call: ast.expr | None) -> Options:
    return {word.arg or "**": word.value for word in call.keywords} if isinstance(call, ast.Call) else {}


def _boolean_option(options: Options, name: str, *, default: bool) -> bool:
    """Return an option that is written as a literal. Raises _UnclearError."""
    value = options.get(name)
    if value is None and "**" not in options:
        return default
    if not (isinstance(value, ast.Constant) and isinstance(value.value, bool)):
        raise _UnclearError
    return value.value


def _fields_by_import(module: "Module", node: ast.ClassDef, read: dict[str, Field]) -> list[Field]:
    """Import a class in a separate process, and return its fields by attrs. Raises CalledProcessError."""
    command = [sys.executable, "-c", FIELDS_SCRIPT, module.name, node.name]
    done = subprocess.run(command, cwd=module.code.root, capture_output=True, check=True)  # noqa: S603 - a fixed command, and names from the source
    return [
        Field(name, read[name].annotation if name in read else Annotation("object"), converted, in_init, keyword_only)
        for name, in_init, keyword_only, converted in json.loads(done.stdout)
    ]
