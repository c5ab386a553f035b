"""The first account of a new installation."""

import click
import msgspec

from service.auth.passwords import Passwords, check_password
from service.http import broken_rule
from service.postgres import Database, Pool
from service.problems import Problem
from service.sql import count
from service.users.models import Registration
from service.users.registration import check_email

ENSURE_USER = count("users.ensure_user")


async def ensure_user(url: str, email: str, password: str) -> bool:
    """Add an account for `email` unless it has one, by the rules of registration; tell whether it was added.

    Raises click.ClickException where a rule is broken, or the database cannot be reached.
    """
    pool, passwords = Pool(url), Passwords()
    try:
        registration = msgspec.convert({"email": email, "password": password}, Registration)
        check_email(registration.email)
        check_password(registration.password)
        async with pool.open():
            hashed = await passwords.hash(registration.password)
            return await Database(pool).count(ENSURE_USER, registration.email, hashed) == 1
    except msgspec.ValidationError as error:
        raise click.ClickException(broken_rule(error).detail) from None
    except UnicodeEncodeError:
        raise click.ClickException("The password is not UTF-8") from None
    except Problem as problem:
        raise click.ClickException(problem.detail) from None
    finally:
        passwords.close()
