"""Statements on a small schema of makers and toys."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from service.postgres import read_query
from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.code import Code, QueryReference
from service.sqlcheck.findings import Finding, as_text
from service.sqlcheck.rules.query_checks import check_query, describe
from service.sqlcheck.scratch import connect
from tests.support.sqlcheck import check_names

FOLDER = Path(__file__).with_name("nullability")
FILE = "sql/toys/list_toys.sql"


def toy_header(sql: str, cardinality: str) -> str:
    """Return the header of a query of toys, with the parameter if `sql` has one."""
    return ("-- $1 id integer\n" if "$1" in sql else "") + f"-- returns: {cardinality} Toy\n"


@attrs.frozen
class Toys:
    """Writes statements to a file, and describes and checks them."""

    describer: Describer
    root: Path

    def describe(self, statement: str, header: str) -> Description:
        """Describe a valid statement."""
        return self.describer.describe(read_query(self._write(statement, header), self.root / "sql"))

    def check(self, statement: str, header: str, *checks: str, models: str = "") -> str:
        """Return the findings of `checks` about a statement, without its path; the code reads the Row of `models`."""
        assert check_names().issuperset(checks), "a misspelt check finds nothing"
        description = describe(self.describer, read_query(self._write(statement, header), self.root / "sql"))
        if isinstance(description, Finding):
            return str(description).removeprefix(f"{FILE}:")
        references = self._references(models) if models else []
        findings = [each for each in check_query(description, references) if each.check in checks]
        return as_text(findings).replace(f"{FILE}:", "")

    def _references(self, models: str) -> list[QueryReference]:
        folder = self.root / "service"
        folder.mkdir()
        (folder / "models.py").write_text(models)
        (folder / "queries.py").write_text(
            "from service.models import Row\nfrom service.sql import many\nmany('toys.list_toys', Row)\n"
        )
        return Code(self.root).references

    def _write(self, statement: str, header: str) -> str:
        path = self.root / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        word, _, rest = statement.partition(" ")
        path.write_text(f"-- toys.list_toys: lists toys\n{header}{word} /* toys.list_toys */ {rest};\n")
        return "toys.list_toys"


@pytest.fixture(scope="module")
def describer(module_database_url: str) -> Iterator[Describer]:
    """Return a describer on a database with makers and toys."""
    with connect(module_database_url) as connection:
        connection.execute((FOLDER / "schema.sql").read_bytes())
        yield Describer(connection)


@pytest.fixture
def toys(describer: Describer, tmp_path: Path) -> Toys:
    """Return a helper that describes and checks statements."""
    return Toys(describer, tmp_path)
