"""HTTP: everything between the server and the handlers of the features.

Read in this order: middleware (request id, host check, access log), request (Application, a Litestar with a database;
ServiceRequest, which every handler receives), body and parameters (strict parsing), response (what handlers return),
errors (exceptions become problem documents), database_problems (which violated constraint means which problem), routing
(HEAD, OPTIONS, strict paths and ids), etags and idempotency (conditional and repeated requests), cors (pages of other
origins), client_address (behind proxies), openapi, openapi_problems, schemas (the document), system (health checks, the
documentation page, metrics).
"""

from service.http.body import FORM
from service.http.client_address import client_network
from service.http.cors import CORS
from service.http.errors import exception_handler, problem_response
from service.http.etags import (
    IfMatch,
    IfNoneMatch,
    etag,
    expected_versions,
    matches_any,
    not_modified,
    unchanged_problem,
)
from service.http.idempotency import IdempotencyKey
from service.http.middleware import CLIENT_GONE, SECURITY_HEADERS, new_request_id, request_middleware
from service.http.openapi import (
    ETAG,
    LINK,
    LOCATION,
    NO_STORE,
    SCHEMA_PLUGINS,
    ApiDescription,
    openapi_config,
    openapi_document,
)
from service.http.parameters import check_query
from service.http.request import Application, Caller, ConfigurationError, ServiceRequest, read_form
from service.http.response import JSONResponse
from service.http.routing import (
    CompleteRoutes,
    is_json,
    strict_paths_middleware,
)
from service.http.system.docs import docs_file
from service.http.system.health import HealthController, Readiness, applied_migrations
from service.http.system.metrics import metrics_route

__all__ = [
    "CLIENT_GONE",
    "CORS",
    "ETAG",
    "FORM",
    "LINK",
    "LOCATION",
    "NO_STORE",
    "SCHEMA_PLUGINS",
    "SECURITY_HEADERS",
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
    "ServiceRequest",
    "applied_migrations",
    "check_query",
    "client_network",
    "docs_file",
    "etag",
    "exception_handler",
    "expected_versions",
    "is_json",
    "matches_any",
    "metrics_route",
    "new_request_id",
    "not_modified",
    "openapi_config",
    "openapi_document",
    "problem_response",
    "read_form",
    "request_middleware",
    "strict_paths_middleware",
    "unchanged_problem",
]
