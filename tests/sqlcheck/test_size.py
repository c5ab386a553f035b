"""The time that `sql check` takes with many queries."""

import resource
import string

import pytest

from tests.support.checkouts import Copy
from tests.support.processes import run

QUERIES = 100
SECONDS = 10.0  # of CPU time, including PostgreSQL's


def used() -> float:
    """Return the CPU seconds of ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
def test_hundred_queries_are_checked_within_ten_seconds(tree: Copy) -> None:
    """Include the start of PostgreSQL and the migrations."""
    text = (tree.root / "sql/kites/find_kite.sql").read_text()
    letters = [first + second for first in string.ascii_lowercase for second in string.ascii_lowercase]
    there = len(list(tree.root.glob("sql/*/*.sql")))
    names = [f"kites.find_kite_{each}" for each in letters[: QUERIES - there]]
    for name in names:
        tree.write(f"sql/{name.replace('.', '/')}.sql", text.replace("kites.find_kite", name))
    references = "\n".join(f'maybe("{name}", VersionedKite)' for name in names)
    tree.edit(
        "service/kites/controllers.py",
        '\nFIND_KITE = maybe("kites.find_kite"',
        f'\n{references}\nFIND_KITE = maybe("kites.find_kite"',
    )

    before = used()
    done = run("sql", "check", "--directory", str(tree.root))

    # The new queries have only one finding: the stub lacks them.
    assert done.stdout.splitlines() == [
        "service/sql.pyi:1: does not match the headers in sql/: run python -m service sql stub [stub]",
        "1 finding: 1 stub",
    ]
    assert used() - before < SECONDS
