"""Runs uvicorn: one process, or several behind one listening socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn

from service.server.listener import bind
from service.server.protocol import LimitedHttpProtocol
from service.server.supervisor import Supervisor
from service.server.worker import AppFactory, create_worker_app
from service.settings import Settings
from service.telemetry import configure_logging, log
from service.timeouts import WORKER_HEALTHCHECK, ShutdownTimeouts

# For `serve` and `dev` alike.
OPTIONS: dict[str, Any] = {
    "http": LimitedHttpProtocol,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    # TRUSTED_PROXY_HOPS decides which proxies to believe; uvicorn would take the entry that the client made.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,  # http/middleware.py writes it
}


def serve(settings: Settings, listener: socket.socket, factory: AppFactory) -> None:
    """Serve the application that `factory` makes on the bound socket `listener` until a signal ends it."""
    configure_logging(settings.log_level, settings.log_format)
    timeouts = ShutdownTimeouts()
    options = OPTIONS | {
        "timeout_graceful_shutdown": timeouts.requests,
        "timeout_worker_healthcheck": WORKER_HEALTHCHECK,
    }
    log.info("serving", host=settings.address[0], port=settings.address[1], workers=settings.web_concurrency)
    if settings.web_concurrency > 1:
        make = partial(create_worker_app, factory, settings.drain_seconds)
        config = uvicorn.Config(make, factory=True, workers=settings.web_concurrency, **options)
        Supervisor(config, listener, settings.drain_seconds).run()
        return
    app = create_worker_app(factory, settings.drain_seconds, listener)
    # workers=1: otherwise uvicorn would read WEB_CONCURRENCY itself, and fail on an empty one.
    server = uvicorn.Server(uvicorn.Config(app, workers=1, **options))
    with suppress(KeyboardInterrupt):
        server.run([listener])


@contextmanager
def serving_metrics(settings: Settings) -> Iterator[None]:
    """Collect metrics within the context, and serve them on METRICS_PORT, if METRICS_PORT or METRICS_TOKEN is set.

    Raises click.ClickException if METRICS_PORT cannot be bound.
    """
    if settings.metrics_port is None and settings.metrics_token is None:
        yield
        return
    from service.telemetry import serve_metrics  # noqa: PLC0415 - prometheus-client is slow to import

    if settings.metrics_port is not None:
        bind(settings.address[0], settings.metrics_port, "METRICS_PORT names another one").close()
    with serve_metrics(settings):
        yield
