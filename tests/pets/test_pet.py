"""GET, PATCH and DELETE /pets/{id}."""

import asyncio

import httpx
import pytest

from service.pets.models import VersionedPet
from tests.pets.factories import make_pet
from tests.support.factories import Committed, Factory, LoggedIn
from tests.support.locks import blocked_statements

METHODS = ["GET", "PATCH", "DELETE"]


@pytest.fixture
async def pet(make: Factory, user: LoggedIn) -> VersionedPet:
    """Return a pet at its first version."""
    return await make_pet(make, user)


async def ask(client: httpx.AsyncClient, user: LoggedIn, method: str, pet_id: object, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"pet_name": "Ada"} if method == "PATCH" else None
    return await client.request(method, f"/pets/{pet_id}", json=body, headers=user.bearer | named)


async def test_owner_sees_the_pet(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet) -> None:
    response = await ask(client, user, "GET", pet.id)

    assert response.status_code == 200
    assert response.json() == {"id": pet.id, "pet_name": pet.pet_name, "user_id": str(user.id)}
    assert response.headers["ETag"] == '"1"'


async def test_pet_can_be_renamed(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet) -> None:
    response = await ask(client, user, "PATCH", pet.id)

    assert response.status_code == 200
    assert response.json() == {"id": pet.id, "pet_name": "Ada", "user_id": str(user.id)}
    assert response.headers["ETag"] == '"2"'
    assert (await ask(client, user, "GET", pet.id)).json() == response.json()


async def test_deleted_pet_is_404(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet) -> None:
    response = await ask(client, user, "DELETE", pet.id)

    assert (response.status_code, response.content) == (204, b"")
    for method in METHODS:
        assert (await ask(client, user, method, pet.id)).status_code == 404


@pytest.mark.parametrize("method", METHODS)
async def test_other_users_pet_is_404(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory, pet: VersionedPet, method: str
) -> None:
    """Even with the right version."""
    stranger = await make.user()

    for headers in ({}, {"If_Match": '"1"'}, {"If_Match": "*"}, {"If_None_Match": "*"}):
        response = await ask(client, stranger, method, pet.id, **headers)
        nothing = await ask(client, stranger, method, 2**40, **headers)
        assert (response.status_code, response.json()["detail"]) == (404, "You have no pet with this id")
        assert response.json() | {"instance": ""} == nothing.json() | {"instance": ""}
        assert set(response.headers) == set(nothing.headers)
        assert "ETag" not in response.headers
    assert (await ask(client, user, "GET", pet.id)).json()["pet_name"] == pet.pet_name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "pet_id",
    ["0", "-1", "2147483648", str(2**63 - 1), str(2**63), "9" * 5000, "x", "1.0", "1e3", "0x1", "%31%00", "%ff", "NaN"],
)
async def test_malformed_pet_id_is_404(client: httpx.AsyncClient, user: LoggedIn, method: str, pet_id: str) -> None:
    response = await ask(client, user, method, pet_id)

    assert response.status_code == 404, response.text
    assert response.json()["type"] == "/problems/not-found"


@pytest.mark.parametrize("pet_name", ["", "x" * 51, None, "Max\0"])
async def test_new_name_is_validated(
    client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet, pet_name: object
) -> None:
    response = await client.patch(f"/pets/{pet.id}", json={"pet_name": pet_name}, headers=user.bearer)

    assert response.status_code == 422, response.text
    assert (await ask(client, user, "GET", pet.id)).headers["ETag"] == '"1"'


@pytest.mark.parametrize("known", ['"1"', 'W/"1"', '"7", "1"', "*"])
async def test_current_etag_is_304(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet, known: str) -> None:
    response = await ask(client, user, "GET", pet.id, If_None_Match=known)

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize("known", ['"2"', '"11"', "1", '""', "W/1"])
async def test_outdated_etag_is_200(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet, known: str) -> None:
    response = await ask(client, user, "GET", pet.id, If_None_Match=known)

    assert response.status_code == 200
    assert response.json()["id"] == pet.id


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("read", ['"1"', '"7", "1"', "*"])
async def test_current_if_match_allows_the_change(
    client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet, method: str, read: str
) -> None:
    response = await ask(client, user, method, pet.id, If_Match=read)

    assert response.status_code in {200, 204}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("read", ['"2"', 'W/"1"', "1", '""', '"01"', '"x"', f'"{2**31}"', f'"{2**80}"', '"1 "'])
async def test_outdated_if_match_is_412(
    client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet, method: str, read: str
) -> None:
    """Weak tags and foreign ones match nothing: RFC 9110, 13.1.1."""
    response = await ask(client, user, method, pet.id, If_Match=read)

    assert response.status_code == 412, response.text
    assert response.json() == {
        "type": "/problems/precondition-failed",
        "title": "The resource has changed since you read it",
        "status": 412,
        "detail": "The resource has changed since you read it",
        "instance": response.json()["instance"],
    }
    assert (await ask(client, user, "GET", pet.id)).json()["pet_name"] == pet.pet_name


async def count_one_up(client: httpx.AsyncClient, user: LoggedIn, pet: VersionedPet) -> bool:
    """Read and write with If-Match; return whether the version still matched."""
    read = await client.get(f"/pets/{pet.id}", headers=user.bearer)
    written = await client.patch(
        f"/pets/{pet.id}",
        json={"pet_name": str(int(read.json()["pet_name"]) + 1)},
        headers=user.bearer | {"If-Match": read.headers["ETag"]},
    )
    assert written.status_code in {200, 412}  # 503 would leave the outcome open
    return written.status_code == 200


async def test_racing_writers_lose_no_update(committed: Committed) -> None:
    """A writer that loses reads again, and all succeed in the end."""
    client, user = committed.client, await committed.make.user()
    pet = await make_pet(committed.make, user, "0")

    async def write() -> None:
        while not await count_one_up(client, user, pet):
            pass

    await asyncio.gather(*(write() for _ in range(20)))

    assert await committed.connection.fetchval("select pet_name from pets") == "20"


@pytest.mark.slow
async def test_hundred_writers_lose_no_update(committed: Committed) -> None:
    """Ten successes are enough: the hundredth would take a hundred times as long."""
    client, user = committed.client, await committed.make.user()
    pet = await make_pet(committed.make, user, "0")
    successes = 0

    async def write() -> None:
        nonlocal successes
        while successes < 10:
            written = await count_one_up(client, user, pet)
            successes += written

    await asyncio.gather(*(write() for _ in range(100)))

    assert successes >= 10
    assert await committed.connection.fetchval("select pet_name from pets") == str(successes)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_pet_deleted_meanwhile_is_404(committed: Committed, method: str) -> None:
    client, user = committed.client, await committed.make.user()
    pet = await make_pet(committed.make, user)
    async with committed.connection.transaction():
        await committed.connection.execute("delete from pets")
        late = asyncio.create_task(ask(client, user, method, pet.id))
        await blocked_statements(committed.connection, 1)

    assert (await late).status_code == 404


async def test_two_writers_without_precondition_both_succeed(committed: Committed) -> None:
    client, user = committed.client, await committed.make.user()
    pet = await make_pet(committed.make, user)
    async with committed.connection.transaction():
        await committed.connection.execute("update pets set version = 2")
        late = asyncio.create_task(ask(client, user, "PATCH", pet.id))
        await blocked_statements(committed.connection, 1)

    response = await late

    assert (response.status_code, response.headers["ETag"]) == (200, '"3"')


async def test_change_made_while_waiting_is_412(committed: Committed) -> None:
    """The version is compared after the wait, not before."""
    client, user = committed.client, await committed.make.user()
    pet = await make_pet(committed.make, user)
    async with committed.connection.transaction():
        await committed.connection.execute("update pets set version = 2")
        late = asyncio.create_task(ask(client, user, "DELETE", pet.id, If_Match='"1"'))
        await blocked_statements(committed.connection, 1)

    assert (await late).status_code == 412
