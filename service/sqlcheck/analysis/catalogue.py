"""Tables, functions and operators in PostgreSQL's catalogue, by oid, because several can have the same name."""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import attrs
import psycopg
from psycopg import sql

from service.sqlcheck.analysis import catalogue_queries as queries
from service.sqlcheck.analysis import node_enums as pg
from service.sqlcheck.analysis import query_tree
from service.sqlcheck.analysis.not_null import Variable
from service.sqlcheck.analysis.query_parts import conjuncts
from service.sqlcheck.analysis.query_tree import Node, strip_relabels, with_variables
from service.sqlcheck.analysis.total_functions import ELEMENTS_NOT_NULL, NEVER_NULL, NEVER_NULL_SETS, OPERATORS, TOTAL

Relation = int
BOOLEAN_EQUAL = 91  # the oid of boolean = boolean
FIRST_USER_OID = 16384  # FirstNormalObjectId: built-in objects have smaller oids


@attrs.frozen
class ColumnConstraints:
    """A column of a table.

    `required`: NOT NULL. `filled`: by a default if an insert omits it. `generated`: from other columns. `checked`: no
    existing row is null. `elements_checked`: no array has a null element: `check (array_position(tags, null) is null)`.
    """

    table: str
    name: str
    required: bool
    filled: bool
    generated: bool
    checked: bool
    elements_checked: bool


@attrs.frozen
class FunctionProperties:
    """A function; if it `is_sql`, its body, which returns a value, can be analysed, too.

    `defaults`: the trees of the default values of the last parameters.
    """

    name: str
    signature: str
    is_strict: bool
    is_volatile: bool
    is_sql: bool
    arguments: int
    defaults: str


@attrs.frozen
class Key:
    """A unique index: its columns (0 for each expression), the families of their operators, and its condition."""

    columns: list[int]
    families: list[int]
    expressions: list[Node] = attrs.field(converter=query_tree.parse)
    condition: Node | None = attrs.field(converter=query_tree.parse)


@attrs.frozen
class ForeignKey:
    """A validated foreign key: each row of `table` references a row of `target` that the operators find equal."""

    table: Relation
    columns: list[int]
    target: Relation
    target_columns: list[int]
    operators: list[int]


class Catalogue:
    """The catalogue of one database; each part is read once."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Read what most queries need; the rest is read on first use."""
        self._connection = connection
        self.columns = {
            (relation, number): ColumnConstraints(*rest)
            for relation, number, *rest in connection.execute(queries.COLUMNS).fetchall()
        }
        self.functions = {
            oid: FunctionProperties(*rest) for oid, *rest in connection.execute(queries.FUNCTIONS).fetchall()
        }
        self.operators: dict[int, int] = dict(
            connection.execute("select oid, oprcode::oid from pg_operator").fetchall()
        )
        # The families of each operator: those of one family agree on which values are equal.
        self.equalities = {
            operator: frozenset(families) for operator, families in connection.execute(queries.EQUALITIES).fetchall()
        }
        self.unequal = self._oids(queries.UNEQUAL)
        self.total_functions = (
            self._oids(queries.COMPARISONS)
            | self._oids(queries.OPERATOR_FUNCTIONS, [sorted(OPERATORS)])
            | self._builtin(TOTAL)
        )
        self.secured = self._oids("select oid from pg_class where relrowsecurity")
        self.arrays = self._oids("select oid from pg_type where typcategory = 'A' and typarray = 0")
        # Types with few values.
        self.enumerated = self._oids("select oid from pg_type where typtype = 'e' or oid = 'boolean'::regtype")
        self.never_null_functions = self._builtin(NEVER_NULL)
        self.never_null_sets = self._builtin(NEVER_NULL_SETS)
        self.null_free_array_functions = self._builtin(ELEMENTS_NOT_NULL)

    def _oids(self, query: str, parameters: Sequence[Any] | None = None) -> set[int]:
        return {oid for (oid,) in self._connection.execute(query, parameters)}

    def _builtin(self, names: frozenset[str]) -> set[int]:
        """Return the built-in functions with these names or signatures."""
        return {
            oid
            for oid, function in self.functions.items()
            if oid < FIRST_USER_OID and (function.name in names or function.signature in names)
        }

    def builtin_name(self, function: int) -> str:
        """Return the name of a built-in function; an empty string for any other function."""
        known = self.functions.get(function)
        return known.name if known and function < FIRST_USER_OID else ""

    @cached_property
    def volatile_names(self) -> set[str]:
        """The names of volatile functions, even if other functions of the same name are not volatile."""
        return {function.name for function in self.functions.values() if function.is_volatile}

    @cached_property
    def required_columns(self) -> dict[Relation, dict[int, ColumnConstraints]]:
        """The columns that an insert must give, by table and number; without tables that a trigger can fill."""
        found: dict[Relation, dict[int, ColumnConstraints]] = {}
        for (relation, number), column in sorted(self.columns.items()):
            if column.required and not column.filled and (relation, pg.INSERT) not in self.triggers:
                found.setdefault(relation, {})[number] = column
        return found

    @cached_property
    def keys(self) -> dict[Relation, list[Key]]:
        """The unique indexes of each table."""
        found: dict[Relation, list[Key]] = {}
        for relation, *key in self._connection.execute(queries.KEYS).fetchall():
            found.setdefault(relation, []).append(Key(*key))
        return found

    @cached_property
    def rows(self) -> dict[int, list[int]]:
        """The numbers of the columns of each composite type; of a record, they are unknown."""
        return dict(self._connection.execute(queries.ROWS).fetchall())

    @cached_property
    def nondeterministic(self) -> set[int]:
        """The collations that find different texts equal."""
        return self._oids("select oid from pg_collation where not collisdeterministic")

    def families(self, operator: int, collation: int = 0) -> frozenset[int]:
        """Return the families of an equality, as in keys; nothing for other operators.

        A nondeterministic collation has another equality of texts, so its oid is in the upper 32 bits of each number.
        """
        upper_bits = collation << 32 if collation in self.nondeterministic else 0
        return frozenset(upper_bits | family for family in self.equalities.get(operator, ()))

    @cached_property
    def exact(self) -> set[int]:
        """The families of operators that find only identical values equal, unlike the numbers 1.0 and 1.00."""
        return self._oids(queries.EXACT)

    @cached_property
    def foreign_keys(self) -> list[ForeignKey]:
        """The validated foreign keys that are not deferrable."""
        return [ForeignKey(*row) for row in self._connection.execute(queries.FOREIGN_KEYS).fetchall()]

    @cached_property
    def _generated(self) -> dict[tuple[Relation, int], Node]:
        found = self._connection.execute(queries.GENERATED).fetchall()
        return {(relation, number): query_tree.parse(expression) for relation, number, expression in found}

    @cache  # noqa: B019 - scopes refer to parts of the expressions by id
    def generated(self, relation: Relation, variable: Variable) -> Node | None:
        """Return the expression of a generated column, with the variables of the row that `variable` shows."""
        number, column, row = variable
        found = self._generated.get((relation, column))
        return with_variables(found, {"varno": number, "varreturningtype": row}) if found else None

    @cached_property
    def checks(self) -> dict[tuple[int, int], list[Node]]:
        """The CHECK constraints of each column, by table and number, and of each domain, by type and 0."""
        found: dict[tuple[int, int], list[Node]] = {}
        for owner, column, condition in self._connection.execute(queries.CHECKS).fetchall():
            found.setdefault((owner, column), []).append(query_tree.parse(condition))
        return found

    @cached_property
    def constant_columns(self) -> dict[Relation, set[tuple[int, int]]]:
        """The columns in which a CHECK allows a single value and no row has null, each with a family of its operator.

        If such a column is unique, the table has one row at most: ``id boolean primary key check (id)``.
        """
        found: dict[Relation, set[tuple[int, int]]] = {}
        for (relation, number), checks in self.checks.items():
            if number > 0 and self.columns[relation, number].checked:
                families = {each for check in checks for part in conjuncts(check) for each in self._equates(part)}
                found.setdefault(relation, set()).update((number, family) for family in families)
        return found

    @cached_property
    def single_row_tables(self) -> set[str]:
        """The names of the tables that have one row at most, unless a table of another schema has the same name."""
        single = {
            relation
            for relation, constant in self.constant_columns.items()
            for key in self.keys.get(relation, [])
            if key.condition is None and constant.issuperset(zip(key.columns, key.families, strict=True))
        }
        others = {column.table for (relation, _), column in self.columns.items() if relation not in single}
        return {column.table for column in self.columns.values()} - others

    def _equates(self, condition: Node) -> frozenset[int]:
        """Return the families by which a condition finds a column equal to a constant; nothing for other conditions."""
        if (condition.arg if condition.booltesttype == pg.IS_TRUE else condition).label == "VAR":
            return self.families(BOOLEAN_EQUAL)
        sides = [strip_relabels(each) for each in condition.args] if condition.label == "OPEXPR" else []
        if {each.label for each in sides} != {"VAR", "CONST"} or any(each.constisnull for each in sides):
            return frozenset()
        return self.families(condition.opno, condition.inputcollid)

    @cached_property
    def triggers(self) -> set[tuple[Relation, int]]:
        """The tables whose rows a trigger or a rule can change or skip before a command writes them."""
        return {(table, command) for table, command, _ in self._triggers} | self.rules

    @cached_property
    def skipping_triggers(self) -> set[tuple[Relation, int]]:
        """The tables whose rows a trigger or a rule can skip."""
        return {(table, command) for table, command, skips in self._triggers if skips} | self.rules

    @cached_property
    def _triggers(self) -> list[tuple[Relation, int, bool]]:
        return self._connection.execute(queries.TRIGGERS).fetchall()

    @cached_property
    def rules(self) -> set[tuple[Relation, int]]:
        """The tables and views with a rule that runs another statement instead of a command."""
        return {*self._connection.execute(queries.RULES).fetchall()}

    def analyse(self, statement: str, types: Sequence[str], search_path: str | None = None) -> Node | None:
        """Return the last query of `statement` as PostgreSQL analyses it; None if it cannot be the body of a function.

        It becomes the body of a temporary function, which is rolled back.

        :param types: the types of the parameters
        :param search_path: the schemas in which it finds names, if not those of the connection
        """
        try:
            with self._connection.transaction(force_rollback=True):
                if search_path is not None:
                    self._connection.execute(queries.SEARCH_PATH, [search_path])
                arguments = sql.SQL(", ").join(map(sql.SQL, types))
                self._connection.execute(queries.ANALYSED.format(arguments, sql.SQL(statement)))
                row = self._connection.execute(queries.TEMPORARY).fetchone()
        except psycopg.Error:
            return None
        return _last_query(row[0]) if row else None

    @cache  # noqa: B019 - scopes refer to parts of the queries by id
    def body(self, function: int) -> Node | None:
        """Return the last query of an SQL function; None if it cannot be analysed."""
        row = self._connection.execute(queries.BODY, [function]).fetchone()
        parsed, source, arguments, path = row or (None, "", [], None)
        return _last_query(parsed) if parsed else self.analyse(source, arguments, path)

    @cache  # noqa: B019 - the same
    def view(self, relation: Relation) -> Node | None:
        """Return the query of a view; None if it has none."""
        row = self._connection.execute(queries.VIEW, [relation]).fetchone()
        view = _last_query(row[0]) if row else None
        for entry in (view and view.rtable) or []:
            if entry.relid == relation:  # PostgreSQL 15 lists the view as `old` and `new`, too
                entry.fields["relkind"] = None
        return view


def _last_query(text: str) -> Node | None:
    """Return the last query of a list, or of a list of lists; None if there is none."""
    found = query_tree.parse(text)
    while isinstance(found, list):
        found = found[-1] if found else None
    return found if isinstance(found, Node) and found.label == "QUERY" else None
