"""The floor in Python: ASGI, asyncpg and msgspec without a framework, and with every trick of the service's.

Connections and prepared statements are kept, verified tokens remembered, answers encoded at once. It lacks what the
service promises beside: request ids, problem documents, deadlines, metrics.
"""

import asyncio
import time
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import msgspec
from shared import CONNECTIONS, claims, sql

SQL = {name: sql(name) for name in ("users.show_me", "pets.list_my_pets", "pets.create_pet")}


class Pet(msgspec.Struct):
    id: int
    pet_name: str
    user_id: UUID


class User(msgspec.Struct):
    id: UUID
    email: str


class PetCreate(msgspec.Struct, forbid_unknown_fields=True):
    pet_name: str


encode = msgspec.json.Encoder().encode
decode_pet = msgspec.json.Decoder(PetCreate).decode
idle: asyncio.LifoQueue[dict[str, asyncpg.prepared_stmt.PreparedStatement]] = asyncio.LifoQueue()
verified: dict[bytes, tuple[tuple[UUID, UUID], int]] = {}


async def fetch(query: str, *arguments: object) -> list[asyncpg.Record]:
    statements = await idle.get()
    rows = await statements[query].fetch(*arguments)
    idle.put_nowait(statements)
    if not rows:
        raise PermissionError
    return rows


def caller(scope: dict[str, Any]) -> tuple[UUID, UUID]:
    token = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    known = verified.get(token)
    if known is None:
        try:
            said = claims(token[7:].decode())
        except jwt.InvalidTokenError:
            raise PermissionError from None
        known = verified[token] = (UUID(said["sid"]), UUID(said["sub"])), said["exp"]
    if time.time() > known[1]:
        raise PermissionError
    return known[0]


async def answer(scope: dict[str, Any], receive: Any) -> tuple[int, bytes]:
    match scope["path"]:
        case "/pets/me":
            rows = await fetch("pets.list_my_pets", *caller(scope), "", 0, 101)
            return 200, encode([Pet(*row) for row in rows if row[0] is not None])
        case "/users/me":
            return 200, encode(User(*(await fetch("users.show_me", *caller(scope)))[0]))
        case "/pets/create":
            data = decode_pet((await receive())["body"])
            row = (await fetch("pets.create_pet", *caller(scope), data.pet_name))[0]
            return 201, encode(Pet(row[0], row[1], row[2]))
        case _:
            return 200, b""


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        connections = [await asyncpg.connect() for _ in range(CONNECTIONS)]
        for connection in connections:
            idle.put_nowait({name: await connection.prepare(text) for name, text in SQL.items()})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for connection in connections:
            connection.terminate()
        await send({"type": "lifespan.shutdown.complete"})
        return
    try:
        status, body = await answer(scope, receive)
    except PermissionError:
        status, body = 401, b""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
