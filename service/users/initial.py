"""The first account of an installation."""

import click
import msgspec

from service.auth.emails import email_errors, email_key
from service.auth.passwords import Passwords, password_errors
from service.http import broken_rule
from service.postgres import Database, Pool
from service.problems import InvalidInput, Problem
from service.sql import count
from service.users.models import Registration

ENSURE_USER = count("users.ensure_user")


async def ensure_user(url: str, email: str, password: str) -> bool:
    """Add an account for `email` unless it has one, by the rules of registration; return whether it was added.

    Raises click.ClickException if a rule is broken or the database cannot be reached.
    """
    pool, passwords = Pool(url), Passwords()
    try:
        registration = msgspec.convert({"email": email, "password": password}, Registration)
        if errors := [*email_errors(registration.email), *password_errors(registration.password)]:
            raise InvalidInput(errors=errors)
        async with pool.open():
            hashed = await passwords.hash(registration.password)
            key = email_key(registration.email)
            return await Database(pool).count(ENSURE_USER, registration.email, key, hashed) == 1
    except msgspec.ValidationError as error:
        raise click.ClickException(broken_rule(error).detail) from None
    except UnicodeEncodeError:
        raise click.ClickException("The password is not UTF-8") from None
    except Problem as problem:
        raise click.ClickException(problem.detail) from None
    finally:
        passwords.close()
