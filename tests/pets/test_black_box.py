"""The pets' API contract, tested over a socket like the rest in tests/e2e/test_black_box.py."""

from typing import Any

import pytest

from tests.support.accounts import Account, account
from tests.support.black_box import assert_problem, pointers


def add(owner: Account, pet_name: str) -> dict[str, Any]:
    """Add a pet."""
    pet: dict[str, Any] = owner.ask("POST", "/pets/create", {"pet_name": pet_name}).json()
    return pet


def test_pets_are_listed_by_name_then_age(ada: Account) -> None:
    for pet_name in ("Tadeusz", "Ada", "Minka", "Ada"):
        created = ada.ask("POST", "/pets/create", {"pet_name": pet_name})
        assert created.status_code == 201
        assert created.json() == {"id": created.json()["id"], "pet_name": pet_name, "user_id": ada.id}

    listed = ada.ask("GET", "/pets/me")

    assert listed.status_code == 200
    assert [pet["pet_name"] for pet in listed.json()] == ["Ada", "Ada", "Minka", "Tadeusz"]
    assert listed.json() == sorted(listed.json(), key=lambda pet: (pet["pet_name"], pet["id"]))


@pytest.mark.parametrize("pet_name", ["", "x" * 51, None, 1])
def test_pet_name_has_1_to_50_characters(ada: Account, pet_name: object) -> None:
    problem = assert_problem(ada.ask("POST", "/pets/create", {"pet_name": pet_name}), 422)

    assert pointers(problem) == ["/pet_name"]


def test_pets_are_paged(ada: Account) -> None:
    for pet_name in ("Tadeusz", "Ada", "Minka", "Ada", "Bello"):
        add(ada, pet_name)

    page, names = ada.ask("GET", "/pets/me?limit=2"), []
    while "next" in page.links:
        names.append([pet["pet_name"] for pet in page.json()])
        page = ada.ask("GET", page.links["next"]["url"])

    assert [*names, [pet["pet_name"] for pet in page.json()]] == [["Ada", "Ada"], ["Bello", "Minka"], ["Tadeusz"]]


@pytest.mark.parametrize(("query", "pointer"), [("limit=0", "/limit"), ("limit=1001", "/limit"), ("after=x", "/after")])
def test_invalid_page_is_422(ada: Account, query: str, pointer: str) -> None:
    problem = assert_problem(ada.ask("GET", f"/pets/me?{query}"), 422)

    assert pointers(problem) == [pointer]


def test_location_leads_to_the_new_pet(ada: Account) -> None:
    created = ada.ask("POST", "/pets/create", {"pet_name": "Ada"})

    found = ada.ask("GET", created.headers["Location"])
    again = ada.ask("GET", created.headers["Location"], **{"If-None-Match": created.headers["ETag"]})

    assert (found.status_code, found.json(), found.headers["ETag"]) == (200, created.json(), created.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")


def test_repeated_request_gets_the_first_response(ada: Account) -> None:
    first, again = (ada.ask("POST", "/pets/create", {"pet_name": "Ada"}, **{"Idempotency-Key": "1"}) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.json() == first.json()
    assert ada.ask("GET", "/pets/me").json() == [first.json()]


def test_stale_if_match_is_412(ada: Account) -> None:
    pet = add(ada, "Ada")
    path = f"/pets/{pet['id']}"
    old = {"If-Match": ada.ask("GET", path).headers["ETag"]}

    renamed = ada.ask("PATCH", path, {"pet_name": "Bea"}, **old)

    assert (renamed.status_code, renamed.json()) == (200, pet | {"pet_name": "Bea"})
    assert renamed.headers["ETag"] != old["If-Match"]
    assert_problem(ada.ask("PATCH", path, {"pet_name": "Cleo"}, **old), 412)
    assert_problem(ada.ask("DELETE", path, **old), 412)
    assert_problem(ada.ask("PATCH", path, {"pet_name": ""}), 422)
    assert ada.ask("DELETE", path, **{"If-Match": renamed.headers["ETag"]}).status_code == 204
    assert_problem(ada.ask("GET", path), 404)


def test_other_users_pet_is_404(ada: Account) -> None:
    pet = add(account(ada.client), "Tadeusz")

    assert_problem(ada.ask("GET", f"/pets/{pet['id']}"), 404)
    assert_problem(ada.ask("PATCH", f"/pets/{pet['id']}", {"pet_name": "Mine"}), 404)
    assert_problem(ada.ask("DELETE", f"/pets/{pet['id']}"), 404)
