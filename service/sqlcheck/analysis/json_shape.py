"""The shape of JSON that a query builds: keys and elements, their types and their nullability.

`jsonb_build_object`, `jsonb_agg`, their variants, the SQL/JSON constructors, and rows of tables, subqueries and
functions are followed through subqueries. Other JSON has no known shape; msgspec validates it when the row is read.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import attrs

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.nested_arrays import levels_below
from service.sqlcheck.analysis.not_null import as_variable, not_null_if_true
from service.sqlcheck.analysis.nullability import NEVER, UNKNOWN, Nullability
from service.sqlcheck.analysis.nullability_inference import NullabilityInference
from service.sqlcheck.analysis.query_tree import CASTS, Node, constant_bytes, constant_text, is_null_constant, type_of
from service.sqlcheck.analysis.scope import Scope
from service.sqlcheck.analysis.types import COMPOSITE, JSON, Type, Types

RECORD = 2249  # the oid of the type of a row without a named type
UNKNOWN_TYPE = 705  # the oid of the type of a literal that nothing gives another one
BOOLEAN_LABELS = {"BOOLEXPR", "NULLTEST", "BOOLEANTEST", "SCALARARRAYOPEXPR", "ROWCOMPAREEXPR", "JSONISPREDICATE"}
OPEN_TYPES = JSON | {f"_{each}" for each in JSON} | {"record", "_record"}  # those that do not name keys
PARSING_CASTS = {"ARRAYCOERCEEXPR", "COERCEVIAIO"}  # from text to JSON
BOOLEAN_SUBQUERIES = {pg.EXISTS, pg.ALL, pg.ANY, pg.ROW_COMPARISON}


@attrs.frozen
class JsonShape:
    """A value in JSON: its type, its nullability, and its keys or its element if the query shows them."""

    type: Type | None
    nulls: Nullability
    keys: dict[str, "JsonShape"] | None = None
    element: "JsonShape | None" = None


@attrs.frozen
class JsonShapes:
    """The JSON shapes of one statement's expressions."""

    nullability: NullabilityInference
    types: Types

    def shape_of(self, scope: Scope, node: Node) -> JsonShape:
        """Return the shape of an expression."""
        # Before PostgreSQL 18, a grouped column looks like one of the table, which no grouping set makes null.
        grouped = any(each.query.groupingSets and not each.query.hasGroupRTE for each in scope.with_parents())
        nulls = UNKNOWN if grouped else self.nullability.expression(scope, node)
        found = self._of_type(self._type(scope, node), nulls)
        inside = self._inside(scope, node)
        if inside is None or (found.type and not found.keys and found.type.bare.internal not in OPEN_TYPES):
            return found
        keys = found.keys if inside.keys is None else inside.keys
        return attrs.evolve(found, type=inside.type or found.type, keys=keys, element=inside.element)

    def _of_type(self, of: Type | None, nulls: Nullability) -> JsonShape:
        """Return the shape of any value of a type: each column of a composite type can be null."""
        if of and of.bare.element and of.bare.element.bare.kind == COMPOSITE:
            # `nulls` also says whether elements can be null.
            return JsonShape(of, nulls, element=self._of_type(of.bare.element, NEVER))
        if of is None or of.bare.kind != COMPOSITE:
            return JsonShape(of, nulls)
        attributes = self.types.attributes(of.bare)
        return JsonShape(of, nulls, {name: self._of_type(its, UNKNOWN) for name, _, its in attributes})

    def _type(self, scope: Scope, node: Node) -> Type | None:
        if is_null_constant(node):
            return None
        if node.label in BOOLEAN_LABELS or node.subLinkType in BOOLEAN_SUBQUERIES:
            return self.types.by_name("boolean")
        if node.subLinkType == pg.EXPRESSION:
            inner = scope.child(node.subselect)
            return self._type(inner, inner.targets[0].expr)
        oid = type_of(node)
        if oid == UNKNOWN_TYPE:
            return self.types.by_name("text")
        return self.types[oid].nested(levels_below(scope, node)) if oid else None

    def _inside(self, scope: Scope, node: Node) -> JsonShape | None:  # noqa: C901, PLR0911 - one return per case
        match node.label:
            case "VAR":
                return self._variable(scope.ancestor(node.varlevelsup), node)
            case "FUNCEXPR":
                return self._function(scope, node)
            case "AGGREF":
                return self._aggregate(scope, node)
            case "JSONCONSTRUCTOREXPR" if node.func:
                return self.shape_of(scope, node.func)
            case "JSONCONSTRUCTOREXPR" if node.type == pg.JSON_OBJECT and not node.absent_on_null:
                return self._object(scope, node.args or [])
            case "ROWEXPR" if node.row_typeid == RECORD:
                return self._row(scope, zip(node.colnames or [], node.args or [], strict=True))
            case "COALESCEEXPR" if len(node.args) == 2 and node.args[1].label == "CONST":  # noqa: PLR2004 - and a default
                return self._or_default(scope, *node.args)
            case "SUBLINK" if node.subLinkType in {pg.EXPRESSION, pg.ARRAY}:
                inner = scope.child(node.subselect)
                shape = None if inner.query.setOperations else self.shape_of(inner, inner.targets[0].expr)
                return JsonShape(None, NEVER, element=shape) if shape and node.subLinkType == pg.ARRAY else shape
            case "CASEEXPR" if len(node.args) == 1 and is_null_constant(node.defresult):
                with self.nullability.assume_not_null(scope, not_null_if_true(scope, node.args[0].expr)):
                    return self.shape_of(scope, node.args[0].result)
            case label if label in CASTS:
                cast = self._type(scope, node.arg)
                parsed = label in PARSING_CASTS and cast and cast.bare.internal not in OPEN_TYPES
                return None if parsed else self.shape_of(scope, node.arg)
            case _:
                return None

    def _or_default(self, scope: Scope, node: Node, default: Node) -> JsonShape | None:
        shape = self.shape_of(scope, node)
        if shape.nulls.never_null or default.constisnull:
            return shape
        match constant_bytes(default)[4:]:  # as json, or as jsonb
            case b"[]" | b"\0\0\0\x40":
                return shape if shape.element else None
            case b"{}" | b"\0\0\0\x20":
                return JsonShape(None, NEVER, {})
            case _:
                return None

    def _variable(self, scope: Scope, node: Node) -> JsonShape | None:
        if node.varattno == 0:
            with self.nullability.assume_not_null(scope, {as_variable(node)}):
                return self._row(scope, self._columns(scope, node))
        source, shown = scope.shown_expression(node)
        return None if shown is None else self.shape_of(source, shown)

    def _row(self, scope: Scope, columns: Iterable[tuple[str, Node]]) -> JsonShape:
        return JsonShape(None, NEVER, {name.strip('"'): self.shape_of(scope, column) for name, column in columns})

    def _columns(self, scope: Scope, row: Node) -> Iterator[tuple[str, Node]]:
        """Yield the columns of a variable that stands for a whole row: their names, and variables for them.

        The type of a row of a table has the names of its columns; other rows have those that the query gives them.
        """
        relation, source = scope.relation(row.varno), scope.source(row.varno)
        if row.vartype == RECORD:
            types = [type_of(target.expr) for target in source.targets] if source else _function_types(relation)
            named = zip(relation.eref.colnames or [], chain(types, repeat(0)), strict=False)
            columns = [(name, number, oid) for number, (name, oid) in enumerate(named, 1)]
        else:
            attributes = self.types.attributes(self.types[row.vartype].bare)
            columns = [(name, number, its.oid) for name, number, its in attributes]
        for name, number, oid in columns:
            yield name, Node("VAR", {**row.fields, "varattno": number, "varlevelsup": 0, "vartype": oid})

    def _function(self, scope: Scope, node: Node) -> JsonShape | None:
        match scope.catalogue.builtin_name(node.funcid):
            case "json_build_object" | "jsonb_build_object" if not node.funcvariadic:
                return self._object(scope, node.args or [])
            case "to_json" | "to_jsonb" | "row_to_json" | "array_to_json":
                return self.shape_of(scope, node.args[0])
            case _:
                return None

    def _object(self, scope: Scope, arguments: list[Node]) -> JsonShape | None:
        names = [constant_text(each) for each in arguments[::2]]
        values = [self.shape_of(scope, each) for each in arguments[1::2]]
        # PostgreSQL accepts an odd number of arguments until it runs the function.
        if not all(names) or len(names) != len(values):
            return None
        return JsonShape(None, NEVER, dict(zip(names, values, strict=True)))

    def _aggregate(self, scope: Scope, node: Node) -> JsonShape | None:
        name = scope.catalogue.builtin_name(node.aggfnoid)
        if name.removesuffix("_strict") not in {"json_agg", "jsonb_agg", "array_agg"} or node.agglevelsup:
            return None
        with self.nullability.assume_not_null(scope, not_null_if_true(scope, node.aggfilter)):
            element = self.shape_of(scope, node.args[0].expr)
        # The nullability of an array also says whether its elements can be null.
        if name.endswith("_strict") or name == "array_agg":
            element = attrs.evolve(element, nulls=NEVER)
        return JsonShape(None, NEVER, element=element)


def _function_types(relation: Node) -> list[int]:
    """Return the oids of the types of the first columns of a function or a JSON_TABLE in the FROM clause."""
    if relation.tablefunc:
        found: list[int] = relation.tablefunc.coltypes
        return found
    types: list[int] = []
    for each in relation.functions or []:
        types += each.funccoltypes or [type_of(each.funcexpr) if each.funccolcount == 1 else 0] * each.funccolcount
    return types
