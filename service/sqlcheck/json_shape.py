"""The shape of JSON that a query builds: keys and elements, their types, and when they are null.

`jsonb_build_object`, `jsonb_agg`, their sisters, and SQL's own constructors are followed through subqueries. Any other
JSON has no known shape: msgspec validates it when the row is read.
"""

from typing import TYPE_CHECKING

import attrs

from service.sqlcheck import calls
from service.sqlcheck.node_tree import Node, type_of
from service.sqlcheck.nullability import NEVER, Nullability
from service.sqlcheck.scope import CASTS, CTE, GROUP, JOIN, SUBQUERY, Scope
from service.sqlcheck.types import JSON, Type, Types

if TYPE_CHECKING:
    from service.sqlcheck.judge import Judge

EXPRESSION = 4  # SubLinkType
OBJECT = 1  # JsonConstructorType
BOOLEAN = {"BOOLEXPR", "NULLTEST", "BOOLEANTEST", "SCALARARRAYOPEXPR", "ROWCOMPAREEXPR"}


@attrs.frozen
class Shape:
    """A value in JSON: its type, when it is null, and its keys or its element, where the query shows them."""

    type: Type | None
    nulls: Nullability
    keys: dict[str, "Shape"] | None = None
    element: "Shape | None" = None

    @property
    def is_known(self) -> bool:
        """Whether the query shows what is inside."""
        return self.keys is not None or self.element is not None


@attrs.frozen
class Shapes:
    """Finds the shapes of one statement's expressions."""

    judge: "Judge"
    types: Types

    def of(self, scope: Scope, node: Node) -> Shape:
        """Return the shape of an expression."""
        found = Shape(self._type(node), self.judge.expression(scope, node))
        inside = self._inside(scope, node)
        if inside is None or (found.type and found.type.bare.internal not in JSON | {"record"}):
            return found
        return attrs.evolve(found, keys=inside.keys, element=inside.element)

    def _type(self, node: Node) -> Type | None:
        if node.label in BOOLEAN:
            return self.types.by_name("boolean")
        oid = type_of(node)
        return self.types[oid] if oid else None

    def _inside(self, scope: Scope, node: Node) -> Shape | None:  # noqa: PLR0911 - a table of cases
        match node.label:
            case "VAR":
                return self._variable(scope.outer(node.varlevelsup), node)
            case "FUNCEXPR":
                return self._function(scope, node)
            case "AGGREF":
                return self._aggregate(scope, node)
            case "JSONCONSTRUCTOREXPR" if node.func:
                return self.of(scope, node.func)
            case "JSONCONSTRUCTOREXPR" if node.type == OBJECT and not node.absent_on_null:
                return self._object(scope, node.args or [])
            case "COALESCEEXPR" if all(each.label == "CONST" for each in node.args[1:]):  # '[]' of no rows
                return self.of(scope, node.args[0])
            case "SUBLINK" if node.subLinkType == EXPRESSION:
                inner = scope.child(node.subselect)
                return None if inner.query.setOperations else self.of(inner, inner.targets[0].expr)
            case "CASEEXPR" if len(node.args) == 1 and (not node.defresult or calls.is_null(node.defresult)):
                with self.judge.given(scope, scope.strict(node.args[0].expr)):
                    return self.of(scope, node.args[0].result)
            case label if label in CASTS:
                return self.of(scope, node.arg)
            case _:
                return None

    def _variable(self, scope: Scope, node: Node) -> Shape | None:
        relation = scope.relation(node.varno)
        if relation.rtekind in {JOIN, GROUP}:
            return self.of(scope, scope.meant(node)) if node.varattno > 0 else None
        if relation.rtekind == CTE and scope.outer(relation.ctelevelsup).cte(relation.ctename).cterecursive:
            return None
        source = scope.source(node.varno)
        if source is None or source.query.setOperations or node.varattno > len(source.targets):
            return None
        if node.varattno > 0:
            return self.of(source, source.targets[node.varattno - 1].expr)
        if node.varattno < 0 or relation.rtekind not in {SUBQUERY, CTE}:
            return None
        # The row as a whole, whose keys are its columns.
        names = [str(name).strip('"') for name in relation.eref.colnames]
        keys = {name: self.of(source, target.expr) for name, target in zip(names, source.targets, strict=False)}
        return Shape(None, NEVER, keys)

    def _function(self, scope: Scope, node: Node) -> Shape | None:
        match calls.builtin(scope, node.funcid):
            case "json_build_object" | "jsonb_build_object" if not node.funcvariadic:
                return self._object(scope, node.args or [])
            case "to_json" | "to_jsonb" | "row_to_json":
                return self.of(scope, node.args[0])
            case _:
                return None

    def _object(self, scope: Scope, arguments: list[Node]) -> Shape | None:
        names = [calls.text(each) for each in arguments[::2]]
        values = [self.of(scope, each) for each in arguments[1::2]]
        return Shape(None, NEVER, dict(zip(names, values, strict=True))) if all(names) else None

    def _aggregate(self, scope: Scope, node: Node) -> Shape | None:
        name = calls.builtin(scope, node.aggfnoid)
        if name.removesuffix("_strict") not in {"json_agg", "jsonb_agg"} or node.agglevelsup:
            return None
        with self.judge.given(scope, scope.strict(node.aggfilter)):
            element = self.of(scope, node.args[0].expr)
        return Shape(None, NEVER, element=attrs.evolve(element, nulls=NEVER) if name.endswith("_strict") else element)
