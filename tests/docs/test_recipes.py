"""The recipes of docs/sql.md pass the checks, and do what the page says."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from service import migrate
from service.app import CONTROLLERS, MAX_BODY_BYTES, create_app
from service.postgres import queries, read_query
from service.postgres.database import Database
from service.postgres.pool import Pool
from tests.docs import recipes
from tests.docs.test_tutorial import STEPS
from tests.support.application import make_settings
from tests.support.factories import Committed, Factory, LoggedIn, service_client
from tests.support.pages import NEWEST, follow
from tests.support.pools import PATIENT
from tests.support.processes import ROOT
from tests.support.trees import Tree

pytestmark = [
    pytest.mark.slow,  # whole trees, seconds each
    pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the tutorial was followed"),
]
PACKAGE = "service"
TRAIN = {"toy_name": "Train", "pieces": 12}


@pytest.fixture
def extended(whole_tree: Tree) -> Tree:
    """Return a tree with the toys of the tutorial and the recipes."""
    follow(whole_tree, STEPS, run=False)
    root = whole_tree.path
    [create_toys] = root.glob("migrations/*_create_toys.sql")
    with create_toys.open("a") as file:
        file.write(recipes.COLUMNS)
    with create_toys.with_suffix(".rollback.sql").open("a") as file:
        file.write("drop type toy_kind;\ndrop table letters;\n")
    role = f"migrations/{int(NEWEST[:4]) + 2:04}_add_is_admin"
    (root / f"{role}.sql").write_text(f"-- depends: {create_toys.stem}\n{recipes.ADD_ROLE}")
    (root / f"{role}.rollback.sql").write_text("alter table user_model drop column is_admin;\n")
    for path, text in recipes.FILES:
        (root / path).write_text(text)
    for name, text in [("import", recipes.IMPORT_TOYS), ("search", recipes.SEARCH_TOYS)]:
        (root / f"sql/toys/{name}_toys.sql").write_text(text)
    (root / "sql/toys/describe_toy.sql").write_text(recipes.DESCRIBE_TOY)
    (root / "service/toys/all_toys.py").write_text(recipes.CONTROLLER)
    (root / "service/toys/letters.py").write_text(recipes.LETTERS)
    (root / recipes.COMMANDS).write_text(recipes.SEND_LETTERS)
    for path, old, new in recipes.EDITS:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new, 1))
    return whole_tree


def test_recipes_pass_the_checks(extended: Tree) -> None:
    extended.run(*extended.command("sql", "stub"))
    extended.run(*extended.command("sql", "check", "--rollbacks"))
    extended.run("ruff", "check", "service/toys")
    extended.run("python", "-m", "mypy", "service/toys")
    extended.run("python", "-m", "sqlfluff", "lint", "--nocolor", "sql/toys")
    extended.test("tests/auth/test_guard.py", "tests/http/test_openapi.py", "tests/sql")


@pytest.fixture
async def shop(extended: Tree, own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Committed]:
    """Return the service with the recipes, on its own database."""
    root = extended.path
    migrate.apply(own_database_url, root / "migrations", report=lambda _: None)
    package = sys.modules[PACKAGE]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(root / PACKAGE)])
    monkeypatch.setattr(queries, "read_query", partial(read_query, directory=root / "sql"))
    module: Any = importlib.import_module(f"{PACKAGE}.toys.all_toys")
    toys: Any = importlib.import_module(f"{PACKAGE}.toys.controllers")
    monkeypatch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, toys.ToysController, module.AllToysController])
    pool = Pool(own_database_url, size=4, timeouts=PATIENT)
    app = create_app(make_settings(own_database_url))
    app.db = Database(pool)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open(), service_client(app) as client:
        yield Committed(client, Factory(app, connection), connection)
    await connection.close()
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.toys")]:
        del sys.modules[name]


async def test_recipes_do_what_the_page_says(shop: Committed, own_database_url: str) -> None:
    """One test, because the tree and its database take seconds."""
    user = await shop.make.user()
    toy = await toys_are_created_and_changed_in_bulk(shop.client, user)
    await public_search_finds_words_and_kinds(shop.client, user, toy)
    await key_is_required_and_creates_one_toy(shop.client, user)
    await only_administrators_remove_toys(shop, user)
    await job_sends_each_letter_once_or_later(shop, own_database_url)


async def toys_are_created_and_changed_in_bulk(client: httpx.AsyncClient, user: LoggedIn) -> int:
    """Return the id of a train."""
    many = {"toys": [{"toy_name": f"Train {number}", "pieces": 1} for number in range(2000)]}
    created = await client.post("/all-toys/import", json=many, headers=user.bearer)
    changed = await client.post(
        "/all-toys/import", json={"toys": [TRAIN | {"toy_name": "Train 0"}]}, headers=user.bearer
    )

    assert len(created.request.content) > MAX_BODY_BYTES
    assert (created.status_code, len(created.json())) == (201, 2000)
    toy: int = created.json()[0]["id"]
    assert changed.json() == [{"id": toy, "toy_name": "Train 0", "pieces": 12}]
    return toy


async def public_search_finds_words_and_kinds(client: httpx.AsyncClient, user: LoggedIn, toy: int) -> None:
    description = {"kind": "vehicle", "details": {"colour": "red"}}
    described = await client.patch(f"/all-toys/{toy}", json=description, headers=user.bearer)

    found = {
        query: [each["id"] for each in (await client.get(f"/all-toys?words={query}")).json()]
        for query in ("0+train", "0+train&kind=vehicle", "0+train&kind=puzzle", "ship")
    }

    assert described.json() == {"id": toy, "details": {"colour": "red"}}
    assert list(found.values()) == [[toy], [toy], [], []]


async def key_is_required_and_creates_one_toy(client: httpx.AsyncClient, user: LoggedIn) -> None:
    keyed = user.bearer | {"Idempotency-Key": "once"}
    missing = await client.post("/all-toys/once", json=TRAIN, headers=user.bearer)
    first, second = [await client.post("/all-toys/once", json=TRAIN, headers=keyed) for _ in range(2)]
    other = await client.post("/all-toys/once", json=TRAIN | {"pieces": 13}, headers=keyed)

    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "/Idempotency-Key")
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json() == {"id": first.json()["id"], "is_same_request": True}
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    listed = await client.get("/toys", headers=user.bearer)
    assert [each["toy_name"] for each in listed.json()].count("Train") == 1


async def only_administrators_remove_toys(shop: Committed, user: LoggedIn) -> None:
    admin = await shop.make.user()
    await shop.connection.execute("update user_model set is_admin = true where id = $1", admin.id)

    statuses = [
        (await shop.client.delete(f"/all-toys/{owner.id}", headers=headers)).status_code
        for owner, headers in [
            (user, {}),
            (user, user.bearer),
            (admin, user.bearer),
            (admin, admin.bearer),
            (user, admin.bearer),
        ]
    ]

    assert statuses == [401, 403, 403, 404, 204]


async def job_sends_each_letter_once_or_later(shop: Committed, url: str) -> None:
    commands: Any = importlib.import_module(f"{PACKAGE}.toys.commands")
    letters: Any = importlib.import_module(f"{PACKAGE}.toys.letters")
    await shop.connection.execute("insert into letters (content) select n::text from generate_series(1, 15) n")
    await asyncio.gather(commands.send_all(url), commands.send_all(url))
    await shop.connection.execute("insert into letters (content) values ('heavy')")

    with pytest.raises(OSError, match="too heavy"):
        await commands.send_all(url)

    assert sorted(map(int, letters.SENT)) == [*range(1, 16)]
    assert await shop.connection.fetchval("select due_at > now() from letters")
