"""How long `sql check` takes when there are many queries."""

import resource
import string

import pytest

from tests.support.checkouts import Copy
from tests.support.processes import run

QUERIES = 100
SECONDS = 10.0  # of a processor, PostgreSQL's too: those on the wall are fewer where nothing else runs


def used() -> float:
    """Return the seconds of a processor that ended processes of ours have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
def test_hundred_queries_are_checked_within_ten_seconds(tree: Copy) -> None:
    """From nothing: PostgreSQL, the schema, and every check. It takes two to three, as 24 queries do."""
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

    # Their types are all that is wrong with the new ones: nobody has written the stub anew.
    assert done.stdout.splitlines() == [
        "service/sql.pyi:1: does not match the headers in sql/: run python -m service sql stub [stub]",
        "1 finding: 1 stub",
    ]
    assert used() - before < SECONDS
