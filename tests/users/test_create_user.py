"""`create-user`: the account of an operator."""

import os
import re
import subprocess

import psycopg
import pytest
from click.testing import Result

from tests.support.command_line import NOWHERE, assert_refused, invoke
from tests.support.processes import PATIENCE, Running, command, environment, run

ADA, PASSWORD = "ada@example.com", "a password for one test"


def create(url: str, *arguments: str, email: str = "", password: str = "") -> Result:
    """Run `create-user` with arguments, or with the two variables."""
    variables = {"FIRST_SUPERUSER_EMAIL": email, "FIRST_SUPERUSER_PASSWORD": password}
    return invoke("create-user", *arguments, DATABASE_URL=url, **variables)


def log_in(served: Running, email: str, password: str = PASSWORD) -> int:
    """Log in and return the status."""
    return served.client.post("/auth/access-token", data={"username": email, "password": password}).status_code


def test_created_user_can_log_in(served: Running, served_database_url: str) -> None:
    result = create(served_database_url, "bea@example.com", "--password", PASSWORD)

    assert result.stdout == "bea@example.com: created\n"
    assert result.exit_code == 0
    assert log_in(served, "bea@example.com") == 200


@pytest.mark.slow
def test_first_user_is_created_once(served: Running, served_database_url: str) -> None:
    settings = {"FIRST_SUPERUSER_EMAIL": ADA, "FIRST_SUPERUSER_PASSWORD": PASSWORD}

    first = run("create-user", settings={"DATABASE_URL": served_database_url} | settings)
    second = create(served_database_url, email=ADA, password=PASSWORD)

    assert (first.returncode, first.stdout, first.stderr) == (0, f"{ADA}: created\n", "")
    assert (second.exit_code, second.stdout) == (0, f"{ADA}: has an account already; nothing was changed\n")
    assert log_in(served, ADA) == 200


def test_existing_user_keeps_email_and_password(served: Running, served_database_url: str) -> None:
    create(served_database_url, email="cleo@example.com", password=PASSWORD)

    again = create(served_database_url, email="CLEO@example.com", password="another password")

    assert again.stdout == "CLEO@example.com: has an account already; nothing was changed\n"
    assert log_in(served, "cleo@example.com") == 200
    assert log_in(served, "cleo@example.com", "another password") == 400


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("nobody", PASSWORD, "Error: /email: "),
        (ADA, "short", "Error: /password: "),
        (ADA, "", "Error: FIRST_SUPERUSER_PASSWORD must be set"),
    ],
)
def test_invalid_user_is_not_created(own_database_url: str, email: str, password: str, sentence: str) -> None:
    assert_refused(create(own_database_url, email=email, password=password), sentence)

    with psycopg.connect(own_database_url) as connection:
        assert connection.execute("select from user_model").rowcount == 0


def test_no_user_is_created_without_a_database(empty_database_url: str) -> None:
    assert_refused(create(NOWHERE, ADA, password=PASSWORD), "Error: The database does not answer")
    assert_refused(
        create(empty_database_url, ADA, password=PASSWORD),
        'Error: PostgreSQL says: relation "user_model" does not exist; the schema may be out of date: run python',
    )


def test_role_without_privileges_is_told_what_to_grant(own_database_url: str) -> None:
    """As after a restore without the dump's privileges."""
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        [name] = connection.execute("select current_database()").fetchone() or ()
        connection.execute(f"create role no_privileges_{name} login")

    assert_refused(
        create(re.sub("//.*@", f"//no_privileges_{name}@", own_database_url), ADA, password=PASSWORD),
        "Error: PostgreSQL says: permission denied for table user_model; grant it to the role of DATABASE_URL",
    )
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        connection.execute(f"drop role no_privileges_{name}")


@pytest.mark.slow
def test_password_prompt_hides_its_input(own_database_url: str) -> None:
    terminal, end = os.openpty()
    with subprocess.Popen(
        command("create-user", ADA),
        env=environment({"DATABASE_URL": own_database_url}),
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # detached from the terminal of the test run
    ) as process:
        for prompt in ("Password: ", "Repeat for confirmation: "):
            assert read_to(prompt, process)
            os.write(terminal, f"{PASSWORD}\n".encode())
        stdout, _ = process.communicate(timeout=PATIENCE)

    assert stdout == f"{ADA}: created\n"
    os.write(end, b"the end")
    assert os.read(terminal, 1000) == b"the end"
    os.close(end)
    os.close(terminal)


def read_to(prompt: str, process: "subprocess.Popen[str]") -> bool:
    """Read standard error until the prompt appears; return whether it does."""
    assert process.stderr is not None
    text = ""
    while not text.endswith(prompt) and (character := process.stderr.read(1)):
        text += character
    return text.endswith(prompt)
