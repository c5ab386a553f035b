"""Builds the application from the settings: controllers, lifespan, middleware."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from litestar.di import Provide
from litestar.types import ASGIApp

from service.api import API
from service.auth.controllers import AuthController
from service.auth.guard import check_request
from service.auth.passwords import Passwords
from service.auth.throttle import LoginThrottle
from service.auth.tokens import Tokens
from service.fast_path import fast_path_middleware
from service.http import (
    CORS,
    SCHEMA_PLUGINS,
    Application,
    CompleteRoutes,
    HealthController,
    Readiness,
    ServiceRequest,
    applied_migrations,
    docs_file,
    exception_handler,
    metrics_route,
    openapi_config,
    request_middleware,
    strict_paths_middleware,
)
from service.migrate import MIGRATIONS, expected_checksums
from service.pets.controllers import PetsController
from service.postgres import Database, OutageLog, Pool, PoolLike, ProbePool, query_names
from service.problems import Unavailable
from service.replica import with_replica
from service.settings import Settings
from service.telemetry import (
    METRICS_DIRECTORY_VARIABLE,
    close_log,
    configure_logging,
    recorder,
    sampling,
)
from service.timeouts import DATABASE_TIMEOUTS, DatabaseTimeouts
from service.traces import record_traces
from service.users.controllers import UsersController

# Your features; no other file lists them.
CONTROLLERS = [
    AuthController,
    UsersController,
    PetsController,
]
MAX_BODY_BYTES = 64 * 1024
# Response headers that scripts of other origins can read (Access-Control-Expose-Headers).
CORS_EXPOSED_HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Accept-Patch",
    "Accept-Post",
    "Allow",
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]


# Wraps the handler of an application.
Layer: TypeAlias = Callable[[Application, ASGIApp], ASGIApp]


class Service(Application):
    """The application. Tests sign tokens with its `tokens`."""

    tokens: Tokens


def create_app(
    settings: Settings,
    pool: PoolLike | None = None,
    metrics_directory: Path | None = None,
    instrument: Layer | None = None,
) -> Service:
    """Build the application from `settings`.

    :param pool: runs the queries; by default, a new one, made from the settings. If given, readiness uses it too, and
        checks the database at each request
    :param metrics_directory: folder of the metrics; by default, none are recorded
    :param instrument: adds a layer that sees each request with its id, and can replace `db`; by default, none
    """
    if pool:
        pools, cache_seconds = [pool], 0.0
    else:
        outages = OutageLog()
        # Readiness has its own connection, so that it responds while all others are in use.
        probe = ProbePool(settings.database_url, outages=outages, **_pool_options(settings) | {"size": 1})
        pools, cache_seconds = [connection_pool(settings, outages), probe], DATABASE_TIMEOUTS.readiness
    passwords = Passwords()
    tokens = Tokens(settings)
    throttle = LoginThrottle(settings)
    checksums = expected_checksums(MIGRATIONS)
    readiness = Readiness(Database(pools[-1]), checksums, cache_seconds)
    app = Service(
        route_handlers=[*CONTROLLERS, HealthController, docs_file],
        dependencies={
            "passwords": _provide(passwords),
            "readiness": _provide(readiness),
            "settings": _provide(settings),
            "throttle": _provide(throttle),
            "tokens": _provide(tokens),
        },
        lifespan=[partial(_lifespan, pools, passwords, checksums)],
        request_class=ServiceRequest,
        request_max_body_size=MAX_BODY_BYTES,
        before_request=check_request,  # type: ignore[arg-type]  # each request is a ServiceRequest
        exception_handlers={Exception: exception_handler},
        openapi_config=openapi_config(API, [*CONTROLLERS, HealthController]),
        plugins=[CompleteRoutes(), *SCHEMA_PLUGINS],
        logging_config=None,
    )
    app.db = Database(pools[0])
    if settings.backend_cors_origins:
        app.cors = CORS(settings.backend_cors_origins, CORS_EXPOSED_HEADERS)
    app.tokens, app.authenticate = tokens, tokens.authenticate
    if metrics_directory:
        _record_metrics(app, metrics_directory, settings.metrics_token)
    app.asgi_handler = _with_layers(app, settings, instrument)
    app.on_shutdown.append(close_log)  # the last of them, because the others can log
    return app


@asynccontextmanager
async def _lifespan(
    pools: Collection[PoolLike], passwords: Passwords, checksums: Mapping[str, str], app: Service
) -> AsyncIterator[None]:
    """Open the `pools`, and close them and `passwords` at the end."""
    async with AsyncExitStack() as stack:
        for pool in pools:
            await stack.enter_async_context(pool.open())
        if recorder.is_on:  # for the metric that reports whether the schema is current
            with suppress(Unavailable, asyncpg.PostgresError):  # readiness reports it
                await applied_migrations(app.db, checksums)
        async with sampling():  # not before: it would show that query as a request that waits for a connection
            yield
    passwords.close()
    recorder.stop()


def _record_metrics(app: Service, directory: Path, token: bytes | None) -> None:
    """Record metrics in `directory`; if there is a `token`, add the route that serves them."""
    if token:
        app.register(metrics_route(token, directory))
    routes = {(method, route.path_format) for route in app.routes for method in getattr(route, "methods", ())}
    recorder.start(directory, query_names(), sorted(routes))


def _with_layers(app: Service, settings: Settings, instrument: Layer | None) -> ASGIApp:
    """Return Litestar's handler with the layers around it, the innermost first."""
    handler = strict_paths_middleware(app.asgi_handler)
    handler = fast_path_middleware(app, handler)
    if instrument:
        handler = instrument(app, handler)
    return request_middleware(handler, settings.allowed_hosts, settings.trusted_proxy_hops, app.cors)


def connection_pool(settings: Settings, outages: OutageLog | None = None) -> PoolLike:
    """Return the pool that the settings describe; it is not open yet."""
    options = _pool_options(settings)
    pool: PoolLike = Pool(settings.database_url, outages=outages, **options)
    pool = with_replica(pool, settings, options)
    return pool


def _pool_options(settings: Settings) -> dict[str, Any]:
    return {
        "timeouts": DatabaseTimeouts(max_idle=settings.database_max_idle_seconds),
        "size": settings.database_pool_size,
        "statement_cache": settings.database_statement_cache,
        "statement_timeout": settings.database_statement_timeout,
        "lock_timeout": settings.database_lock_timeout,
        "slow_query": settings.slow_query_ms,
    }


def from_environment(make_pool: Callable[[Settings], PoolLike] | None = None) -> Service:
    """Build the application from environment variables; each worker process calls this.

    `make_pool`, if given, creates the pool. Raises SettingsError.
    """
    settings = Settings.read()
    configure_logging(settings.log_level, settings.log_format)
    directory = os.environ.get(METRICS_DIRECTORY_VARIABLE)
    return create_app(
        settings,
        make_pool(settings) if make_pool else None,
        Path(directory) if directory else None,
        instrument=record_traces,
    )


def _provide(instance: object) -> Provide:
    """Return a dependency that injects the same `instance` everywhere."""
    provide: Callable[[], object] = lambda: instance  # noqa: E731 - a name for mypy
    return Provide(provide, sync_to_thread=False)
