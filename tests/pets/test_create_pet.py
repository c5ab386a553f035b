"""POST /pets/create."""

import asyncio
import re

import asyncpg
import httpx
import pytest

from service.embedded import EmbeddedPostgres
from tests.support.factories import Committed, LoggedIn
from tests.support.locks import blocked_statements
from tests.support.processes import ROOT


async def create(client: httpx.AsyncClient, user: LoggedIn, pet_name: object) -> httpx.Response:
    return await client.post("/pets/create", json={"pet_name": pet_name}, headers=user.bearer)


async def test_created_pet_belongs_to_the_caller(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """The response is the pet, with its location and version."""
    response = await create(client, user, "Tadeusz")

    assert response.status_code == 201, response.text
    pet = response.json()
    assert pet == {"id": pet["id"], "pet_name": "Tadeusz", "user_id": str(user.id)}
    assert response.headers["Location"] == f"/pets/{pet['id']}"
    assert response.headers["ETag"] == '"1"'


async def test_location_and_etag_fit_the_pet(client: httpx.AsyncClient, user: LoggedIn) -> None:
    created = await create(client, user, "Tadeusz")

    response = await client.get(created.headers["Location"], headers=user.bearer)

    assert (response.status_code, response.json()) == (200, created.json())
    assert response.headers["ETag"] == created.headers["ETag"]


async def test_two_pets_may_share_a_name(client: httpx.AsyncClient, user: LoggedIn) -> None:
    twins = [await create(client, user, "Max") for _ in range(2)]

    assert [twin.status_code for twin in twins] == [201, 201]
    assert twins[0].json()["id"] != twins[1].json()["id"]


@pytest.mark.parametrize(
    "pet_name", ["x", "x" * 50, "😀" * 50, " ", "'; drop table pets; --", "%s {0} $1 \\", "\u202e\r\n\t"]
)
async def test_name_is_returned_unchanged(client: httpx.AsyncClient, user: LoggedIn, pet_name: str) -> None:
    response = await create(client, user, pet_name)

    assert response.status_code == 201, response.text
    [pet] = (await client.get("/pets/me", headers=user.bearer)).json()
    assert response.json()["pet_name"] == pet["pet_name"] == pet_name


@pytest.mark.parametrize("pet_name", ["", "x" * 51, "😀" * 51, None, 1, ["Max"], {"de": "Max"}, "Max\0"])
async def test_name_has_1_to_50_characters(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, pet_name: object
) -> None:
    response = await create(client, user, pet_name)

    assert response.status_code == 422, response.text
    assert await connection.fetchval("select count(*) from pets") == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/pet_name"), ({"pet_name": "Max", "user_id": "x"}, "/user_id"), ({"pet_name": ""}, "/pet_name"), ([], "")],
)
async def test_invalid_field_is_pointed_at(
    client: httpx.AsyncClient, user: LoggedIn, body: object, pointer: str
) -> None:
    response = await client.post("/pets/create", json=body, headers=user.bearer)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_lone_surrogate_is_400(client: httpx.AsyncClient, user: LoggedIn) -> None:
    headers = user.bearer | {"Content-Type": "application/json"}

    response = await client.post("/pets/create", content=b'{"pet_name": "\\udc00"}', headers=headers)

    assert response.status_code == 400


async def test_deleted_user_cannot_add_pets(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """The token outlives the account but is refused."""
    await client.delete("/users/me", headers=user.bearer)

    response = await create(client, user, "Tadeusz")

    assert response.status_code == 401


async def test_user_deleted_meanwhile_adds_no_pet(committed: Committed) -> None:
    """The session was valid when the statement began; the foreign key prevents the insert."""
    user = await committed.make.user()
    async with committed.connection.transaction():
        await committed.connection.execute("delete from user_model")
        creating = asyncio.create_task(create(committed.client, user, "Tadeusz"))
        await blocked_statements(committed.connection, 1)

    response = await creating

    assert response.status_code == 401
    assert response.json()["detail"] == "The session has ended"


async def test_documented_psql_command_adds_a_pet(
    committed: Committed, own_database_url: str, server: EmbeddedPostgres
) -> None:
    user = await committed.make.user()
    [line] = re.findall(r"^psql .*", (ROOT / "docs" / "sql.md").read_text(), re.MULTILINE)
    line = re.sub(r"(?<=bind )\S+ \S+", f"{user.session} {user.id}", line)
    environment = {"DATABASE_URL": own_database_url, "PATH": str(server.binaries), "PSQLRC": "/dev/null"}

    psql = await asyncio.create_subprocess_exec("/bin/bash", "-euc", line, cwd=ROOT, env=environment)

    assert await psql.wait() == 0
    [pet] = (await committed.client.get("/pets/me", headers=user.bearer)).json()
    assert pet["pet_name"] == "Tadeusz"
