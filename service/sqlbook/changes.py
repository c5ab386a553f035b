"""The changes since a revision, as Markdown for a code review."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from service.sqlbook.contents import Contents, MigrationPage, QueryPage
from service.sqlbook.diagram import short
from service.sqlbook.gathering import MigrationFailedError, gather
from service.sqlbook.plan_tree import PlanNode
from service.sqlbook.psql import LiveFile
from service.sqlcheck import Change, Progress, RevisionError, Tree, checkout, difference

Lines = Sequence[str]
Facets = Mapping[str, Lines]
MAX_LINES_WITHOUT_HUNKS = 40  # a diff of fewer lines shows no line numbers


def since(revision: str, tree: Tree, server: str, *, progress: Progress = lambda _: None) -> str:
    """Return the changes since a git revision, as Markdown.

    Raises RevisionError if the revision cannot be read or its migrations fail, and whatever `gather` raises.
    """
    now = gather(tree, server, progress=progress)
    with checkout(tree.root, revision) as earlier:
        try:
            before = gather(Tree.read(earlier), server, progress=progress)
        except MigrationFailedError as error:
            raise RevisionError(f"the migrations of {revision} cannot be applied: {error}") from error
        return markdown(before, now, revision)


def markdown(before: Contents, now: Contents, revision: str) -> str:
    """Return the differences between two states, one section per kind."""
    sections = {
        "Migrations": list(_migrations(before.migrations, now.migrations)),
        "Schema": list(_schema(difference(before.schema, now.schema))),
        "Queries": list(_files(_by_name(before.queries), _by_name(now.queries))),
        "Files for the live database": list(_files(_for_psql(before.live), _for_psql(now.live))),
        "Endpoints": _diff(_endpoints(before), _endpoints(now)),
        "Findings": ["\n".join(f"- {_code(str(finding))}" for finding in now.findings)] if now.findings else [],
    }
    written = [f"## {title}\n\n" + "\n\n".join(parts) for title, parts in sections.items() if parts]
    head = f"# What has changed for the database since {_code(revision)}"
    return "\n\n".join([head, *(written or ["Nothing."])]) + "\n"


def _migrations(before: Mapping[str, MigrationPage], now: Mapping[str, MigrationPage]) -> Iterator[str]:
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name), now.get(name)
        if new is None:
            yield f"### {_code(name)}: removed"
        elif old is None:
            yield f"### {_code(name)}: new"
            if new.purpose:
                yield new.purpose
            yield _locks(new)
        elif old.checksum != new.checksum:
            yield f"### {_code(name)}: edited"
            yield "`migrate` refuses databases to which it was applied, until the file is restored."
            yield from _diff(old.text.split("\n"), new.text.split("\n"))


def _locks(migration: MigrationPage) -> str:
    if migration.locks is None:
        return "It is not a single transaction, so its locks cannot be listed."
    lines = [
        f"- Locks {_code(lock.table)} {lock.sql_mode}: {lock.waits}{', and it is rewritten' if lock.rewritten else ''}."
        for lock in migration.locks
    ]
    return "\n".join(lines) or "Locks no existing table."


def _schema(changes: list[Change]) -> Iterator[str]:
    by_table: dict[str, list[Change]] = {}
    for change in changes:
        by_table.setdefault(change.table or change.name, []).append(change)
    for name, of_table in by_table.items():
        whole = next((change for change in of_table if not change.table), None)
        yield f"### {whole.kind if whole else 'table'} {_code(name)}{f': {whole.word}' if whole else ''}"
        old = [line for change in of_table if change.before for line in _declared(change, change.before.declared)]
        new = [line for change in of_table if change.after for line in _declared(change, change.after.declared)]
        yield from _diff(old, new)
        for change in of_table:
            if change.before and change.after and change.before.comment != change.after.comment:
                yield f"The comment on {change.kind} {_code(change.name)} is now: {change.after.comment or 'none'}"


def _declared(change: Change, text: str) -> Lines:
    return short(text if not change.table else f"{change.kind} {change.name} {text}").split("\n") if text else []


def _files(before: Mapping[str, Facets], now: Mapping[str, Facets]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, {}), now.get(name, {})
        parts: list[str] = []
        for facet in new or old:
            if found := _diff(old.get(facet, []), new.get(facet, [])):
                parts += [f"{facet}:", *found]
        if parts:
            word = "changed" if old and new else "added" if new else "removed"
            yield f"### {_code(name)}: {word}"
            yield from parts if new else parts[1:2]  # of a removed file, only its text


def _for_psql(files: list[LiveFile]) -> dict[str, Facets]:
    return {
        each.name: {
            "The file": each.text.rstrip("\n").split("\n"),
            "Columns": [f"{name} {type_}" for name, type_ in each.columns],
        }
        for each in files
    }


def _by_name(queries: Mapping[str, QueryPage]) -> dict[str, Facets]:
    return {name: _facets(query) for name, query in queries.items()}


def _facets(query: QueryPage) -> Facets:
    """Return the aspects of a query that a review compares, as lines of text."""
    refused = [str(query.refused)] if query.refused else []
    return {
        "The file": query.statement.sql.rstrip("\n").split("\n"),
        "Refused": refused,
        "Result": [
            f"{each.column.name} {each.column.type}{' null' if each.optional else ''}"
            f"{f' -> {each.becomes}' if each.becomes else ''}"
            for each in query.results
        ],
        "Tables and locks": [
            " ".join(
                word
                for word in (each.verb, each.table, each.lock, each.rows, each.through and f"through {each.through}")
                if word
            )
            for each in query.effects
        ],
        "Plan": list(_plan(query.plan, "")) if query.plan else [],
        "Called by": [f"{each.method} {each.path}" for each in query.endpoints],
    }


def _plan(node: PlanNode, indent: str) -> Iterator[str]:
    words = [node.role, node.title, node.index and f"using {node.index}", node.table and f"on {node.table}"]
    yield indent + " ".join(word for word in words if word)
    for key, text in node.conditions:
        yield f"{indent}  {key}: {text}"
    for child in node.children:
        yield from _plan(child, indent + "    ")


def _endpoints(contents: Contents) -> Lines:
    return [f"{each.method} {each.path} -> {', '.join(each.queries) or 'no query'}" for each in contents.endpoints]


def _diff(before: Lines, now: Lines) -> list[str]:
    """Return a fenced diff, or nothing if there is no difference."""
    lines = list(difflib.unified_diff(list(before), list(now), lineterm=""))[2:]
    if len(before) + len(now) < MAX_LINES_WITHOUT_HUNKS:
        lines = [line for line in lines if not line.startswith("@@")]
    return [_fenced("\n".join(lines))] if lines else []


def _fenced(text: str) -> str:
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall(r"`+", text))])
    return f"{fence}diff\n{text}\n{fence}"


def _code(text: str) -> str:
    fence = "`" * max([1, *(len(found) + 1 for found in re.findall(r"`+", text))])
    return f"{fence}{text}{fence}"
