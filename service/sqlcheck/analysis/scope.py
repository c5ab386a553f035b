"""One level of an analysed query: its relations, what they show, and the scopes around and inside it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis.catalogue import Catalogue
from service.sqlcheck.analysis.joins import Joins
from service.sqlcheck.analysis.not_null import parts_not_null_if_true
from service.sqlcheck.analysis.query_parts import conjuncts, is_alias, is_table
from service.sqlcheck.analysis.query_tree import Node, own_variables, parse, same, strip_relabels, type_of, walk


@attrs.define(eq=False)
class Scope:
    """A query, the query around it, and the arguments of its parameters if it is the body of a function."""

    catalogue: Catalogue
    query: Node
    parent: "Scope | None" = None
    # The arguments, as expressions of the caller's scope.
    arguments: Mapping[int, Node] = attrs.field(factory=dict)
    required: Sequence[Node] = ()  # those that must not be null, or the function is not called
    caller: "Scope | None" = None
    function: int | None = None  # its oid
    children: dict[object, "Scope"] = attrs.field(factory=dict)

    @property
    def targets(self) -> list[Node]:
        """The target entries of the result's columns."""
        found = self.query.targetList if self.query.commandType == pg.SELECT else self.query.returningList
        return [target for target in found or [] if not target.resjunk]

    @property
    def is_replaced(self) -> bool:
        """Whether a rule runs another statement instead, and returns its rows."""
        number = self.query.resultRelation
        return bool(number) and (self.relation(number).relid, self.query.commandType) in self.catalogue.rules

    @property
    def locks_rows(self) -> bool:
        """Whether the query locks rows FOR UPDATE, or one around it does: it locks the rows of its views, too."""
        return bool(self.query.rowMarks) or bool(self.parent and self.parent.locks_rows)

    def relation(self, number: int) -> Node:
        """Return an entry of the range table."""
        found: Node = self.query.rtable[number - 1]
        return found

    def ancestor(self, levels: int) -> "Scope":
        """Return the query that is `levels` further out."""
        scope = self
        for _ in range(levels):
            assert scope.parent  # noqa: S101 - PostgreSQL has resolved the level
            scope = scope.parent
        return scope

    def with_parents(self) -> "Iterator[Scope]":
        """Yield this query, and the queries around it."""
        yield self
        if self.parent:
            yield from self.parent.with_parents()

    def child(self, query: Node, user: object = None) -> "Scope":
        """Return the scope of a query in this one; each `user` of a view or CTE has one of its own, with other rows."""
        key = (id(query), user)
        if key not in self.children:
            self.children[key] = Scope(self.catalogue, query, self)
        return self.children[key]

    def nodes(self) -> "Iterator[tuple[Scope, Node]]":
        """Yield the nodes of this query and of the queries written in it, each with the scope of its query."""
        for node, level in walk([*self.query.fields.values()]):
            if level == 0:
                yield self, node
                yield from self.child(node).nodes() if node.label == "QUERY" else ()

    def with_nested(self) -> "Iterator[Scope]":
        """Yield this query, and the queries written in it."""
        yield self
        yield from (scope.child(node) for scope, node in self.nodes() if node.label == "QUERY")

    def function_body(self, call: Node) -> "Scope | None":
        """Return the scope of the body of an SQL function; None for other functions, and where one calls itself."""
        function = self.catalogue.functions.get(call.funcid)
        if function is None or not function.is_sql or call.funcid in self.functions():
            return None
        if id(call) not in self.children:
            body = self.catalogue.body(call.funcid)
            if body is None:
                return None
            defaults = parse(function.defaults)
            arguments = dict(enumerate(defaults, function.arguments - len(defaults)))
            for position, each in enumerate(call.args or []):
                arguments[each.argnumber if each.label == "NAMEDARGEXPR" else position] = each
            required = [*arguments.values()] if function.is_strict else []
            self.children[id(call)] = Scope(self.catalogue, body, None, arguments, required, self, call.funcid)
        return self.children[id(call)]

    def argument(self, parameter: Node) -> "tuple[Scope, Node] | None":
        """Return the argument of a function's parameter, and its scope; None for a parameter of the statement."""
        around: Scope | None = self
        while around and not around.caller:
            around = around.parent
        return (around.caller, around.arguments[parameter.paramid - 1]) if around and around.caller else None

    def source(self, number: int) -> "Scope | None":
        """Return the scope of the query behind a relation: a subquery, a CTE, a view or an SQL function."""
        relation = self.relation(number)
        if relation.rtekind == pg.SUBQUERY:
            return self.child(relation.subquery)
        if relation.rtekind == pg.CTE:
            user = None if self.is_recursive(number) else (id(self), number)
            return self.ancestor(relation.ctelevelsup).child(self.cte(relation).ctequery, user)
        if relation.relkind == "v":
            view = self.catalogue.view(relation.relid)
            return self.child(view, number) if view else None
        if relation.rtekind == pg.FUNCTION and len(relation.functions) == 1:
            return self.function_body(relation.functions[0].funcexpr)
        return None

    def is_recursive(self, number: int) -> bool:
        """Return whether a relation is a recursive CTE."""
        relation = self.relation(number)
        return bool(relation.rtekind == pg.CTE and self.cte(relation).cterecursive)

    def cte(self, relation: Node) -> Node:
        """Return the common table expression that a relation shows."""
        ctes = self.ancestor(relation.ctelevelsup).query.cteList
        found: Node = next(cte for cte in ctes if cte.ctename == relation.ctename)
        return found

    def functions(self) -> "Iterator[int | None]":
        """Yield the functions whose bodies this query is in."""
        around: Scope | None = self
        while around:
            yield around.function
            around = around.caller or around.parent

    def equated(self, condition: Node) -> list[tuple[Node, Node]]:
        """Return each side of an equality of a B-tree index with the other side; nothing for other conditions."""
        if condition.label != "OPEXPR" or condition.opno not in self.catalogue.equalities:
            return []
        one, other = map(self.without_alias, condition.args)
        return [(one, other), (other, one)]

    def aliased_expression(self, variable: Node) -> Node:
        """Return the expression that a variable of a join or of GROUP BY stands for."""
        relation = self.relation(variable.varno)
        found: Node = (relation.joinaliasvars or relation.groupexprs)[variable.varattno - 1]
        return found

    def is_aliased(self, variable: Node) -> bool:
        """Return whether a variable of this query is a column of a join or of GROUP BY."""
        return variable.varattno > 0 and is_alias(self.relation(variable.varno))

    def without_alias(self, node: Node) -> Node:
        """Return the expression below casts of the type, and below columns of joins and of GROUP BY."""
        node = strip_relabels(node)
        while node.label == "VAR" and not node.varlevelsup and self.is_aliased(node):
            node = strip_relabels(self.aliased_expression(node))
        return node

    def relations_in(self, part: Any) -> set[int]:  # noqa: ANN401 - a node, a list of them, or None
        """Return the relations of this query to which an expression, or a query in it, refers."""
        found: set[int] = set()
        for node in own_variables(part):
            found |= self.relations_in(self.aliased_expression(node)) if self.is_aliased(node) else {node.varno}
        return found

    def is_in_each_set(self, variable: Node) -> bool:
        """Return whether a variable of GROUP BY is in each grouping set; in the rows of the others, it is null.

        It can stand for several equal expressions with different aliases, of which any can be null.
        """
        grouped, expression = self.relation(variable.varno).groupexprs, self.aliased_expression(variable)
        pairs = zip(self.query.groupClause, grouped, strict=True)
        marks = {clause.tleSortGroupRef for clause, each in pairs if same(each, expression)}
        simple = [{*each.content} for each in self.query.groupingSets or [] if each.kind == pg.SIMPLE_SET]
        return not self.query.groupingSets or marks <= set().union(*simple)

    def column_origin(self, variable: Node, *, written: bool = False) -> "tuple[Scope, Node] | None":
        """Return the column of a table that a variable shows, through joins, subqueries, CTEs and views, and its scope.

        :param written: include columns that a CTE returns from rows it writes, which the table does not show yet
        """
        scope = self.ancestor(variable.varlevelsup)
        relation = scope.relation(variable.varno)
        if is_table(relation):
            return scope, variable
        inner, shown = scope.shown_expression(variable)
        # A volatile function can return rows that it has written itself, and FOR UPDATE those of other transactions.
        query = inner.query
        is_read = query.commandType == pg.SELECT and not query.rowMarks and not self.is_volatile(relation.functions)
        if shown is None or not (written or is_read):
            return None
        shown = strip_relabels(shown)
        return inner.column_origin(shown, written=written) if shown.label == "VAR" else None

    def shown_expression(self, variable: Node) -> "tuple[Scope, Node | None]":
        """Return the expression that a variable of this query shows, and its scope.

        It belongs to this query if the variable is of a join or of GROUP BY, and otherwise to the source of the
        relation. It is None for a table, for a set operation, and for a whole row.
        """
        if self.is_aliased(variable):
            return self, self.aliased_expression(variable)
        source, position = self.source(variable.varno), self.position(variable.varno, variable.varattno)
        if source is None or source.query.setOperations or position is None:
            return source or self, None
        return source, source.targets[position].expr

    def position(self, number: int, column: int) -> int | None:
        """Return the position (from 0) of a relation's column in the result of its source; None if it is not there.

        The body of a function returns no dropped columns of its row type, and can return the row as one value.
        """
        source, functions = self.source(number), self.relation(number).functions
        columns: Sequence[int] = range(1, len(source.targets) + 1) if source else ()
        if functions and (row := self.catalogue.rows.get(type_of(functions[0].funcexpr))):
            columns = row if len(columns) > 1 else ()
        return columns.index(column) if column in columns else None

    @cached_property
    def joins(self) -> Joins:
        """The outer joins and conditions of the query."""
        return Joins(self)

    @cached_property
    def not_null_expressions(self) -> list[Node]:
        """The expressions without volatile functions that are not null where WHERE and HAVING are true."""
        quals = [self.query.jointree.quals, self.query.havingQual] if self.query.commandType == pg.SELECT else []
        conditions = [each for condition in quals for each in conjuncts(condition)]
        parts = [part for each in conditions for part in parts_not_null_if_true(self, each)]
        return [each for each in parts if not self.is_volatile(each)]

    def is_volatile(self, expression: Any) -> bool:  # noqa: ANN401 - a node, a list of them, or None
        """Return whether an expression calls a volatile function."""
        operators, functions = self.catalogue.operators, self.catalogue.functions
        called = (functions.get(node.funcid or operators.get(node.opno)) for node, _ in walk(expression))
        return any(each and each.is_volatile for each in called)
