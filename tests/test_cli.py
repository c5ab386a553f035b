"""The commands that end by themselves: what they do, what they say, and with which exit status."""

import os
import subprocess
import tomllib
from collections.abc import Callable, Iterator

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from service.cli import Commands, main
from service.migration_files import MigrationError
from service.problems import Unavailable
from service.queries import QueryError
from tests.processes import PATIENCE, ROOT, Running, command, environment, run

NAMES = ["0001_create_user_model", "0002_create_login_session", "0003_create_pets"]
ADA, PASSWORD = "ada@example.com", "a password for one test"
NOWHERE = "postgresql://user:secret@/none?host=/nonexistent"


def invoke(*arguments: str, **variables: str) -> Result:
    """Run a command in this process, with no settings but `variables`."""
    none = dict.fromkeys(["DATABASE_URL", "FIRST_SUPERUSER_EMAIL", "FIRST_SUPERUSER_PASSWORD"])
    return CliRunner().invoke(main, arguments, env=none | variables, catch_exceptions=False)


def assert_refused(result: Result, sentence: str) -> None:
    """Check that the operator reads this one sentence, and that the status says that something is wrong."""
    assert result.stderr == f"Error: {sentence}\n"
    assert result.exit_code == 1
    assert result.stdout == ""


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert invoke("--version").stdout == f"python -m service, version {project['version']}\n"


@pytest.mark.parametrize("name", main.commands)
def test_each_command_explains_itself_and_its_options(name: str) -> None:
    text = invoke(name, "--help").stdout

    assert f"Usage: main {name}" in text
    for parameter in main.commands[name].params:
        assert isinstance(parameter, click.Argument) or parameter.help in " ".join(text.split())


def test_help_lists_every_command() -> None:
    shown = run("--help")

    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.split("Commands:\n")[1].splitlines()] == sorted(main.commands)


def test_migrate_applies_what_is_pending(empty_database_url: str) -> None:
    done = run("migrate", settings={"DATABASE_URL": empty_database_url})

    assert done.returncode == 0
    assert done.stderr == ""
    first, *others = done.stdout.splitlines()
    assert first == f"to apply: {', '.join(NAMES)}"
    assert [line.split()[:2] for line in others] == [["applied", name] for name in NAMES]


def test_migrate_has_nothing_to_do_twice(own_database_url: str) -> None:
    again = invoke("migrate", "apply", DATABASE_URL=own_database_url)

    assert again.stdout == "to apply: nothing\n"
    assert again.exit_code == 0


def test_migrate_rolls_back_one_or_as_many_as_are_told(own_database_url: str) -> None:
    one = invoke("migrate", "rollback", DATABASE_URL=own_database_url)
    two = invoke("migrate", "rollback", "--count", "2", DATABASE_URL=own_database_url)

    assert one.stdout.startswith(f"to roll back: {NAMES[2]}\n")
    assert two.stdout.startswith(f"to roll back: {NAMES[1]}, {NAMES[0]}\n")
    assert one.exit_code == two.exit_code == 0


def test_migrate_does_not_roll_back_none() -> None:
    assert invoke("migrate", "rollback", "--count", "0", DATABASE_URL=NOWHERE).exit_code == 2


def test_status_lists_what_is_applied(own_database_url: str) -> None:
    result = invoke("migrate", "status", DATABASE_URL=own_database_url)

    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["applied", name] for name in NAMES]
    assert result.exit_code == 0


def test_status_is_no_success_while_migrations_are_pending(empty_database_url: str) -> None:
    result = invoke("migrate", "status", DATABASE_URL=empty_database_url)

    assert result.stdout.splitlines() == [f"pending  {name}" for name in NAMES]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("change", "state", "exit_code"),
    [
        ("update migration_checksum set sha256 = repeat('0', 64) where migration_id like '0003%'", "edited", 1),
        ("update _yoyo_migration set migration_id = '0004_of_tomorrow' where migration_id like '0003%'", "unknown", 1),
    ],
)
def test_status_tells_how_the_database_differs(
    own_database_url: str, change: str, state: str, exit_code: int
) -> None:
    with psycopg.connect(own_database_url) as connection:
        connection.execute(change)

    result = invoke("migrate", "status", DATABASE_URL=own_database_url)

    assert state in result.stdout
    assert result.exit_code == exit_code
