"""What one process that serves does once its event loop runs, whichever process started it."""

import gc
import socket
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from service.server.shutdown import Draining, drain_on_sigterm, end_with_parent


class Application(Draining, Protocol):
    """An ASGI application that can drain, such as a subclass of Litestar."""

    on_startup: list[Any]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        """Answer a request, or run the lifespan (ASGI)."""


AppFactory: TypeAlias = Callable[[], Application]


def create_worker_app(factory: AppFactory, drain_seconds: int, listener: socket.socket | None = None) -> Application:
    """Make the application, and prepare its process for serving when it starts.

    After SIGTERM the process drains for `drain_seconds`. `listener` is the listening socket, unless it is shared with
    other processes: their parent closes it then.
    """
    app = factory()

    async def start() -> None:
        # Without this, each garbage collection that a large page causes would traverse all modules again.
        gc.collect()
        gc.freeze()
        end_with_parent()
        if drain_seconds:
            drain_on_sigterm(app, drain_seconds, listener)

    app.on_startup.append(start)
    return app
