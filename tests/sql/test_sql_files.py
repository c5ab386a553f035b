"""Each file of sql/, as DBAs meet it: in psql, in pg_stat_activity, and in the code that loads it."""

import asyncio
import re
from pathlib import Path
from subprocess import run

import pytest

import service
from service.dev.embedded import EmbeddedPostgres
from service.pets.controllers import RENAME_PET
from service.queries import SQL, read
from tests.factories import Committed
from tests.locks import blocked_statements

NAMES = sorted(f"{path.parent.name}.{path.stem}" for path in SQL.rglob("*.sql"))
# A value of each type that a parameter has.
DUMMIES = {
    "bigint": "1",
    "cidr": "127.0.0.1/32",
    "inet": "127.0.0.1",
    "integer": "1",
    "integer[]": "{1,2}",
    "interval": "1 day",
    "text": "it",
    "text[]": "{Ada,Max}",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
# What would stay on a connection, and meet the next one who uses it.
STATE = re.compile(
    r"\b(set_config|pg_(try_)?advisory_lock|temp|temporary|listen|prepare|declare|discard|load)\b|^\s*(re)?set\b(?=.*;)",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", NAMES)
def test_psql_runs_the_file_as_it_is(name: str, server: EmbeddedPostgres, database_url: str) -> None:
    """In a transaction that is rolled back when psql ends."""
    statement = read(name)
    dummies = [f"'{DUMMIES[parameter.type]}'" for parameter in statement.parameters]
    bind = f"\\bind {' '.join(dummies)}"

    psql = [str(server.binaries / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", database_url]
    done = run(
        [*psql, "-c", "begin", "-c", bind, "-f", str(statement.path)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_sent_byte_for_byte(name: str) -> None:
    statement = read(name)

    assert statement.sql.encode() == statement.path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_file_leaves_nothing_on_its_connection(name: str) -> None:
    """Connections pass from request to request as they are; a reset would be another round trip."""
    code = re.sub(r"--.*|/\*.*?\*/", "", read(name).sql)

    assert not STATE.search(code)


def test_every_file_is_loaded_by_code_that_names_it() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(service.__path__[0]).rglob("*.py")]

    named = re.findall(r"\b(?:one|maybe|many|value|count)\(\s*\"([a-z_]+\.[a-z_]+)\"", "\n".join(sources))

    assert sorted(named) == NAMES


async def test_a_running_statement_shows_its_name(committed: Committed) -> None:
    """To whoever looks at pg_stat_activity, while it waits for a lock, say."""
    user = await committed.make.user()
    pet = await committed.make.pet(user)
    async with committed.connection.transaction():
        await committed.connection.execute("select from pets for update")
        request = committed.client.patch(f"/pets/{pet.id}", json={"pet_name": "Ada"}, headers=user.bearer)
        waiting = asyncio.create_task(request)
        [statement] = await blocked_statements(committed.connection, 1)

    assert (await waiting).status_code == 200
    assert statement == RENAME_PET.sql[:1023]
    assert "/* pets.rename_pet */" in statement
