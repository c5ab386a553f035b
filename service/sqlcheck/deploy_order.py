"""Deploy order: while a release starts, the one before goes on working, on the new schema."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import psycopg

from service.migrate import expected_checksums
from service.sqlcheck.check import Tree, apply_migrations
from service.sqlcheck.description import Describer
from service.sqlcheck.findings import Finding
from service.sqlcheck.functions import check_functions
from service.sqlcheck.migration_files import MigrationFiles
from service.sqlcheck.schema_checks import check_schema, describe
from service.sqlcheck.scratch import connect, scratch_database


class RevisionError(Exception):
    """A git revision cannot be read; the sentence says what git says."""


def check_revision(root: Path, revision: str, server: str, connection: psycopg.Connection[object]) -> list[Finding]:
    """Check the SQL files and the classes of an earlier `revision` on the schema of `connection`.

    What was wrong on that revision's own schema already is not told again. Raises RevisionError.
    """
    with checkout(root, revision) as earlier, scratch_database(server) as url:
        tree = Tree.read(earlier)
        if refused := apply_migrations(tree, url):
            raise RevisionError(f"the migrations of {revision} cannot be applied: {refused}")
        with connect(url) as own:
            before = _findings(tree, own)
        new = _findings(tree, connection) - before
        applied = expected_checksums(tree.migrations)
    told = [
        attrs.evolve(finding, sentence=f"as of {revision}, on the new schema: {finding.sentence}", check="deploy-order")
        for finding in new
    ]
    return sorted([*told, *_changed(applied, expected_checksums(root / "migrations"), revision)])


def _changed(applied: Mapping[str, str], now: Mapping[str, str], revision: str) -> Iterator[Finding]:
    """Find migrations of the revision that are no longer what they were: `migrate` refuses a database that has them."""
    for name, checksum in applied.items():
        if now.get(name) == checksum:
            continue
        renamed = next((new for new, its in now.items() if its == checksum and new not in applied), None)
        what = "edited" if name in now else f"renamed to {renamed}" if renamed else "removed"
        sentence = f"is {what} since {revision}: put it back, and write another migration"
        yield Finding(f"migrations/{name}.sql", 1, sentence, "deploy-order")


def _findings(tree: Tree, connection: psycopg.Connection[object]) -> set[Finding]:
    describer = Describer(connection)
    found = {*check_functions(connection, describer.catalogue, MigrationFiles(tree.migrations))}
    for statement in tree.statements.values():
        description = describe(describer, statement)
        if isinstance(description, Finding):
            found.add(description)
        else:
            found |= set(check_schema(describer, description, tree.references(statement.name)))
    return found


@contextmanager
def checkout(root: Path, revision: str) -> Iterator[Path]:
    """Lend a folder with what a revision needs here. Raises RevisionError."""
    command = ["git", "-C", str(root), "archive", "--format=tar", revision, "--", "sql", "service", "migrations"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - ours; the revision is one word
    except FileNotFoundError:
        raise RevisionError("git is not installed, and an earlier revision needs it") from None
    if done.returncode:
        raise RevisionError(f"git cannot read {revision!r}: {done.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="sql-check-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python, 3.11.2, has none
            archive.extractall(folder)  # noqa: S202 - an archive of our own
        yield Path(folder)
