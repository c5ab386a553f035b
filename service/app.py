"""The application: what it is put together from."""

import gc
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.types import ASGIApp
from typing_extensions import override

from service.auth.controllers import AuthController
from service.auth.passwords import Passwords
from service.auth.throttle import LoginThrottle
from service.auth.tokens import Tokens
from service.http.errors import answer
from service.http.fast_path import short_ways
from service.http.health import HealthController, Schema, applied_migrations, docs_file, docs_page
from service.http.middleware import edge
from service.http.openapi import openapi_config
from service.http.request import ServiceRequest
from service.http.routing import complete_routes, refusing_preflights_plainly
from service.migrate.files import MIGRATIONS, expected_checksums
from service.pets.controllers import PetsController
from service.postgres.database import Connections, Database
from service.postgres.pool import Pool
from service.postgres.queries import names
from service.postgres.replica import Replicated, Standby
from service.problems import Unavailable
from service.server.shutdown import drain_on_sigterm, end_with_parent
from service.settings import Settings, wants_traces
from service.telemetry import logging as logs
from service.telemetry.metrics import DIRECTORY, NO_ROUTE, Layout, Level, Metrics, measuring
from service.users.controllers import UsersController

if TYPE_CHECKING:
    from service.telemetry.tracing import Traces

CONTROLLERS = [
    AuthController,
    UsersController,
    PetsController,
    HealthController,
]
LARGEST_BODY = 64 * 1024  # bytes
# What a page of another origin may read of an answer's headers.
EXPOSED = [
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]


class Service(Litestar):
    """The application, and what requests find on it."""

    db: Database
    tokens: Tokens
    metrics: Metrics | None = None
    # Whether this process is about to end.
    draining = False

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or live (ASGI); without hooks around each message, Litestar needs not wrap it."""
        if scope["type"] == "lifespan" or self.before_send:
            await super().__call__(scope, receive, send)
            return
        scope["litestar_app"] = scope["app"] = self
        await self.asgi_handler(scope, receive, send)


def create_app(
    settings: Settings,
    connections: Connections | None = None,
    metrics_directory: Path | None = None,
    traces: "Traces | None" = None,
) -> Service:
    """Put the service together; `connections` are those of a pool, unless others are given.

    Metrics are kept in files of `metrics_directory`; without one, there are none. `traces` are made of each request.
    """
    lent = connections or pool(settings)
    passwords = Passwords()
    tokens = Tokens(settings)
    throttle = LoginThrottle(settings)
    schema = Schema(expected_checksums(MIGRATIONS))
    cors = (
        CORSConfig(allow_origins=list(settings.cors_origins), expose_headers=EXPOSED) if settings.cors_origins else None
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        parts = [passwords, lent] if isinstance(lent, Pool | Replicated) else [passwords]
        async with traces.sending() if traces else nullcontext(), lent.open(), measuring(app.metrics, *parts):
            if app.metrics:
                with suppress(Unavailable, asyncpg.PostgresError):  # readiness will tell
                    await applied_migrations(app.db, schema, app.metrics)
            yield
        passwords.close()
        if app.metrics:
            app.metrics.close()
        logs.flush()

    app = Service(
        route_handlers=[*CONTROLLERS, docs_page, docs_file],
        dependencies={
            "passwords": _always(passwords),
            "schema": _always(schema),
            "settings": _always(settings),
            "throttle": _always(throttle),
            "tokens": _always(tokens),
        },
        lifespan=[lifespan],
        request_class=ServiceRequest,
        request_max_body_size=LARGEST_BODY,
        exception_handlers={Exception: answer},
        cors_config=cors,
        openapi_config=openapi_config(CONTROLLERS),
        logging_config=None,
    )
    app.db = Database(traces.queries(lent) if traces else lent)
    app.tokens = tokens
    if metrics_directory:
        if settings.metrics_token:
            from service.http.metrics import metrics_route  # noqa: PLC0415 - prometheus-client takes 40 ms to import

            app.register(metrics_route(settings.metrics_token, metrics_directory))
        app.metrics = throttle.metrics = Metrics(metrics_directory, _layout(app))
        # Known though the database may be away; then none is known to be applied.
        app.metrics.set(Level.MIGRATIONS_NEEDED, len(schema.checksums))
        if isinstance(lent, Pool | Replicated):
            lent.metrics = app.metrics
    complete_routes(app)
    app.asgi_handler = _layers(app, settings, cors, traces)
    return app


def _layers(app: Service, settings: Settings, cors: CORSConfig | None, traces: "Traces | None") -> ASGIApp:
    """Return what a request passes, from the outside in: each wraps what stands within its parentheses."""
    hops = settings.trusted_proxy_hops

    def traced(inner: ASGIApp) -> ASGIApp:
        return traces.requests(inner, hops) if traces else inner

    def plainly_refused(inner: ASGIApp) -> ASGIApp:
        return refusing_preflights_plainly(inner, cors) if cors else inner

    # Every answer has an id and a line of log, so the edge is first; a span knows that id. What Litestar adds itself,
    # CORS say, is in its own handler.
    layers = traced(plainly_refused(short_ways(app, app.asgi_handler)))
    return edge(layers, settings.allowed_hosts, hops, app.metrics)


def pool(settings: Settings) -> Pool | Replicated:
    """Return the connections that the settings describe, not yet open."""
    options = {
        "size": settings.database_pool_size,
        "statement_cache": settings.database_statement_cache,
        "statement_timeout": settings.database_statement_timeout,
        "lock_timeout": settings.database_lock_timeout,
        "slow_query": settings.slow_query_ms,
    }
    primary = Pool(settings.database_url, **options)
    if settings.database_replica_url is None:
        return primary
    return Replicated(
        primary, Standby(settings.database_replica_url, max_lag=settings.database_replica_max_lag, **options)
    )


def _layout(app: Litestar) -> Layout:
    """Return what there is to count: each query, and each method of each route; HEAD goes where GET goes."""
    routes = {(method, route.path_format) for route in app.routes for method in getattr(route, "methods", ())}
    heads = {("HEAD", path) for method, path in routes if method == "GET"}
    return Layout(tuple(names()), (*sorted(routes | heads), NO_ROUTE))


def from_environment(connect: Callable[[Settings], Connections] = pool, door: socket.socket | None = None) -> Service:
    """Make the service as the environment says; each worker process calls this.

    `door` is the listening socket of a process that shares it with no other. Raises SettingsError.
    """
    settings = Settings.read()
    logs.configure(settings.log_level, settings.log_format)
    directory = os.environ.get(DIRECTORY)
    app = create_app(settings, connect(settings), Path(directory) if directory else None, _traces())

    async def begin() -> None:
        # A page of 1,000 rows takes 1.3 ms of CPU then, and 2.3 if each collection that its objects bring about looks
        # again at all that was there before.
        gc.collect()
        gc.freeze()
        end_with_parent()
        if settings.drain_seconds:
            drain_on_sigterm(app, settings.drain_seconds, door)

    app.on_startup.append(begin)
    return app


def _traces() -> "Traces | None":
    if not wants_traces():
        return None
    from service.telemetry.tracing import Traces  # noqa: PLC0415 - an extra

    return Traces()


def _always(instance: object) -> Provide:
    """Give each handler that asks for it the same `instance`."""
    provide: Callable[[], object] = lambda: instance  # noqa: E731 - a name for mypy
    return Provide(provide, sync_to_thread=False)
