"""Unused files, names without a file, references that differ from the header, and queries that no test ran."""

from collections.abc import Collection, Iterator, Mapping

from service.postgres import Statement
from service.sqlcheck.code import QueryReference
from service.sqlcheck.findings import Finding, finding_at


def check_references(
    statements: Mapping[str, Statement], broken: Collection[str], references: Collection[QueryReference]
) -> Iterator[Finding]:
    """Compare the references in the code with the files; `broken` are the names of unreadable files."""
    named = {reference.query for reference in references}
    for reference in references:
        statement = statements.get(reference.query)
        if not reference.query:
            sentence = "write the name of the query here, as a string literal: other names cannot be checked"
            yield Finding(reference.path, reference.line, sentence, "no-file")
        elif statement is None:
            if reference.query not in broken:
                path = f"sql/{reference.query.replace('.', '/')}.sql"
                yield Finding(reference.path, reference.line, f"{path} does not exist", "no-file")
        elif reference.returns != statement.returns:
            place = f"{reference.path}:{reference.line}"
            sentence = f"returns {statement.returns!r}, but {place} reads {reference.returns!r}"
            yield finding_at(statement, statement.returns_line, sentence, "returns")
    for name in sorted(statements.keys() - named):
        yield finding_at(statements[name], 1, "no code uses this query: remove the file, or use it", "unused")


def find_untested(statements: Mapping[str, Statement], ran: Collection[str]) -> Iterator[Finding]:
    """Find the queries that no test ran; `ran` are the names of those that a test did run."""
    for name in sorted(statements.keys() - set(ran)):
        yield finding_at(statements[name], 1, "no test runs this query", "not-run")
