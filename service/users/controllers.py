"""Accounts: registration, the caller's account, password reset and deletion."""

from functools import partial

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency as Injected
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.auth.emails import email_errors, email_key
from service.auth.guard import BEARER
from service.auth.passwords import Passwords, password_errors
from service.auth.problems import TooManyLogins, TooManyRegistrations
from service.auth.throttle import LoginThrottle
from service.http import Caller, JSONResponse, ServiceRequest
from service.postgres import Queries
from service.problems import InvalidInput, SessionEnded
from service.settings import Settings
from service.sql import count, maybe, one
from service.users.models import CurrentPassword, NewPassword, Registration, User
from service.users.problems import EmailTaken

REGISTER_USER = one("users.register_user", User)
SHOW_ME = one("users.show_me", User)
LOCK_ACCOUNT = maybe("users.lock_account", User)
DELETE_ME = count("users.delete_me")
RESET_PASSWORD = maybe("users.reset_password", User)
END_MY_OTHER_SESSIONS = one("auth.end_my_other_sessions", Caller)


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
        if errors := [*email_errors(data.email), *password_errors(data.password)]:
            raise InvalidInput(errors=errors)
        await throttle.count_registration(request.db, client)
        hashed = await passwords.hash_for_registration(data.password)
        user = await request.db.one(REGISTER_USER, data.email, email_key(data.email), hashed)
        return JSONResponse(user, status_code=HTTP_201_CREATED)

    @get("/me", security=BEARER)
    async def show_me(self, request: ServiceRequest) -> JSONResponse[User]:
        """Show the caller's account."""
        return JSONResponse(await request.db.one(SHOW_ME, *request.auth))

    @delete("/me", security=BEARER, problems=[TooManyLogins])
    async def delete_me(
        self,
        request: ServiceRequest,
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
        settings: Injected[Settings],
        data: JSONBody[CurrentPassword | None] = None,
    ) -> None:
        """Delete the caller's account with all its data."""
        current = data.current_password if data else None
        check_current = CurrentPasswordCheck(request, passwords, throttle, required=settings.require_current_password)
        for _ in range(ATTEMPTS):
            if await request.db.run_transaction(partial(_delete, request.auth, await check_current(current))):
                return
        raise SessionEnded

    @post("/reset-password", status_code=HTTP_200_OK, security=BEARER, problems=[TooManyLogins])
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
        check_current = CurrentPasswordCheck(request, passwords, throttle, required=settings.require_current_password)
        hashed = None
        for _ in range(ATTEMPTS):
            current_hash = await check_current(data.current_password)
            hashed = hashed or await passwords.hash(data.password)
            if user := await request.db.run_transaction(partial(_reset, request.auth, hashed, current_hash)):
                return JSONResponse(user)
        raise SessionEnded


async def _delete(caller: Caller, current_hash: str | None, tx: Queries) -> int:
    await tx.maybe(LOCK_ACCOUNT, caller.user)
    # A password reset that held the row lock can have ended this session meanwhile.
    await tx.one(SHOW_ME, *caller)
    return await tx.count(DELETE_ME, caller.user, current_hash)


async def _reset(caller: Caller, hashed: str, current_hash: str | None, tx: Queries) -> User | None:
    user = await tx.maybe(RESET_PASSWORD, caller.user, hashed, current_hash)
    if user:
        # The row is now locked, so this statement sees every session opened with the old password.
        await tx.one(END_MY_OTHER_SESSIONS, *caller)
    return user


# A second attempt, in case a log-in has rehashed the password after it was verified.
ATTEMPTS = 2


class CurrentPasswordCheck:
    """Verifies the current password, which the thief of an access token does not know.

    Wrong passwords count as failed log-ins.
    """

    def __init__(
        self, request: ServiceRequest, passwords: Passwords, throttle: LoginThrottle, *, required: bool
    ) -> None:
        self._request, self._passwords, self._throttle = request, passwords, throttle
        self._required = required

    async def __call__(self, password: str | None) -> str | None:
        """Return the hash that `password` matches, or None if no password is given and none is required.

        Raises InvalidInput or TooManyLogins.
        """
        if password is None:
            if self._required:
                raise InvalidInput.at("/current_password", "is missing")
            return None
        db, client = self._request.db, self._throttle.client()
        me = await db.one(SHOW_ME, *self._request.auth)
        key = email_key(me.email)
        credentials = await self._throttle.find_credentials(db, key, client)
        if not await self._passwords.verify(password, credentials.hashed_password):
            wrong = InvalidInput.at("/current_password", "is not the current password")
            raise await self._throttle.record_failure(db, key, client, wrong)
        return credentials.hashed_password
