"""Commands that end by themselves: effect, output and exit status."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner

from service.cli import Commands, main
from service.migrate.files import MigrationError
from service.postgres.query_file import QueryError
from service.problems import Unavailable
from service.settings import Settings
from tests.support.command_line import NOWHERE, assert_refused, invoke
from tests.support.processes import NONE, PATIENCE, ROOT, command, environment, run, serve_settings

NAMES = sorted(path.stem for path in (ROOT / "migrations").glob("*.sql") if not path.match("*.rollback.sql"))
NEWEST = NAMES[-1]
ADA, PASSWORD = "ada@example.com", "a password for one test"


def test_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert invoke("--version").stdout == f"python -m service, version {project['version']}\n"


@pytest.mark.parametrize("name", main.commands)
def test_every_command_documents_itself_and_its_options(name: str) -> None:
    text = " ".join(invoke(name, "--help").stdout.split())

    assert f"Usage: python -m service {name} " in text
    assert " ".join(str(main.commands[name].help).split()) in text
    for option in (each for each in main.commands[name].params if isinstance(each, click.Option)):
        assert f"{option.opts[0]} " in text
        assert option.help
        assert " ".join(option.help.split()) in text


def test_help_of_serve_lists_every_setting() -> None:
    _, listed = invoke("serve", "--help").stdout.split("Environment variables:\n")

    names = [name.upper() for name in Settings.__annotations__]
    assert re.findall(r"^  ([A-Z_]+) ", listed, re.MULTILINE) == names


def test_missing_package_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(name='click')")

    done = run("--help", settings={"PYTHONPATH": str(tmp_path)})

    assert done.stderr.endswith(" lacks the package click; in a checkout, run make dev and use .venv/bin/python\n")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_interrupt_during_import_has_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")

    done = run("--help", settings={"PYTHONPATH": str(tmp_path)})

    assert (done.returncode, done.stderr) == (130, "\nInterrupted\n")


def test_missing_module_of_the_service_has_a_traceback(tmp_path: Path) -> None:
    package = Settings.__module__.partition(".")[0]
    (tmp_path / "click.py").write_text(f"import {package}.gone")

    done = run("--help", settings={"PYTHONPATH": str(tmp_path)})

    assert done.stderr.endswith(f"\nModuleNotFoundError: No module named '{package}.gone'\n")


@pytest.mark.slow
def test_help_lists_every_command() -> None:
    shown = run("--help")

    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.split("Commands:\n")[1].splitlines()] == sorted(main.commands)


@pytest.mark.slow
def test_missing_packages_error_names_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "service", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.endswith("run make dev and use .venv/bin/python\n")
    assert len(done.stderr.splitlines()) == 1


def test_commands_work_without_the_tools(checkout: Path) -> None:
    """The container image has none of these folders."""
    for tool in ("dev", "embedded", "sqlbook", "sqlcheck"):
        shutil.rmtree(checkout / "service" / tool, ignore_errors=True)  # an optional part can be missing

    done = run("--help", cwd=checkout)

    assert (done.returncode, done.stderr) == (0, "")
    assert {"serve", "migrate"} <= set(done.stdout.split())
    assert not {"dev", "sql", "new"} & set(done.stdout.split())


def test_migrate_applies_pending_migrations(empty_database_url: str) -> None:
    done = run("migrate", settings={"DATABASE_URL": empty_database_url})

    assert done.returncode == 0
    assert done.stderr == ""
    first, *others = done.stdout.splitlines()
    assert first == f"to apply: {', '.join(NAMES)}"
    assert [line.split()[:2] for line in others] == [["applied", name] for name in NAMES]


def test_second_migrate_does_nothing(own_database_url: str) -> None:
    again = invoke("migrate", "apply", DATABASE_URL=own_database_url)

    assert again.stdout == "to apply: nothing\n"
    assert again.exit_code == 0


@pytest.mark.slow
def test_migrate_rolls_back_the_given_number(own_database_url: str) -> None:
    one = invoke("migrate", "rollback", DATABASE_URL=own_database_url)
    two = invoke("migrate", "rollback", "--count", "2", DATABASE_URL=own_database_url)

    assert one.stdout.startswith(f"to roll back: {NEWEST}\n")
    assert two.stdout.startswith(f"to roll back: {NAMES[-2]}, {NAMES[-3]}\n")
    assert one.exit_code == two.exit_code == 0


def test_rollback_of_zero_is_refused() -> None:
    assert invoke("migrate", "rollback", "--count", "0", DATABASE_URL=NOWHERE).exit_code == 2


def test_status_lists_applied_migrations(own_database_url: str) -> None:
    result = invoke("migrate", "status", DATABASE_URL=own_database_url)

    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["applied", name] for name in NAMES]
    assert result.exit_code == 0


def test_status_fails_while_migrations_are_pending(empty_database_url: str) -> None:
    result = invoke("migrate", "status", DATABASE_URL=empty_database_url)

    assert result.stdout.splitlines() == [f"pending  {name}" for name in NAMES]
    assert result.exit_code == 1


EDIT_THE_NEWEST = "update migration_checksum set sha256 = 'another' where migration_id = '{newest}'"
GO_AHEAD = "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc) values ('', '9999_later', now())"


@pytest.mark.parametrize(
    ("change", "line", "exit_code"),
    [(EDIT_THE_NEWEST.format(newest=NEWEST), f"edited   {NEWEST}", 1), (GO_AHEAD, "unknown  9999_later", 0)],
)
def test_status_fails_only_for_an_edited_migration(
    own_database_url: str, change: str, line: str, exit_code: int
) -> None:
    """A database that is ahead of the code is accepted."""
    with psycopg.connect(own_database_url) as connection:
        connection.execute(change.encode())

    result = invoke("migrate", "status", DATABASE_URL=own_database_url)

    assert line in result.stdout
    assert result.exit_code == exit_code


@pytest.mark.parametrize("action", ["apply", "status", "rollback"])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "Error: DATABASE_URL "),
        ("mysql://user:secret@localhost/kites", "Error: DATABASE_URL must look like "),
        (NOWHERE, "Error: DATABASE_URL leads to no writable PostgreSQL: "),
    ],
)
def test_migrate_without_a_database_names_the_setting(action: str, url: str, sentence: str) -> None:
    result = invoke("migrate", action, DATABASE_URL=url)

    assert_refused(result, sentence)
    assert "secret" not in result.stderr


@pytest.mark.slow
def test_shell_variables_do_not_change_the_database(empty_database_url: str) -> None:
    """Both libpq and asyncpg read some of them."""
    shell = {
        "PGHOST": "nowhere",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "nothing",
        "PGPASSWORD": "secret",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/nonexistent",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCLIENTENCODING": "SQL_ASCII",
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGSERVICE": "none",
        "HOME": "/" + 300 * "x",  # even root cannot read it: like root's for others, after sudo
    }
    settings = shell | {"DATABASE_URL": f"{empty_database_url}&sslmode=prefer"}

    migrated = run("migrate", settings=settings)
    cleaned = run("clean", settings=settings)

    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["serve"], ["clean"], ["create-user", ADA], ["migrate"], ["roles", "--apply"]])
@pytest.mark.parametrize("query", ["sslmode=no-verify", "sslmode=verify-full&sslrootcert=/nonexistent", "service=none"])
def test_url_that_cannot_work_is_one_sentence(arguments: list[str], query: str) -> None:
    variables = serve_settings(f"postgresql://user:secret@127.0.0.1:1/none?{query}", FIRST_SUPERUSER_PASSWORD=PASSWORD)

    result = invoke(*arguments, **variables)

    assert_refused(result, "Error: DATABASE_URL has ")
    assert "secret" not in result.stderr


def test_error_of_a_process_is_one_line() -> None:
    failed = run("migrate", settings={"DATABASE_URL": NOWHERE})

    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["clean"], ["create-user", ADA], ["fill-email-keys"]])
@pytest.mark.slow
def test_missing_database_is_one_sentence(arguments: list[str]) -> None:
    """In a process of its own, because logging can be configured already in this one."""
    failed = run(*arguments, settings={"DATABASE_URL": NOWHERE, "FIRST_SUPERUSER_PASSWORD": PASSWORD})

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error: The database does not answer: [Errno 2] No such file or directory\n"


def test_reason_of_a_refused_statement_is_in_the_sentence(own_database_url: str) -> None:
    """In a process of its own, because logging can be configured already in this one."""
    failed = run("clean", settings={"DATABASE_URL": f"{own_database_url}&default_transaction_read_only=on"})

    reason = "cannot execute DELETE in a read-only transaction"
    assert (failed.returncode, failed.stderr) == (1, f"Error: The database does not answer: {reason}\n")


@pytest.mark.parametrize("error", [MigrationError, QueryError, Unavailable])
def test_failure_of_any_command_is_one_sentence(error: type[Exception]) -> None:
    @click.command
    def fail() -> None:
        raise error("This does not work")

    result = CliRunner().invoke(Commands(commands={"fail": fail}), ["fail"])

    assert_refused(result, "Error: This does not work")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["roles"], ["openapi"]])
@pytest.mark.slow
def test_output_to_a_full_disk_is_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env=environment(NONE),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (failed.returncode, failed.stderr) == (1, "Error: No space left on device\n")


def test_character_outside_the_encoding_is_escaped() -> None:
    assert "\\u2026" in run("openapi", settings={"PYTHONIOENCODING": "latin-1"}).stdout


def test_interrupted_command_exits_with_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/name?sslmode=disable"
        process = subprocess.Popen(command("sql", "locks", "--database-url", url), stderr=subprocess.PIPE, text=True)
        server, _ = listener.accept()  # it never answers
        with server:
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=PATIENCE)

    assert (process.returncode, stderr) == (130, "\nInterrupted\n")
