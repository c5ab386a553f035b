"""Problem types, their JSON, and the problems that database errors map to."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from service.app import MAX_BODY_BYTES
from service.auth.problems import InvalidGrant
from service.http.database_problems import problem_from_postgres
from service.postgres import SQL
from service.problems import (
    PROBLEM_BY_CONSTRAINT,
    PROBLEM_BY_REFERENCE,
    ContentTooLarge,
    HeadTooLarge,
    InternalError,
    InvalidInput,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    Problem,
    RequestInFlight,
    SessionEnded,
    Unavailable,
)
from service.server.protocol import MAX_HEAD_BYTES
from service.users.problems import EmailTaken
from tests.support import api
from tests.support.problems import KINDS

RAISE = "do $$ begin raise {} using {}; end $$"
DELETE = re.compile(r"\bdelete\s+(?:/\*.*?\*/\s+)?from\s+(\w+)", re.IGNORECASE)
DOCUMENTATION = Path(__file__).parent.parent / "docs" / "problems.md"


def test_types_and_titles_are_unique() -> None:
    assert len(KINDS) == len({kind.type for kind in KINDS}) == len({kind.title for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS)
def test_type_is_a_relative_uri(kind: type[Problem]) -> None:
    assert re.fullmatch(r"/problems/[a-z]+(-[a-z]+)*", kind.type)


def test_every_type_is_documented() -> None:
    rows = {*re.findall(r"^(\| `/problems/.*? \| \d+ \| .*? \|)", DOCUMENTATION.read_text("utf-8"), re.MULTILINE)}

    expected = {f"| `{kind.type}` | {kind.status} | {kind.title} |" for kind in KINDS}
    assert expected - rows == set(), "add these to the table of docs/problems.md, with the cause and the remedy"
    assert rows - expected == set(), "remove these from the table of docs/problems.md"


@pytest.mark.parametrize(("kind", "limit"), [(ContentTooLarge, MAX_BODY_BYTES), (HeadTooLarge, MAX_HEAD_BYTES)])
@pytest.mark.parametrize(
    ("page", "said"), [("problems.md", "{1}.* over {0} KiB"), ("security.md", "over {0} KiB: {1}")]
)
def test_limit_on_the_size_is_documented(kind: type[Problem], limit: int, page: str, said: str) -> None:
    text = DOCUMENTATION.with_name(page).read_text("utf-8")

    assert re.search(said.format(limit // 1024, kind.status), text), f"correct the limit in docs/{page}"


def test_problem_has_the_members_of_rfc_9457() -> None:
    assert NotFound("You have no such kite").body("6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a") == {
        "type": "/problems/not-found",
        "title": "Not found",
        "status": 404,
        "detail": "You have no such kite",
        "instance": "urn:uuid:6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a",
    }


def test_problem_without_detail_repeats_its_title() -> None:
    assert EmailTaken().detail == str(EmailTaken()) == "Cannot use this email address"


def test_invalid_input_has_a_pointer() -> None:
    body = InvalidInput.at("/kite_name", "is missing").body(str(uuid4()))

    assert body["detail"] == "/kite_name: is missing"
    assert body["errors"] == [{"pointer": "/kite_name", "detail": "is missing"}]


def test_invalid_body_has_an_empty_pointer() -> None:
    assert InvalidInput.at("", "Expected object").detail == "The body: Expected object"


@pytest.mark.parametrize(("problem", "error"), [(InvalidGrant(), "invalid_grant"), (InvalidToken(), "invalid_token")])
def test_token_problems_have_an_oauth_code(problem: Problem, error: str) -> None:
    body = problem.body(str(uuid4()))

    assert (body["error"], body["error_description"]) == (error, problem.detail)


@pytest.mark.parametrize(
    ("problem", "challenge"),
    [
        (NotAuthenticated(), "Bearer"),
        (
            InvalidToken(),
            'Bearer error="invalid_token", error_description="The access token is malformed, forged or expired"',
        ),
        (SessionEnded(), 'Bearer error="invalid_token", error_description="The session has ended"'),
    ],
)
def test_status_401_has_www_authenticate(problem: Problem, challenge: str) -> None:
    assert problem.headers == {"WWW-Authenticate": challenge}


def test_retryable_problem_has_retry_after() -> None:
    assert Unavailable().headers == {"Retry-After": "1"}
    assert RequestInFlight().headers == {"Retry-After": "1"}


async def test_every_mapped_constraint_is_in_the_schema(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select conname as name from pg_constraint"
        " union select indexrelid::regclass::text from pg_index where indisunique"
    )

    assert PROBLEM_BY_CONSTRAINT.keys() | PROBLEM_BY_REFERENCE.keys() <= {row["name"] for row in rows}


async def test_every_key_that_a_request_can_violate_is_mapped(connection: asyncpg.Connection) -> None:
    """A foreign key of the caller is 401 by its name. A key with a generated id always holds."""
    rows = await connection.fetch(
        """
        select conname as name
        from pg_constraint
        where contype = 'f' and conparentid = 0 and conname <> conrelid::regclass || '_user_id_fkey'
        union
        select i.indexrelid::regclass::text
        from pg_index as i
        inner join pg_class as t on i.indrelid = t.oid and not t.relispartition
        where
            i.indisunique
            and t.relnamespace = 'public'::regnamespace
            and t.relname not like '%yoyo%'
            and not exists (
                select from pg_attribute as a
                left join pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum
                where
                    a.attrelid = t.oid
                    and a.attnum = any(i.indkey)
                    and (a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like '%(%')
            )
        """
    )

    unmapped = {row["name"] for row in rows} - PROBLEM_BY_CONSTRAINT.keys() - PROBLEM_BY_REFERENCE.keys()
    missing = sorted(unmapped - api.NEVER_VIOLATED)
    assert not missing, (
        f"list these in the `constraints` of a Problem, or in NEVER_VIOLATED of tests/support/api.py: {missing}"
    )


async def keeping_keys(connection: asyncpg.Connection) -> set[str]:
    """Return the foreign keys by which a row keeps another one that a query deletes, itself or by a cascade."""
    rows = await connection.fetch(
        """
        with recursive deleted (relation) as (
            select to_regclass(name)::oid from unnest($1::text[]) as name
            union
            select k.conrelid from pg_constraint as k
            inner join deleted on k.confrelid = deleted.relation
            where k.contype = 'f' and k.confdeltype = 'c'
        )

        select k.conname as name
        from pg_constraint as k
        inner join deleted on k.confrelid = deleted.relation
        where k.contype = 'f' and k.conparentid = 0 and k.confdeltype in ('a', 'r')
        """,
        [table for path in SQL.glob("*/*.sql") for table in DELETE.findall(path.read_text("utf-8"))],
    )
    return {row["name"] for row in rows}


async def test_every_key_that_keeps_a_row_is_mapped(connection: asyncpg.Connection) -> None:
    missing = sorted(await keeping_keys(connection) - PROBLEM_BY_REFERENCE.keys() - api.NEVER_VIOLATED)

    assert not missing, (
        "write `on delete cascade`, or list these in the `still_referenced` of a Problem, or in NEVER_VIOLATED of "
        f"tests/support/api.py: {missing}"
    )


@pytest.mark.parametrize(
    ("reference", "is_kept"),
    [("user_model", True), ("shelves", True), ("user_model on delete cascade", False)],
    ids=["of an account", "of a row that is deleted with its account", "cascading"],
)
async def test_key_without_cascade_keeps_a_row(
    connection: asyncpg.Connection, reference: str, *, is_kept: bool
) -> None:
    await connection.execute("create table shelves (id uuid primary key references user_model on delete cascade)")
    await connection.execute(f"create table notes (user_id uuid constraint notes_user_id_fkey references {reference})")

    assert ("notes_user_id_fkey" in await keeping_keys(connection)) is is_kept


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("insert into user_model (email, hashed_password) select upper(email), '' from user_model", EmailTaken),
        ("insert into login_session (user_id, expires_at) values (gen_random_uuid(), now())", SessionEnded),
        ("insert into idempotency_key values (gen_random_uuid(), 'key', '', 1)", SessionEnded),
        ("select 10::numeric(2, 1)", InvalidInput),
        ("select convert_from('\\x00', 'UTF8')", InvalidInput),
        ("insert into idempotency_key select id, 'two words', '', 1 from user_model", InternalError),
        ("insert into login_session (user_id) select id from user_model", InternalError),
        ("select 1 / 0", InternalError),
        # Citus reports the names of shards, and only in the message.
        (RAISE.format("unique_violation", f"message = 'duplicate \"{EmailTaken.constraints[0]}_102008\"'"), EmailTaken),
        (RAISE.format("foreign_key_violation", 'message = \'on "a_102041" "a_user_id_fkey_102041"\''), SessionEnded),
        (RAISE.format("foreign_key_violation", 'message = \'on "a_102041" "a_b_user_id_fkey_102041"\''), InternalError),
        (RAISE.format("internal_error", "message = 'failure on connection marked as essential: a:1'"), Unavailable),
        (RAISE.format("internal_error", "message = 'server closed the connection unexpectedly'"), Unavailable),
        (RAISE.format("io_error", "message = 'failed to COPY to shard 1 on a:1'"), Unavailable),
        (RAISE.format("internal_error", "message = 'cache lookup failed'"), InternalError),
    ],
)
async def test_constraint_violation_becomes_its_problem(
    connection: asyncpg.Connection, statement: str, problem: type[Problem]
) -> None:
    await connection.execute("insert into user_model (email, hashed_password) values ('a@example.com', '')")

    with pytest.raises(asyncpg.PostgresError) as error:
        await connection.execute(statement)

    assert type(problem_from_postgres(error.value)) is problem


async def test_out_of_range_time_is_a_client_error(connection: asyncpg.Connection) -> None:
    far_west = timezone(-timedelta(hours=12))

    with pytest.raises(asyncpg.DataError) as error:
        await connection.fetchval("select $1::timestamptz", datetime.max.replace(tzinfo=far_west))

    assert type(problem_from_postgres(error.value)) is InvalidInput
