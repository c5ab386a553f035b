"""The changes since a revision, as Markdown."""

from pathlib import Path

import attrs
import pytest

from service.sqlbook.changes import markdown, since
from service.sqlbook.contents import Contents
from service.sqlcheck.deploy_order import RevisionError
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.locks import Lock
from service.sqlcheck.tree import Tree
from tests.support.checkouts import CREATE_KITES, Copy
from tests.support.git import commit

MIGRATION = "9999_add_species"


def section(text: str, title: str) -> str:
    """Return the text below a heading, up to the next of the same level."""
    level = title.partition(" ")[0]
    return text.partition(f"\n{title}\n")[2].partition(f"\n{level} ")[0].strip()


@pytest.mark.slow
def test_review_shows_only_changes(tmp_path: Path, with_kites: Path, own_database_url: str) -> None:
    tree = Copy(tmp_path, with_kites)
    commit(tree.root)
    tree.write_migration(
        MIGRATION,
        f"-- Kites have a species.\n-- depends: {CREATE_KITES}\nalter table kites add column species text;",
        "alter table kites drop column species;",
    )
    tree.edit("sql/kites/list_kites.sql", "kites.id > $3", "kites.version > $3")
    tree.delete("sql/auth/end_session.sql")
    tree.edit("sql/review/table_sizes.sql", "as total", "as whole")
    tree.delete("sql/review/lock_waits.sql")
    tree.edit(
        "service/kites/controllers.py", '@get("/me", response_headers=[LINK])', '@get("/mine", response_headers=[LINK])'
    )

    text = since("HEAD", Tree.read(tree.root), own_database_url)

    assert text.startswith("# What has changed for the database since `HEAD`\n")
    assert section(text, "## Migrations") == (
        "### `9999_add_species`: new\n\nKites have a species.\n\n"
        "- Locks `kites` ACCESS EXCLUSIVE: readers and writers wait."
    )
    assert section(text, "## Schema") == "### table `kites`\n\n```diff\n+column species text\n```"
    queries = section(text, "## Queries")
    assert [line for line in queries.split("\n") if line.startswith("### ")] == [
        "### `auth.end_session`: removed",
        "### `kites.list_kites`: changed",
    ]
    assert "-update /* auth.end_session */ login_session set ended_at = now()\n" in queries
    assert "+    where kites.user_id = $2 and kites.version > $3\n" in queries
    assert "Plan:" in queries
    assert "+              Filter: (kites.version > $3)\n" in queries
    live = section(text, "## Files for the live database")
    assert [line for line in live.split("\n") if line.startswith("### ")] == [
        "### `review.lock_waits`: removed",
        "### `review.table_sizes`: changed",
    ]
    assert "+    pg_size_pretty(pg_total_relation_size(relid)) as whole,\n" in live
    assert "Columns:\n\n```diff\n name name\n-total text\n+whole text\n" in live
    assert "-GET /kites/me -> kites.list_kites\n" in section(text, "## Endpoints")
    assert "[no-file]`" in section(text, "## Findings")


def test_unchanged_tree_has_no_changes(small_book: Contents) -> None:
    same = attrs.evolve(small_book, findings=[])

    assert markdown(same, same, "v1") == "# What has changed for the database since `v1`\n\nNothing.\n"


def test_new_query_is_shown_whole(small_book: Contents) -> None:
    empty = attrs.evolve(
        small_book,
        schema=attrs.evolve(small_book.schema, tables={}, functions={}),
        queries={},
        migrations={},
        endpoints=[],
        live=[],
    )

    text = markdown(empty, small_book, "v1")

    assert "### table `shelves`: added\n\n```diff\n+column id bigint" in text
    assert "### view `wide_shelves`: added" in text
    assert "### function `shelf_of(shelf bigint)`: added\n\n```diff\n+CREATE OR REPLACE" in text
    assert "### `shelves.find_shelf`: added\n\nThe file:\n\n```diff\n+-- shelves.find_shelf" in text
    assert 'Refused:\n\n```diff\n+sql/shelves/lose_shelf.sql:3: PostgreSQL says: relation "lost"' in text
    assert "\n+feeling mood null -> Shelf.feeling: str | None\n" in text
    assert "Tables and locks:\n\n```diff\n+select shelves ACCESS SHARE\n" in text
    assert "### `0001_create_shelves`: new" in text
    assert "Locks no existing table." in text


def test_removed_edited_and_nontransactional_migrations_are_shown(small_book: Contents, tmp_path: Path) -> None:
    [migration] = small_book.migrations.values()
    (tmp_path / "0001_create_shelves.sql").write_text("select ```1```;\n")
    edited = attrs.evolve(migration, path=tmp_path / "0001_create_shelves.sql", checksum="another")
    apart = attrs.evolve(migration, name="2", locks=None, path=edited.path)
    rewriting = attrs.evolve(migration, name="3", locks=[Lock("kites", "AccessExclusiveLock", rewritten=True)])
    before = attrs.evolve(small_book, migrations={migration.name: migration, "0": migration})

    text = markdown(
        before, attrs.evolve(small_book, migrations={migration.name: edited, "2": apart, "3": rewriting}), "v1"
    )

    assert "### `0001_create_shelves`: edited\n\n`migrate` refuses databases to which it was applied" in text
    assert "\n````diff\n" in text
    assert "### `2`: new\n\nIt is not a single transaction, so its locks cannot be listed." in text
    assert "- Locks `kites` ACCESS EXCLUSIVE: readers and writers wait, and it is rewritten." in text
    assert "### `0`: removed" in text


def test_changed_comment_is_shown(small_book: Contents) -> None:
    tables = dict(small_book.schema.tables)
    tables["shelves"] = attrs.evolve(tables["shelves"], comment="")
    silent = attrs.evolve(small_book, schema=attrs.evolve(small_book.schema, tables=tables), findings=[])

    text = markdown(small_book, silent, "v1")

    assert "### table `shelves`: changed\n\nThe comment on table `shelves` is now: none" in text


def test_changed_and_removed_columns_are_a_diff(small_book: Contents) -> None:
    tables = dict(small_book.schema.tables)
    first, *others = tables["shelves"].columns
    left = (attrs.evolve(first, type="int4"), *others[:-1])
    tables["shelves"] = attrs.evolve(tables["shelves"], columns=left)
    narrow = attrs.evolve(small_book, schema=attrs.evolve(small_book.schema, tables=tables), findings=[])

    text = markdown(small_book, narrow, "v1")

    assert section(text, "## Schema").splitlines() == [
        "### table `shelves`",
        "",
        "```diff",
        f"-column {first.name} {first.declared}",
        f"-column {others[-1].name} {others[-1].declared}",
        f"+column {first.name} {left[0].declared}",
        "```",
    ]


def test_findings_are_shown_with_changes(small_book: Contents) -> None:
    found = attrs.evolve(small_book, findings=[Finding("sql/a/b.sql", 1, "no `x`", "star")])

    assert "## Findings\n\n- ``sql/a/b.sql:1: no `x` [star]``\n" in markdown(found, found, "v1")


@pytest.mark.slow
def test_revision_with_failing_migrations_cannot_be_compared(
    tmp_path: Path, with_kites: Path, own_database_url: str
) -> None:
    tree = Copy(tmp_path, with_kites)
    tree.write("migrations/0001_create_user_model.sql", "creat")
    commit(tree.root)
    tree.restore()

    with pytest.raises(
        RevisionError, match="the migrations of HEAD cannot be applied: migrations/0001_create_user_mod"
    ):
        since("HEAD", Tree.read(tree.root), own_database_url)
