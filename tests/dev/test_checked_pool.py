"""SQL files edited while `dev` serves: the new version runs, or its finding is the response."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import attrs
import psycopg
import pytest

from service.dev.checked_pool import CheckedPool
from service.http.system.health import AppliedMigration
from service.postgres import queries
from service.postgres.database import Database
from service.postgres.pool import Pool
from service.postgres.queries import Many
from service.postgres.query_file import read_query
from service.problems import QueryFinding
from tests.support.checkouts import Copy
from tests.support.processes import PATIENCE, ROOT

NAME = "system.list_applied_migrations"
pytestmark = pytest.mark.slow  # each checks all queries

PATH = "sql/system/list_applied_migrations.sql"
NO_COLUMN = f'{PATH}:5: PostgreSQL says: column "colour" does not exist [refused]'


@pytest.fixture(scope="module")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("tree"), ROOT)


@pytest.fixture
def tree(_copy: Copy) -> Iterator[Copy]:
    """Return a copy of the checkout; the test's changes are undone after it."""
    yield _copy
    _copy.restore()


@pytest.fixture
async def checked(tree: Copy, own_database_url: str) -> AsyncIterator[CheckedPool]:
    """Return a pool that runs only queries without findings, before their first check."""
    pool = Pool(own_database_url)
    async with pool.open():
        yield CheckedPool(pool, own_database_url, tree.root)


@pytest.fixture
def query() -> Many[..., AppliedMigration]:
    """Return a query as it was at startup."""
    return Many(read_query(NAME), AppliedMigration)


async def test_edited_file_runs_in_its_new_form(
    checked: CheckedPool, tree: Copy, query: Many[..., AppliedMigration]
) -> None:
    assert len(await checked.fetch(query, ())) > 1
    tree.edit(PATH, "order by", "where migration_id like '%0001%' order by")

    await checked.check()

    assert [len(await checked.fetch(query, ())) for _ in range(2)] == [1, 1]


async def test_transaction_runs_the_edited_file(
    checked: CheckedPool, tree: Copy, query: Many[..., AppliedMigration]
) -> None:
    tree.edit(PATH, "order by", "where migration_id like '%0001%' order by")
    await checked.check()

    rows = await Database(checked).run_transaction(lambda tx: tx.many(query))

    assert len(rows) == 1


async def test_query_with_a_finding_is_refused(
    checked: CheckedPool, tree: Copy, query: Many[..., AppliedMigration], capsys: pytest.CaptureFixture[str]
) -> None:
    tree.edit(PATH, "sha256\n", "colour\n")

    await checked.check()
    await checked.check()

    with pytest.raises(QueryFinding) as refused:
        await checked.fetch(query, ())
    assert refused.value.detail == NO_COLUMN
    assert capsys.readouterr().err == f"{NO_COLUMN}\n"  # once


async def test_broken_query_is_refused_before_the_first_check(
    checked: CheckedPool, tree: Copy, query: Many[..., AppliedMigration]
) -> None:
    text = query.sql.replace("sha256\n", "colour\n")
    tree.edit(PATH, "sha256\n", "colour\n")

    with pytest.raises(QueryFinding) as refused:
        await checked.fetch(Many(attrs.evolve(query.statement, sql=text), AppliedMigration), ())

    assert refused.value.detail == NO_COLUMN


async def test_finding_names_the_migration_that_is_not_applied(
    checked: CheckedPool, tree: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.write("migrations/9999_add_colour.sql", "alter table migration_checksum add column colour text;\n")
    tree.edit(PATH, "sha256\n", "colour as sha256\n")

    await checked.check()

    assert capsys.readouterr().err.endswith("migrations/9999_add_colour.sql is not applied: restart make dev\n")


async def test_fixed_file_runs_before_the_watcher_sees_it(
    checked: CheckedPool, tree: Copy, query: Many[..., AppliedMigration], capsys: pytest.CaptureFixture[str]
) -> None:
    tree.edit(PATH, "sha256\n", "colour as sha256\n")
    await checked.check()
    with psycopg.connect(checked._url, autocommit=True) as connection:  # noqa: SLF001 - the same database
        connection.execute("alter table migration_checksum add column colour text not null default 'red'")

    rows = await checked.fetch(query, ())

    assert {tuple(row)[1:] for row in rows} == {("red",)}
    assert capsys.readouterr().err.endswith("queries: no findings\n")


async def test_file_broken_at_startup_is_read_again(checked: CheckedPool) -> None:
    broken = attrs.evolve(read_query(NAME), sql="", purpose=f"{PATH}:1: malformed header")

    assert len(await checked.fetch(Many(broken, AppliedMigration), ())) > 1


async def test_query_without_a_file_is_refused(checked: CheckedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(queries.ACCEPT_BROKEN_FILES_VARIABLE, "")  # and it is unset again after this test
    queries.accept_broken_files()
    missing = queries.many("kites.find_cat", AppliedMigration).statement
    query: Many[..., AppliedMigration] = Many(missing, AppliedMigration)

    with pytest.raises(QueryFinding, match=r"^sql/kites/find_cat.sql:1: no such file; the code names"):
        await checked.fetch(query, ())


async def test_without_a_database_nothing_is_checked(tree: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://nobody@/none?host=/nonexistent"

    await CheckedPool(Pool(url), url, tree.root).check()

    assert capsys.readouterr().err.startswith("The queries cannot be checked now: connection is bad")


async def test_migration_that_is_not_utf_8_is_named(
    checked: CheckedPool, tree: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.write("migrations/9999_add_colour.sql", "")
    (tree.root / "migrations/9999_add_colour.sql").write_bytes(b"-- caf\xe9\n")

    await checked.check()

    assert capsys.readouterr().err == (
        "The queries cannot be checked now: migrations/9999_add_colour.sql is not UTF-8: save it as UTF-8\n"
    )


async def test_saved_file_is_noticed(tree: Copy, own_database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    checked = CheckedPool(Pool(own_database_url), own_database_url, tree.root)
    async with checked.open():
        await asyncio.sleep(0)  # the first check has begun; another one ends after it
        await checked.check()
        tree.edit(PATH, "sha256\n", "colour\n")
        async with asyncio.timeout(PATIENCE):
            while NO_COLUMN not in said:
                await asyncio.sleep(0.01)
                said += capsys.readouterr().err
