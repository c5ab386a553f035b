"""Builds the application from the settings: controllers, lifespan, middleware."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.types import ASGIApp

from service.api import API
from service.auth.controllers import AuthController
from service.auth.guard import check_request
from service.auth.passwords import Passwords
from service.auth.throttle import LoginThrottle
from service.auth.tokens import Tokens
from service.http import (
    Application,
    CompleteRoutes,
    HealthController,
    Readiness,
    RequiredSchema,
    RowSchemas,
    ServiceRequest,
    applied_migrations,
    docs_file,
    docs_page,
    exception_handler,
    fast_path_middleware,
    openapi_config,
    preflight_middleware,
    request_middleware,
)
from service.migrate import MIGRATIONS, expected_checksums
from service.pets.controllers import PetsController
from service.postgres import Database, OutageLog, Pool, PoolLike, ProbePool, ReplicaPool, ReplicaRouter, query_names
from service.problems import Unavailable
from service.settings import Settings, wants_traces
from service.telemetry import (
    METRICS_DIRECTORY_VARIABLE,
    close_log,
    configure_logging,
    recorder,
    sampling,
)
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts
from service.users.controllers import UsersController

if TYPE_CHECKING:
    from service.telemetry import Traces

# Your features; no other file lists them.
CONTROLLERS = [
    AuthController,
    UsersController,
    PetsController,
]
MAX_BODY_BYTES = 64 * 1024
# Response headers that scripts of other origins can read (Access-Control-Expose-Headers).
CORS_EXPOSED_HEADERS = [
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]


class Service(Application):
    """The application. Tests sign tokens with its `tokens`."""

    tokens: Tokens


def create_app(
    settings: Settings,
    connections: PoolLike | None = None,
    metrics_directory: Path | None = None,
    traces: "Traces | None" = None,
) -> Service:
    """Build the application from `settings`.

    :param connections: run the queries on these, by default on the pool that `settings` describe; if given, readiness
        uses them too, and checks the database at each request
    :param metrics_directory: count metrics in files of this folder; by default, count nothing
    :param traces: record spans with this; by default, record none
    """
    outages = OutageLog()
    pool = connections or connection_pool(settings, outages)
    # Readiness has its own connection, so that it responds while all others are in use.
    probe = connections or ProbePool(settings.database_url, outages=outages, **_pool_options(settings) | {"size": 1})
    passwords = Passwords()
    tokens = Tokens(settings)
    throttle = LoginThrottle(settings)
    schema = RequiredSchema(expected_checksums(MIGRATIONS))
    readiness = Readiness(Database(_traced(probe, traces)), schema, 0 if probe is pool else DATABASE_TIMEOUTS.readiness)
    origins = list(settings.cors_origins)
    cors = CORSConfig(allow_origins=origins, expose_headers=CORS_EXPOSED_HEADERS) if origins else None

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        tracing = traces.flush_at_end() if traces else nullcontext()
        probing: AbstractAsyncContextManager[None] = nullcontext() if probe is pool else probe.open()
        async with tracing, pool.open(), probing, sampling():
            if recorder.is_on:
                with suppress(Unavailable, asyncpg.PostgresError):  # readiness reports it
                    await applied_migrations(app.db, schema)
            yield
        passwords.close()
        close_log()
        recorder.stop()

    app = Service(
        route_handlers=[*CONTROLLERS, HealthController, docs_page, docs_file],
        dependencies={
            "passwords": _provide(passwords),
            "readiness": _provide(readiness),
            "settings": _provide(settings),
            "throttle": _provide(throttle),
            "tokens": _provide(tokens),
        },
        lifespan=[lifespan],
        request_class=ServiceRequest,
        request_max_body_size=MAX_BODY_BYTES,
        before_request=check_request,  # type: ignore[arg-type]  # each request is a ServiceRequest
        exception_handlers={Exception: exception_handler},
        cors_config=cors,
        openapi_config=openapi_config(API, [*CONTROLLERS, HealthController]),
        plugins=[CompleteRoutes(), RowSchemas()],
        logging_config=None,
    )
    app.db = Database(_traced(pool, traces))
    app.tokens, app.authenticate = tokens, tokens.authenticate
    if metrics_directory:
        if settings.metrics_token:
            from service.http import metrics_route  # noqa: PLC0415 - prometheus-client is slow to import

            app.register(metrics_route(settings.metrics_token, metrics_directory))
        recorder.start(metrics_directory, query_names(), _routes(app))
    app.asgi_handler = _middleware(app, settings, cors, traces)
    return app


def _middleware(app: Service, settings: Settings, cors: CORSConfig | None, traces: "Traces | None") -> ASGIApp:
    """Return the application's ASGI handler wrapped in its middleware, the innermost first."""
    # CORS is part of Litestar's own handler.
    handler = fast_path_middleware(app, app.asgi_handler)
    if cors:
        handler = preflight_middleware(handler, cors)
    if traces:
        handler = traces.middleware(handler)
    # The outermost layer assigns the request id, which spans and log lines carry.
    return request_middleware(handler, settings.allowed_hosts, settings.trusted_proxy_hops)


def connection_pool(settings: Settings, outages: OutageLog | None = None) -> Pool | ReplicaRouter:
    """Return the pool that the settings describe; it is not open yet."""
    options = _pool_options(settings)
    primary = Pool(settings.database_url, outages=outages, **options)
    if settings.database_replica_url is None:
        return primary
    return ReplicaRouter(
        primary, ReplicaPool(settings.database_replica_url, max_lag=settings.database_replica_max_lag, **options)
    )


def _pool_options(settings: Settings) -> dict[str, Any]:
    return {
        "timeouts": DatabaseTimeouts(max_idle=settings.database_max_idle_seconds),
        "size": settings.database_pool_size,
        "statement_cache": settings.database_statement_cache,
        "statement_timeout": settings.database_statement_timeout,
        "lock_timeout": settings.database_lock_timeout,
        "slow_query": settings.slow_query_ms,
    }


def _traced(pool: PoolLike, traces: "Traces | None") -> PoolLike:
    """Return `pool`, wrapped to record a span for each statement if there are `traces`."""
    if traces is None:
        return pool
    from service.postgres import TracedPool  # noqa: PLC0415 - OpenTelemetry is an extra

    return TracedPool(pool, traces.tracer)


def _routes(app: Litestar) -> list[tuple[str, str]]:
    """Return the method and the path template of each route."""
    return sorted({(method, route.path_format) for route in app.routes for method in getattr(route, "methods", ())})


def from_environment(connect: Callable[[Settings], PoolLike] | None = None) -> Service:
    """Build the application from environment variables; each worker process calls this.

    `connect`, if given, returns the connections to use. Raises SettingsError.
    """
    settings = Settings.read()
    configure_logging(settings.log_level, settings.log_format)
    directory = os.environ.get(METRICS_DIRECTORY_VARIABLE)
    return create_app(
        settings, connect(settings) if connect else None, Path(directory) if directory else None, _traces()
    )


def _traces() -> "Traces | None":
    if not wants_traces():
        return None
    from service.telemetry import Traces  # noqa: PLC0415 - OpenTelemetry is an extra

    return Traces()


def _provide(instance: object) -> Provide:
    """Return a dependency that injects the same `instance` everywhere."""
    provide: Callable[[], object] = lambda: instance  # noqa: E731 - a name for mypy
    return Provide(provide, sync_to_thread=False)
