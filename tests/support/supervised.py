"""A small application behind the real server, for tests of its processes: ``python -m tests.support.supervised``.

The environment contains the settings and names two files. While BROKEN exists, workers fail to start; while
FORK_ERROR exists, fork() raises the exception that it names.
"""

import builtins
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from service.problems import OperatorError
from service.server import bind, serve
from service.server.worker import AppFactory
from service.settings import Settings
from service.timeouts import SupervisorTimeouts

TIMEOUTS = SupervisorTimeouts(heartbeat=2, end=2, first_retry=0.2, last_retry=0.4, tick=0.1)


class Application:
    """Responds with the pid of its process; ``/block`` blocks its event loop."""

    is_draining = False

    def __init__(self) -> None:
        """Raise an exception while the file BROKEN exists."""
        self.on_startup: list[Any] = []
        if Path(os.environ["BROKEN"]).exists():
            raise OperatorError("this is broken")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        """Answer a request, or run the lifespan (ASGI)."""
        if scope["type"] == "lifespan":
            await receive()
            for start in self.on_startup:
                await start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/block":
            time.sleep(60)  # noqa: ASYNC251 - the fault to be tested
        body = str(os.getpid()).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 503 if self.is_draining else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def fork(real: Callable[[], int] = os.fork) -> int:
    """Fork, or raise the exception that the file FORK_ERROR names."""
    error = Path(os.environ["FORK_ERROR"])
    if error.exists():
        raise getattr(builtins, error.read_text())("no fork")
    return real()


def main() -> None:
    """Serve until a signal arrives."""
    os.fork = fork
    # From Python 3.12, fork() warns about the log's thread. The warning is shown only because this module is __main__.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    settings = Settings.read()
    factory = cast(AppFactory, Application)  # the server uses no more of an application
    serve(settings, bind(*settings.address), factory, TIMEOUTS)


if __name__ == "__main__":
    main()
