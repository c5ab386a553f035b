"""Paging of GET /pets/me with the cursor in ``Link`` (RFC 8288)."""

import base64
import json
import re
from itertools import zip_longest

import asyncpg
import httpx
import pytest

from service.pets.controllers import LIST_MY_PETS
from service.pets.paging import FIRST_PAGE, decode_cursor, encode_cursor
from tests.pets.factories import make_pet
from tests.support.factories import Factory, LoggedIn

NEXT = re.compile(r'<(/pets/me\?limit=\d+&after=[\w-]+)>; rel="next"')
MANY = "insert into pets (user_id, pet_name) select $1, 'pet ' || n from generate_series(1, $2) as n"


async def page(client: httpx.AsyncClient, user: LoggedIn, url: str) -> tuple[list[int], str | None]:
    """Return the ids on a page, and the URL of the next one."""
    response = await client.get(url, headers=user.bearer)
    assert response.status_code == 200, response.text
    link = NEXT.fullmatch(response.headers.get("Link", ""))
    assert bool(link) == ("Link" in response.headers)
    return [pet["id"] for pet in response.json()], link[1] if link else None


async def pages(client: httpx.AsyncClient, user: LoggedIn, url: str | None) -> list[list[int]]:
    """Return the ids on a page and on each following page."""
    found = []
    while url:
        ids, url = await page(client, user, url)
        found.append(ids)
    return found


async def test_links_lead_to_each_pet_exactly_once(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    """Names include equal ones, common prefixes and characters that a URL must escape."""
    names = ["Max"] * 5 + [
        "Max:",
        "max",
        "Ä",
        "😀",
        "a&b=c#d/e?f",
        "%00",
        " ",
        "'",
        "x" * 50,
        "1:2",
        ":",
        "a",
        "b",
        "Zoe",
    ]
    made = [await make_pet(make, user, name) for name in names]

    found = await pages(client, user, "/pets/me?limit=3")

    made.sort(key=lambda pet: (pet.pet_name.encode(), pet.id))
    assert [len(ids) for ids in found] == [3, 3, 3, 3, 3, 3, 1]
    assert [pet_id for ids in found for pet_id in ids] == [pet.id for pet in made]


@pytest.mark.parametrize(
    ("query", "sizes"),
    [("", [100]), ("", [100, 1]), ("?limit=2", [2, 2]), ("?limit=2", [2, 2, 1]), ("?limit=1000", [1000, 1])],
)
async def test_last_page_has_no_next_link(
    client: httpx.AsyncClient, user: LoggedIn, connection: asyncpg.Connection, query: str, sizes: list[int]
) -> None:
    await connection.execute(MANY, user.id, sum(sizes))

    found = await pages(client, user, f"/pets/me{query}")

    assert [len(ids) for ids in found] == sizes


async def pages_read(connection: asyncpg.Connection, user: LoggedIn, after: tuple[str, int]) -> int:
    """Return how many 8 kB pages PostgreSQL reads for ten pets after `after`."""
    explain = f"explain (analyze, buffers, format json) {LIST_MY_PETS.sql}"
    [explained] = json.loads(await connection.fetchval(explain, user.session, user.id, *after, 11))
    assert explained["Plan"]["Actual Rows"] == 11
    return int(explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"])


@pytest.mark.slow
async def test_page_10000_costs_as_much_as_page_1(connection: asyncpg.Connection, user: LoggedIn) -> None:
    """Counted, not timed: every page takes one descent of the index."""
    await connection.execute(MANY, user.id, 100_010)
    await connection.execute("analyze pets")
    [behind] = await connection.fetch("select pet_name, id from pets order by pet_name, id offset 99989 limit 1")

    first, last = await pages_read(connection, user, FIRST_PAGE), await pages_read(connection, user, tuple(behind))

    assert last <= first + 2  # the ten can spread over one more page of the index and of the table


async def test_unchanged_pets_appear_once_despite_other_changes(
    client: httpx.AsyncClient, user: LoggedIn, make: Factory
) -> None:
    """Between pages, pets are added before and after the cursor, and seen and unseen ones are deleted."""
    stay = {(await make_pet(make, user, f"{letter} stays")).id for letter in "bdfhjlnprtvx"}
    go = [(await make_pet(make, user, f"{letter} goes")).id for letter in "bcdefg"]
    go_unseen = [(await make_pet(make, user, f"{letter} goes")).id for letter in "wusq"]
    goes = zip_longest(go, go_unseen)
    seen: list[int] = []
    url: str | None = "/pets/me?limit=3"
    while url:
        ids, url = await page(client, user, url)
        seen += ids
        for name in ["a comes before all"] * 2 + ["z comes behind all"] * (len(seen) < 20):
            await make_pet(make, user, name)
        for pet_id in filter(None, next(goes, ())):
            await client.delete(f"/pets/{pet_id}", headers=user.bearer)

    assert sorted(stay) == sorted(pet_id for pet_id in seen if pet_id in stay)
    assert len(seen) == len(set(seen))
    assert not set(seen).intersection(go_unseen)


async def test_last_pet_of_a_page_may_be_deleted(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    first, second = await make_pet(make, user, "a"), await make_pet(make, user, "b")
    _, url = await page(client, user, "/pets/me?limit=1")
    await client.delete(f"/pets/{first.id}", headers=user.bearer)

    assert await pages(client, user, url) == [[second.id]]


async def test_cursor_shows_no_other_users_pets(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    other = await make.user()
    for owner in (user, other):
        for name in "ab":
            await make_pet(make, owner, name)
    _, url = await page(client, other, "/pets/me?limit=1")

    found = await pages(client, user, url)

    listed = await client.get("/pets/me", headers=user.bearer)
    assert {pet_id for ids in found for pet_id in ids} <= {pet["id"] for pet in listed.json()}


def test_empty_cursor_is_the_first_page() -> None:
    assert decode_cursor("") == FIRST_PAGE


def test_cursor_round_trips() -> None:
    assert decode_cursor(encode_cursor("Ä:?\n", 2**63 - 1)) == ("Ä:?\n", 2**63 - 1)


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "\0",
        "====",
        encoded(b"7:Max") + "!",
        encoded(b"7:Max") + "=",
        encoded(b"Max"),
        encoded(b":Max"),
        encoded(b"7"),
        encoded(b"x:Max"),
        encoded(b"0:Max"),
        encoded(b"-1:Max"),
        encoded(b"+7:Max"),
        encoded(b" 7:Max"),
        encoded(b"07:Max"),
        encoded(b"1_0:Max"),
        encoded("\uff17:Max".encode()),
        encoded(b"7.0:Max"),
        encoded(b"%d:Max" % 2**63),
        encoded(b"9" * 5000 + b":Max"),
        encoded(b"7:Max\0"),
        encoded(b"7:\xff"),
        encoded(b"7:\xed\xa0\x80"),
        "A" * 10_000,
    ],
)
async def test_forged_cursor_is_refused(client: httpx.AsyncClient, user: LoggedIn, cursor: str) -> None:
    response = await client.get("/pets/me", params={"after": cursor}, headers=user.bearer)

    assert response.status_code == 422, response.text
    assert response.json()["errors"] == [{"pointer": "/after", "detail": "is not a valid cursor"}]
