"""Litestar with advanced-alchemy, its own ORM plugin: repositories, and tables as answers through a DTO."""

from typing import Annotated, Any
from uuid import UUID

import jwt
import msgspec
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyDTO,
    SQLAlchemyDTOConfig,
    SQLAlchemyPlugin,
)
from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from litestar import Litestar, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from models import Pet, User
from shared import CONNECTIONS, claims
from sqlalchemy.ext.asyncio import AsyncSession

database = SQLAlchemyAsyncConfig(
    connection_string="postgresql+asyncpg://",
    engine_config=EngineConfig(pool_size=CONNECTIONS, max_overflow=0),
    session_config=AsyncSessionConfig(expire_on_commit=False),
    before_send_handler="autocommit",
)


class Users(SQLAlchemyAsyncRepository[User]):
    model_type = User


class Pets(SQLAlchemyAsyncRepository[Pet]):
    model_type = Pet
    id_attribute = "id"


class UserDTO(SQLAlchemyDTO[User]):
    config = SQLAlchemyDTOConfig(exclude={"hashed_password"})


class PetDTO(SQLAlchemyDTO[Pet]):
    config = SQLAlchemyDTOConfig()


class PetCreate(msgspec.Struct, forbid_unknown_fields=True):
    pet_name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class Authentication(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        try:
            subject = UUID(claims(token)["sub"])
        except jwt.InvalidTokenError:
            raise NotAuthorizedException from None
        session = database.provide_session(connection.app.state, connection.scope)
        user = await Users(session=session).get_one_or_none(id=subject)
        if user is None or scheme != "Bearer":
            raise NotAuthorizedException
        return AuthenticationResult(user=user, auth=token)


@get("/health/live", exclude_from_auth=True)
async def live() -> None:
    """Answer."""


@get("/users/me", return_dto=UserDTO)
async def show_me(request: "Any") -> User:
    return request.user


@get("/pets/me", return_dto=PetDTO)
async def list_my_pets(request: "Any", db_session: AsyncSession, limit: int = 100) -> list[Pet]:
    order = (OrderBy("pet_name"), OrderBy("id"), LimitOffset(limit, 0))
    return list(await Pets(session=db_session).list(*order, user_id=request.user.id))


@post("/pets/create", return_dto=PetDTO)
async def create_pet(request: "Any", db_session: AsyncSession, data: PetCreate) -> Pet:
    return await Pets(session=db_session).add(Pet(pet_name=data.pet_name, user_id=request.user.id), auto_refresh=False)


app = Litestar(
    [live, show_me, list_my_pets, create_pet],
    plugins=[SQLAlchemyPlugin(config=database)],
    middleware=[DefineMiddleware(Authentication)],
    openapi_config=None,
)
