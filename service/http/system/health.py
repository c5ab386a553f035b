"""Health checks: liveness (the process responds) and readiness (database reachable, schema current)."""

from collections.abc import Collection, Mapping
from time import monotonic
from typing import Literal, NoReturn

import asyncpg
import attrs
from litestar import Controller, get
from litestar.di import NamedDependency as Injected

from service.http.request import ServiceRequest
from service.postgres import Database
from service.problems import Unavailable
from service.sql import many
from service.telemetry import gauge, log


@attrs.define(slots=False)
class AppliedMigration:
    """A migration that is applied to the database, and the checksum of its file."""

    migration_id: str
    sha256: str


@attrs.define
class Readiness:
    """Checks that the database is reachable, and that the migrations of this code are applied to it."""

    db: Database
    checksums: Mapping[str, str]
    """The checksum of each migration by its id."""
    cache_seconds: float
    """How long a successful check is cached, so that load balancers do not drop an instance after one slow response."""
    _ready_until: float = 0.0
    _mismatch: str | None = None

    async def check(self) -> None:
        """Raise Unavailable if the service is not ready."""
        if monotonic() < self._ready_until:
            return
        try:
            applied = await applied_migrations(self.db, self.checksums)
        except asyncpg.InsufficientPrivilegeError as error:
            self._refuse(f"PostgreSQL says: {error.args[0]}; grant it to the role of DATABASE_URL")
        # The database can be ahead: during a deployment, old and new code run side by side.
        if missing := [name for name in self.checksums if name not in applied]:
            self._refuse(f"The schema is behind: {missing[0]} is not applied; run python -m service migrate")
        if edited := [name for name, sha256 in self.checksums.items() if applied[name] != sha256]:
            self._refuse(f"The schema does not match: {edited[0]} has changed since it was applied")
        self._mismatch, self._ready_until = None, monotonic() + self.cache_seconds

    def _refuse(self, mismatch: str) -> NoReturn:
        """Log `mismatch` once, because load balancers discard the response, and raise Unavailable."""
        if mismatch != self._mismatch:
            log.error("not ready", reason=mismatch)
        self._mismatch = mismatch
        raise Unavailable(mismatch)


@attrs.frozen
class Health:
    """The state of the service."""

    status: Literal["live", "ready"]


LIST_APPLIED_MIGRATIONS = many("system.list_applied_migrations", AppliedMigration)
# The latest value counts, because another worker may have checked before a migration.
MIGRATIONS_NEEDED = gauge("migrations_needed", "Migrations that this code needs", is_latest=True)
MIGRATIONS_APPLIED = gauge(
    "migrations_applied", "Migrations needed by this code that are applied to the database", is_latest=True
)


async def applied_migrations(db: Database, needed: Collection[str]) -> dict[str, str]:
    """Return the checksum of each applied migration by its id; set the gauges for the ids that this code needs."""
    try:
        rows = await db.many(LIST_APPLIED_MIGRATIONS)
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {row.migration_id: row.sha256 for row in rows}
    # Both, or neither: while the database is unavailable, the schema is not known to be behind.
    MIGRATIONS_NEEDED.set(len(needed))
    MIGRATIONS_APPLIED.set(len(applied.keys() & set(needed)))
    return applied


class HealthController(Controller):
    """Liveness and readiness."""

    path = "/health"
    tags = ("system",)
    # Some platforms add a parameter to bypass caches.
    opt = {"any_query": True}  # noqa: RUF012 - Litestar declares it

    @get("/live", sync_to_thread=False)
    def live(self) -> Health:
        """Report that the process is running; does not check the database."""
        return Health("live")

    @get("/ready")
    async def ready(self, request: ServiceRequest, readiness: Injected[Readiness]) -> Health:
        """Report whether the service is ready: database reachable, schema current, not shutting down."""
        if request.app.is_draining:
            raise Unavailable("draining: this process is shutting down")
        await readiness.check()
        return Health("ready")
