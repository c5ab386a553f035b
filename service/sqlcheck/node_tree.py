"""PostgreSQL's analysed queries, as its catalogue stores them: every name resolved to an oid, every type inferred.

The text is what nodeToString() writes: ``{VAR :varno 1 :varattno 2 …}``. Fields differ between releases, so they are
read by name, and one that a release lacks is None.

Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/nodes/outfuncs.c
"""

import re
from collections.abc import Iterator
from typing import Any

import attrs

TOKEN = re.compile(r"[(){}]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
INTEGER = re.compile(r"-?\d+")
WORDS = {"<>": None, "true": True, "false": False}
# What PostgreSQL 15 calls nodes that later releases name after their C types.
OLD_LABELS = {
    "ARRAY": "ARRAYEXPR",
    "CASE": "CASEEXPR",
    "COALESCE": "COALESCEEXPR",
    "MINMAX": "MINMAXEXPR",
    "ROW": "ROWEXPR",
    "ROWCOMPARE": "ROWCOMPAREEXPR",
    "RTE": "RANGETBLENTRY",
    "WHEN": "CASEWHEN",
}
# The fields of expressions that hold the oid of their type.
TYPE_FIELDS = (
    *("vartype", "consttype", "paramtype", "funcresulttype", "opresulttype", "aggtype", "wintype", "resulttype"),
    *("coalescetype", "casetype", "minmaxtype", "array_typeid", "refrestype"),
)
# What says where a node was written, or how, but not what it means.
APPEARANCE = {"location", "varnosyn", "varattnosyn", "varnullingrels", "funcformat", "relabelformat", "coerceformat"}


@attrs.frozen(eq=False)
class Node:
    """A node of an analysed query; its fields are attributes."""

    label: str
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a node, a list, a number or a word
        """Return a field, or None."""
        return self.fields.get(name)


def parse(text: str) -> Any:  # noqa: ANN401 - a node, or a list of them
    """Parse the text of a pg_node_tree."""
    tokens = TOKEN.findall(text)
    tokens.reverse()
    return _value(tokens)


def _value(tokens: list[str]) -> Any:  # noqa: ANN401 - as above
    token = tokens.pop()
    if token == "{":  # noqa: S105 - a brace
        return _node(tokens)
    if token == "(":  # noqa: S105 - the same
        values = []
        while tokens[-1] != ")":
            values.append(_value(tokens))
        tokens.pop()
        # A list of integers, of oids, and a set of bits begin with a letter; strings are quoted.
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
        # A constant is its length and its bytes: `4 [ 1 0 0 0 ]`.
        fields[name[1:]] = values[0] if len(values) == 1 else [each for each in values[1:] if isinstance(each, int)]
    return Node(OLD_LABELS.get(label, label), fields)


def walk(value: Any, level: int = 0) -> Iterator[tuple[Node, int]]:  # noqa: ANN401 - a node, or a list of them
    """Return every node below and including `value`, and how many queries deeper it stands."""
    if isinstance(value, list):
        for each in value:
            yield from walk(each, level)
    elif isinstance(value, Node):
        yield value, level
        for each in value.fields.values():
            yield from walk(each, level + (value.label == "QUERY"))


def type_of(expression: Node) -> int:
    """Return the oid of an expression's type; 0 where its node does not hold one."""
    return next((expression.fields[name] for name in TYPE_FIELDS if name in expression.fields), 0)


def same(one: Any, other: Any, *, index: int = 0) -> bool:  # noqa: ANN401 - nodes, lists, numbers or words
    """Tell whether two expressions mean the same, if the columns of `one` are those of relation `index` of `other`.

    Without an index, they are of one query.
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b, index=index) for a, b in zip(one, other, strict=True))
    if not (isinstance(one, Node) and isinstance(other, Node)):
        return bool(one == other)
    if index and one.label == other.label == "VAR":
        return bool(other.varno == index and other.varlevelsup == 0 and one.varattno == other.varattno)
    names = (one.fields.keys() | other.fields.keys()) - APPEARANCE - {"opfuncid"}
    return one.label == other.label and all(
        same(one.fields.get(name), other.fields.get(name), index=index) for name in names
    )
