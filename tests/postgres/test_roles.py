"""sql/roles.sql: the privileges that each role has, and those that it must not have."""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import run as run_program
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from service.cli import main
from service.embedded import EmbeddedPostgres, embedded_postgres
from service.postgres.query_file import query_names, read_query
from tests.support.accounts import PASSWORD
from tests.support.databases import SERVER_SETTINGS
from tests.support.first_session import run_black_box
from tests.support.processes import ROOT, Serve, environment, run
from tests.support.statements import values_for

pytestmark = pytest.mark.slow
APP, OWNER, READER = "service_app", "service_owner", "service_reader"
DEPLOY = (ROOT / "docs/deploy.md").read_text()


def as_role(url: str, role: str) -> str:
    """Return `url` with another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """Return a separate server, because roles belong to all databases of a server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres(Path(folder) / "postgres", SERVER_SETTINGS) as cluster,
    ):
        yield cluster


def create_database(cluster: EmbeddedPostgres, name: str, owner: str = "postgres") -> str:
    """Create a database, and return its administrator's URL."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        statement = sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
        connection.execute(statement)
    return as_role(cluster.url(name), owner)


def invoke(*arguments: str, url: str) -> Result:
    """Run `roles` in this process."""
    return CliRunner().invoke(main, ["roles", *arguments], env={"DATABASE_URL": url}, catch_exceptions=False)


@pytest.fixture(scope="module")
def url(cluster: EmbeddedPostgres) -> str:
    """Return the administrator's URL of a database with the roles, migrated by its owner, hardened as some are."""
    url = create_database(cluster, "with roles")
    assert run("roles", "--apply", settings={"DATABASE_URL": url}).returncode == 0
    with psycopg.connect(url) as connection:
        connection.execute("alter default privileges for role service_owner revoke execute on functions from public")
    migrated = run("migrate", settings={"DATABASE_URL": as_role(url, OWNER)})
    assert (migrated.returncode, migrated.stderr) == (0, "")
    return url


def refused(url: str, role: str, statement: str) -> bool:
    """Return whether a role lacks the privilege to run a statement."""
    with psycopg.connect(as_role(url, role)) as connection:
        try:
            connection.execute(statement.encode())
        except (InsufficientPrivilege, ReadOnlySqlTransaction):
            return True
        finally:
            connection.rollback()
    return False


def test_service_runs_as_the_application_role(url: str, serve: Serve) -> None:
    served = serve(as_role(url, APP))

    assert " passed" in run_black_box(served.url)


@pytest.mark.parametrize("command", [["create-user", "ada@example.com"], ["fill-email-keys"], ["clean"]])
def test_application_role_can_run_each_command(url: str, command: list[str]) -> None:
    done = run(*command, settings={"DATABASE_URL": as_role(url, APP), "FIRST_SUPERUSER_PASSWORD": PASSWORD})

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", query_names())
def test_application_role_may_run_each_query(url: str, name: str) -> None:
    """Finds missing privileges on tables and functions.

    Those on sequences are checked only if nextval() is called, so the tests above have to reach it.
    """
    statement = read_query(name)

    with psycopg.connect(as_role(url, APP)) as connection:
        values = values_for(statement, connection)
        psycopg.RawCursor(connection).execute(statement.sql.encode(), values)
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id integer)",
        "create temporary table mine (id integer)",
        "create schema mine",
        "create function mine() returns integer language sql as 'select 1'",
        "create index on login_session (ip)",
        "alter table login_session add column age integer",
        "drop table login_session",
        "truncate login_session cascade",
        "create role mine",
        "create trigger mine before insert on login_session execute function suppress_redundant_updates_trigger()",
        "set role service_owner",
        "update migration_checksum set sha256 = ''",
        "delete from _yoyo_migration",
    ],
)
def test_application_role_cannot_change_schema_or_migrations(url: str, statement: str) -> None:
    assert refused(url, APP, statement)


def test_application_role_cannot_migrate(url: str) -> None:
    migrated = run("migrate", "rollback", settings={"DATABASE_URL": as_role(url, APP)})

    assert migrated.returncode == 1
    assert re.search("must be owner|permission denied", migrated.stderr)


def test_owner_can_roll_back_and_reapply(url: str) -> None:
    owner = {"DATABASE_URL": as_role(url, OWNER)}

    assert run("migrate", "rollback", settings=owner).returncode == run("migrate", settings=owner).returncode == 0

    assert not refused(url, APP, "delete from idempotency_key")
    assert refused(url, APP, "delete from migration_checksum")


@pytest.mark.parametrize("table", ["user_model", "login_session", "migration_checksum"])
def test_reader_reads_everything(url: str, table: str) -> None:
    assert not refused(url, READER, f"select from {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "delete from login_session",
        "set transaction read write; delete from login_session",
        "set transaction read write; create temporary table mine (id integer)",
    ],
)
def test_reader_writes_nothing(url: str, statement: str) -> None:
    assert refused(url, READER, statement)


def test_reader_cannot_call_revoked_procedure(url: str) -> None:
    with psycopg.connect(as_role(url, OWNER)) as connection:
        connection.execute("create procedure clear() language sql security definer as 'delete from login_session'")
        connection.execute("revoke execute on procedure clear() from public")

    assert refused(url, READER, "set transaction read write; call clear()")


def test_reader_sees_running_statements(url: str) -> None:
    with psycopg.connect(as_role(url, APP)) as busy, psycopg.connect(as_role(url, READER)) as reader:
        busy.execute("select 'seen'")

        seen = reader.execute("select query from pg_stat_activity where usename = 'service_app'").fetchall()

    assert ("select 'seen'",) in seen


def test_application_role_uses_generic_plans(url: str) -> None:
    with psycopg.connect(as_role(url, APP)) as connection:
        [[mode]] = connection.execute("show plan_cache_mode").fetchall()

    assert mode == "force_generic_plan"


@pytest.mark.parametrize(
    ("role", "statement", "lock", "idle"),
    [(APP, "2s", "1500ms", "10s"), (READER, "1min", "1s", "1min"), (OWNER, "0", "3s", "5min")],
)
def test_each_role_has_its_timeouts(url: str, role: str, statement: str, lock: str, idle: str) -> None:
    with psycopg.connect(as_role(url, role)) as connection:
        [timeouts] = connection.execute(
            """select current_setting('statement_timeout'), current_setting('lock_timeout'),
            current_setting('idle_in_transaction_session_timeout')"""
        ).fetchall()

    assert timeouts == (statement, lock, idle)


def test_other_roles_cannot_connect(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role stranger login")

    with pytest.raises(psycopg.OperationalError, match="User does not have CONNECT privilege"):
        psycopg.connect(as_role(url, "stranger"))


def test_second_run_grants_sequences_of_an_earlier_version(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("revoke usage on sequence pets_id_seq from service_app")

    assert invoke("--apply", url=url).exit_code == 0

    assert not refused(url, APP, "select nextval('pets_id_seq')")
    assert refused(url, APP, "select setval('pets_id_seq', 1)")


def test_printed_sql_runs_in_psql_repeatedly(url: str, cluster: EmbeddedPostgres) -> None:
    printed = invoke(url="").stdout

    psql = [str(cluster.binaries / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", url]
    done = run_program(psql, input=printed, capture_output=True, text=True, check=False)

    assert printed == (ROOT / "sql/roles.sql").read_text()
    assert (done.returncode, done.stdout) == (0, "")
    assert "ERROR" not in done.stderr


def test_administrator_without_superuser_gets_a_warning(cluster: EmbeddedPostgres, url: str) -> None:
    """As on managed PostgreSQL, the administrator can create roles and owns the database, but not all sequences."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role administrator login createrole createdb")
        for role in (APP, OWNER, READER):
            connection.execute(sql.SQL("grant {} to administrator with admin option").format(sql.Identifier(role)))

    managed = create_database(cluster, "managed", "administrator")
    with psycopg.connect(as_role(managed, "postgres")) as connection:
        connection.execute("create sequence of_an_extension")

    result = invoke("--apply", url=managed)

    assert result.exit_code == 0
    assert "let a superuser grant pg_monitor to service_reader" in result.stderr
    assert result.stdout.startswith("service_owner, service_app and service_reader exist")


def test_missing_createrole_is_one_sentence(url: str) -> None:
    result = invoke("--apply", url=as_role(url, READER))

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: PostgreSQL says: ")
    assert result.stderr.endswith("; this command needs an administrator's DATABASE_URL\n")
    assert len(result.stderr.splitlines()) == 1


def test_documented_commands_work(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    """The commands of docs/deploy.md, on another database, and those of docs/live-database.md."""
    url = create_database(cluster, "by the book")
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    urls = {"ADMIN_URL": url, "OWNER_URL": as_role(url, OWNER), "READER_URL": as_role(url, READER)}
    live = (ROOT / "docs/live-database.md").read_text()

    for page in (DEPLOY.partition("## Roles")[2], live):
        [commands, *_] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        settings = environment(urls | {"PATH": f"{tmp_path}:{cluster.binaries}:/usr/bin:/bin"})
        done = run_program(["/bin/sh", "-euc", commands], cwd=ROOT, env=settings, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_database_migrated_by_another_role_is_handed_over(cluster: EmbeddedPostgres, serve: Serve) -> None:
    """With the statements of docs/deploy.md."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("create role old_owner login")
    url = as_role(create_database(cluster, "handed over", "old_owner"), "postgres")
    assert run("migrate", settings={"DATABASE_URL": as_role(url, "old_owner")}).returncode == 0
    assert invoke("--apply", url=url).exit_code == 0
    [statements] = re.findall(r"^```sql\n(reassign .*?)^```", DEPLOY, re.MULTILINE | re.DOTALL)

    with psycopg.connect(url) as connection:
        connection.execute(statements)

    assert run("migrate", "rollback", settings={"DATABASE_URL": as_role(url, OWNER)}).returncode == 0
    assert run("migrate", settings={"DATABASE_URL": as_role(url, OWNER)}).returncode == 0
    books = ("migration_checksum", "_yoyo_log", "_yoyo_migration", "_yoyo_version")
    assert all(refused(url, APP, f"delete from {book}") for book in books)
    assert not refused(url, READER, "select from user_model, migration_checksum")
    served = serve(as_role(url, APP))
    assert " passed" in run_black_box(served.url)


def test_roles_have_no_password_by_default() -> None:
    assert "password '" not in (ROOT / "sql/roles.sql").read_text().lower()
