"""Mistakes that yoyo ignores are rejected with file and line, before anything is applied."""

from pathlib import Path

import pytest

from service.migrate import MIGRATIONS
from service.migrate.files import MigrationError, expected_checksums
from service.migrate.lint import load_migrations


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a folder with one sound migration."""
    path = tmp_path / "migrations"
    path.mkdir()
    (path / "0001_create_a.sql").write_text("create table a ();\n")
    (path / "0001_create_a.rollback.sql").write_text("drop table a;\n")
    return path


def second(directory: Path, text: str | bytes) -> None:
    """Add a second migration."""
    content = text.encode() if isinstance(text, str) else text
    (directory / "0002_create_b.sql").write_bytes(content)
    (directory / "0002_create_b.rollback.sql").write_text("drop table b;\n")


def test_projects_migrations_are_valid() -> None:
    assert [migration.id for migration in load_migrations(MIGRATIONS)] == list(expected_checksums(MIGRATIONS))


@pytest.mark.parametrize("name", [".#0001_create_a.sql", "._0001_create_a.sql"])
def test_hidden_file_is_no_migration(directory: Path, name: str) -> None:
    """Emacs creates a dangling link with such a name for unsaved changes."""
    (directory / name).symlink_to("ada@host.1234:5678")

    assert [migration.id for migration in load_migrations(directory)] == ["0001_create_a"]
    assert [*expected_checksums(directory)] == ["0001_create_a"]


@pytest.mark.parametrize("name", ["0002_create_b.sql", "0001_create_a.rollback.sql"])
def test_file_that_cannot_be_read_is_named(directory: Path, name: str) -> None:
    path = directory / name
    path.unlink(missing_ok=True)
    path.mkdir()

    with pytest.raises(MigrationError, match=rf"^migrations/{name} cannot be read: Is a directory$"):
        load_migrations(directory)


def test_directives_in_first_comments_are_read(directory: Path) -> None:
    second(directory, "-- Why: because\n\n--transactional:false\n-- depends: 0001_create_a\ncreate table b ();")

    migration = load_migrations(directory)[1]

    assert [each.id for each in migration.depends] == ["0001_create_a"]
    assert not migration.use_transactions


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("-- Depends: 0001_create_a\ncreate table b ();", 1),
        ("-- TRANSACTIONAL: false\ncreate table b ();", 1),
        ("/* why */\n-- depends: 0001_create_a\ncreate table b ();", 2),
        ("/*\n * depends: 0001_create_a\n */\ncreate table b ();", 2),
        ("/* depends: 0001_create_a */\ncreate table b ();", 1),
        ("create table b ();\n\n-- transactional: false\ncreate table c ();", 3),
        ("-- depends on: 0001_create_a\ncreate table b ();", 1),
        ("-- depends 0001_create_a\ncreate table b ();", 1),
        ("-- Requires: 0001_create_a\ncreate table b ();", 1),
        ("-- transaction: false\ncreate table b ();", 1),
        ("-- transactional false\ncreate table b ();", 1),
        ("-- __transactional__ = False\ncreate table b ();", 1),
        ("-- __depends__ = {'0001_create_a'}\ncreate table b ();", 1),
    ],
)
def test_directive_that_yoyo_ignores_is_refused(directory: Path, text: str, line: int) -> None:
    second(directory, text)

    with pytest.raises(
        MigrationError, match=rf"^migrations/0002_create_b\.sql:{line} is a directive that yoyo ignores"
    ):
        load_migrations(directory)


def test_directive_in_a_rollback_is_refused(directory: Path) -> None:
    (directory / "0001_create_a.rollback.sql").write_text("-- transactional: false\ndrop table a;")

    with pytest.raises(
        MigrationError, match=r"^migrations/0001_create_a\.rollback\.sql:1 is a directive that yoyo ign"
    ):
        load_migrations(directory)


@pytest.mark.parametrize(
    ("directive", "what"),
    [
        (
            "depends: 0001_create_a, 0007_b",
            ":1 depends on '0001_create_a,': write names with spaces, not commas, between",
        ),
        ("depends: 0001_create_a.sql", ":1 depends on '0001_create_a.sql': write names with .* and without .sql"),
        ("depends: 0007_lost", r":1 depends on '0007_lost', which is not in this folder$"),
        ("transactional: no", ":1 must say true or false, once"),
        ("transactional: true false", ":1 must say true or false, once"),
    ],
)
def test_invalid_directive_is_refused(directory: Path, directive: str, what: str) -> None:
    second(directory, f"-- {directive}\ncreate table b ();")

    with pytest.raises(MigrationError, match=rf"^migrations/0002_create_b\.sql{what}"):
        load_migrations(directory)


def test_text_that_resembles_a_directive_is_ignored(directory: Path) -> None:
    prose = "-- what depends on it: nothing\n-- Depends on b, in one transaction.\n-- Transactions are short.\n"
    table = "create table b (\n    depends text default\n    depends::text,\n    required\n    boolean\n);\n"
    second(directory, prose + table + "update b set\n    required = true;")

    assert len(load_migrations(directory)) == 2


def test_migration_without_rollback_is_refused(directory: Path) -> None:
    (directory / "0001_create_a.rollback.sql").unlink()

    with pytest.raises(MigrationError, match=r"^migrations/0001_create_a\.rollback\.sql is missing"):
        load_migrations(directory)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xef\xbb\xbf-- depends: 0001_create_a\ncreate table b ();", ":1 begins with a byte-order mark"),
        ("-- é".encode("latin-1"), " is not UTF-8"),
    ],
)
def test_file_in_another_encoding_is_refused(directory: Path, content: bytes, what: str) -> None:
    second(directory, content)

    with pytest.raises(MigrationError, match=rf"^migrations/0002_create_b\.sql{what}"):
        load_migrations(directory)


@pytest.mark.parametrize("word", ["begin", "COMMIT", "start  transaction", "end", "rollback"])
def test_transaction_inside_a_migration_is_refused(directory: Path, word: str) -> None:
    second(directory, f"create table b ();\n-- so there\n/* and /* even */\nmore */ {word};\n")

    with pytest.raises(MigrationError, match=rf"^migrations/0002_create_b\.sql:4 contains '{word}': remove it"):
        load_migrations(directory)


def test_transactions_in_procedures_are_allowed(directory: Path) -> None:
    second(directory, "create procedure b() language plpgsql as $$\nbegin\n    commit;\nend $$;")

    assert len(load_migrations(directory)) == 2


@pytest.mark.parametrize("name", ["0002_create_b.py", "__init__.py", "post-apply.sql"])
def test_non_sql_migration_is_refused(directory: Path, name: str) -> None:
    (directory / name).touch()

    with pytest.raises(MigrationError, match=rf"^migrations/{name} is not a plain SQL file that is applied once"):
        load_migrations(directory)


def test_circular_dependencies_are_refused(directory: Path) -> None:
    (directory / "0001_create_a.sql").write_text("-- depends: 0002_create_b\ncreate table a ();")
    second(directory, "-- depends: 0001_create_a\ncreate table b ();")

    with pytest.raises(MigrationError, match=r"^migrations/: 0001_create_a, 0002_create_b depend on each other"):
        load_migrations(directory)


def test_missing_folder_is_refused(directory: Path) -> None:
    with pytest.raises(MigrationError, match="nowhere is not a folder"):
        load_migrations(directory / "nowhere")


def test_folder_name_may_look_like_a_pattern(directory: Path) -> None:
    folder = directory.rename(directory.with_name("copy[1]"))

    assert [migration.id for migration in load_migrations(folder)] == ["0001_create_a"]


def test_checksum_ignores_line_endings(directory: Path) -> None:
    second(directory, "create table b ();\r\n")

    assert expected_checksums(directory) == {
        "0001_create_a": "0da5e58d9b90392b520cf69917d7c9db95c2141c2f1761342fdfadc499455ee4",
        "0002_create_b": "df30a8f5121bf04bf2863275c18c18e9bac3f5d6ab63ef57b8b7f1e7ea59eb8d",
    }
