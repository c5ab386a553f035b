"""The files of sql/review/, run by psql unchanged."""

import csv
from pathlib import Path
from subprocess import run

from service.postgres.query_file import FOR_PSQL, SQL

FILES = sorted(path.stem for path in (SQL / FOR_PSQL).glob("*.sql"))
# It needs an extension that the embedded PostgreSQL lacks.
NEEDS_EXTENSION = "statements"


def review(psql: Path, url: str, name: str) -> list[dict[str, str]]:
    """Run a file in psql and return its rows."""
    options = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--csv"]
    done = run([psql, *options, url, "-f", SQL / FOR_PSQL / f"{name}.sql"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(csv.DictReader(done.stdout.splitlines()))
