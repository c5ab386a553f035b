"""Accounts: registration, the caller's account, password reset and deletion."""

from functools import partial

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency as Injected
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.auth.emails import email_errors, email_key
from service.auth.guard import BEARER
from service.auth.passwords import Passwords, password_errors
from service.auth.problems import BEING_CHANGED, TooManyLogins, TooManyRegistrations, WrongCurrentPassword
from service.auth.throttle import LoginThrottle
from service.http import Caller, JSONResponse, ServiceRequest
from service.postgres import Queries
from service.problems import InvalidInput, SessionEnded, Unavailable
from service.settings import Settings
from service.sql import count, maybe, one
from service.users.models import AccountDeletion, NewPassword, Registration, User
from service.users.problems import EmailTaken

REGISTER_USER = one("users.register_user", User)
SHOW_ME = one("users.show_me", User)
LOCK_ACCOUNT = maybe("users.lock_account", User)
DELETE_ME = count("users.delete_me")
RESET_PASSWORD = maybe("users.reset_password", User)
END_MY_OTHER_SESSIONS = one("auth.end_my_other_sessions", Caller)
# A second attempt, in case a log-in has rehashed the password after it was verified.
ATTEMPTS = 2


class UsersController(Controller):
    """Accounts."""

    path = "/users"
    tags = ("users",)

    @post("/register", problems=[EmailTaken, TooManyRegistrations])
    async def register(
        self,
        request: ServiceRequest,
        data: JSONBody[Registration],
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
    ) -> JSONResponse[User]:
        """Register an account. Addresses that differ only in case, full-width letters or Unicode form are the same."""
        client = throttle.client()
        throttle.check_registration(client)
        if errors := [*email_errors(data.email), *password_errors(data.password, data.email)]:
            raise InvalidInput(errors=errors)
        await throttle.count_registration(request.db, client)
        hashed = await passwords.hash_for_registration(data.password)
        user = await request.db.one(REGISTER_USER, data.email, email_key(data.email), hashed)
        return JSONResponse(user, status_code=HTTP_201_CREATED)

    @get("/me", security=BEARER)
    async def show_me(self, request: ServiceRequest) -> JSONResponse[User]:
        """Show the caller's account."""
        return JSONResponse(await request.db.one(SHOW_ME, *request.auth))

    @delete("/me", security=BEARER, problems=[TooManyLogins, WrongCurrentPassword])
    async def delete_me(
        self,
        request: ServiceRequest,
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
        settings: Injected[Settings],
        data: JSONBody[AccountDeletion | None] = None,
    ) -> None:
        """Delete the caller's account with all its data."""
        current = data.current_password if data else None
        required = settings.require_current_password
        for _ in range(ATTEMPTS):
            current_hash = await check_current_password(request, passwords, throttle, current, required=required)
            if await request.db.run_transaction(partial(_delete, request.auth, current_hash)):
                return
        raise Unavailable(BEING_CHANGED)

    @post("/reset-password", status_code=HTTP_200_OK, security=BEARER, problems=[TooManyLogins, WrongCurrentPassword])
    async def reset_password(
        self,
        request: ServiceRequest,
        data: JSONBody[NewPassword],
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
        settings: Injected[Settings],
    ) -> JSONResponse[User]:
        """Set the caller's password and end all other sessions of the account."""
        if errors := password_errors(data.password):
            raise InvalidInput(errors=errors)
        required = settings.require_current_password
        for _ in range(ATTEMPTS):
            current_hash = await check_current_password(
                request, passwords, throttle, data.current_password, required=required
            )
            hashed = await passwords.hash(data.password)
            if user := await request.db.run_transaction(partial(_reset, request.auth, data, hashed, current_hash)):
                return JSONResponse(user)
            if current_hash is None:  # the account is gone
                raise SessionEnded
        raise Unavailable(BEING_CHANGED)


async def _delete(caller: Caller, current_hash: str | None, tx: Queries) -> int:
    await tx.maybe(LOCK_ACCOUNT, caller.user)
    # A password reset that held the row lock may have ended this session meanwhile.
    await tx.one(SHOW_ME, *caller)
    return await tx.count(DELETE_ME, caller.user, current_hash)


async def _reset(caller: Caller, data: NewPassword, hashed: str, current_hash: str | None, tx: Queries) -> User | None:
    user = await tx.maybe(RESET_PASSWORD, caller.user, hashed, current_hash)
    if user:
        # The token does not contain the address.
        if errors := password_errors(data.password, user.email):
            raise InvalidInput(errors=errors)
        # The row is now locked, so this statement sees every session opened with the old password.
        await tx.one(END_MY_OTHER_SESSIONS, *caller)
    return user


async def check_current_password(
    request: ServiceRequest, passwords: Passwords, throttle: LoginThrottle, password: str | None, *, required: bool
) -> str | None:
    """Return the hash that `password` matches, or None if no password is given and none is required.

    A thief of the access token does not know the current password. A wrong one counts as a failed log-in. Raises
    InvalidInput or TooManyLogins.
    """
    if password is None:
        if required:
            raise InvalidInput.at("/current_password", "is missing")
        return None
    client, me = throttle.client(), await request.db.one(SHOW_ME, *request.auth)
    key = email_key(me.email)
    credentials = await throttle.find_credentials(request.db, key, client)
    if not await passwords.verify(password, credentials.hashed_password):
        wrong = WrongCurrentPassword.at("/current_password", "is not the current password")
        raise await throttle.record_failure(request.db, key, client, wrong)
    # Again, because wrong ones sent at the same time may have been counted since; for a log-in, auth.open_session does.
    await throttle.find_credentials(request.db, key, client)
    return credentials.hashed_password
