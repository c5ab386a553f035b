"""Rows that queries read on large tables; fewer than in CI, but too many to read all."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli import main
from service.sqlcheck.findings import as_text
from service.sqlcheck.scale import check_scale, seed
from service.sqlcheck.scratch import connect
from service.sqlcheck.tree import Tree, apply_migrations
from tests.support.checkouts import Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

SEED, KITES = "sql/dev/scale.sql", "sql/kites/dev/scale.sql"
LIST = "sql/kites/list_kites.sql"


# A condition that no index can serve.
UNSELECTIVE = "kites.user_id = $2 and kites.id > $3", "kites.user_id::text = caller.user_id::text and kites.id + 0 > $3"


@pytest.fixture
def tree(tree: Copy) -> Copy:
    """Return a tree whose seed creates 1,000 users."""
    tree.edit(SEED, "generate_series(1, 100000)", "generate_series(1, 1000)")
    tree.edit(SEED, "user50000@", "user500@")
    return tree


def found(tree: Copy, url: str) -> str:
    """Fill a database and measure."""
    read = Tree.read(tree.root)
    assert apply_migrations(read, url) is None
    with connect(url) as connection:
        return as_text(check_scale(read, connection))


def test_unbroken_tree_reads_only_what_it_needs(tree: Copy, empty_database_url: str) -> None:
    assert found(tree, empty_database_url) == ""


def test_unselective_index_is_found(tree: Copy, empty_database_url: str) -> None:
    """The primary key serves the order, so every plan uses an index."""
    tree.edit(LIST, UNSELECTIVE[0], UNSELECTIVE[1])

    assert found(tree, empty_database_url).startswith(f"{LIST}:7: reads ")


def test_scan_with_a_reason_is_accepted(tree: Copy, empty_database_url: str) -> None:
    tree.edit(LIST, UNSELECTIVE[0], UNSELECTIVE[1])
    tree.edit(LIST, "select /*", "-- scale: ok for the test\nselect /*")

    assert LIST not in found(tree, empty_database_url)


def test_unneeded_reason_is_found(tree: Copy, empty_database_url: str) -> None:
    tree.edit(LIST, "select /*", "-- scale: ok for the test\nselect /*")

    assert found(tree, empty_database_url) == (f"{LIST}:7: 'scale: ok' accepts no finding: remove it [marker]")


def test_parameter_without_argument_is_found(tree: Copy, empty_database_url: str) -> None:
    tree.edit(KITES, "('kites.after', '0'),\n", "")

    assert found(tree, empty_database_url) == (
        f"sql/kites/list_kites.sql:4: {KITES} has no argument 'after' to run it [scale]"
    )


def test_refused_argument_is_found(tree: Copy, empty_database_url: str) -> None:
    tree.edit(KITES, "('kites.after', '0')", "('kites.after', '0'), ('kites.size', '-1')")

    assert found(tree, empty_database_url) == (
        f"{LIST}:7: with the arguments of {KITES}, PostgreSQL says: LIMIT must not be negative [scale]"
    )


def test_refused_seed_is_found_with_its_line(tree: Copy, empty_database_url: str) -> None:
    tree.write(KITES, "-- é\ninsert into argument values ('a', '1');\n\n\ninsert into kites (user_id)\nvalues (null);")

    assert found(tree, empty_database_url).startswith(
        f'{KITES}:5: PostgreSQL says: null value in column "user_id" of relation "kites" violates not-null constraint'
    )


def test_argument_that_another_file_has_is_named(tree: Copy, empty_database_url: str) -> None:
    tree.edit(KITES, "('kites.after', '0')", "('kites.after', '0'), ('key', 'k')")

    assert found(tree, empty_database_url).endswith(
        'violates unique constraint "argument_pkey" (Key (parameter)=(key) already exists) [scale]'
    )


def test_unreadable_seed_is_found_with_its_line(tree: Copy, empty_database_url: str) -> None:
    tree.write(KITES, "-- é\nselect 1;\n\nselct 2;\n")

    assert found(tree, empty_database_url) == f'{KITES}:4: PostgreSQL says: syntax error at or near "selct" [scale]'


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), (b"select '\xe9';", "'utf-8' codec can't decode byte 0xe9")],
)
def test_seed_that_cannot_be_read_is_found(
    tree: Copy, empty_database_url: str, content: bytes | None, why: str
) -> None:
    tree.delete(SEED)
    if content:
        (tree.root / SEED).write_bytes(content)

    assert found(tree, empty_database_url).startswith(f"{SEED}:1: cannot be read: {why}")


def test_seed_without_the_referenced_rows_is_found(tree: Copy, empty_database_url: str) -> None:
    tree.edit(KITES, "select\n    id,", "select\n    gen_random_uuid(),")

    assert found(tree, empty_database_url).startswith(f"{KITES}:1: PostgreSQL says: insert or update on table")


def test_seeds_run_in_the_order_of_foreign_keys(tmp_path: Path, empty_database_url: str) -> None:
    """`a` references `b`, whose rows its seed reads."""
    for path, text in {
        "dev": "create table argument (parameter text, value text);",
        "a/dev": "insert into a select id from b;",
        "b/dev": "insert into b values (1);",
    }.items():
        (tmp_path / "sql" / path).mkdir(parents=True)
        (tmp_path / "sql" / path / "scale.sql").write_text(text)
    with connect(empty_database_url) as connection:
        connection.execute("create table b (id integer primary key)")
        connection.execute("create table a (id integer references b)")

        seed(connection, tmp_path)

        assert connection.execute("select id from a").fetchall() == [(1,)]


def test_partitioned_tables_with_foreign_keys_are_filled(tmp_path: Path, empty_database_url: str) -> None:
    """PostgreSQL keeps a foreign key for each partition, which cannot be dropped by itself."""
    (tmp_path / "sql" / "dev").mkdir(parents=True)
    (tmp_path / "sql" / "dev" / "scale.sql").write_text(
        "create table argument (parameter text, value text); insert into b values (1); insert into a values (1);"
    )
    with connect(empty_database_url) as connection:
        for table, key in [("b", "primary key"), ("a", "references b")]:
            connection.execute(f"create table {table} (id integer {key}) partition by list (id)")
            connection.execute(f"create table {table}_1 partition of {table} default")

        seed(connection, tmp_path)

        assert connection.execute("select count(*) from pg_constraint where contype = 'f'").fetchone() == (3,)


def test_gin_indexes_have_no_pending_rows(tmp_path: Path, empty_database_url: str) -> None:
    """Each query would read them all."""
    (tmp_path / "sql" / "dev").mkdir(parents=True)
    (tmp_path / "sql" / "dev" / "scale.sql").write_text(
        "create table argument (parameter text, value text); insert into words values ('{a}');"
    )
    with connect(empty_database_url) as connection:
        connection.execute("create table words (word text[])")
        connection.execute("create index words_word_idx on words using gin (word)")

        seed(connection, tmp_path)

        assert connection.execute("select gin_clean_pending_list('words_word_idx')").fetchone() == (0,)


def test_refused_query_is_not_measured(tree: Copy, empty_database_url: str) -> None:
    tree.edit("sql/kites/find_kite.sql", "kites.version\n", "kites.colour\n")

    assert found(tree, empty_database_url) == ""


def test_command_measures_on_demand(tree: Copy, database_url: str) -> None:
    tree.edit(KITES, "('kites.after', '0'),\n", "")

    options = ["--scale", "--directory", str(tree.root), "--database-url", database_url]
    done = CliRunner().invoke(main, ["sql", "check", *options], env={"SQL_RAN": None}, catch_exceptions=False)

    assert done.exit_code == 1
    assert "[scale]\n" in done.stdout
