"""Writes the book: a folder of HTML pages that open from disk, with their stylesheet and search."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import jinja2
import pygments  # type: ignore[import-untyped]  # pygments ships no types
from markupsafe import Markup, escape
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]  # the same
from pygments.lexers.sql import PostgresLexer  # type: ignore[import-untyped]  # the same

from service.problems import OperatorError
from service.sqlbook import diagram
from service.sqlbook.contents import Contents, QueryPage
from service.sqlbook.effects import Effect
from service.sqlbook.mermaid import mermaid
from service.sqlbook.plan_tree import PlanNode, better_index
from service.sqlbook.psql import psql
from service.sqlcheck import Index, Schema, Table, Trigger

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = ("book.css", "book.js")
BOOK_MARKER = '<meta name="generator" content="python -m service sql book">'
CODE = re.compile(r"``(.+?)``|`(.+?)`")
MAX_NAME = 200  # characters of a query's or table's name in a file name; file systems allow 255 bytes in total
UNITS = ("bytes", "kB", "MB", "GB", "TB")


class FolderError(OperatorError):
    """The folder cannot be written, or contains an index.html that is not part of a book."""


def write(contents: Contents, out: Path) -> int:
    """Write the book into the folder `out`, replacing an existing book; return the number of pages.

    Raises FolderError.
    """
    environment = _environment(contents)
    pages = list(_pages(contents))
    try:
        _clear(out)
        for page in pages:
            text = environment.get_template(f"{page.template}.jinja").render(page=page, **page.variables)
            (out / page.file).write_text(text, "utf-8")
        (out / "schema.mmd").write_text(mermaid(contents.schema), "utf-8")
        for name in ASSETS:
            shutil.copyfile(TEMPLATES / name, out / name)
        (out / "search.js").write_text(f"const BOOK = {_script(list(_search_entries(contents)))};\n", "utf-8")
    except OSError as error:
        raise FolderError(f"{error.filename or out}: {error.strerror}; choose another folder (--out DIR)") from error
    return sum(page.file.endswith(".html") for page in pages)


def _clear(out: Path) -> None:
    """Create the folder, and remove the pages of an earlier book, which can have pages of removed tables."""
    out.mkdir(parents=True, exist_ok=True)
    found = {page: BOOK_MARKER in page.read_text("utf-8", "replace") for page in out.glob("*.html")}
    if not found.get(out / "index.html", True):
        raise FolderError(f"{out / 'index.html'} is not part of a book: choose another folder (--out DIR)")
    for page, is_book in found.items():
        if is_book:
            page.unlink()


@attrs.frozen
class Page:
    """A page: its file, its title, its template, and the variables of the template."""

    file: str
    title: str
    template: str
    variables: dict[str, Any] = attrs.field(factory=dict)


def file(kind: str, name: str) -> str:
    """Return the file name of a page, unique also on case-insensitive file systems."""
    safe = re.sub(r"[^a-z0-9_.-]", lambda found: f"~{ord(found[0]):x}~", name)
    if len(safe) > MAX_NAME:
        safe = f"{safe[:MAX_NAME]}~{sha256(name.encode()).hexdigest()[:16]}"
    return f"{kind}-{safe}.html"


def _pages(contents: Contents) -> Iterator[Page]:
    drawn = diagram.diagram(contents.schema)
    yield Page("index.html", contents.project, "index.html", {"drawn": drawn})
    yield Page("schema.svg", contents.project, "schema.svg", {"drawn": drawn, "style": _style()})
    for table in contents.schema.tables.values():
        around = diagram.neighbours(contents.schema, table)
        about = {
            "table": table,
            "drawn": diagram.diagram(contents.schema, around) if len(around) > 1 else None,
            "touching": _queries_touching(contents, table),
            "history": _history(contents, table.name),
        }
        yield Page(file("table", table.name), table.name, "table.html", about)
    for query in contents.queries.values():
        yield Page(file("query", query.name), query.name, "query.html", {"query": query})
    for migration in contents.migrations.values():
        yield Page(file("migration", migration.name), migration.name, "migration.html", {"migration": migration})
    for title in ("Functions", "Triggers", "Sequences", "Types", "Grants", "Endpoints", "Live database", "Findings"):
        name = f"{title.lower().replace(' ', '-')}.html"
        yield Page(name, title, name)


def _style() -> Markup:
    """Return the CSS of the diagram with custom properties replaced by their values: not all programs support them."""
    css = (TEMPLATES / "book.css").read_text("utf-8")
    colours = dict(re.findall(r"(--[\w-]+): ([^;]+);", css.partition("@media")[0]))
    rules = "\n".join(line for line in css.split("\n") if line.startswith(".diagram"))
    return Markup(re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], rules))  # noqa: S704 - a constant or a file of this package


def _queries_touching(contents: Contents, table: Table) -> list[tuple[QueryPage, list[Effect]]]:
    """Return the queries that touch a table, with their effects on it."""
    found = [
        (query, [each for each in query.effects if each.table == table.name]) for query in contents.queries.values()
    ]
    return [(query, effects) for query, effects in found if effects]


def _history(contents: Contents, table: str) -> list[str]:
    """Return the migrations that created or changed a table."""
    return [
        migration.name
        for migration in contents.migrations.values()
        if any(table == (change.table or change.name) for change in migration.changes)
    ]


def _environment(contents: Contents) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "bytes": size,
        "number": lambda number: f"{number:,.0f}",
        "prose": prose,
        "short": diagram.short,
        "sql": highlighted,
    }
    environment.filters |= filters
    features = groupby(contents.queries.values(), lambda query: query.name.partition(".")[0])  # sorted by them
    schemas = groupby(contents.schema.tables.values(), lambda table: table.schema)
    environment.globals |= {
        "better": lambda node: _better(contents, node),
        "book": contents,
        "columns_of": lambda type_: [
            (table.name, column.name)
            for table in contents.schema.tables.values()
            for column in table.columns
            if column.type.removesuffix("[]") == type_
        ],
        "features": {name: list(queries) for name, queries in features},
        "href": lambda kind, name: quote(file(kind, name)),
        "generator": Markup(BOOK_MARKER),  # noqa: S704 - a constant or a file of this package
        "marks": diagram.marks,
        "place": lambda path, line: _place(contents, path, line),
        "psql": psql,
        "schemas": {name: list(tables) for name, tables in schemas},
        "serving": lambda index: [
            query for query in contents.queries.values() if index in _used_indexes(contents, query)
        ],
        "size_of": lambda schema, name: contents.sizes.get((schema, name)) if contents.sizes else None,
        "triggers": _triggers(contents),
        "used_in": lambda signature: [
            query for query in contents.queries.values() if signature in {each.signature for each in query.functions}
        ],
    }
    return environment


def _triggers(contents: Contents) -> list[tuple[str, Trigger]]:
    """Return all triggers and rules, with the names of their tables, which event triggers do not have."""
    of_tables = [(table.name, each) for table in contents.schema.tables.values() for each in table.triggers]
    return of_tables + [("", each) for each in contents.schema.event_triggers]


def _used_indexes(contents: Contents, query: QueryPage) -> set[str]:
    """Return the indexes that a query uses."""
    nodes = query.plan.nodes() if query.plan else ()
    return {better.name if (better := _better(contents, node)) else node.index for node in nodes}


def _better(contents: Contents, node: PlanNode) -> Index | None:
    """Return an index that suits a node better, for plans on empty tables only: measured plans use the best index."""
    return None if contents.sizes else better_index(node, contents.schema)


def _place(contents: Contents, path: str, line: int) -> str:
    """Return the link to a line of a file, or an empty string if no page shows it."""
    folder, _, name = path.removesuffix(".sql").partition("/")
    if folder == "sql" and (query := name.replace("/", ".")) in contents.queries:
        return f"{quote(file('query', query))}#L{line}"
    if folder == "migrations" and name in contents.migrations:
        return f"{quote(file('migration', name))}#L{line}"
    return ""


def highlighted(text: str, anchor: str) -> Markup:
    """Return SQL as highlighted lines of HTML; with an `anchor`, links such as ``#L3`` lead to them."""
    html = pygments.highlight(text, PostgresLexer(stripnl=False), HtmlFormatter(nowrap=True)).rstrip("\n")
    lines = [
        f'<span class="line"{(f" id={anchor}{number}") if anchor else ""}>{line}\n</span>'
        for number, line in enumerate(html.split("\n"), 1)
    ]
    return Markup("".join(lines))  # noqa: S704 - pygments has escaped it


def prose(text: str) -> Markup:
    """Return a text of a comment or a docstring as HTML, with backticks as code."""
    return Markup(CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", str(escape(text))))  # noqa: S704 - escaped


def size(bytes_: float) -> str:
    """Return a size for people, such as 120 MB."""
    for unit in UNITS[:-1]:
        if bytes_ < 1000:  # noqa: PLR2004 - SI
            digits = 0 if unit == "bytes" or bytes_ >= 10 else 1  # noqa: PLR2004 - two digits are enough
            return f"{bytes_:.{digits}f} {unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f} {UNITS[-1]}"


def _search_entries(contents: Contents) -> Iterator[tuple[str, str, str, str]]:
    """Yield the entries of the search index: kind, title, link and text."""
    yield from _schema_entries(contents.schema)
    for table, trigger in _triggers(contents):
        at = f"triggers.html#{quote(f'{table}.{trigger.name}')}"
        yield trigger.kind, trigger.name, at, trigger.definition
    for query in contents.queries.values():
        yield "query", query.name, quote(file("query", query.name)), query.statement.sql
    for migration in contents.migrations.values():
        yield "migration", migration.name, quote(file("migration", migration.name)), migration.text
    for endpoint in contents.endpoints:
        title = f"{endpoint.method} {endpoint.path}"
        yield "endpoint", title, f"endpoints.html#{endpoint.handler}", f"{endpoint.purpose} {endpoint.handler}"
    for each in contents.live:
        yield "live database", each.name, f"live-database.html#{quote(each.name)}", each.text
    for finding in contents.findings:
        yield "finding", f"{finding.path}:{finding.line}", "findings.html", f"{finding.check}: {finding.sentence}"


def _schema_entries(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    for table in schema.tables.values():
        yield from _table_entries(table)
    for function in schema.functions.values():
        at = f"functions.html#{quote(function.signature)}"
        yield "function", function.signature, at, f"{function.comment} {function.body}"
    for sequence in schema.sequences.values():
        yield "sequence", sequence.name, f"sequences.html#{quote(sequence.name)}", sequence.comment
    for each in schema.types.values():
        yield each.kind, each.name, f"types.html#{quote(each.name)}", f"{each.definition} {each.comment}"


def _table_entries(table: Table) -> Iterator[tuple[str, str, str, str]]:
    at = quote(file("table", table.name))
    yield table.kind, table.name, at, table.comment
    for column in table.columns:
        text = f"{diagram.short(column.declared)} {column.comment}"
        yield "column", f"{table.name}.{column.name}", f"{at}#column-{quote(column.name)}", text
    for constraint in table.constraints:
        yield "constraint", constraint.name, f"{at}#constraints", f"{constraint.definition} {constraint.comment}"
    for index in table.indexes:
        yield "index", index.name, f"{at}#indexes", f"{index.method} {index.comment}"


def _script(value: object) -> str:
    """Return a value as JavaScript."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
