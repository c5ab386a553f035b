"""What the service reports about itself: logs and metrics.

Read in this order: context (the current request), logging (format of log lines), access_log (one line per request),
output (a thread writes to standard output), metrics (counting in shared memory), prometheus (renders the metrics; not
imported here, because prometheus-client is slow to import), metrics_server (serves them on METRICS_PORT).
"""

from service.telemetry.access_log import log_request
from service.telemetry.context import RequestContext, current, set_user
from service.telemetry.logging import configure_logging, log
from service.telemetry.metrics import METRICS_DIRECTORY_VARIABLE, counter, gauge, recorder, sampling
from service.telemetry.output import close_log, is_log_thread

__all__ = [
    "METRICS_DIRECTORY_VARIABLE",
    "RequestContext",
    "close_log",
    "configure_logging",
    "counter",
    "current",
    "gauge",
    "is_log_thread",
    "log",
    "log_request",
    "recorder",
    "sampling",
    "set_user",
]
