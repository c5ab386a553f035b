"""Everything that the book shows; `gathering` collects it."""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import attrs

from service.postgres import Statement
from service.sqlbook.effects import Effect
from service.sqlbook.endpoints import Endpoint
from service.sqlbook.plan_tree import PlanNode
from service.sqlbook.psql import LiveFile
from service.sqlcheck import (
    Change,
    Description,
    Finding,
    Function,
    Grant,
    Lock,
    QueryReference,
    ResultColumn,
    Schema,
)

# A line of the comment at the start of a migration, before its directives.
COMMENT_LINE = re.compile(r"-- (?!depends:|transactional:|[\w-]+: ok ).*")


@attrs.frozen
class Size:
    """The size of a table or an index; `total`, in bytes, includes its indexes and TOAST data."""

    rows: int
    bytes: int
    total: int


@attrs.frozen
class Result:
    """A column of a result: whether it can be null and why, and the field that it becomes."""

    column: ResultColumn
    optional: bool
    why: str
    becomes: str


@attrs.frozen
class QueryPage:
    """A query and its analysis. If PostgreSQL rejects it, `refused` is the reason, and the analysis is empty."""

    statement: Statement
    references: list[QueryReference]
    endpoints: list[Endpoint]
    description: Description | None = None
    refused: Finding | None = None
    results: list[Result] = attrs.field(factory=list)
    effects: list[Effect] = attrs.field(factory=list)
    advisory: list[str] = attrs.field(factory=list)
    functions: list[Function] = attrs.field(factory=list)
    plan: PlanNode | None = None

    @property
    def name(self) -> str:
        """The name of the query."""
        return self.statement.name


@attrs.frozen
class MigrationPage:
    """A migration: its file and rollback file, its locks, and its changes of the schema."""

    name: str
    path: Path
    depends: list[str]
    transactional: bool
    checksum: str
    locks: list[Lock] | None
    changes: list[Change]

    @property
    def text(self) -> str:
        """The content of its file."""
        return self.path.read_text("utf-8")

    @property
    def rollback(self) -> str:
        """The content of its rollback file."""
        return self.path.with_suffix(".rollback.sql").read_text("utf-8")

    @property
    def purpose(self) -> str:
        """The comment at the start of its file."""
        lines = takewhile(COMMENT_LINE.fullmatch, self.text.split("\n"))
        return " ".join(line.removeprefix("-- ").strip() for line in lines)


@attrs.frozen
class Contents:
    """Everything that the book shows."""

    project: str
    revision: str
    postgresql: str
    schema: Schema
    queries: Mapping[str, QueryPage]
    migrations: Mapping[str, MigrationPage]
    grants: list[Grant]
    endpoints: list[Endpoint]
    live: list[LiveFile]
    findings: list[Finding]
    sizes: Mapping[tuple[str, str], Size] | None
