"""The user-defined functions of a database, and the statements and expressions in the bodies of functions."""

import re
from collections.abc import Iterator
from typing import Any, LiteralString

import attrs
import psycopg
from pglast import parse_plpgsql, parse_sql

from service.sqlcheck.analysis.parse_tree import ParseNode

FUNCTIONS = """
    select
        p.proname::text, l.lanname = 'plpgsql', p.prosrc, pg_get_functiondef(p.oid),
        p.prosecdef and not coalesce(p.proconfig::text, '') ~ '[{,"]search_path=',
        array(
            select unnest(array[t.tgoldtable, t.tgnewtable])::text from pg_trigger as t where t.tgfoid = p.oid
        ),
        array(
            select a.attname::text from pg_trigger as t inner join pg_attribute as a on a.attrelid = t.tgrelid
            where t.tgfoid = p.oid and not a.attisdropped
        )
    from pg_proc as p inner join pg_language as l on l.oid = p.prolang
    where p.oid >= 16384 and p.prokind in ('f', 'p') and l.lanname in ('sql', 'plpgsql') and not exists (
        select from pg_depend as d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
    )
"""
# The PL/pgSQL statements that run a text as SQL, and the field with the text.
DYNAMIC_SQL = {
    ("PLpgSQL_stmt_dynexecute", "query"),
    ("PLpgSQL_stmt_dynfors", "query"),
    ("PLpgSQL_stmt_return_query", "dynquery"),
    ("PLpgSQL_stmt_open", "dynquery"),
}
# The first two variables of a trigger function.
TRIGGER_ROWS = ("new", "old")
ASSIGNED = re.compile(r'\s*(?P<variable>"?\w+"?)(\[[^\]]*\]|[^=:\[])*:?=')
# Removed before parsing: the name of a table means the same without it, but with it, pglast sees a scalar.
ROW_TYPE = re.compile(r"%rowtype\b", re.IGNORECASE)


@attrs.frozen
class BodyStatement:
    """A parsed statement or expression of a function: its line in the body, and whether its value is run as SQL."""

    line: int
    text: str
    tree: ParseNode
    variable: str = ""
    is_dynamic: bool = False

    def trees(self) -> list[ParseNode]:
        """Return its tree, and those of the constant text that it runs as SQL. Raises ParseError."""
        value = self.tree.targetList[0].val if self.is_dynamic else None
        text = getattr(getattr(value, "val", None), "sval", None)
        return [self.tree, *(each.stmt for each in parse_sql(text or ""))]


@attrs.frozen
class FunctionSource:
    """A user-defined function."""

    name: str
    is_plpgsql: bool
    source: str
    definition: str
    lacks_search_path: bool
    transition_tables: list[str]
    trigger_columns: list[str]
    """The columns of all tables whose triggers call it."""

    def statements(self) -> list[BodyStatement]:
        """Parse the body. Raises ParseError."""
        if self.is_plpgsql:
            return plpgsql_statements(self.definition)
        found = parse_sql(self.source)
        return [BodyStatement(self.source.count("\n", 0, each.stmt_location) + 1, "", each.stmt) for each in found]

    def trees(self) -> list[ParseNode]:
        """Return the statements, or the definition if PostgreSQL keeps no text of the body. Raises ParseError."""
        if not self.source:
            return [each.stmt for each in parse_sql(self.definition)]
        return [tree for each in self.statements() for tree in each.trees()]

    def variables(self) -> dict[str, LiteralString]:
        """Return the types of the variables and parameters of a PL/pgSQL function; none for records.

        Also none for a variable that an inner block declares with another type.
        """
        [parsed] = _parse_plpgsql(self.definition)
        found: dict[str, LiteralString] = {}
        for variable in (each for datum in parsed["PLpgSQL_function"]["datums"] for each in datum.values()):
            kind = variable.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "")
            name = variable.get("refname", "")
            found[name] = kind if found.get(name, kind) == kind else ""
        return found

    def missing_fields(self) -> Iterator[tuple[int, str]]:
        """Yield each field of `new` and `old` that no table of its triggers has, after its line in the body."""
        if not self.trigger_columns:
            return
        [parsed] = _parse_plpgsql(self.definition)
        for datum in parsed["PLpgSQL_function"]["datums"]:
            field = datum.get("PLpgSQL_recfield", {})
            name, record = field.get("fieldname"), field.get("recparentno", 0)
            if name and record < len(TRIGGER_ROWS) and name not in self.trigger_columns:
                text = f"{TRIGGER_ROWS[record]}.{name}"
                before = re.split(re.escape(text), self.source, maxsplit=1, flags=re.IGNORECASE)[0]
                yield before.count("\n") + 1, text


def read_functions(connection: psycopg.Connection[Any]) -> list[FunctionSource]:
    """Read the user-defined functions and procedures."""
    return [FunctionSource(*row) for row in connection.execute(FUNCTIONS).fetchall()]


def plpgsql_statements(text: str) -> list[BodyStatement]:
    """Parse CREATE FUNCTION or DO, and return the statements and expressions of its body. Raises ParseError."""
    return list(_statements(_parse_plpgsql(text)))


def _parse_plpgsql(text: str) -> Any:  # noqa: ANN401 - JSON
    return parse_plpgsql(ROW_TYPE.sub("", text))


def _statements(part: Any, line: int = 1, owner: str = "") -> Iterator[BodyStatement]:  # noqa: ANN401 - parsed JSON
    """Yield the statements and expressions of a PL/pgSQL body, which pglast parses to JSON."""
    if isinstance(part, list):
        for each in part:
            yield from _statements(each, line, owner)
    elif isinstance(part, dict):
        line = part.get("lineno", line)
        for name, value in part.items():
            if isinstance(value, dict) and (expression := value.get("PLpgSQL_expr")):
                yield _expression(expression, line, _variable(part, name), is_dynamic=(owner, name) in DYNAMIC_SQL)
            elif name.startswith("PLpgSQL_"):
                yield from _statements(value, line, name)
            else:
                yield from _statements(value, line, owner)


def _variable(part: dict[str, Any], name: str) -> str:
    """Return the variable that gets the value of an expression: by its default, or the first one of SELECT INTO."""
    variable: str = part.get("refname", "") if name == "default_val" else ""
    if name == "sqlstmt" and (row := part.get("target", {}).get("PLpgSQL_row")):
        variable = row["fields"][0]["name"]
    return variable


def _expression(expression: dict[str, Any], line: int, variable: str, *, is_dynamic: bool) -> BodyStatement:
    text, mode = expression["query"], expression["parseMode"]
    if mode > 2 and (assigned := ASSIGNED.match(text)):  # noqa: PLR2004 - 0: a statement, 2: an expression
        variable, text = assigned["variable"], text[assigned.end() :]
    text = text if mode == 0 else f"select {text}"
    return BodyStatement(line, text, parse_sql(text)[0].stmt, variable, is_dynamic)
