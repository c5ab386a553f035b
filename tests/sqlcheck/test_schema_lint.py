"""Findings about the schema, and their places."""

from pathlib import Path

import pytest
from pglast.parser import ParseError

from service.postgres import read_query
from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.findings import as_text
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.migrations.schema_lint import QueryReads, check_design
from service.sqlcheck.scratch import connect

FILE = "migrations/0001_make_toys.sql"
MAKERS = """create table makers (
    id bigint primary key,
    name text
);
comment on table makers is 'Makers.';
"""
FOREIGN_KEY = (
    "begins with the columns of toys_maker_fkey: deleting a row that it references scans the whole table "
    "[foreign-key-index]"
)


def check(url: str, folder: Path, migration: str, *queries: str) -> str:
    """Return the findings about the schema of an empty database after a migration, which is rolled back."""
    (folder / "migrations").mkdir()
    (folder / FILE).write_text(migration)
    (folder / "sql/toys").mkdir(parents=True)
    with connect(url) as connection, connection.transaction(force_rollback=True):
        connection.execute(migration.encode())
        describer, files, reads = Describer(connection), MigrationFiles(folder / "migrations"), QueryReads()
        for query in queries:
            verb, _, rest = query.partition(" ")
            (folder / "sql/toys/query.sql").write_text(
                f"-- toys.query: q\n-- returns: many Toy\n{verb} /* toys.query */ {rest};\n"
            )
            reads.add(describer.describe(read_query("toys.query", folder / "sql")))
        found = [*check_design(connection, files, reads), *files.unneeded_acceptances()]
    return as_text(found).replace(f"{FILE}:", "")


@pytest.mark.parametrize(
    ("made", "finding"),
    [
        ("create table toys (\n    maker bigint references makers\n);", f"7: no index of toys {FOREIGN_KEY}"),
        (
            "create table toys (\n    maker bigint,\n    foreign key (maker) references makers\n);",
            f"8: no index of toys {FOREIGN_KEY}",
        ),
        (
            "create table toys (maker bigint);\n\nalter table toys add foreign key (maker) references makers;",
            f"8: no index of toys {FOREIGN_KEY}",
        ),
        (
            (
                "create table toys (\n    m bigint, constraint toys_maker_fkey foreign key (m) references makers\n);\n"
                "create index toys_m on toys (m) where m > 1;"
            ),
            f"7: no index of toys {FOREIGN_KEY}".replace("_fkey:", "_fkey and has all rows, unlike toys_m:"),
        ),
        (
            "create table toys (maker bigint references makers);\ncreate index toys_m on toys (lower('a'), maker);",
            f"6: no index of toys {FOREIGN_KEY}",
        ),
        (
            (
                "create table toys (maker bigint references makers);\ncreate index toys_m on toys (maker);\n"
                "update pg_index set indisvalid = false where indexrelid = 'toys_m'::regclass;"
            ),
            f"6: no index of toys {FOREIGN_KEY}",
        ),
        (
            "create table toys_ (maker bigint references makers);\nalter table toys_ rename to toys;\n",
            f"7: no index of toys {FOREIGN_KEY.replace('toys_maker', 'toys__maker')}",
        ),
        (
            "create table toys (id int primary key);\ncomment on table toys is 'A';\nalter table toys add unique (id);",
            (
                "6: index toys_id_key is the same as toys_pkey, which serves its queries: it only slows down writes "
                "[duplicate-index]"
            ),
        ),
        (
            "create index one on makers (name);\ncreate index two on makers (name);",
            "7: index two is the same as one, which serves its queries: it only slows down writes [duplicate-index]",
        ),
        (
            "create index makers_name on makers (name);\ncreate index makers_both on makers (name, id);",
            (
                "6: index makers_name is a prefix of makers_both, which serves its queries: it only slows down writes "
                "[duplicate-index]"
            ),
        ),
        (
            "create index makers_low on makers (lower(name));\ncreate index makers_both on makers (lower(name), id);",
            (
                "6: index makers_low is a prefix of makers_both, which serves its queries: it only slows down writes "
                "[duplicate-index]"
            ),
        ),
        (
            "create index makers_id on makers (id);",
            (
                "6: index makers_id is the same as makers_pkey, which serves its queries: it only slows down writes "
                "[duplicate-index]"
            ),
        ),
        (
            "alter table makers\n    add column list_price double precision;",
            (
                "7: makers.list_price is double precision, which rounds money: use numeric, or integers of cents "
                "[float-money]"
            ),
        ),
        (
            "alter table makers add column vat_rate real;",
            "6: makers.vat_rate is real, which rounds money: use numeric, or integers of cents [float-money]",
        ),
        (
            'alter table makers add column "List Price" real;',
            "6: makers.List Price is real, which rounds money: use numeric, or integers of cents [float-money]",
        ),
        ("create table toys (id bigint primary key);", "6: toys has no comment: describe a row [no-comment]"),
        ("create table toys as select 1 as id;", "6: toys has no comment: describe a row [no-comment]"),
        (
            "create table toys ();\ncomment on table toys is 'Toys.';",
            "6: toys has no primary key: rows cannot be identified, nor replicated logically [no-primary-key]",
        ),
    ],
)
def test_schema_fault_is_found_at_its_line(rollback_database_url: str, tmp_path: Path, made: str, finding: str) -> None:
    found = check(rollback_database_url, tmp_path, MAKERS + made)

    lines = [line for line in found.splitlines() if "[unread]" not in line]
    assert finding in lines
    assert finding.endswith(("[no-comment]", "[no-primary-key]", "[foreign-key-index]")) or lines == [finding]


@pytest.mark.parametrize(
    "made",
    [
        "alter table makers add up bigint references makers;\ncreate index i on makers (up) where up is not null;",
        "alter table makers add other bigint references makers;\ncreate index i on makers (other, lower(name));",
        (
            "create index i on makers (name);\ncreate unique index j on makers (name, id);\n"
            "-- duplicate-index: ok i (the other one is dropped when this one is there everywhere)"
        ),
        "create unique index i on makers (name);\ncreate index j on makers (name, id);",
        "create index i on makers (name) where id > 1;\ncreate index j on makers (name);",
        "create index i on makers (name desc);\ncreate index j on makers (name, id);",
        "create index i on makers (name);\ncreate index j on makers (name, id) where id > 1;",
        "comment on table makers is 'M.';\n-- locks: ok small (a dozen rows)",
        "alter table makers add price double precision;\n-- float-money: ok makers.price (only estimates)",
        "alter table makers add accost double precision;",
        "alter table makers add price numeric;",
        (
            "create index i on makers (name);\ncreate index j on makers (name, id);\n"
            "update pg_index set indisvalid = false where indexrelid = 'j'::regclass;"
        ),
        'alter table makers add column "List Price" real;\n-- float-money: ok makers."List Price" (only estimates)',
    ],
)
def test_sound_schema_has_no_finding(rollback_database_url: str, tmp_path: Path, made: str) -> None:
    """A foreign key with an index, indexes that are only similar, and findings that a migration accepts."""
    query = "select id, (makers).* from makers"

    assert check(rollback_database_url, tmp_path, MAKERS + made + "\n", query) == ""


def test_unread_table_and_column_are_found(rollback_database_url: str, tmp_path: Path) -> None:
    migration = (
        "create table toys (\n    id bigint primary key,\n    name text,\n    note text,\n    old text,\n"
        "    colour text\n);\ncomment on table toys is 'Toys.';\n"
        "create table dolls (id bigint primary key, note text);\ncomment on table dolls is 'Dolls.';\n"
        "create view names as select name from toys;\n-- unread: ok names (the BI team reads it)\n"
        "create function colour() returns text language sql as 'select max(colour) from toys';\n"
        "create table cards (id bigint primary key);\ncomment on table cards is 'Cards.';\n"
        "create function cards() returns bigint language sql as 'select count(*) from cards';\n"
    )
    writes = "insert into toys (id, note) select 1, '' from toys where old = 'a' returning id"

    assert check(rollback_database_url, tmp_path, migration, writes, "insert into dolls (id, note) values (1, '')") == (
        "9: no query, view or function reads dolls [unread]\n4: no query, view or function reads toys.note [unread]"
    )


def test_unread_table_that_is_accepted_hides_its_columns(rollback_database_url: str, tmp_path: Path) -> None:
    migration = (
        "create table audit (id bigint primary key, at timestamptz);\ncomment on table audit is 'Changes.';\n"
        "create function add_change() returns void language sql as 'insert into audit (id) values (1)';\n"
        "-- unread: ok audit (operators read it)\n"
    )

    assert check(rollback_database_url, tmp_path, migration) == ""


@pytest.mark.parametrize("name", ["tables", "views", "sql_features"])
def test_table_named_like_one_of_the_catalogue_is_read(rollback_database_url: str, tmp_path: Path, name: str) -> None:
    migration = f"create table {name} (id bigint primary key);\ncomment on table {name} is 'X.';\n"

    assert check(rollback_database_url, tmp_path, migration, f"select id from {name}") == ""


def test_statement_without_analysis_reads_all_its_names(rollback_database_url: str, tmp_path: Path) -> None:
    assert check(rollback_database_url, tmp_path, MAKERS, "explain select name from makers") == ""


def test_unread_is_silent_while_a_query_is_refused(rollback_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / FILE).write_text(MAKERS)

    with connect(rollback_database_url) as connection, connection.transaction(force_rollback=True):
        connection.execute(MAKERS.encode())
        files = MigrationFiles(tmp_path / "migrations")

        assert list(check_design(connection, files, QueryReads(complete=False))) == []


def test_finding_in_an_unparsed_migration_has_line_1(
    rollback_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail as if the server were newer than pglast."""

    def refuse(_: str) -> None:
        raise ParseError("syntax error", 7)

    monkeypatch.setattr("service.sqlcheck.migrations.migration_files.parse_sql", refuse)

    made = "\n\ncreate table toys (id bigint primary key);"
    found = check(rollback_database_url, tmp_path, made, "select id from toys")

    assert found == "1: toys has no comment: describe a row [no-comment]"
