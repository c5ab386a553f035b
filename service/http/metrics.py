"""What Prometheus asks, where METRICS_TOKEN lets it."""

import hmac
from pathlib import Path

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from service.http.request import ServiceRequest
from service.problems import NotFound
from service.telemetry import as_text


def metrics_route(token: bytes, directory: Path) -> HTTPRouteHandler:
    """Return the route that gives the numbers in `directory` to whoever has `token`; for others it is not there."""

    @get("/metrics", include_in_schema=False, sync_to_thread=True, any_query=True)
    def metrics(request: ServiceRequest) -> Response[bytes]:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), b"Bearer " + token):
            raise NotFound
        text, media_type = as_text(directory, request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    return metrics
