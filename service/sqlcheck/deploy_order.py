"""Deploy order: during a deployment, the previous release works on the new schema."""

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
from service.problems import OperatorError
from service.sqlcheck.analysis.description import Describer
from service.sqlcheck.findings import Finding
from service.sqlcheck.migrations.functions import check_functions
from service.sqlcheck.migrations.migration_files import MigrationFiles
from service.sqlcheck.rules.query_checks import check_query, describe
from service.sqlcheck.scratch import connect, scratch_database
from service.sqlcheck.tree import Tree, apply_migrations


class RevisionError(OperatorError):
    """A git revision cannot be read or migrated."""


def check_revision(root: Path, revision: str, server: str, connection: psycopg.Connection[object]) -> list[Finding]:
    """Check the queries and classes of an earlier git revision on the schema of `connection`.

    Omits findings that the revision also has on its own schema, built in a scratch database on `server`.

    Raises RevisionError.
    """
    with checkout(root, revision) as earlier, scratch_database(server) as url:
        tree = Tree.read(earlier)
        if refused := apply_migrations(tree, url):
            raise RevisionError(f"the migrations of {revision} cannot be applied: {refused}")
        with connect(url) as own:
            before = _findings(tree, own)
        new = _findings(tree, connection) - before
        applied = expected_checksums(tree.migrations)
    found = [
        attrs.evolve(finding, sentence=f"as of {revision}, on the new schema: {finding.sentence}", check="deploy-order")
        for finding in new
    ]
    return sorted([*found, *_edited_migrations(applied, expected_checksums(root / "migrations"), revision)])


def _edited_migrations(applied: Mapping[str, str], now: Mapping[str, str], revision: str) -> Iterator[Finding]:
    """Find edited, renamed and removed migrations of the revision, which `migrate` refuses to apply."""
    for name, checksum in applied.items():
        if now.get(name) == checksum:
            continue
        renamed = next((new for new, other in now.items() if other == checksum and new not in applied), None)
        what = "edited" if name in now else f"renamed to {renamed}" if renamed else "removed"
        sentence = f"was {what} since {revision}: restore it, and write another migration"
        yield Finding(f"migrations/{name}.sql", 1, sentence, "deploy-order")


def _findings(tree: Tree, connection: psycopg.Connection[object]) -> set[Finding]:
    describer = Describer(connection)
    found = {*check_functions(connection, describer.catalogue, MigrationFiles(tree.migrations))}
    for statement in tree.statements.values():
        description = describe(describer, statement)
        if isinstance(description, Finding):
            found.add(description)
        else:
            found |= set(check_query(description, tree.references(statement.name)))
    return found


@contextmanager
def checkout(root: Path, revision: str) -> Iterator[Path]:
    """Yield a folder with the SQL, code and migrations of a git revision. Raises RevisionError."""
    command = ["git", "-C", str(root), "archive", "--format=tar", "--end-of-options", revision]
    command += ["sql", "service", "migrations"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command; the revision is a single argument
    except FileNotFoundError:
        raise RevisionError("git is not installed, but is needed to read an earlier revision") from None
    if done.returncode:
        raise RevisionError(f"git cannot read {revision!r}: {done.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="sql-check-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            # Python 3.11.2, as in Debian 12, has no filter.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202 - git has just written the archive
        yield Path(folder)
