"""The application: what it is put together from."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide

from service import logs
from service.answers import answer
from service.auth.controllers import AuthController
from service.auth.passwords import Passwords
from service.auth.throttle import LoginThrottle
from service.auth.tokens import Tokens
from service.connections import Pool
from service.database import Connections, Database
from service.edge import edge
from service.migration_files import MIGRATIONS, expected_checksums
from service.openapi import openapi_config
from service.pets.controllers import PetsController
from service.request import ServiceRequest
from service.routing import complete_routes, refusing_preflights_plainly
from service.server import drain_on_sigterm, end_with_parent
from service.settings import Settings
from service.system.controllers import HealthController, Schema, docs_file, docs_page
from service.users.controllers import UsersController

CONTROLLERS = [
    AuthController,
    UsersController,
    PetsController,
    HealthController,
]
LARGEST_BODY = 64 * 1024
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
    # Whether this process is about to end.
    draining = False


def create_app(settings: Settings, connections: Connections | None = None) -> Service:
    """Put the service together; `connections` are those of a pool, unless others are given."""
    lent = connections or pool(settings)
    passwords = Passwords()
    tokens = Tokens(settings)
    cors = (
        CORSConfig(allow_origins=list(settings.cors_origins), expose_headers=EXPOSED) if settings.cors_origins else None
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with lent.open():
            yield
        passwords.close()

    app = Service(
        route_handlers=[*CONTROLLERS, docs_page, docs_file],
        dependencies={
            "passwords": _always(passwords),
            "schema": _always(Schema(expected_checksums(MIGRATIONS))),
            "settings": _always(settings),
            "throttle": _always(LoginThrottle(settings)),
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
    app.db = Database(lent)
    app.tokens = tokens
    complete_routes(app)
    if cors:
        app.asgi_handler = refusing_preflights_plainly(app.asgi_handler, cors)
    app.asgi_handler = edge(app.asgi_handler, settings.allowed_hosts, settings.trusted_proxy_hops)
    return app


def pool(settings: Settings) -> Pool:
    """Return the pool that the settings describe, not yet open."""
    return Pool(
        settings.database_url,
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
        statement_timeout=settings.database_statement_timeout,
        lock_timeout=settings.database_lock_timeout,
    )


def from_environment(connect: Callable[[Settings], Connections] = pool, door: socket.socket | None = None) -> Service:
    """Make the service as the environment says; each worker process calls this.

    `door` is the listening socket of a process that shares it with no other. Raises SettingsError.
    """
    settings = Settings.read()
    logs.configure(settings.log_level, settings.log_format)
    app = create_app(settings, connect(settings))

    async def heed_signals() -> None:
        end_with_parent()
        if settings.drain_seconds:
            drain_on_sigterm(app, settings.drain_seconds, door)

    app.on_startup.append(heed_signals)
    return app


def _always(instance: object) -> Provide:
    """Give each handler that asks for it the same `instance`."""
    provide: Callable[[], object] = lambda: instance  # noqa: E731 - a name for mypy
    return Provide(provide, sync_to_thread=False)
