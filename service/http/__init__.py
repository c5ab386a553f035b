"""HTTP: what stands between the server and the handlers of the features.

Read in this order: application (the Litestar subclass that holds the database), middleware (outermost: request id,
host, access log), request (what handlers get), body and parameters (how both are read), response (what handlers
return), errors (how exceptions become problem documents), fast_path, routing, etags, idempotency, client_address,
openapi and openapi_problems, health, docs, metrics.
"""

from typing import TYPE_CHECKING

from service.http.application import Application, Caller
from service.http.body import FORM, broken_rule
from service.http.client_address import client_network, client_site
from service.http.docs import docs_file, docs_page
from service.http.errors import exception_handler, problem_response
from service.http.etags import IfMatch, IfNoneMatch, etag, matches_any, not_modified, refusal, wanted_versions
from service.http.fast_path import with_fast_path
from service.http.health import HealthController, Readiness, RequiredSchema, applied_migrations
from service.http.idempotency import IdempotencyKey
from service.http.middleware import CLIENT_GONE, request_middleware
from service.http.openapi import (
    ETAG,
    LINK,
    LOCATION,
    NO_STORE,
    ApiDescription,
    RowSchemas,
    openapi_config,
    openapi_document,
)
from service.http.parameters import check_query
from service.http.request import ServiceRequest, read_form
from service.http.response import JSONResponse
from service.http.routing import CompleteRoutes, ConfigurationError, plain_preflight_refusals

if TYPE_CHECKING:
    from service.http.metrics import metrics_route

__all__ = [
    "CLIENT_GONE",
    "ETAG",
    "FORM",
    "LINK",
    "LOCATION",
    "NO_STORE",
    "ApiDescription",
    "Application",
    "Caller",
    "CompleteRoutes",
    "ConfigurationError",
    "HealthController",
    "IdempotencyKey",
    "IfMatch",
    "IfNoneMatch",
    "JSONResponse",
    "Readiness",
    "RequiredSchema",
    "RowSchemas",
    "ServiceRequest",
    "applied_migrations",
    "broken_rule",
    "check_query",
    "client_network",
    "client_site",
    "docs_file",
    "docs_page",
    "etag",
    "exception_handler",
    "matches_any",
    "metrics_route",
    "not_modified",
    "openapi_config",
    "openapi_document",
    "plain_preflight_refusals",
    "problem_response",
    "read_form",
    "refusal",
    "request_middleware",
    "wanted_versions",
    "with_fast_path",
]


def __getattr__(name: str) -> object:
    """Import prometheus-client only when it is used (PEP 562)."""
    if name == "metrics_route":
        from service.http import metrics  # noqa: PLC0415 - as said

        return getattr(metrics, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
