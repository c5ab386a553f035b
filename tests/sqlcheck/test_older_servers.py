"""The checks on PostgreSQL 15 to 17, if one is installed, and messages about missing features of a server.

OLDER_POSTGRES can name the URL of one more, as the workflow does.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.migrate import apply
from service.sqlcheck import scratch
from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.rules.allowed_values import allowed_values
from service.sqlcheck.rules.null_checks import column_nullability
from service.sqlcheck.scratch import connect
from tests.sqlcheck.conftest import Toys
from tests.sqlcheck.corpus import FOLDER, cases, statement
from tests.support import postgres
from tests.support.checkouts import CREATE_KITES, Copy
from tests.support.sqlcheck import invoke

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]  # processes or complete schemas: seconds each

OLDER = [path for path in sorted(Path("/usr/lib/postgresql").glob("1[567]/bin")) if (path / "postgres").exists()]
NAMED = [os.environ["OLDER_POSTGRES"]] if "OLDER_POSTGRES" in os.environ else []
# What the corpus has of 17 and 18: merge … returning, returning old.x.
NEWER = {"stock_reserve", "stock_count", "stock_merge"}
TEXTS = """
    create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table texts (
        exact text primary key, same text collate ci unique, text text collate ci,
        kind text collate ci check (kind = 'a')
    );
    create unique index on texts (text collate "C");
"""


@pytest.fixture(scope="module", params=[*OLDER, *NAMED], ids=lambda it: it.parent.name if it in OLDER else "named")
def older(request: pytest.FixtureRequest, workshop: Path) -> Iterator[str]:
    """Return the URL of a server of an older release."""
    if isinstance(request.param, str):
        yield request.param
        return
    data = workshop / f"postgres-{request.param.parent.name}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "find_binaries", lambda: request.param)
        postgres.create_cluster(data, "--no-sync")
        server = postgres.Postgres(data, fsync="off")
        server.start()
        yield server.url
        server.stop()


def test_checkout_has_no_findings(older: str) -> None:
    assert invoke("check", "--rollbacks", "--database-url", older).stdout.endswith("migrations: no findings\n")


def test_queries_on_many_rows_have_no_findings(older: str, tree: Copy) -> None:
    tree.edit("sql/dev/scale.sql", "generate_series(1, 100000)", "generate_series(1, 1000)")
    tree.edit("sql/dev/scale.sql", "user50000@", "user500@")

    done = invoke("check", "--scale", "--directory", str(tree.root), "--database-url", older)

    assert done.stdout.endswith("migrations: no findings\n")


def test_scan_without_index_is_found(older: str, tree: Copy) -> None:
    tree.edit(f"migrations/{CREATE_KITES}.sql", "create table", "drop index login_session_expires_at_idx; create table")

    done = invoke("check", "--directory", str(tree.root), "--database-url", older)

    assert "sql/system/clean_login_sessions.sql:7: seq scan of login_session: no index for " in done.stdout


@pytest.mark.parametrize("same_release", [True, False])
def test_migrated_database_has_no_drift(older: str, tree: Copy, database_url: str, *, same_release: bool) -> None:
    server = older if same_release else database_url
    with scratch.scratch_database(older) as live:
        apply(live, tree.root / "migrations", report=lambda _: None)

        done = invoke("check", "--directory", str(tree.root), "--database-url", server, "--live", live)

    assert done.stdout.endswith("migrations: no findings\n")


def test_restored_type_is_no_finding(older: str, tree: Copy) -> None:
    change = "-- locks: ok a test\nalter table kites alter version type {};\n"
    tree.write_migration(
        "9999_widen", f"-- depends: {CREATE_KITES}\n{change.format('bigint')}", change.format("integer")
    )

    done = invoke("check", "--rollbacks", "--directory", str(tree.root), "--database-url", older)

    assert "[rollback]" not in done.stdout


def test_plan_is_generic(older: str) -> None:
    assert "Index Cond: (user_model.id = $2)" in invoke("explain", "users.show_me", "--database-url", older).stdout


def test_nullability_is_the_same_as_on_the_newest(older: str, module_database_url: str, tmp_path: Path) -> None:
    inferred = []
    for url in (older, module_database_url):
        with scratch.scratch_database(url) as empty, connect(empty) as connection:
            connection.execute((FOLDER / "schema.sql").read_bytes())
            describer = Describer(connection)
            inferred.append(
                [
                    (case.name, nulls.never_null)
                    for case in cases("working")
                    if case.name not in NEWER
                    for nulls in column_nullability(describer.describe(statement(case, describer, tmp_path)))
                ]
            )

    assert inferred[0] == inferred[1]
    assert len(inferred[0]) > 600


@pytest.mark.parametrize(
    ("condition", "at_most_one"),
    [
        ("exact = 'a'", True),
        ("exact = 'a' collate \"C\"", True),
        ("exact = 'a' collate ci", False),
        ("same = 'a'", True),
        ("text = 'a'", False),
        ("text = 'a' group by text::bytea", False),
    ],
)
def test_key_counts_only_with_its_own_collation(
    older: str, tmp_path: Path, condition: str, *, at_most_one: bool
) -> None:
    with scratch.scratch_database(older) as empty, connect(empty) as connection:
        connection.execute(TEXTS)
        toys = Toys(Describer(connection), tmp_path)

        found = toys.check(f"select 1 from texts where {condition}", "-- returns: maybe Toy\n", "cardinality")
        allowed = allowed_values(toys.describe("select kind from texts", "-- returns: many Toy\n"), 1)

    assert (not found) == at_most_one
    assert allowed == set()


def test_grouped_column_in_json_can_be_null(older: str, tmp_path: Path) -> None:
    with scratch.scratch_database(older) as empty, connect(empty) as connection:
        connection.execute("create table sale (place integer not null)")
        toys = Toys(Describer(connection), tmp_path)
        built = "select jsonb_build_object('place', place, 'again', (select place)) from sale group by rollup (place)"

        shape = toys.describe(built, "-- returns: many Toy\n").json_shape(1)

    assert shape
    assert shape.keys
    assert [each.nulls.never_null for each in shape.keys.values()] == [False, False]


@pytest.mark.parametrize("command", ["check", "locks"])
@pytest.mark.parametrize(
    ("ddl", "lacking"),
    [
        ('create extension "uuid-ossp"', 'extension "uuid-ossp" is not available'),
        ("create collation german (provider = icu, locale = 'de')", "ICU is not supported in this build"),
        (
            'create table names (name text collate "de-x-icu")',
            'collation "de-x-icu" for encoding "UTF8" does not exist',
        ),
        ("create collation german (locale = 'xx_XX.utf8')", 'could not create locale "xx_XX.utf8"'),
    ],
)
def test_missing_extension_is_one_sentence(tree: Copy, command: str, ddl: str, lacking: str) -> None:
    tree.write(f"migrations/{CREATE_KITES}.sql", f"{ddl};\n")

    done = invoke(command, "--directory", str(tree.root))

    assert f"{lacking}: name a server that has it (--database-url or SCRATCH_DATABASE_URL)" in done.output


def test_too_old_server_is_one_sentence(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MINIMUM_VERSION", 190000)

    done = invoke("check", "--database-url", database_url)

    assert done.stderr == "Error: The database's URL leads to PostgreSQL 18: the checks need 19 or later\n"
