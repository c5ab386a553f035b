"""Health: whether the process serves, and whether the service is ready."""

from time import monotonic
from typing import Literal

import asyncpg
import attrs
from litestar import Controller, get
from litestar.di import NamedDependency as Injected

from service.http.request import ServiceRequest
from service.postgres import Database
from service.problems import Unavailable
from service.sql import many
from service.telemetry import gauge


@attrs.define(slots=False)
class AppliedMigration:
    """A migration that was applied to the database, and the checksum of its file."""

    migration_id: str
    sha256: str


@attrs.frozen
class RequiredSchema:
    """The schema that this code needs: the checksum of each migration, by its id."""

    checksums: dict[str, str]


@attrs.define
class Readiness:
    """Checks that the database of `db` answers, and that it has the `schema`."""

    db: Database
    schema: RequiredSchema
    seconds: float
    """How long a check that succeeded counts, so that an instance does not leave its balancer for a slow moment."""
    _good_until: float = 0.0

    async def check(self) -> None:
        """Raise Unavailable if the service is not ready."""
        if monotonic() < self._good_until:
            return
        applied = await applied_migrations(self.db, self.schema)
        # A database that is ahead is fine: new and old code live together while one replaces the other.
        if missing := [name for name in self.schema.checksums if name not in applied]:
            raise Unavailable(f"The schema is behind: {missing[0]} is not applied; run python -m service migrate")
        if edited := [name for name, checksum in self.schema.checksums.items() if applied[name] != checksum]:
            raise Unavailable(f"The schema does not match: {edited[0]} has changed since it was applied")
        self._good_until = monotonic() + self.seconds


@attrs.frozen
class Health:
    """The state of the service."""

    status: Literal["live", "ready"]


LIST_APPLIED_MIGRATIONS = many("system.list_applied_migrations", AppliedMigration)
# The latest value counts: another worker may have looked before a migration.
NEEDED = gauge("migrations_needed", "Migrations that this code needs", is_latest=True)
APPLIED = gauge("migrations_applied", "Those of them that the database has had", is_latest=True)


async def applied_migrations(db: Database, schema: RequiredSchema) -> dict[str, str]:
    """Return the checksums of the applied migrations by their ids."""
    NEEDED.set(len(schema.checksums))
    try:
        rows = await db.many(LIST_APPLIED_MIGRATIONS)
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {row.migration_id: row.sha256 for row in rows}
    APPLIED.set(len(applied.keys() & schema.checksums.keys()))
    return applied


class HealthController(Controller):
    """Liveness and readiness."""

    path = "/health"
    tags = ("system",)
    opt = {"any_query": True}  # noqa: RUF012 - Litestar's own; some platforms add a parameter against caches

    @get("/live", sync_to_thread=False)
    def live(self) -> Health:
        """Report that the process serves; asks nothing else."""
        return Health("live")

    @get("/ready")
    async def ready(self, request: ServiceRequest, readiness: Injected[Readiness]) -> Health:
        """Report whether the service is ready: database reachable, schema current, not shutting down."""
        if request.app.draining:
            raise Unavailable("draining: this process is shutting down")
        await readiness.check()
        return Health("ready")
