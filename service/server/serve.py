"""The server: uvicorn, told what `serve` and `dev` want of it."""

import importlib
import socket
from contextlib import suppress
from typing import Any

import uvicorn

from service.server.protocol import HttpProtocol
from service.server.supervisor import Workers
from service.settings import Settings
from service.telemetry import logging as logs
from service.telemetry.logging import log
from service.timeouts import FINISH, WORKER

APP = "service.app"
# For `serve` and `dev` alike.
OPTIONS: dict[str, Any] = {
    "http": HttpProtocol,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    # TRUSTED_PROXY_HOPS decides whom to believe; uvicorn would take the entry that the client made.
    "proxy_headers": False,
    "server_header": False,
    "access_log": False,  # edge.py writes it
}


def serve(settings: Settings, door: socket.socket) -> None:
    """Serve on the bound socket `door` until a signal ends it."""
    logs.configure(settings.log_level, settings.log_format)
    # What is wrong with a file is told once here; workers would die of it one after the other.
    app = importlib.import_module(APP)
    options = OPTIONS | {"timeout_graceful_shutdown": FINISH, "timeout_worker_healthcheck": WORKER}
    log.info("serving", host=settings.address[0], port=settings.address[1], workers=settings.web_concurrency)
    if settings.web_concurrency > 1:
        config = uvicorn.Config(f"{APP}:from_environment", factory=True, workers=settings.web_concurrency, **options)
        Workers(config, door, settings.drain_seconds).run()
        return
    # workers=1: uvicorn would look for WEB_CONCURRENCY itself, and stumble over an empty one.
    server = uvicorn.Server(uvicorn.Config(app.from_environment(door=door), workers=1, **options))
    with suppress(KeyboardInterrupt):
        server.run([door])
