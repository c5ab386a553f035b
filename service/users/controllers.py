"""Accounts: made, shown, given another password, removed."""

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency as Injected
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from service.auth.guard import BEARER, authenticated
from service.auth.models import Caller, Credentials
from service.auth.passwords import Passwords
from service.database import Database
from service.problems import InvalidInput
from service.queries import one
from service.settings import Settings
from service.users.models import NewPassword, Registration, User
from service.users.registration import check_email

REGISTER_USER = one("users.register_user", User)
SHOW_ME = one("users.show_me", User)
DELETE_ME = one("users.delete_me", User)
FIND_MY_PASSWORD = one("users.find_my_password", Credentials)
RESET_PASSWORD = one("users.reset_password", User)


class UsersController(Controller):
    """Accounts."""

    path = "/users"
    tags = ("users",)

    @post("/register")
    async def register(
        self, data: JSONBody[Registration], db: Injected[Database], passwords: Injected[Passwords]
    ) -> User:
        """Make an account. The address keeps its spelling, and is one account in whatever case it comes."""
        check_email(data.email)
        return await db.one(REGISTER_USER, data.email, await passwords.hash(data.password))

    @get("/me", middleware=[authenticated], security=BEARER)
    async def show_me(self, caller: Injected[Caller], db: Injected[Database]) -> User:
        """Show the caller's account."""
        return await db.one(SHOW_ME, caller.session)

    @delete("/me", middleware=[authenticated], security=BEARER)
    async def delete_me(self, caller: Injected[Caller], db: Injected[Database]) -> None:
        """Remove the caller's account, pets and sessions included."""
        await db.one(DELETE_ME, caller.session)

    @post("/reset-password", status_code=HTTP_200_OK, middleware=[authenticated], security=BEARER)
    async def reset_password(
        self,
        caller: Injected[Caller],
        data: JSONBody[NewPassword],
        db: Injected[Database],
        passwords: Injected[Passwords],
        settings: Injected[Settings],
    ) -> User:
        """Set the caller's password, and end every other session of theirs."""
        current_hash = None
        if data.current_password is not None:
            current_hash = (await db.one(FIND_MY_PASSWORD, caller.session)).hashed_password
            if not await passwords.verify(data.current_password, current_hash):
                raise InvalidInput.at("/current_password", "is not the current password")
        elif settings.require_current_password:
            raise InvalidInput.at("/current_password", "is missing")
        return await db.one(RESET_PASSWORD, caller.session, await passwords.hash(data.password), current_hash)
