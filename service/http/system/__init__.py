"""The routes of every service: health checks, the documentation page, and metrics."""

from typing import TYPE_CHECKING

from service.http.system.docs import docs_file, docs_page
from service.http.system.health import HealthController, Readiness, applied_migrations

if TYPE_CHECKING:
    from service.http.system.metrics import metrics_route

__all__ = [
    "HealthController",
    "Readiness",
    "applied_migrations",
    "docs_file",
    "docs_page",
    "metrics_route",
]


def __getattr__(name: str) -> object:
    """Import prometheus-client on first use (PEP 562)."""
    if name == "metrics_route":
        from service.http.system import metrics  # noqa: PLC0415 - see the docstring

        return metrics.metrics_route
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
