"""The server: uvicorn's HTTP/1.1 protocol with limits added, worker processes, and a graceful shutdown.

Read in this order: serving (the entry point), worker (one process from start to end), supervisor (the parent of
several), slots (heartbeats and connection counts in shared memory), listener (the socket), acceptor (accepts
connections), connection (timeouts of one), protocol (parsing, limits and the checks of RFC 9112), cycle (one request).
"""

from service.server.listener import bind
from service.server.serving import serve, serving_metrics
from service.server.worker import OPTIONS, create_worker_app

__all__ = ["OPTIONS", "bind", "create_worker_app", "serve", "serving_metrics"]
