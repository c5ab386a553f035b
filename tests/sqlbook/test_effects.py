"""What statements do to tables: as the book tells it, and as PostgreSQL does it."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
import pytest
from pglast import parse_sql
from psycopg import sql

from service.sqlbook.contents import Contents
from service.sqlbook.effects import advisory_locks, effects
from service.sqlcheck import Schema, read_schema, scale
from service.sqlcheck.analysis.parse_tree import ParsedQuery
from service.sqlcheck.analysis.planner import EXPLAIN
from service.sqlcheck.migrations.lock_state import State
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree, apply_migrations
from tests.support.checkouts import Copy
from tests.support.processes import ROOT

Connection = psycopg.Connection[Any]
# By strength.
MODES = ["ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"]
POSTGRESQL = ["AccessShareLock", "RowShareLock", "RowExclusiveLock"]


def told(statement: str, schema: Schema) -> list[str]:
    """Return a line for each effect of a statement."""
    found = effects(parse_sql(statement)[0].stmt, schema)
    return [f"{each.verb} {each.table}, {each.rows or 'no'} rows, {each.through or 'itself'}" for each in found]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 1", []),
        ("select id from kites as p", ["select kites, no rows, itself"]),
        ("with kites as (select 1) select * from kites", []),
        ("with kites as (select 1) select * from public.kites", ["select kites, no rows, itself"]),
        ("select id from nothing", []),
        ("select from kites tablesample system (1)", ["select kites, no rows, itself"]),
        (
            "select from kites as p join user_model as u on true for update of p",
            [
                "select kites, no rows, itself",
                "lock kites, FOR UPDATE rows, itself",
                "select user_model, no rows, itself",
            ],
        ),
        (
            "select from kites for key share",
            ["select kites, no rows, itself", "lock kites, FOR KEY SHARE rows, itself"],
        ),
        (
            "insert into kites (user_id) values (null)",
            ["insert kites, no rows, itself", "lock user_model, FOR KEY SHARE rows, kites_user_id_fkey"],
        ),
        (
            "insert into kites (id) values (1) on conflict (user_id, id) do update set version = 1",
            [
                "insert kites, no rows, itself",
                "update kites, FOR NO KEY UPDATE rows, itself",
                "lock user_model, FOR KEY SHARE rows, kites_user_id_fkey",
            ],
        ),
        (
            "insert into login_throttle (failures) values (1) on conflict do nothing",
            ["insert login_throttle, no rows, itself"],
        ),
        (
            "update kites set user_id = null",
            ["update kites, FOR UPDATE rows, itself", "lock user_model, FOR KEY SHARE rows, kites_user_id_fkey"],
        ),
        (
            (
                "merge into kites as p using login_session as s on s.user_id = p.user_id when matched and p.id = 1 "
                "then delete when matched then update set version = 2 when not matched then do nothing"
            ),
            [
                "update kites, FOR NO KEY UPDATE rows, itself",
                "delete kites, FOR UPDATE rows, itself",
                "select login_session, no rows, itself",
            ],
        ),
        ("delete from login_throttle", ["delete login_throttle, FOR UPDATE rows, itself"]),
        (
            "select still_live(null)",
            [
                "select live_session, no rows, live_session()",
                "select login_session, no rows, live_session()",
                "select session_cutoff, no rows, live_session()",
            ],
        ),
    ],
)
def test_effects_of_a_statement_are_shown(schema: Schema, statement: str, expected: list[str]) -> None:
    assert told(statement, schema) == expected


def test_update_of_a_key_checks_referring_rows(schema: Schema) -> None:
    assert "lock kites, FOR KEY SHARE rows, kites_user_id_fkey" in told("update user_model set id = null", schema)


def test_cascaded_deletes_are_shown(small_book: Contents) -> None:
    assert told("delete from shelves", small_book.schema) == [
        "delete shelves, FOR UPDATE rows, itself",
        'delete "Odd name/<i>", FOR UPDATE rows, Odd name_shelf_id_fkey',
    ]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("no action", "lock kite_lines, FOR KEY SHARE rows, kite_lines_kite_fkey"),
        ("restrict", "lock kite_lines, FOR KEY SHARE rows, kite_lines_kite_fkey"),
        ("set null", "update kite_lines, FOR NO KEY UPDATE rows, kite_lines_kite_fkey"),
    ],
)
def test_other_foreign_key_actions_are_shown(transaction: Connection, action: LiteralString, expected: str) -> None:
    key = "constraint kite_lines_kite_fkey foreign key (u, kite) references kites on delete {}"
    create = f"create table kite_lines (u uuid, kite bigint, {key})"
    transaction.execute(sql.SQL(create).format(sql.SQL(action)))

    assert expected in told("delete from kites", read_schema(transaction))


def test_views_and_functions_are_followed(small_book: Contents, transaction: Connection) -> None:
    """The tables below a view are locked, too; what plpgsql does, nobody sees."""
    transaction.execute("create function f() returns int language plpgsql as 'begin return 1; end'")

    assert told("select id from wide_shelves", small_book.schema) == [
        "select wide_shelves, no rows, itself",
        "select shelves, no rows, wide_shelves",
    ]
    assert told("select f()", read_schema(transaction)) == []


def test_advisory_locks_are_shown() -> None:
    assert advisory_locks(parse_sql("select pg_try_advisory_xact_lock(1), now()")[0].stmt) == [
        "pg_try_advisory_xact_lock"
    ]


def told_locks(tree: Tree, name: str, schema: Schema) -> dict[str, int]:
    """Return the strongest lock on each table, as a number, that the book tells of a query."""
    found: dict[str, int] = {}
    for effect in effects(ParsedQuery.read(tree.statements[name]).tree, schema):
        found[effect.table] = max(MODES.index(effect.lock), found.get(effect.table, 0))
    return found


def held_locks(connection: Connection) -> dict[str, int]:
    """Return the strongest lock on each table, as a number, that the transaction holds."""
    locks = State.read(connection).locks
    return {table: POSTGRESQL.index(mode) for table, mode in locks.items() if not table.endswith("_id_seq")}


# They call functions in plpgsql, whose locks are not seen.
IN_PLPGSQL = {"auth.count_failed_login", "auth.count_registration", "auth.find_credentials"}


def exceeding(held: Mapping[str, int], told: Mapping[str, int]) -> list[str]:
    """Return the tables whose lock is stronger than told."""
    return [table for table, mode in held.items() if mode > told.get(table, -1)]


def test_locks_taken_to_plan_are_shown(schema: Schema, module_database_url: str) -> None:
    tree = Tree.read(ROOT)
    with connect(module_database_url) as connection:
        for name, statement in tree.statements.items():
            with connection.transaction(force_rollback=True):
                connection.execute(EXPLAIN.format(sql.SQL("json"), sql.SQL(statement.sql)))
                assert exceeding(held_locks(connection), told_locks(tree, name, schema)) == [], name


@pytest.mark.slow
def test_locks_taken_to_run_are_shown(tree: Copy, empty_database_url: str) -> None:
    """Neither less than it locks, nor, apart from what depends on the rows, more."""
    tree.edit("sql/dev/scale.sql", "generate_series(1, 100000)", "generate_series(1, 200)")
    tree.edit("sql/dev/scale.sql", "user50000@", "user100@")
    read_tree = Tree.read(tree.root)
    assert apply_migrations(read_tree, empty_database_url) is None
    needless: list[str] = []
    with connect(empty_database_url) as connection:
        arguments = scale.seed(connection, tree.root)
        schema = read_schema(connection)
        for name, statement in read_tree.statements.items():
            keys = [scale.argument_key(statement, each.name, arguments) for each in statement.parameters]
            values = [arguments[key] if key else None for key in keys]
            with connection.transaction(force_rollback=True):
                psycopg.RawCursor(connection).execute(statement.sql, values)
                held, told = held_locks(connection), told_locks(read_tree, name, schema)
            if name not in IN_PLPGSQL:
                assert exceeding(held, told) == [], name
            # A view is locked while a statement is analysed, not while it runs.
            needless += [f"{name}: {table}" for table in exceeding(told, held) if table != "live_session"]
    assert needless == []
