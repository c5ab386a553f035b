"""The corpus: 400 queries on 30 tables of a shop, its data, and a matching class for each query."""

import random
import re
from itertools import product
from pathlib import Path

import attrs
import psycopg
from psycopg import sql
from psycopg.types.string import TextLoader

from service.postgres import Statement, read_query
from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.code import QueryReference
from service.sqlcheck.row_classes import Annotation, Field, Row
from service.sqlcheck.rules.null_checks import column_nullability
from tests.support.checkouts import Connection

FOLDER = Path(__file__).parent
QUERY = re.compile(r"^-- (\w+): (\w+)\n(.*?;)\n", re.MULTILINE | re.DOTALL)
# Values for arguments and rows, by type; {n} is the number of the row, so that some rows match.
VALUES = {
    "bigint": ["1", "2", "99"],
    "integer": ["1", "2", "0"],
    "smallint": ["1", "5"],
    "numeric": ["1", "50", "0"],
    "text": ["a", "b{n}", "a b", ""],
    "character": ["DE", "EUR"],
    "boolean": ["true", "false"],
    "date": ["2024-01-01", "2024-01-02", "infinity"],
    "timestamp with time zone": ["2024-01-01", "2025-06-01", "infinity"],
    "interval": ["1 day", "0"],
    "jsonb": [
        '{"colour": "red", "size": 3, "parts": ["x", null], "news": true, "a": {"b": null}}',
        '{"colour": null, "size": null, "parts": [], "news": null, "a": null}',
        "{}",
    ],
    "text[]": ["{}", "{a,b}", "{a,NULL}"],
    "bigint[]": ["{1,2}", "{}"],
    "inet": ["10.0.0.1", "::1"],
    "tstzrange": ["[2024-01-01,2024-01-02)", "(,)", "empty"],
    "daterange": ["[2024-01-01,2030-01-01)", "(,)", "empty"],
    "percentage": ["0", "10"],
    "address_kind": ["billing", "shipping"],
    "sale_status": ["open", "paid", "sent", "cancelled"],
    "ticket_state": ["new", "waiting", "closed"],
    "ticket_state[]": ["{new,closed}"],
}
COLUMNS = """
    select
        a.attname::text, format_type(a.atttypid, null), a.attnotnull, a.attidentity <> '',
        (
            select format('(select %%I from %%s order by random() limit 1)', f.attname, k.confrelid::regclass)
            from pg_constraint as k
            inner join pg_attribute as f on f.attrelid = k.confrelid and f.attnum = k.confkey[1]
            where k.contype = 'f' and k.conrelid = a.attrelid and k.conkey[1] = a.attnum and cardinality(k.conkey) = 1
        )
    from pg_attribute as a where a.attrelid = %s::regclass and a.attnum > 0
"""
# As text: a JSON null is not a null, and psycopg cannot convert infinity.
AS_TEXT = ("json", "jsonb", "date", "timestamp", "timestamptz", "interval", "daterange", "tstzrange")
ROWS, RUNS = 20, 12


@attrs.frozen
class Case:
    """A query of the corpus."""

    name: str
    cardinality: str
    sql: str


def cases(half: str) -> list[Case]:
    """Return the queries of one half."""
    return [Case(*found) for found in QUERY.findall((FOLDER / f"{half}.sql").read_text())]


def tables() -> list[str]:
    """Return the tables, referenced tables first."""
    names: list[str] = re.findall(r"^create table (\w+)", (FOLDER / "schema.sql").read_text(), re.MULTILINE)
    return [name for name in names if not name.startswith("event_")]


def fill(connection: Connection, *, share: float, seed: int) -> None:
    """Fill the tables; a `share` of the nullable values is null."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    connection.execute("select setseed(0.5)")
    for table in tables():
        columns = connection.execute(COLUMNS, [table]).fetchall()
        for number in range(ROWS):
            names, values = [], []
            for name, kind, required, generated, parent in columns:
                if generated:
                    continue
                names.append(sql.Identifier(name))
                given = chance.choice(VALUES[kind]).replace("{n}", str(number)) if kind in VALUES else "a"
                null = not required and chance.random() < share
                values.append(sql.SQL("null" if null else parent) if null or parent else sql.Literal(given))
            command = sql.SQL("insert into {} ({}) values ({}) on conflict do nothing").format(
                sql.Identifier(table), sql.SQL(", ").join(names), sql.SQL(", ").join(values)
            )
            try:
                with connection.transaction():
                    connection.execute(command)
            except psycopg.Error:
                continue  # a parent is missing, or a CHECK fails


def statement(case: Case, describer: Describer, folder: Path, header: str = "") -> Statement:
    """Write a query as a file, with the types of its parameters."""
    word, _, rest = case.sql.partition(" ")
    text = f"{word} /* corpus.{case.name} */ {rest}"
    parameters = header
    if not header and "$" in case.sql:
        connection = describer._connection  # noqa: SLF001 - the types are needed before there is a header
        connection.pgconn.prepare(b"", case.sql.encode(), None)
        described = connection.pgconn.describe_prepared(b"")
        types = [describer.types[described.param_type(index)] for index in range(described.nparams)]
        parameters = "".join(f"-- ${number} p_{chr(96 + number)} {kind}\n" for number, kind in enumerate(types, 1))
    path = folder / "sql" / "corpus" / f"{case.name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"-- corpus.{case.name}: says\n{parameters}-- returns: {case.cardinality} X\n{text}\n")
    return read_query(f"corpus.{case.name}", folder / "sql")


def nulls_of(describer: Describer, text: str, description: Description) -> tuple[list[bool], int]:
    """Run a query with several arguments; return which columns were null, and the maximum number of rows."""
    connection = describer._connection  # noqa: SLF001 - the one that has the tables
    cursor = connection.cursor()
    for name in AS_TEXT:
        cursor.adapters.register_loader(name, TextLoader)
    seen, most = [False] * len(description.columns), 0
    types = [sql.SQL(each.name) for each in description.parameters]
    signature = sql.SQL("({})").format(sql.SQL(", ").join(types)) if types else sql.SQL("")
    connection.execute(sql.SQL("prepare run {} as {}").format(signature, sql.SQL(text)))
    choices = list(product(*(VALUES.get(str(each), ["1"]) for each in description.parameters)))
    for arguments in random.Random(0).sample(choices, min(RUNS, len(choices))):  # noqa: S311 - not for secrets
        given = sql.SQL(", ").join(sql.Literal(each.replace("{n}", "1")) for each in arguments)
        command = sql.SQL("execute run ({})").format(given) if arguments else sql.SQL("execute run")
        try:
            with connection.transaction(force_rollback=True):
                rows = cursor.execute(command).fetchall()
        except psycopg.Error:
            continue  # such as a division by zero, or a duplicate key
        most = max(most, len(rows))
        for row in rows:
            seen = [before or value is None for before, value in zip(seen, row, strict=True)]
    connection.execute("deallocate run")
    return seen, most


def reference(description: Description) -> QueryReference:
    """Return a reference to a query with a matching class."""
    judged = column_nullability(description)
    fields = tuple(
        Field(
            column.name,
            Annotation(
                column.type.python() or str(column.type),
                not nulls.never_null,
                element=Annotation("", not nulls.elements_not_null),
            ),
        )
        for column, nulls in zip(description.columns, judged, strict=True)
    )
    return QueryReference("service/x.py", 1, description.statement.name, "many", Row("X", fields))
