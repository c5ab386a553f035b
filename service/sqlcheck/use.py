"""Use: files that no code names, names without a file, readings that differ, queries that no test ran."""

from collections.abc import Collection, Iterator, Mapping

from service.postgres.queries import Statement
from service.sqlcheck.code import Reading
from service.sqlcheck.columns import at
from service.sqlcheck.findings import Finding


def readings(
    statements: Mapping[str, Statement], broken: Collection[str], found: Collection[Reading]
) -> Iterator[Finding]:
    """Compare what the code names with the files that there are; those that cannot be read are `broken`."""
    named = {reading.query for reading in found}
    for reading in found:
        statement = statements.get(reading.query)
        if not reading.query:
            sentence = "name the query in place, as a plain string: what is named elsewhere cannot be checked"
            yield Finding(reading.path, reading.line, sentence, "no-file")
        elif statement is None:
            if reading.query not in broken:
                path = f"sql/{reading.query.replace('.', '/')}.sql"
                yield Finding(reading.path, reading.line, f"{path} is not there", "no-file")
        elif reading.returns != (declared := returns(statement)):
            sentence = f"returns {declared!r}, and {reading.path}:{reading.line} reads {reading.returns!r}"
            yield at(statement, statement.returns_line, sentence, "returns")
    for name in sorted(statements.keys() - named):
        yield at(statements[name], 1, "no code names this query: remove the file, or use it", "unused")


def returns(statement: Statement) -> str:
    """Return what the header says comes back, in the words of Reading.returns."""
    rows = statement.cardinality in {"one", "maybe", "many"}
    return f"{statement.cardinality} {statement.row}" if rows else str(statement.cardinality)


def not_run(statements: Mapping[str, Statement], ran: Collection[str]) -> Iterator[Finding]:
    """Find the queries that are not among those that the tests ran."""
    for name in sorted(statements.keys() - set(ran)):
        yield at(statements[name], 1, "no test runs this query", "not-run")
