"""The locks of migrations, and the command that shows them."""

import pytest
from click.testing import CliRunner, Result

from service.cli import main
from service.sqlcheck.migrations.locks import Lock
from tests.support.checkouts import CREATE_KITES, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

NAME = "9999_change_kites"
PLACE = f"migrations/{NAME}.sql"
NOT_TRANSACTIONAL = "-- transactional: false\n"


def shown(tree: Copy, url: str, sql: str) -> list[Lock] | None:
    """Add a migration to the tree, and return its locks."""
    tree.write_migration(NAME, f"-- depends: {CREATE_KITES}\n{sql}")
    return tree.review_newest_migration(url).locks


def test_strongest_lock_of_each_table_is_shown(tree: Copy, empty_database_url: str) -> None:
    sql = "alter table kites alter column version type bigint;\ncreate index kites_v on kites (version);"

    locks = shown(tree, empty_database_url, sql)

    assert locks == [Lock("kites", "AccessExclusiveLock", rewritten=True)]
    assert (locks[0].sql_mode, locks[0].waits) == ("ACCESS EXCLUSIVE", "readers and writers wait")


def test_locks_of_renamed_and_dropped_tables_are_shown(tree: Copy, empty_database_url: str) -> None:
    found = shown(tree, empty_database_url, "alter table kites rename to dragons;\ndrop table login_throttle;")

    strongest = "AccessExclusiveLock"
    assert found == [Lock("kites", strongest, rewritten=False), Lock("login_throttle", strongest, rewritten=False)]


@pytest.mark.parametrize(
    ("sql", "lock"),
    [
        (
            "create or replace view a.names as select kite_name from kites where version = 1;",
            "a.names: ACCESS EXCLUSIVE",
        ),
        ("drop view a.names;", "a.names: ACCESS EXCLUSIVE"),
        ("alter table a.b add c integer;", "a.b: ACCESS EXCLUSIVE"),
        ('alter table "a.b" add c integer;', '"a.b": ACCESS EXCLUSIVE'),
        ("comment on table kites is 'Kites.';", "kites: SHARE UPDATE EXCLUSIVE"),
        ("alter sequence ticket owned by kites.version;", "ticket: SHARE ROW EXCLUSIVE"),
    ],
)
def test_locks_of_each_kind_of_relation_are_shown(tree: Copy, empty_database_url: str, sql: str, lock: str) -> None:
    create = 'create schema a; create table a.b (); create table "a.b" (); create sequence ticket;'
    view = "create view a.names as select kite_name from kites;"
    tree.write_migration("9998_prepare_kites", f"-- depends: {CREATE_KITES}\n{create}\n{view}")

    found = shown(tree, empty_database_url, sql)

    assert [f"{each.table}: {each.sql_mode}" for each in found or [] if not each.rewritten] == [lock]


def test_nontransactional_migration_shows_no_locks(tree: Copy, empty_database_url: str) -> None:
    tree.write_migration(NAME, NOT_TRANSACTIONAL + "create index concurrently kites_version_idx on kites (version);")

    last = tree.review_newest_migration(empty_database_url)

    assert (last.locks, last.findings) == (None, [])


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
    tree.write_migration(NAME, f"-- depends: {CREATE_KITES}\nalter table kites alter column version type bigint;")

    done = locks(tree, database_url)

    assert done.exit_code == 1
    assert "9999_change_kites\n  kites: ACCESS EXCLUSIVE, readers and writers wait, rewritten\n" in done.stdout
    assert done.stdout.endswith("[rewrite]\n1 finding: 1 rewrite\n")


def test_two_indexes_of_a_table_are_one_finding(tree: Copy, database_url: str) -> None:
    tree.write_migration(NAME, f"-- depends: {CREATE_KITES}\n-- squawk-ignore-file\nreindex table login_session;")

    assert locks(tree, database_url).stdout.endswith("\n1 finding: 1 index-not-concurrent\n")


def test_command_marks_nontransactional_migrations(tree: Copy, database_url: str) -> None:
    tree.write_migration(NAME, NOT_TRANSACTIONAL + "create index concurrently kites_version_idx on kites (version);")

    assert "not a single transaction: its locks cannot be read\n" in locks(tree, database_url).stdout


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        (f"-- Depends: {CREATE_KITES}\nselect 1;", f"Error: {PLACE}:1 is a directive that yoyo ignores"),
        ("select 1;\n\nselect\nfrom dogs;", f'Error: {PLACE}:4: relation "dogs" does not exist'),
        ("vacuum kites;", f"Error: {PLACE}:1: VACUUM cannot run inside a transaction block"),
    ],
)
def test_failing_migration_is_one_sentence(tree: Copy, database_url: str, sql: str, sentence: str) -> None:
    tree.write_migration(NAME, sql)

    done = locks(tree, database_url, "--json")

    assert done.exit_code == 1
    assert done.stderr.startswith(sentence)


def test_missing_squawk_is_one_sentence(tree: Copy, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.sqlcheck.migrations.squawk.shutil.which", lambda *_, **__: None)

    done = locks(tree, database_url)

    assert done.stderr.startswith("Error: This needs squawk: install the dev requirements")


def test_invalid_settings_of_squawk_are_one_sentence(tree: Copy, database_url: str) -> None:
    tree.write(".squawk.toml", "excluded_rules = [")

    done = locks(tree, database_url)

    assert done.stderr.startswith("Error: squawk failed: Configuration error: ")
    assert len(done.stderr.splitlines()) == 1


def test_squawk_can_exclude_every_migration(tree: Copy, database_url: str) -> None:
    tree.write(".squawk.toml", 'excluded_paths = ["*.sql"]')

    assert locks(tree, database_url).stdout.endswith("migrations: no findings\n")


def test_copy_from_stdin_is_one_sentence(tree: Copy, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    tree.write_migration(NAME, "copy kites from stdin;")

    done = locks(tree, database_url)

    assert done.stderr == f"Error: {PLACE}:1: COPY cannot be used with this method; use copy() instead\n"
    assert caplog.messages == []
