"""The files of sql/review/ in the book."""

from pathlib import Path

from service.sqlbook.psql import live_files
from service.sqlcheck import connect


def test_lock_file_of_an_editor_is_no_query(database_url: str, tmp_path: Path) -> None:
    """Emacs makes a link to nowhere beside the file."""
    folder = tmp_path / "sql" / "review"
    folder.mkdir(parents=True)
    (folder / ".#lock_waits.sql").symlink_to("ada@host.123:456")

    with connect(database_url) as connection:
        assert live_files(tmp_path, connection) == []
