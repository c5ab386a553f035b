"""GET /pets/me."""

import httpx
import pytest

from tests.pets.factories import make_pet
from tests.support.factories import Factory, LoggedIn


async def test_list_without_pets_is_empty(client: httpx.AsyncClient, user: LoggedIn) -> None:
    response = await client.get("/pets/me", headers=user.bearer)

    assert (response.status_code, response.json()) == (200, [])
    assert "Link" not in response.headers


async def test_listed_pet_equals_the_shown_one(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    pet = await make_pet(make, user)

    response = await client.get("/pets/me", headers=user.bearer)

    assert response.json() == [{"id": pet.id, "pet_name": pet.pet_name, "user_id": str(user.id)}]


async def test_pets_are_ordered_by_bytes_of_name_then_id(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory
) -> None:
    """The order is the same on every host, regardless of its locale."""
    names = ["zebra", "Zoe", "apple", "Äpfel", "a", "ab", "a b", "Zoe", "é", "😀", "10", "9", "_", "ﬁ", "a"]
    made = [await make_pet(make, user, name) for name in names]

    response = await client.get("/pets/me", headers=user.bearer)

    made.sort(key=lambda pet: (pet.pet_name.encode(), pet.id))
    assert [(pet["pet_name"], pet["id"]) for pet in response.json()] == [(pet.pet_name, pet.id) for pet in made]


async def test_other_users_pets_are_not_listed(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    await make_pet(make, await make.user())

    response = await client.get("/pets/me", headers=user.bearer)

    assert response.json() == []


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.5", "9" * 5000, "2147483648", str(2**64)])
async def test_limit_outside_1_to_1000_is_422(client: httpx.AsyncClient, user: LoggedIn, limit: str) -> None:
    response = await client.get("/pets/me", params={"limit": limit}, headers=user.bearer)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == ["/limit"]


@pytest.mark.parametrize("limit", ["1", "1000"])
async def test_limit_of_1_and_1000_is_allowed(client: httpx.AsyncClient, user: LoggedIn, limit: str) -> None:
    response = await client.get("/pets/me", params={"limit": limit}, headers=user.bearer)

    assert response.status_code == 200
