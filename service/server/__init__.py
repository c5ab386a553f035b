"""The server: HTTP/1.1 with limits on uvicorn's protocol, worker processes, and a graceful shutdown.

Read in this order: run (one process, or several), worker (one process, from start to end), supervisor (several
processes), slots (heartbeats and connection counts in shared memory), listener (the socket), acceptor (its
connections), connection and protocol (one of them), head (what a request must look like), cycle (one request).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.server.listener import bind
    from service.server.run import serve, serving_metrics
    from service.server.worker import OPTIONS, AppFactory, Application, create_worker_app

__all__ = ["OPTIONS", "AppFactory", "Application", "bind", "create_worker_app", "serve", "serving_metrics"]


def __getattr__(name: str) -> object:
    """Import uvicorn only when it is used (PEP 562): most commands need no server."""
    if name == "bind":
        from service.server import listener  # noqa: PLC0415 - as said

        return getattr(listener, name)
    if name in {"serve", "serving_metrics"}:
        from service.server import run  # noqa: PLC0415 - as said

        return getattr(run, name)
    if name in {"OPTIONS", "AppFactory", "Application", "create_worker_app"}:
        from service.server import worker  # noqa: PLC0415 - as said

        return getattr(worker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
