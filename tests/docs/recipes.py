"""The recipes of docs/sql.md, completed: the schema, queries and controller around the code that the page shows."""

import re
from textwrap import indent

from tests.support.pages import section
from tests.support.processes import ROOT

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
with /* toys.describe_toy */ caller as (
    select user_id from live_session
    where session_id = $1 and user_id = $2
),

described as (
    update toys set kind = $4, details = $5
    from caller
    where toys.user_id = $2 and toys.id = $3
    returning toys.id, toys.details
)

select described.id, described.details
from caller
left join described on true;
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
