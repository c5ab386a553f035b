"""Query trees, as PostgreSQL's catalogue stores them: each name is resolved to an oid, each type is inferred.

Node and walk() are for these trees; ParseNode and walk_parsed(), in `parse_tree`, are for the parsed text.

nodeToString() writes them as text: ``{VAR :varno 1 :varattno 2 …}``. Fields differ between releases, so they are read
by name, and a field that a release lacks is None.

Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/nodes/outfuncs.c
"""

import re
from collections.abc import Iterator
from typing import Any

import attrs

from service.sqlcheck.analysis import node_enums as pg

TOKEN = re.compile(r"[(){}]|(?:\\.|[^ \n\t(){}\\])+", re.DOTALL)
INTEGER = re.compile(r"-?\d+")
WORDS = {"<>": None, "true": True, "false": False}
# Labels in PostgreSQL 15; later releases use the names of the C types.
OLD_LABELS = {
    **{label: f"{label}EXPR" for label in ("ARRAY", "CASE", "COALESCE", "MINMAX", "ROW", "ROWCOMPARE")},
    "RTE": "RANGETBLENTRY",
    "WHEN": "CASEWHEN",
}
# The fields of expressions that contain the oid of their type.
TYPE_FIELDS = (
    *("vartype", "consttype", "paramtype", "funcresulttype", "opresulttype", "aggtype", "wintype", "resulttype"),
    *("coalescetype", "casetype", "minmaxtype", "array_typeid", "row_typeid", "refrestype", "msftype"),
)
OPERANDS = ("arg", "args", "largs", "rargs", "expr", "raw_expr")
# Fields that do not affect what an expression means.
IGNORED_FIELDS = {
    *("location", "varnosyn", "varattnosyn", "varnullingrels"),
    *("funcformat", "relabelformat", "coerceformat", "opfuncid"),
}
CHAR = 1042
INTEGERS = {20, 21, 23}
CASTS = {"RELABELTYPE", "COERCEVIAIO", "COLLATEEXPR", "COERCETODOMAIN", "ARRAYCOERCEEXPR", "NAMEDARGEXPR"}


@attrs.frozen(eq=False)
class Node:
    """A node of an analysed query; its fields are attributes."""

    label: str
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a node, a list, a number or a word
        """Return a field, or None if the node lacks it."""
        return self.fields.get(name)


def parse(text: str) -> Any:  # noqa: ANN401 - a node, or a list of them
    """Parse the text of a pg_node_tree."""
    tokens = TOKEN.findall(text)
    tokens.reverse()
    return _value(tokens)


def _value(tokens: list[str]) -> Any:  # noqa: ANN401 - as above
    token = tokens.pop()
    if token == "{":  # noqa: S105 - not a password
        return _node(tokens)
    if token == "(":  # noqa: S105 - not a password
        values = []
        while tokens[-1] != ")":
            values.append(_value(tokens))
        tokens.pop()
        # Lists of integers or oids and sets of bits begin with a letter; strings are quoted.
        return values[1:] if values and isinstance(values[0], str) and values[0] in "iobx" else values
    if token in WORDS:
        return WORDS[token]
    return int(token) if INTEGER.fullmatch(token) else re.sub(r"\\(.)", r"\1", token)


def _node(tokens: list[str]) -> Node:
    label = tokens.pop()
    fields: dict[str, Any] = {}
    while (name := tokens.pop()) != "}":
        values = []
        while tokens[-1] != "}" and not tokens[-1].startswith(":"):
            values.append(_value(tokens))
        # A constant is written as its length and its bytes: `4 [ 1 0 0 0 ]`.
        fields[name[1:]] = values[0] if len(values) == 1 else [each for each in values[1:] if isinstance(each, int)]
    return Node(OLD_LABELS.get(label, label), fields)


def walk(value: Any, level: int = 0) -> Iterator[tuple[Node, int]]:  # noqa: ANN401 - a node, or a list of them
    """Yield `value` and every node below it, each with the number of queries between `value` and the node."""
    if isinstance(value, list):
        for each in value:
            yield from walk(each, level)
    elif isinstance(value, Node):
        yield value, level
        for each in value.fields.values():
            yield from walk(each, level + (value.label == "QUERY"))


def own_variables(part: Any) -> Iterator[Node]:  # noqa: ANN401 - a node, or a list of them
    """Yield the variables of the query around `part`, also those in queries inside it, which count further levels."""
    for node, level in walk(part):
        if node.label == "VAR" and node.varlevelsup == level:
            yield node


def operands(expression: Node) -> list[Node]:
    """Return the operands of an expression."""
    found = [expression.fields.get(name) for name in OPERANDS]
    return [node for each in found if each for node in (each if isinstance(each, list) else [each])]


def with_variables(value: Any, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - a node, a list, a number or a word
    """Return a copy of an expression whose variables have other values of some fields."""
    if isinstance(value, list):
        return [with_variables(each, fields) for each in value]
    if not isinstance(value, Node):
        return value
    changed = {name: with_variables(each, fields) for name, each in value.fields.items()}
    return Node(value.label, changed | (fields if value.label == "VAR" else {}))


def type_of(expression: Node) -> int:
    """Return the oid of an expression's type; 0 if its node does not contain one."""
    if expression.returning:  # of a JSON function
        return int(expression.returning.typid)
    names = ("type",) if expression.label == "SQLVALUEFUNCTION" else TYPE_FIELDS
    return next((expression.fields[name] for name in names if name in expression.fields), 0)


def same(one: Any, other: Any, *, index: int = 0) -> bool:  # noqa: ANN401 - nodes, lists, numbers or words
    """Return whether two expressions mean the same.

    :param index: the number of the relation in the query of `other` to which the columns of `one` belong; 0 if both
        expressions are in the same query
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b, index=index) for a, b in zip(one, other, strict=True))
    if not (isinstance(one, Node) and isinstance(other, Node)):
        return bool(one == other)
    if index and one.label == other.label == "VAR":
        return bool(other.varno == index and other.varlevelsup == 0 and one.varattno == other.varattno)
    names = (one.fields.keys() | other.fields.keys()) - IGNORED_FIELDS
    return one.label == other.label and all(
        same(one.fields.get(name), other.fields.get(name), index=index) for name in names
    )


def strip_relabels(node: Node) -> Node:
    """Return the expression below casts that do not change the value, such as varchar to text."""
    while node.label == "RELABELTYPE":
        node = node.arg
    return node


def constant_bytes(node: Node) -> bytes:
    """Return the bytes of a constant; node trees print them as signed numbers."""
    return bytes(each % 256 for each in node.constvalue)


def constant_integer(node: Node | None) -> int | None:
    """Return the value of an integer constant below casts; None for any other expression."""
    while node is not None and node.funcformat in {pg.EXPLICIT_CAST, pg.IMPLICIT_CAST} and type_of(node) in INTEGERS:
        node = node.args[0]
    if node is None or node.label != "CONST" or node.constisnull or node.consttype not in INTEGERS:
        return None
    return int.from_bytes(constant_bytes(node), "little", signed=True)


def constant_text(node: Node) -> str:
    """Return the value of a text constant; an empty string for any other expression."""
    if node.label != "CONST" or node.constisnull or node.constlen >= 0:
        return ""
    # A varlena begins with a length of four bytes (constlen is -1); a literal of unknown type ends with a zero (-2).
    written = constant_bytes(node)
    return (written[4:] if node.constlen == -1 else written[:-1]).decode("utf-8", "replace")


def is_null_constant(node: Node) -> bool:
    """Return whether an expression is the constant NULL."""
    while node.label in CASTS:
        node = node.arg
    return node.label == "CONST" and bool(node.constisnull)
