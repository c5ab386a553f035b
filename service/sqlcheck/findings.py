"""Findings of the checks, and their output as text, JSON and GitHub annotations."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import attrs
from typing_extensions import override

from service.postgres import Statement

# A QueryError or MigrationError: `sql/pets/find_pet.sql:3: …`, `migrations/0001_create_a.sql is missing: …`.
PLACE = re.compile(r"(?P<path>\w+/[^:]+?\.sql)(:(?P<line>\d+))?:? (?P<sentence>.*)", re.DOTALL)

# Findings with the same message, or about the same missing object, are grouped from this number of files on.
MANY_FILES = 3
# PostgreSQL names a missing object in several ways: `column s.ended_at`, `column "ended_at" of relation "s"`.
MISSING = re.compile(r'\b(column|relation|function|type) "?(?:\w+\.)*(\w+).* does not exist')
# Of a query or a function: the name of the check, a line of the file or the body, and a sentence.
Problem = tuple[str, int, str]


@attrs.frozen(order=True)
class Finding:
    """A problem: its place, a sentence, and the name of the check, which docs/checks.md explains."""

    path: str
    line: int
    sentence: str
    check: str

    @override
    def __str__(self) -> str:
        """Return it as one line in the format of compilers."""
        return f"{self.path}:{self.line}: {self.sentence} [{self.check}]"


def finding_at(statement: Statement, line: int, sentence: str, check: str) -> Finding:
    """Return a finding about a line of a query's file."""
    feature, _, name = statement.name.partition(".")
    return Finding(f"sql/{feature}/{name}.sql", line, sentence, check)


def findings_of(
    statement: Statement, problems: Iterable[Problem], acceptable: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield the problems of a query as findings, except those of `acceptable` checks that its header accepts.

    A header that accepts a check without findings is a finding itself.
    """
    accepted = {marker.name: marker for marker in reversed(statement.accepted) if marker.name in acceptable}
    found = set()
    for check, line, sentence in problems:
        found.add(check)
        if check not in accepted:
            yield finding_at(statement, line, sentence, check)
    for check in accepted.keys() - found:
        yield finding_at(statement, accepted[check].line, f"'{check}: ok' accepts no finding: remove it", "marker")


def from_error(check: str, error: Exception, path: Path) -> Finding:
    """Return a QueryError or MigrationError as a finding; `path` is its place if the message names none."""
    if found := PLACE.fullmatch(str(error)):
        return Finding(found["path"], int(found["line"] or 1), found["sentence"], check)
    return Finding(path.name, 1, str(error), check)


def as_text(findings: Collection[Finding]) -> str:
    """Return a line for each finding; the same finding in several files is printed once, with their names."""
    grouped: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        missing = MISSING.search(finding.sentence)
        cause = missing.groups() if missing else (finding.sentence,)
        grouped.setdefault((finding.check, *cause), []).append(finding)
    return "\n".join(line for same in grouped.values() for line in _lines(same))


def _lines(same: list[Finding]) -> list[str]:
    if len({finding.path for finding in same}) < MANY_FILES:
        return [str(finding) for finding in same]
    others = ", ".join(f"{finding.path}:{finding.line}" for finding in same[1:])
    return [f"{same[0]}", f"  the same: {others}"]


def summary(findings: Collection[Finding]) -> str:
    """Return the number of findings by check: ``3 findings: 2 refused, 1 star``."""
    number = Counter(finding.check for finding in findings)
    of_each = ", ".join(f"{count} {check}" for check, count in number.most_common())
    return f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}: {of_each}"


def as_json(findings: Collection[Finding]) -> str:
    """Return a JSON array of objects with ``path``, ``line``, ``sentence`` and ``check``."""
    return json.dumps([attrs.asdict(finding) for finding in findings], indent=2)


def as_github(findings: Collection[Finding]) -> str:
    """Return workflow commands, which GitHub shows next to the lines of a pull request.

    Source: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    return "\n".join(
        f"::error file={finding.path},line={finding.line},title={finding.check}::{_escaped(finding.sentence)}"
        for finding in findings
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
