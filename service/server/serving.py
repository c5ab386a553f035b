"""Serves the application: in this process, or in several workers behind one listener."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from service.server.listener import bind
from service.server.supervisor import Supervisor
from service.server.worker import AppFactory, create_worker_app, run_server, run_worker
from service.settings import Settings
from service.telemetry import configure_logging, log
from service.timeouts import SUPERVISOR_TIMEOUTS, SupervisorTimeouts


def serve(
    settings: Settings,
    listener: socket.socket,
    factory: AppFactory,
    timeouts: SupervisorTimeouts = SUPERVISOR_TIMEOUTS,
) -> None:
    """Serve the application that `factory` creates on the bound socket `listener` until a signal ends it."""
    configure_logging(settings.log_level, settings.log_format)
    log.info("serving", host=settings.address[0], port=settings.address[1], workers=settings.web_concurrency)
    if settings.web_concurrency > 1:
        run = partial(run_worker, settings, factory, listener)
        Supervisor(run, listener, settings.web_concurrency, settings.drain_seconds, timeouts).run()
    else:
        run_server(settings, create_worker_app(factory), listener)


@contextmanager
def serving_metrics(settings: Settings) -> Iterator[None]:
    """Collect metrics within the context if METRICS_PORT or METRICS_TOKEN is set; serve them on METRICS_PORT if set.

    Raises OperatorError if METRICS_PORT cannot be bound.
    """
    if settings.metrics_port is None and settings.metrics_token is None:
        yield
        return
    from service.telemetry import collect_metrics  # noqa: PLC0415 - prometheus-client is slow to import

    listener = None
    if settings.metrics_port is not None:
        listener = bind(settings.address[0], settings.metrics_port, "choose another METRICS_PORT")
    with collect_metrics(listener):
        yield
