"""The route ``/metrics`` for Prometheus, if METRICS_TOKEN is set."""

import hmac
from pathlib import Path

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from service.http.request import ServiceRequest
from service.problems import NotFound


def metrics_route(token: bytes, directory: Path) -> HTTPRouteHandler:
    """Return a route that serves the metrics in `directory` to clients with the bearer `token`, and 404 to others."""
    from service.telemetry import render_metrics  # noqa: PLC0415 - prometheus-client is slow to import

    @get("/metrics", include_in_schema=False, sync_to_thread=True, any_query=True)
    def metrics(request: ServiceRequest) -> Response[bytes]:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), b"Bearer " + token):
            raise NotFound
        text, media_type = render_metrics(directory, request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    return metrics
