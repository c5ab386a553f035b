"""What operators and newcomers ask: does it live, is it ready, what can it do."""

import time
from pathlib import Path
from typing import Literal

import asyncpg
import attrs
from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency as Injected
from litestar.params import FromPath
from litestar.response import File

from service.http.request import ServiceRequest
from service.postgres import Database
from service.problems import NotFound, Unavailable
from service.sql import many
from service.telemetry import Gauge, Metrics

# The page and what it loads, by name: nothing that a client writes becomes a path.
SWAGGER_UI = {path.name: path for path in (Path(__file__).parent / "swagger_ui").iterdir()}
# The page loads its own script and style, calls its own service, and nothing else.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@attrs.define(slots=False)
class AppliedMigration:
    """A migration that the database has had, and the checksum of its file."""

    migration_id: str
    sha256: str


@attrs.frozen
class RequiredSchema:
    """The schema that this code needs: the checksum of each migration, by its id."""

    checksums: dict[str, str]


@attrs.frozen
class Health:
    """How the service is."""

    status: Literal["live", "ready"]


LIST_APPLIED_MIGRATIONS = many("system.list_applied_migrations", AppliedMigration)


async def applied_migrations(db: Database, schema: RequiredSchema, metrics: Metrics | None) -> dict[str, str]:
    """Return the checksums of the migrations that the database has had, by id; `metrics` are told how many."""
    try:
        rows = await db.many(LIST_APPLIED_MIGRATIONS)
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {row.migration_id: row.sha256 for row in rows}
    if metrics:
        metrics.set(Gauge.MIGRATIONS_APPLIED, len(applied.keys() & schema.checksums.keys()))
        metrics.set(Gauge.MIGRATIONS_CHECKED_AT, time.time())
    return applied


class HealthController(Controller):
    """Liveness and readiness."""

    path = "/health"
    tags = ("system",)

    @get("/live", sync_to_thread=False)
    def live(self) -> Health:
        """Tell that the process serves; asks nobody else."""
        return Health("live")

    @get("/ready")
    async def ready(self, request: ServiceRequest, schema: Injected[RequiredSchema]) -> Health:
        """Tell that the database answers, that its schema is the one that this code needs, and that this will go on."""
        if request.app.draining:  # type: ignore[attr-defined]  # of Service, in app.py
            raise Unavailable("draining: this process is about to end")
        applied = await applied_migrations(request.db, schema, request.metrics)
        # A database that is ahead is fine: new and old code live together while one replaces the other.
        if missing := [name for name in schema.checksums if name not in applied]:
            raise Unavailable(f"The schema is behind: {missing[0]} is not applied; run python -m service migrate")
        if edited := [name for name, checksum in schema.checksums.items() if applied[name] != checksum]:
            raise Unavailable(f"The schema is another one: {edited[0]} was applied from another file")
        return Health("ready")


@get("/", media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=False)
def docs_page() -> Response[str]:
    """Show the interactive documentation."""
    page = SWAGGER_UI["index.html"].read_text(encoding="utf-8")
    return Response(page, headers={"Content-Security-Policy": PAGE_POLICY})


@get("/docs/{name:str}", include_in_schema=False, sync_to_thread=False)
def docs_file(name: FromPath[str]) -> File:
    """Send one of the files that the documentation is made of."""
    if name not in SWAGGER_UI:
        raise NotFound
    return File(SWAGGER_UI[name], filename=name, content_disposition_type="inline")
