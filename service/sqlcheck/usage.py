"""Use: files that no code names, names without a file, references that differ, queries that no test ran."""

from collections.abc import Collection, Iterator, Mapping

from service.postgres import Statement
from service.sqlcheck.code import QueryReference
from service.sqlcheck.findings import Finding, finding_at


def check_references(
    statements: Mapping[str, Statement], broken: Collection[str], found: Collection[QueryReference]
) -> Iterator[Finding]:
    """Compare what the code names with the files that there are; those that cannot be read are `broken`."""
    named = {reference.query for reference in found}
    for reference in found:
        statement = statements.get(reference.query)
        if not reference.query:
            sentence = "name the query in place, as a plain string: what is named elsewhere cannot be checked"
            yield Finding(reference.path, reference.line, sentence, "no-file")
        elif statement is None:
            if reference.query not in broken:
                path = f"sql/{reference.query.replace('.', '/')}.sql"
                yield Finding(reference.path, reference.line, f"{path} is not there", "no-file")
        elif reference.returns != (declared := declared_result(statement)):
            sentence = f"returns {declared!r}, and {reference.path}:{reference.line} reads {reference.returns!r}"
            yield finding_at(statement, statement.returns_line, sentence, "returns")
    for name in sorted(statements.keys() - named):
        yield finding_at(statements[name], 1, "no code names this query: remove the file, or use it", "unused")


def declared_result(statement: Statement) -> str:
    """Return what the header says comes back, in the words of QueryReference.returns."""
    rows = statement.cardinality in {"one", "maybe", "many"}
    return f"{statement.cardinality} {statement.row}" if rows else str(statement.cardinality)


def find_untested(statements: Mapping[str, Statement], ran: Collection[str]) -> Iterator[Finding]:
    """Find the queries that are not among those that the tests ran."""
    for name in sorted(statements.keys() - set(ran)):
        yield finding_at(statements[name], 1, "no test runs this query", "not-run")
