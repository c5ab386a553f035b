"""Accounts: made, shown, given another password, removed."""

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency as Injected
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from service.auth.guard import BEARER
from service.auth.models import Credentials
from service.auth.passwords import Passwords, check_password
from service.auth.throttle import LoginThrottle
from service.http import JSONResponse, ServiceRequest
from service.problems import InvalidInput, TooManyLogins
from service.settings import Settings
from service.sql import one
from service.users.models import NewPassword, Registration, User
from service.users.problems import EmailTaken
from service.users.registration import check_email

REGISTER_USER = one("users.register_user", User)
FIND_CREDENTIALS = one("auth.find_credentials", Credentials)
SHOW_ME = one("users.show_me", User)
DELETE_ME = one("users.delete_me", User)
RESET_PASSWORD = one("users.reset_password", User)


class UsersController(Controller):
    """Accounts."""

    path = "/users"
    tags = ("users",)

    @post("/register", problems=[EmailTaken])
    async def register(
        self, request: ServiceRequest, data: JSONBody[Registration], passwords: Injected[Passwords]
    ) -> JSONResponse[User]:
        """Make an account. The address keeps its spelling, and is one account in whatever case it comes."""
        check_email(data.email)
        check_password(data.password)
        user = await request.db.one(REGISTER_USER, data.email, await passwords.hash(data.password))
        return JSONResponse(user, status_code=HTTP_201_CREATED)

    @get("/me", security=BEARER)
    async def show_me(self, request: ServiceRequest) -> JSONResponse[User]:
        """Show the caller's account."""
        return JSONResponse(await request.db.one(SHOW_ME, *request.auth))

    @delete("/me", security=BEARER)
    async def delete_me(self, request: ServiceRequest) -> None:
        """Remove the caller's account, pets and sessions included."""
        await request.db.one(DELETE_ME, *request.auth)

    @post("/reset-password", status_code=HTTP_200_OK, security=BEARER, problems=[TooManyLogins])
    async def reset_password(
        self,
        request: ServiceRequest,
        data: JSONBody[NewPassword],
        passwords: Injected[Passwords],
        throttle: Injected[LoginThrottle],
        settings: Injected[Settings],
    ) -> JSONResponse[User]:
        """Set the caller's password, and end every other session of theirs."""
        check_password(data.password)
        current_hash = None
        if data.current_password is not None:
            client = throttle.client()
            me = await request.db.one(SHOW_ME, *request.auth)
            credentials = await request.db.one(FIND_CREDENTIALS, me.email, client.network)
            throttle.check(credentials.wait)
            current_hash = credentials.hashed_password
            if not await passwords.verify(data.current_password, current_hash):
                # A stolen access token must not help to guess the password.
                wrong = InvalidInput.at("/current_password", "is not the current password")
                raise await throttle.record_failure(request.db, me.email, client, wrong)
        elif settings.require_current_password:
            raise InvalidInput.at("/current_password", "is missing")
        user = await request.db.one(RESET_PASSWORD, *request.auth, await passwords.hash(data.password), current_hash)
        return JSONResponse(user)
