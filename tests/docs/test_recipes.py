"""The recipes of docs/sql.md pass the checks, and do what the page says."""

import asyncio
import importlib
import re
import sys
from collections.abc import AsyncIterator
from functools import partial
from textwrap import indent
from typing import Any

import asyncpg
import httpx
import pytest

from service import migrate
from service.app import CONTROLLERS, MAX_BODY_BYTES, create_app
from service.postgres import queries, read_query
from service.postgres.database import Database
from service.postgres.pool import Pool
from tests.docs.test_tutorial import STEPS
from tests.support.application import make_settings
from tests.support.factories import Committed, Factory, LoggedIn, service_client
from tests.support.pages import NEWEST, follow, section
from tests.support.pools import PATIENT
from tests.support.processes import ROOT
from tests.support.trees import Tree

pytestmark = [
    pytest.mark.slow,  # whole trees, seconds each
    pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the tutorial was followed"),
]
PACKAGE = "service"
PAGE = section((ROOT / "docs/sql.md").read_text(encoding="utf-8"), "Recipes")
[ADD_ROLE, INSERT, SEARCH] = re.findall(r"(?<!`\n\n)^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = re.findall(r"^`(sql/\S+)`\n\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HANDLERS = re.findall(r"(?<!py`\n\n)^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[(COMMANDS, SEND_LETTERS)] = re.findall(r"^`(service/\S+)`\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[INDEX] = re.findall(r"`(using gin \(.*\))`", PAGE)
[KIND] = re.findall(r"`(\(\$2::toy_kind .*\))`", PAGE)
[ENCODE] = re.findall(r"`(msgspec\.json\.encode\(.*)`", PAGE)
[PUBLIC] = re.findall(r"`(@get\(.*\))`", PAGE)
[LARGE] = re.findall(r"`@post\((request_max_body_size=.*)\)`", PAGE)
# Where a query over all users is accepted.
[ACCEPTED] = re.findall(r"`(-- one-shard: ok .*?)`", PAGE)
# The caller's session is valid, and the request has a row for it.
[NOT_EMPTY] = re.findall(r"`(-- cardinality: ok .*?)`", PAGE)
# What the recipes assume.
COLUMNS = f"""
create type toy_kind as enum ('puzzle', 'vehicle');
alter table toys add column kind toy_kind;
alter table toys add column details jsonb not null default '{{}}';
create unique index toys_toy_name_key on toys (user_id, toy_name);
create index toys_words_idx on toys {INDEX};
create table letters (
    id      bigint      not null generated always as identity,
    content text        not null,
    due_at  timestamptz not null default now(),
    constraint letters_pkey primary key (id)
);
create index letters_due_at_idx on letters (due_at);
comment on table letters is 'Letters to be sent.';
"""
LETTERS = '''\
"""Letters."""

import attrs


@attrs.define(slots=False)
class Letter:
    """A letter to be sent."""

    id: int
    content: str


SENT: list[str] = []


def send(letter: Letter) -> None:
    """Send a letter, unless it is too heavy."""
    if letter.content == "heavy":
        raise OSError("too heavy")
    SENT.append(letter.content)
'''
IMPORT_TOYS = f"""\
-- toys.import_toys: creates or changes many toys of the caller
-- $1 session uuid
-- $2 user    uuid
-- $3 names   text[]
-- $4 pieces  integer[]
-- returns: many Toy
{NOT_EMPTY}
with /* toys.import_toys */ caller as materialized (
    select user_id from live_session
    where session_id = $1 and user_id = $2
)

{INSERT.rstrip()}
"""
SEARCH_TOYS = f"""\
-- toys.search_toys: everybody's toys with the words and of the kind
-- $1 words text
-- $2 kind  toy_kind?
-- returns: many Toy
{ACCEPTED}
select /* toys.search_toys */ id, toy_name, pieces
from toys
{SEARCH.rstrip()} and {KIND}
order by id desc
limit 100;
"""
DESCRIBE_TOY = """\
-- toys.describe_toy: sets kind and details of a toy of the caller
-- $1 session uuid
-- $2 user    uuid
-- $3 id      bigint
-- $4 kind    toy_kind
-- $5 details jsonb
-- returns: maybe Described
with /* toys.describe_toy */ described as (
    update toys set kind = $4, details = $5
    where user_id = $2 and id = $3
    returning id, details
)

select described.id, described.details
from live_session as caller
left join described on true
where caller.session_id = $1 and caller.user_id = $2;
"""
CONTROLLER = f'''\
"""Everybody's toys."""

from typing import Annotated, Literal
from uuid import UUID

import attrs
import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_201_CREATED

from service.auth.guard import BEARER
from service.http import IdempotencyKey, JSONResponse, ServiceRequest
from service.problems import Forbidden, IdempotencyKeyReused, InvalidInput, NotFound, RequestInFlight
from service.sql import many, maybe, one
from service.toys.models import NewToy, Toy

Kind = Literal["puzzle", "vehicle"]


@attrs.define(slots=False)
class Removal:
    """What a removal did."""

    is_admin: bool
    is_found: bool


@attrs.define(slots=False)
class ToyOnce:
    """A toy that was created under an Idempotency-Key."""

    id: int
    is_same_request: bool


class Details(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The details of a toy."""

    colour: str | None = None


class Description(msgspec.Struct, forbid_unknown_fields=True):
    """The body that describes a toy."""

    kind: Kind
    details: Details


@attrs.define(slots=False)
class Described:
    """A described toy."""

    id: int
    details: Details


class NewToys(msgspec.Struct, forbid_unknown_fields=True):
    """The body that creates many toys."""

    toys: Annotated[
        list[NewToy],
        msgspec.Meta(min_length=1, max_length=5000, examples=[[{{"toy_name": "Train", "pieces": 12}}]]),
    ]


REMOVE_TOYS = one("toys.remove_toys", Removal)
CREATE_TOY_ONCE = maybe("toys.create_toy_once", ToyOnce)
IMPORT_TOYS = many("toys.import_toys", Toy)
SEARCH_TOYS = many("toys.search_toys", Toy)
DESCRIBE_TOY = maybe("toys.describe_toy", Described)


class AllToysController(Controller):
    """Everybody's toys."""

    path = "/all-toys"
    tags = ("toys",)
    security = BEARER

{indent(chr(10).join(HANDLERS), "    ")}
    {PUBLIC}
    async def search_toys(
        self,
        request: ServiceRequest,
        words: Annotated[str, QueryParameter(description="in the name")],
        kind: Annotated[Kind | None, QueryParameter(description="of the toy")] = None,
    ) -> JSONResponse[list[Toy]]:
        """Search everybody's toys."""
        return JSONResponse(await request.db.many(SEARCH_TOYS, words, kind))

    @patch("/{{toy_id:int}}")
    async def describe_toy(
        self,
        request: ServiceRequest,
        toy_id: Annotated[int, PathParameter(description="the id")],
        data: JSONBody[Description],
    ) -> JSONResponse[Described]:
        """Describe a toy."""
        details = data.details
        encoded = {ENCODE}
        toy = await request.db.maybe(DESCRIBE_TOY, *request.auth, toy_id, data.kind, encoded)
        if toy is None:
            raise NotFound
        return JSONResponse(toy)

    @post("/import", {LARGE})
    async def import_toys(self, request: ServiceRequest, data: JSONBody[NewToys]) -> JSONResponse[list[Toy]]:
        """Create or change many toys."""
        toys = data.toys
        names, pieces = [toy.toy_name for toy in toys], [toy.pieces for toy in toys]
        changed = await request.db.many(IMPORT_TOYS, *request.auth, names, pieces)
        return JSONResponse(changed, status_code=HTTP_201_CREATED)
'''
# Registers the controller, and tells the tests over all routes what they cannot read from the OpenAPI document.
[API] = {*re.findall(r"`(tests/\S+)`", PAGE)}
EDITS = [
    ("service/app.py", "    ToysController,\n", "    AllToysController,\n    ToysController,\n"),
    (
        "service/app.py",
        "\nfrom service.toys.",
        "\nfrom service.toys.all_toys import AllToysController\nfrom service.toys.",
    ),
    (API, '"POST /users/register"', '"GET /all-toys", "POST /users/register"'),
    (
        API,
        "ROUTES: Mapping[str, Route] = {",
        """ROUTES: Mapping[str, Route] = {
    "DELETE /all-toys/{owner}": Route(
        rows="with admin as (update user_model set is_admin = true where id = $1) "
        "insert into toys (user_id, toy_name, pieces) values ($1, 'Train', 1) returning user_id as owner"
    ),
    "POST /all-toys/once": Route(headers={"Idempotency-Key": "once"}),
    "PATCH /all-toys/{toy_id}": Route(
        rows="insert into toys (user_id, toy_name, pieces) values ($1, 'Train', 1) returning id as toy_id"
    ),""",
    ),
]
TRAIN = {"toy_name": "Train", "pieces": 12}


@pytest.fixture
def extended(whole_tree: Tree) -> Tree:
    """Return a tree with the toys of the tutorial and the recipes."""
    follow(whole_tree, STEPS, run=False)
    root = whole_tree.path
    [create_toys] = root.glob("migrations/*_create_toys.sql")
    with create_toys.open("a") as file:
        file.write(COLUMNS)
    with create_toys.with_suffix(".rollback.sql").open("a") as file:
        file.write("drop type toy_kind;\ndrop table letters;\n")
    role = f"migrations/{int(NEWEST[:4]) + 2:04}_add_is_admin"
    (root / f"{role}.sql").write_text(f"-- depends: {create_toys.stem}\n{ADD_ROLE}")
    (root / f"{role}.rollback.sql").write_text("alter table user_model drop column is_admin;\n")
    for path, text in FILES:
        (root / path).write_text(text)
    for name, text in [("import", IMPORT_TOYS), ("search", SEARCH_TOYS)]:
        (root / f"sql/toys/{name}_toys.sql").write_text(text)
    (root / "sql/toys/describe_toy.sql").write_text(DESCRIBE_TOY)
    (root / "service/toys/all_toys.py").write_text(CONTROLLER)
    (root / "service/toys/letters.py").write_text(LETTERS)
    (root / COMMANDS).write_text(SEND_LETTERS)
    for path, old, new in EDITS:
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
