"""The text of the migrations: where each part of the schema is created, and which findings they accept."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
from pglast import parse_sql
from pglast.parser import ParseError

from service.migrate import after_comments, migration_files, migration_text
from service.sqlcheck.analysis.parse_tree import ParseNode, walk_parsed
from service.sqlcheck.findings import Finding

# `-- unread: ok user_model.created_at, pets."Note" (support reads them)`, in any migration.
NAME = r'(?:[\w.-]|"[^"\n]+")+'
ACCEPTED = re.compile(rf"^-- (?P<check>[a-z-]+): ok (?P<names>{NAME}(?:, {NAME})*) \(\S.*", re.MULTILINE)
# Checks that depend on more than the migrations: a database, an option, or queries. A reason of `locks` is no name.
DEPENDENT_CHECKS = {"drift", "locks", "rollback", "unread"}
# Statements that create a part: its kind, and the field that contains its name, after its schema's.
CREATED = {
    "CreateDomainStmt": ("domain", "domainname"),
    "CreateEnumStmt": ("enum", "typeName"),
    "CreateFunctionStmt": ("function", "funcname"),
    "CreateRangeStmt": ("type", "typeName"),
}
Part = tuple[str, str]  # the kind and the name of a part of the schema; a column is named table.column


@attrs.frozen
class Place:
    """A line of a migration."""

    path: str
    line: int


class MigrationFiles:
    """The migrations of a folder, in the order of their names."""

    def __init__(self, directory: Path) -> None:
        """Read and parse the migrations. Raises MigrationError."""
        self.texts: dict[str, str] = {}
        self.places: dict[Part, Place] = {}
        # By check and name: the accepted findings, and those that were made.
        self._accepted: dict[Part, Place] = {}
        self._found: set[Part] = set()
        for file in migration_files(directory):
            path, text = f"{directory.name}/{file.name}", migration_text(file)
            self.texts[path] = text
            for part, offset in _parts(text):
                self.places[part] = _place(path, text, offset)
            for match in ACCEPTED.finditer(text):
                place = _place(path, text, match.start())
                self._accepted |= {
                    (match["check"], each.replace('"', "")): place for each in re.findall(NAME, match["names"])
                }

    def body(self, function: str, source: str) -> Place:
        """Return the place of a function's body, in the newest migration that contains it."""
        for path, text in reversed(self.texts.items()):
            if source and source in text:
                return _place(path, text, text.rindex(source))
        return self.place_of("function", function)

    def find(self, check: str, kind: str, name: str, sentence: str, place: Place | None = None) -> Iterator[Finding]:
        """Yield a finding about a part of the schema, unless it is accepted; for a column, also that of its table.

        :param place: the place of the finding; by default, that where the part is created
        """
        self._found.add((check, name))
        table = name.partition(".")[0] if kind == "column" else name
        if not {(check, name), (check, table)} & self._accepted.keys():
            where = place or self.place_of(kind, name)
            yield Finding(where.path, where.line, sentence, check)

    def unneeded_acceptances(self) -> Iterator[Finding]:
        """Report acceptances without a finding, only in the newest migration: applied migrations cannot be edited."""
        newest = max(self.texts, default="")
        for (check, name), place in self._accepted.items():
            if place.path == newest and (check, name) not in self._found and check not in DEPENDENT_CHECKS:
                yield Finding(place.path, place.line, f"'{check}: ok {name}' accepts no finding", "marker")

    def place_of(self, kind: str, name: str, table: str = "") -> Place:
        """Return where a part of the schema is created; otherwise where its table is, or the first migration."""
        known = self.places.get((kind, name)) or self.places.get(("table", table or name.partition(".")[0]))
        return known or Place(next(iter(self.texts), "migrations"), 1)


def _place(path: str, text: str, offset: int) -> Place:
    return Place(path, text.count("\n", 0, offset) + 1)


def _parts(text: str) -> Iterator[tuple[Part, int]]:
    """Yield the parts that a migration creates or renames, with their offsets."""
    try:
        statements = parse_sql(text)
    except ParseError:  # PostgreSQL decides what is valid; this parser may be of another release
        return
    for statement in statements:
        start = after_comments(text, statement.stmt_location or 0)
        for node in walk_parsed(statement.stmt):
            yield from _created_by(node, start)


def _created_by(node: ParseNode, start: int) -> Iterator[tuple[Part, int]]:
    match type(node).__name__:
        case "CreateStmt":
            yield ("table", node.relation.relname), node.relation.location
            yield from _columns(node.relation.relname, node.tableElts)
        case "AlterTableStmt":
            yield from _columns(node.relation.relname, [each.def_ for each in node.cmds])
        case "CreateTableAsStmt":  # a materialized view, too
            yield ("table", node.into.rel.relname), node.into.rel.location
        case "ViewStmt":
            yield ("table", node.view.relname), node.view.location
        case "CompositeTypeStmt":
            yield ("type", node.typevar.relname), start
        case "CreateSeqStmt":
            yield ("sequence", node.sequence.relname), node.sequence.location
        case statement if statement in CREATED:
            kind, names = CREATED[statement]
            yield (kind, getattr(node, names)[-1].sval), start
        case "IndexStmt" if node.idxname:
            yield ("index", node.idxname), node.relation.location
        case "RenameStmt" if node.relation:
            yield ("table", node.newname), node.relation.location
            yield ("index", node.newname), node.relation.location
            yield ("column", f"{node.relation.relname}.{node.newname}"), node.relation.location


def _columns(table: str, elements: ParseNode) -> Iterator[tuple[Part, int]]:
    for node in walk_parsed(tuple(elements or ())):
        kind = type(node).__name__
        if kind == "ColumnDef":
            yield ("column", f"{table}.{node.colname}"), node.location
        elif kind == "Constraint" and (node.conname or node.fk_attrs):  # a constraint can have an index
            name = node.conname or "_".join([table, *(each.sval for each in node.fk_attrs), "fkey"])
            yield ("index", name), node.location
