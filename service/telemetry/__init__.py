"""Logs and metrics of the service itself.

Read in this order: context (the current request), logging (format of log lines), access_log (one line per request),
output (a thread writes to standard output), metrics (counting in shared memory), prometheus (renders the metrics),
metrics_server (serves them on METRICS_PORT).
"""

from typing import TYPE_CHECKING

from service.telemetry.access_log import log_request
from service.telemetry.context import RequestContext, current, set_user
from service.telemetry.logging import configure_logging, log
from service.telemetry.metrics import METRICS_DIRECTORY_VARIABLE, counter, gauge, recorder, sampling
from service.telemetry.output import close_log, is_log_thread

if TYPE_CHECKING:
    from service.telemetry.prometheus import collect_metrics, render_metrics

__all__ = [
    "METRICS_DIRECTORY_VARIABLE",
    "RequestContext",
    "close_log",
    "collect_metrics",
    "configure_logging",
    "counter",
    "current",
    "gauge",
    "is_log_thread",
    "log",
    "log_request",
    "recorder",
    "render_metrics",
    "sampling",
    "set_user",
]


def __getattr__(name: str) -> object:
    """Import prometheus-client on first use (PEP 562)."""
    if name in {"collect_metrics", "render_metrics"}:
        from service.telemetry import prometheus  # noqa: PLC0415 - see the docstring

        return getattr(prometheus, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
