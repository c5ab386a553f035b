"""FastAPI with asyncpg's pool, plainly written, on the service's own SQL files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, Field
from shared import CONNECTIONS, claims, sql

SHOW_ME, LIST_MY_PETS, CREATE_PET = sql("users.show_me"), sql("pets.list_my_pets"), sql("pets.create_pet")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(max_size=CONNECTIONS, min_size=CONNECTIONS) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)
bearer = OAuth2PasswordBearer(tokenUrl="auth/access-token")


class PetResponse(BaseModel):
    id: int
    pet_name: str
    user_id: UUID


class UserResponse(BaseModel):
    id: UUID
    email: str


class PetCreate(BaseModel):
    pet_name: str = Field(min_length=1, max_length=50)


async def current_caller(token: Annotated[str, Depends(bearer)]) -> tuple[UUID, UUID]:
    try:
        verified = claims(token)
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    return UUID(verified["sid"]), UUID(verified["sub"])


Caller = Annotated[tuple[UUID, UUID], Depends(current_caller)]


async def fetch(request: Request, query: str, *arguments: object) -> list[dict[str, Any]]:
    rows = await request.app.state.pool.fetch(query, *arguments)
    if not rows:
        raise HTTPException(401)
    return [dict(row) for row in rows if row["id"] is not None]


@app.get("/health/live")
async def live() -> None:
    """Answer."""


@app.get("/users/me", response_model=UserResponse)
async def show_me(request: Request, caller: Caller) -> dict[str, Any]:
    return (await fetch(request, SHOW_ME, *caller))[0]


@app.get("/pets/me", response_model=list[PetResponse])
async def list_my_pets(request: Request, caller: Caller, limit: int = 100) -> list[dict[str, Any]]:
    return await fetch(request, LIST_MY_PETS, *caller, "", 0, limit)


@app.post("/pets/create", response_model=PetResponse, status_code=201)
async def create_pet(request: Request, data: PetCreate, caller: Caller) -> dict[str, Any]:
    return (await fetch(request, CREATE_PET, *caller, data.pet_name))[0]
