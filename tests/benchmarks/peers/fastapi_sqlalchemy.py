"""FastAPI with SQLAlchemy's asynchronous ORM, as the usual templates do it.

The token names a user, who is loaded by the ORM; then the ORM does what was asked, and pydantic answers. The session
is not checked, so that a token cannot be revoked. Connections are pinged before use, as the templates do.
"""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from models import Pet, User
from pydantic import BaseModel, ConfigDict, Field
from shared import CONNECTIONS, claims
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine("postgresql+asyncpg://", pool_pre_ping=True, pool_size=CONNECTIONS, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()
bearer = OAuth2PasswordBearer(tokenUrl="auth/access-token")


class PetResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    pet_name: str
    user_id: UUID


class UserResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str


class PetCreate(BaseModel):
    pet_name: str = Field(min_length=1, max_length=50)


async def new_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(new_session)]


async def current_user(token: Annotated[str, Depends(bearer)], session: Session) -> User:
    try:
        subject = claims(token)["sub"]
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    user = await session.scalar(select(User).where(User.id == subject))
    if user is None:
        raise HTTPException(401)
    return user


CurrentUser = Annotated[User, Depends(current_user)]


@app.get("/health/live")
async def live() -> None:
    """Answer."""


@app.get("/users/me", response_model=UserResponse)
async def show_me(user: CurrentUser) -> User:
    return user


@app.get("/pets/me", response_model=list[PetResponse])
async def list_my_pets(user: CurrentUser, session: Session, limit: int = 100) -> list[Pet]:
    query = select(Pet).where(Pet.user_id == user.id).order_by(Pet.pet_name, Pet.id).limit(limit)
    return list(await session.scalars(query))


@app.post("/pets/create", response_model=PetResponse, status_code=201)
async def create_pet(data: PetCreate, user: CurrentUser, session: Session) -> Pet:
    pet = Pet(pet_name=data.pet_name, user_id=user.id)
    session.add(pet)
    await session.commit()
    return pet
