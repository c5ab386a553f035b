"""Creates a user unless it exists: the command `create-user`, and the demo user of `make dev`."""

from service.auth.emails import email_errors, email_key
from service.auth.passwords import Passwords, password_errors
from service.postgres import Database, Pool
from service.problems import InvalidInput, OperatorError
from service.sql import count

ENSURE_USER = count("users.ensure_user")


async def ensure_user(url: str, email: str, password: str) -> bool:
    """Create an account for `email` unless it has one; return whether it was created.

    Raises OperatorError if registration would reject the address or the password, or if the database is unreachable.
    """
    pool, passwords = Pool(url, statement_cache=0), Passwords()
    try:
        if errors := [*email_errors(email), *password_errors(password, email)]:
            raise InvalidInput(errors=errors)
        async with pool.open():
            hashed = await passwords.hash(password)
            return await Database(pool).count(ENSURE_USER, email, email_key(email), hashed) == 1
    except UnicodeEncodeError:
        raise OperatorError("The password is not UTF-8") from None
    finally:
        passwords.close()
