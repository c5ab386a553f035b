"""Whatever touches a user's own things names that user: on a database that is parted by user_id, it asks one part.

Judged by the parsed statement: a column is the caller's where it comes from live_session(), is a parameter, or must be
equal to such a column.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

import psycopg
import pytest
from pglast import parse_sql

from service.postgres.queries import SQL, read_query
from service.sqlcheck.parse_tree import Node, target_name, targets, walk

NAMES = [
    f"{path.parent.name}.{path.stem}"
    for path in sorted(SQL.glob("*/*.sql"))
    if path.parent.name not in {"dev", "review"}
]
# Purges, once a day, and a token of an earlier release: these ask all parts at once.
OF_ALL = {"auth.find_session_owner", "system.clean_idempotency_keys", "system.clean_login_sessions"}
WRONG = [
    "select k.key from idempotency_key as k inner join user_model on user_model.id = k.user_id",
    "select k.key from live_session($1) as caller, user_model as u, idempotency_key as k where k.user_id = u.id",
    "select k.key from live_session($1) as s, idempotency_key as k where k.user_id = s.user_id or k.key = $2",
    "select k.key from live_session($1) as s inner join idempotency_key as k on k.user_id > s.user_id",
    "select k.key from idempotency_key as k left join live_session($1) as s on k.user_id = s.user_id",
    "select page.key from live_session($1), lateral (select key from idempotency_key limit 1) as page",
    "select user_id from live_session($1) where exists (select from idempotency_key where key = $2)",
    """select k.key from live_session($1) as s inner join idempotency_key as k on k.user_id = s.user_id
    where exists (select from idempotency_key as k where k.key = $2)""",
    "with gone as (delete from idempotency_key where key = $1 returning key) select gone.key from gone",
    "insert into idempotency_key (user_id, key) select user_model.id, $1 from user_model",
    "update idempotency_key as k set key = $2 from live_session($1) as s where k.resource_id = s.user_id",
]
Column = tuple[str, str]
Columns = frozenset[Column]


def kind(node: Node) -> str:
    """Return what `node` is, by the parser's name."""
    return type(node).__name__


class Scope:
    """A query, and the caller's columns in it; those `around` are of what it stands in, those `named` of CTEs."""

    def __init__(self, query: Node, around: Columns = frozenset(), named: Columns = frozenset()) -> None:
        self.query = query
        self.tables: dict[str, str] = {}
        self.inner: list[Scope] = []
        self.ours, self.named = set(around), set(named)
        self._equal: list[tuple[Node, Node]] = []
        clause = getattr(query, "withClause", None)
        for part in clause.ctes if clause else ():
            self.named |= self._columns_of(part.ctename, part.ctequery)
        if kind(query) in {"UpdateStmt", "DeleteStmt"}:
            self._add(query.relation)
        for item in getattr(query, "fromClause", None) or getattr(query, "usingClause", None) or ():
            self._add(item)
        self._require(getattr(query, "whereClause", None), {*self.tables})
        for _ in self._equal[:]:  # each may make one more known
            self.ours |= {self._column(one) for one, other in self._equal if self.is_ours(other)}
        for node in walk((getattr(query, "whereClause", None), getattr(query, "targetList", None))):
            if kind(node) == "SubLink":
                self._inside(node.subselect)

    def _inside(self, query: Node) -> "Scope":
        self.inner.append(Scope(query, frozenset(self.ours), frozenset(self.named)))
        return self.inner[-1]

    def _columns_of(self, name: str, query: Node) -> set[Column]:
        inner = self._inside(query)
        return {(name, target_name(target)) for target in targets(query) if inner.is_ours(target.val)}

    def _add(self, item: Node) -> None:
        """Take one thing of the ``from`` in."""
        if kind(item) == "JoinExpr":
            self._add(item.larg)
            left = {*self.tables}
            self._add(item.rarg)
            right = {*self.tables} - left
            # What an outer join keeps all rows of, its condition does not bind.
            bound = {"JOIN_INNER": left | right, "JOIN_LEFT": right, "JOIN_RIGHT": left}
            self._require(item.quals, bound.get(item.jointype.name, set()))
            return
        name = item.alias.aliasname if item.alias else getattr(item, "relname", "live_session")
        columns: set[Column] = set()
        if kind(item) == "RangeSubselect":
            columns = self._columns_of(name, item.subquery)
        elif kind(item) == "RangeVar":
            columns = {(name, column) for query, column in self.named if query == item.relname}
        elif item.functions[0][0].funcname[-1].sval == "live_session":
            columns = {(name, "user_id")}
        self.tables[name] = getattr(item, "relname", "")
        self.ours = {column for column in self.ours if column[0] != name} | columns

    def _require(self, condition: Node, bound: set[str]) -> None:
        """Note which columns of what is `bound` must be equal to what; what stands in an ``or`` need not be."""
        if kind(condition) == "BoolExpr" and condition.boolop.name == "AND_EXPR":
            for part in condition.args:
                self._require(part, bound)
        elif kind(condition) == "A_Expr" and condition.kind.name == "AEXPR_OP" and condition.name[-1].sval == "=":
            sides = condition.lexpr, condition.rexpr
            for one, other in (sides, sides[::-1]):
                if kind(one) == "ColumnRef" and self._column(one)[0] in bound:
                    self._equal.append((one, other))

    def _column(self, node: Node) -> Column:
        names = [part.sval for part in node.fields if kind(part) == "String"]
        return (names[-2] if len(names) > 1 else next(iter(self.tables), ""), names[-1])

    def is_ours(self, value: Node) -> bool:
        """Whether `value` is one for all rows of a caller."""
        return kind(value) == "ParamRef" or (kind(value) == "ColumnRef" and self._column(value) in self.ours)

    def of_many(self, of_users: AbstractSet[str]) -> Iterator[str]:
        """Yield the tables `of_users` that are asked for the rows of more than one user."""
        yield from (t for name, t in self.tables.items() if t in of_users and (name, "user_id") not in self.ours)
        if kind(self.query) == "InsertStmt":
            rows = Scope(self.query.selectStmt, named=frozenset(self.named))
            yield from rows.of_many(of_users)
            given = zip(self.query.cols, targets(self.query.selectStmt), strict=False)
            users = [target for column, target in given if column.name == "user_id"]
            if self.query.relation.relname in of_users and not (users and rows.is_ours(users[0].val)):
                yield self.query.relation.relname
        for scope in self.inner:
            yield from scope.of_many(of_users)


def of_many(sql: str, of_users: AbstractSet[str]) -> Sequence[str]:
    """Return the tables `of_users` that a statement asks for the rows of more than one user."""
    return list(Scope(parse_sql(sql)[0].stmt).of_many(of_users))


@pytest.fixture(scope="module")
def of_users(database_url: str) -> AbstractSet[str]:
    """Return the tables that have a user_id; docs/scaling.md parts the database by it."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("""
            select relname from pg_attribute inner join pg_class on pg_class.oid = attrelid
            where attname = 'user_id' and relkind = 'r'
        """)
        return {name for (name,) in tables}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_ALL])
def test_user_tables_are_queried_by_user(name: str, of_users: AbstractSet[str]) -> None:
    assert of_many(read_query(name).sql, of_users) == []


@pytest.mark.parametrize("sql", [*WRONG, *(read_query(name).sql for name in OF_ALL)])
def test_query_across_users_is_found(sql: str, of_users: AbstractSet[str]) -> None:
    assert of_many(sql, of_users)


def test_user_id_leads_the_primary_key(of_users: AbstractSet[str], database_url: str) -> None:
    query = b"""
        select relname, attname from pg_index
        join pg_class on pg_class.oid = indrelid
        join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where indisprimary and relname = any(%s)
    """
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(query, [[*of_users]]).fetchall()

    assert sorted(rows) == [(table, "user_id") for table in sorted(of_users)]
