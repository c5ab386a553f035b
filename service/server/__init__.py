"""The server: uvicorn's HTTP/1.1 protocol with limits added, worker processes, and a graceful shutdown.

Read in this order: serving (the entry point), worker (one process from start to end), supervisor (the parent of
several), slots (heartbeats and connection counts in shared memory), listener (the socket), acceptor (accepts
connections), connection (timeouts of one), protocol (parsing and limits), head (the checks of RFC 9112), cycle (one
request).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.server.listener import bind
    from service.server.serving import serve, serving_metrics
    from service.server.worker import OPTIONS, AppFactory, Application, create_worker_app

__all__ = ["OPTIONS", "AppFactory", "Application", "bind", "create_worker_app", "serve", "serving_metrics"]


def __getattr__(name: str) -> object:
    """Import uvicorn only when needed (PEP 562): most commands do not serve."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from service.server import serving, worker  # noqa: PLC0415 - imported only when needed

    return getattr(serving if hasattr(serving, name) else worker, name)
