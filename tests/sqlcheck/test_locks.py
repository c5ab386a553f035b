"""What migrations lock, and which are caught."""

import pytest
from click.testing import CliRunner, Result

from service.cli import main
from service.sqlcheck.findings import as_text
from service.sqlcheck.locks import Lock, Migration, review_migrations
from service.sqlcheck.scratch import connect
from tests.support.checkouts import CREATE_KITES, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

PLACE = "migrations/9999_change_kites.sql"
NOT_TRANSACTIONAL = "-- transactional: false\n"


def reviewed(tree: Copy, url: str, sql: str) -> Migration:
    """Add a migration to the tree, and return what is said of it."""
    tree.write(PLACE, f"-- Changes kites.\n-- depends: {CREATE_KITES}\n{sql}\n")
    tree.write(PLACE.replace(".sql", ".rollback.sql"), "select 1;\n")
    with connect(url) as connection:
        return list(review_migrations(connection, tree.root / "migrations"))[-1]


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        (
            "alter table kites alter column version type bigint;",
            ":3: kites is rewritten, and nobody can read it meanwhile: expand, fill, contract instead [rewrite]",
        ),
        (
            "select 1;\n-- Why.\ncreate index kites_version_idx on kites (version);",
            ":5: the index of kites, which exists, is made without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            "alter table login_session alter column user_agent set not null;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            (
                "alter table kites add column session_id uuid\n    references user_model (id);\n"
                "create index on kites (session_id);"
            ),
            (
                ":3: the foreign key of kites, which exists, is made without NOT VALID: writers of both wait "
                f"[foreign-key]\n{PLACE}:5: the index of kites, which exists, is made without CONCURRENTLY: writers "
                "wait [index-not-concurrent]"
            ),
        ),
        (
            "alter table kites add constraint kites_again_fkey foreign key (user_id) references user_model (id);",
            ":3: the foreign key of kites, which exists, is made without NOT VALID: writers of both wait [foreign-key]",
        ),
        (
            (
                "create table toys (\n    kite bigint,\n    user_id uuid,\n"
                "    constraint toys_kite_fkey foreign key (user_id, kite) references kites (user_id, id)\n);"
            ),
            (
                ":6: no index of toys begins with the columns of toys_kite_fkey: each delete over there reads all of "
                "it [foreign-key-index]"
            ),
        ),
        (
            "alter table kites add constraint kites_name_key unique (user_id, kite_name);",
            ":3: the index of kites, which exists, is made without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            'alter table user_model alter column email type varchar collate "C";',
            (
                ":3: the index of user_model, which exists, is made without CONCURRENTLY: writers wait "
                "[index-not-concurrent]"
            ),
        ),
        (
            "do $$ begin execute 'create index on kites (version)'; end $$;",
            ":3: the index of kites, which exists, is made without CONCURRENTLY: writers wait [index-not-concurrent]",
        ),
        (
            "do $$ begin alter table login_session alter user_agent set not null; end $$;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            "alter table login_session add constraint there not null user_agent;",
            ":3: login_session.user_agent becomes NOT NULL without a validated check: all rows are read [not-null]",
        ),
        (
            "alter table kites add column token uuid not null default gen_random_uuid();",
            ":3: kites is rewritten, and nobody can read it meanwhile: expand, fill, contract instead [rewrite]",
        ),
        (
            "alter table kites add column twice integer generated always as (version * 2) stored;",
            ":3: kites is rewritten, and nobody can read it meanwhile: expand, fill, contract instead [rewrite]",
        ),
        (
            "alter table kites alter column kite_name type varchar(20);",
            ":3: kites is rewritten, and nobody can read it meanwhile: expand, fill, contract instead [rewrite]",
        ),
    ],
)
def test_migration_that_locks_too_much_is_found(tree: Copy, empty_database_url: str, sql: str, finding: str) -> None:
    assert as_text(reviewed(tree, empty_database_url, sql).findings) == PLACE + finding


@pytest.mark.parametrize(
    "sql",
    [
        "-- locks: ok the table has a dozen rows\nalter table kites alter column version type bigint;",
        "alter table kites add column colour text;",
        (
            "alter table login_session add constraint user_agent_is_there check (user_agent is not null) not valid;\n"
            "alter table login_session validate constraint user_agent_is_there;\n"
            "alter table login_session alter column user_agent set not null;"
        ),
        (
            "alter table kites add constraint kites_again_fkey\n"
            "    foreign key (user_id) references user_model (id) not valid;"
        ),
        (
            "create table toys (id bigint primary key);\ncreate index toys_idx on toys (id);\n"
            "alter table toys alter column id type integer;"
        ),
        "create view names as select kite_name from kites;",
        "alter table kites alter column kite_name type varchar(300);",
        "alter table kites add column colour text not null default 'red';",
        "create type mood as enum ('good');\nalter table kites add column mood mood;",
        "create table toys as select kite_name from kites;\nalter table toys add primary key (kite_name);",
        (
            "alter table login_session add constraint there not null user_agent not valid;\n"
            "alter table login_session validate constraint there;"
        ),
    ],
)
def test_harmless_migration_has_no_finding(tree: Copy, empty_database_url: str, sql: str) -> None:
    assert reviewed(tree, empty_database_url, sql).findings == []


def test_strongest_lock_of_each_table_is_shown(tree: Copy, empty_database_url: str) -> None:
    sql = "alter table kites alter column version type bigint;\ncreate index kites_v on kites (version);"

    locks = reviewed(tree, empty_database_url, sql).locks

    assert locks == [Lock("kites", "AccessExclusiveLock", rewritten=True)]
    assert (locks[0].sql_mode, locks[0].waits) == ("ACCESS EXCLUSIVE", "readers and writers wait")


def test_nontransactional_migration_shows_no_locks(tree: Copy, empty_database_url: str) -> None:
    tree.write(PLACE, NOT_TRANSACTIONAL + "create index concurrently kites_version_idx on kites (version);\n")
    tree.write(PLACE.replace(".sql", ".rollback.sql"), "drop index kites_version_idx;\n")

    with connect(empty_database_url) as connection:
        last = list(review_migrations(connection, tree.root / "migrations"))[-1]

    assert (last.locks, last.findings) == (None, [])


def test_invalid_index_is_found(tree: Copy, empty_database_url: str) -> None:
    sql = "update pg_index set indisvalid = false where indexrelid = 'user_model_email_key'::regclass;"

    found = reviewed(tree, empty_database_url, sql).findings

    assert as_text(found) == (
        f"{PLACE}:3: user_model_email_key is invalid: drop it (concurrently), and create it again [invalid-index]"
    )


def locks(tree: Copy, url: str, *options: str) -> Result:
    """Run `sql locks`."""
    arguments = ["sql", "locks", "--directory", str(tree.root), "--database-url", url, *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_command_lists_each_migration(tree: Copy, database_url: str) -> None:
    done = locks(tree, database_url)

    assert done.exit_code == 0
    assert done.stdout.startswith("0001_create_user_model\n  locks no existing table\n")
    assert f"{CREATE_KITES}\n  user_model: SHARE ROW EXCLUSIVE, writers wait\n" in done.stdout
    assert done.stdout.endswith("migrations: no findings\n")


def test_command_fails_on_a_rewrite(tree: Copy, database_url: str) -> None:
    tree.write(PLACE, f"-- depends: {CREATE_KITES}\nalter table kites alter column version type bigint;\n")
    tree.write(PLACE.replace(".sql", ".rollback.sql"), "select 1;\n")

    done = locks(tree, database_url)

    assert done.exit_code == 1
    assert "9999_change_kites\n  kites: ACCESS EXCLUSIVE, readers and writers wait, rewritten\n" in done.stdout
    assert done.stdout.endswith("[rewrite]\n1 finding: 1 rewrite\n")


def test_command_marks_nontransactional_migrations(tree: Copy, database_url: str) -> None:
    tree.write(PLACE, NOT_TRANSACTIONAL + "create index concurrently kites_version_idx on kites (version);\n")
    tree.write(PLACE.replace(".sql", ".rollback.sql"), "drop index kites_version_idx;\n")

    assert "not one transaction: its locks cannot be read\n" in locks(tree, database_url).stdout


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        (f"-- Depends: {CREATE_KITES}\nselect 1;", f"Error: {PLACE}:1 is a directive that yoyo ignores"),
        ("select from dogs;", f'Error: {PLACE}: relation "dogs" does not exist'),
    ],
)
def test_failing_migration_is_one_sentence(tree: Copy, database_url: str, sql: str, sentence: str) -> None:
    tree.write(PLACE, sql)
    tree.write(PLACE.replace(".sql", ".rollback.sql"), "select 1;\n")

    done = locks(tree, database_url, "--json")

    assert done.exit_code == 1
    assert done.stderr.startswith(sentence)
