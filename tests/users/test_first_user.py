"""Accounts created by `create-user`."""

import os

import pytest

from service.problems import OperatorError
from service.users.first_user import ensure_user
from tests.support.accounts import PASSWORD
from tests.support.factories import Committed, log_in


async def test_first_user_can_log_in(committed: Committed, own_database_url: str) -> None:
    assert await ensure_user(own_database_url, "Admin@example.com", PASSWORD)

    assert (await log_in(committed.client, "admin@example.com")).status_code == 200


@pytest.mark.parametrize("email", ["admin@example.com", "ADMIN@example.com"])
async def test_next_deploy_leaves_the_account_unchanged(
    committed: Committed, own_database_url: str, email: str
) -> None:
    """Even if its password was changed meanwhile."""
    await committed.make.user("admin@example.com", "what the admin chose")

    assert not await ensure_user(own_database_url, email, PASSWORD)

    assert (await log_in(committed.client, "admin@example.com", "what the admin chose")).status_code == 200
    assert await committed.connection.fetchval("select array_agg(email) from user_model") == ["admin@example.com"]


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("admin", PASSWORD, "/email: An email address must have an @-sign."),
        (f"{'x' * 243}@example.com", PASSWORD, "/email: The email address is too long (1 character too many)."),
        ("admin@example.com", "short", "/password: Expected str of length >= 8"),
        ("admin@example.com", "x" * 129, "/password: Expected str of length <= 128"),
        ("admin@example.com", "Password1", "/password: is too common; choose another password"),
        ("admin@example.com", "Example.com", "/password: is part of the email address; choose another password"),
    ],
)
async def test_first_user_obeys_the_rules_of_registration(
    database_url: str, email: str, password: str, sentence: str
) -> None:
    with pytest.raises(OperatorError) as refusal:
        await ensure_user(database_url, email, password)

    assert str(refusal.value) == sentence


async def test_missing_database_is_one_sentence() -> None:
    with pytest.raises(OperatorError) as refusal:
        await ensure_user("postgresql://nobody@127.0.0.1:1/nothing", "admin@example.com", PASSWORD)

    assert str(refusal.value) == "The database does not answer"


async def test_password_that_is_not_text_is_refused(database_url: str) -> None:
    """Environment variables can hold any bytes; Python decodes invalid UTF-8 to lone surrogates."""
    with pytest.raises(OperatorError) as refusal:
        await ensure_user(database_url, "admin@example.com", os.fsdecode(b"\xff" * 8))

    assert str(refusal.value) == "The password is not UTF-8"
