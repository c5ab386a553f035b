"""POST /pets/create."""

import httpx

from tests.factories import LoggedIn


async def test_a_pet_is_its_owners(client: httpx.AsyncClient, user: LoggedIn):
    """The answer is the pet, where it is, and its version."""
    response = await client.post("/pets/create", json={"pet_name": "Tadeusz"}, headers=user.bearer)

    assert response.status_code == 201, response.text
    pet = response.json()
    assert pet == {"id": pet["id"], "pet_name": "Tadeusz", "user_id": str(user.id)}
    assert response.headers["Location"] == f"/pets/{pet['id']}"
    assert response.headers["ETag"] == '"1"'


async def test_a_deleted_user_cannot_add_pets(client: httpx.AsyncClient, user: LoggedIn):
    """The token outlives the account, but opens nothing."""
    await client.delete("/users/me", headers=user.bearer)

    response = await client.post("/pets/create", json={"pet_name": "Tadeusz"}, headers=user.bearer)

    assert response.status_code == 401
