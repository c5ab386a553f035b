"""The previous release on the schema of the next one."""

from pathlib import Path

import pytest
from click.testing import Result

from tests.support.checkouts import CREATE_KITES, Copy, line_of
from tests.support.git import commit, git
from tests.support.sqlcheck import invoke

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

OPEN = "sql/auth/open_session.sql"
SESSIONS = "sql/auth/list_my_sessions.sql"
NAME = "9999_change_sessions"


@pytest.fixture
def released(tmp_path: Path, with_kites: Path) -> Copy:
    """Return a tree whose current state has the git tag `released`."""
    tree = Copy(tmp_path, with_kites)
    commit(tree.root)
    git(tree.root, "tag", "released")
    return tree


def check(tree: Copy, url: str, revision: str = "released") -> Result:
    """Run `sql check --compatible-with`."""
    options = ["--directory", str(tree.root), "--database-url", url, "--compatible-with", revision]
    return invoke("check", *options)


def migrate(tree: Copy, sql: str) -> None:
    """Add a migration."""
    tree.write_migration(NAME, f"-- depends: {CREATE_KITES}\n{sql}")


def test_renamed_column_breaks_the_previous_release(released: Copy, database_url: str) -> None:
    migrate(
        released, "-- squawk-ignore renaming-column\nalter table login_session rename column user_agent to browser;"
    )
    for path in ("sql/auth/list_my_sessions.sql", OPEN):
        released.edit(path, "user_agent", "browser")
    released.edit("service/auth/models.py", "user_agent", "browser")

    line, listed = line_of(OPEN, "user_agent, ip"), line_of(SESSIONS, "user_agent,")

    done = check(released, database_url)

    assert done.exit_code == 1
    assert done.stdout == (
        f"{SESSIONS}:{listed}: as of released, on the new schema: PostgreSQL says: "
        'column "user_agent" does not exist [deploy-order]\n'
        f"{OPEN}:{line}: as of released, on the new schema: PostgreSQL says: "
        'column "user_agent" of relation "login_session" does not exist [deploy-order]\n'
        "2 findings: 2 deploy-order\n"
    )


def test_new_required_column_is_found(released: Copy, database_url: str) -> None:
    migrate(
        released, "-- squawk-ignore adding-required-field\nalter table login_session add column browser text not null;"
    )
    released.edit(OPEN, "user_agent, ip", "user_agent, browser, ip")

    done = check(released, database_url)

    assert (
        f"{OPEN}:{line_of(OPEN, '/* auth.open_session */')}: as of released, on the new schema: "
        "the insert omits login_session.browser, which is NOT NULL and has no default [deploy-order]\n"
    ) in done.stdout


def test_function_that_becomes_volatile_breaks_a_query_of_replicas(released: Copy, database_url: str) -> None:
    function = "create or replace function shown(text) returns text language sql {} as 'select $1';"
    released.write_migration("9998_show", f"-- depends: {CREATE_KITES}\n{function.format('stable')}")
    released.edit(SESSIONS, "    user_agent,\n", "    shown(user_agent) as user_agent,\n")
    commit(released.root)
    migrate(released, function.format("volatile"))

    found = check(released, database_url, "HEAD").stdout

    sentence = "as of HEAD, on the new schema: 'replica: ok' is for queries that only read, but shown() is volatile"
    assert f"{sentence} [deploy-order]" in found


def test_edited_migration_is_found(released: Copy, database_url: str) -> None:
    released.edit("migrations/0002_create_login_session.sql", "varchar(255)", "varchar(300)")

    assert check(released, database_url).stdout == (
        "migrations/0002_create_login_session.sql:1: was edited since released: restore it, and write another "
        "migration [deploy-order]\n1 finding: 1 deploy-order\n"
    )


@pytest.mark.parametrize(("new", "what"), [("9999_kites", "renamed to 9999_kites"), (None, "removed")])
def test_missing_migration_is_found(released: Copy, database_url: str, new: str | None, what: str) -> None:
    for suffix in (".sql", ".rollback.sql"):
        path = released.root / f"migrations/{CREATE_KITES}{suffix}"
        path.rename(path.with_name(f"{new}{suffix}")) if new else path.unlink()

    assert f"migrations/{CREATE_KITES}.sql:1: was {what} since released" in check(released, database_url).stdout


def test_expand_and_contract_passes(released: Copy, database_url: str) -> None:
    migrate(
        released,
        "-- unread: ok login_session.user_agent (the release before reads it)\n"
        "alter table login_session add column browser text;",
    )
    released.edit("sql/auth/list_my_sessions.sql", "    user_agent,\n", "    browser as user_agent,\n")

    assert check(released, database_url).exit_code == 0


def test_earlier_finding_is_not_repeated(released: Copy, database_url: str) -> None:
    released.edit("service/auth/models.py", 'examples=["192.0.2.7"])] | None', 'examples=["192.0.2.7"])]')
    commit(released.root)
    released.edit("service/auth/models.py", 'examples=["192.0.2.7"])]', 'examples=["192.0.2.7"])] | None')

    assert check(released, database_url, "HEAD").exit_code == 0


def test_unknown_revision_is_one_sentence(released: Copy, database_url: str) -> None:
    done = check(released, database_url, "nonsense")

    assert done.stderr == "Error: git cannot read 'nonsense': fatal: not a valid object name: nonsense\n"
    assert done.exit_code == 1


def test_revision_with_failing_migrations_is_one_sentence(released: Copy, database_url: str) -> None:
    migrate(released, "creat")
    commit(released.root)
    migrate(released, "select 1;")

    done = check(released, database_url, "HEAD")

    assert done.stderr.startswith(
        f"Error: the migrations of HEAD cannot be applied: migrations/{NAME}.sql:1: syntax error"
    )


def test_missing_git_is_one_sentence(released: Copy, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert (
        check(released, database_url).stderr
        == "Error: git is not installed, but is needed to read an earlier revision\n"
    )


def test_revision_like_an_option_is_a_revision(released: Copy, database_url: str) -> None:
    done = check(released, database_url, "--list")

    assert done.stderr == "Error: git cannot read '--list': fatal: not a valid object name: --list\n"
