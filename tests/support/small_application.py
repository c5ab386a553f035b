"""A small application on the service's infrastructure, for handlers that only tests need."""

from collections.abc import Callable, Sequence
from typing import Any

from litestar.types import ASGIApp, ControllerRouterHandler

from service.fast_path import fast_path_middleware
from service.http import (
    SCHEMA_PLUGINS,
    Application,
    CompleteRoutes,
    ServiceRequest,
    exception_handler,
    request_middleware,
    strict_paths_middleware,
)
from service.postgres import Database
from tests.support.application import OneTransaction


def small_application(
    handlers: Sequence[ControllerRouterHandler],
    *,
    around: Callable[[ASGIApp], ASGIApp] = lambda router: router,
    **options: Any,  # noqa: ANN401 - Litestar's
) -> Application:
    """Return an application of `handlers`; `around` wraps Litestar's path, as opposed to the fast path."""
    given: dict[str, Any] = {"plugins": [CompleteRoutes(), *SCHEMA_PLUGINS], "logging_config": None, **options}
    given["exception_handlers"] = {Exception: exception_handler} | options.get("exception_handlers", {})
    app = Application(handlers, request_class=ServiceRequest, **given)
    app.db = Database(OneTransaction())
    handler = strict_paths_middleware(around(app.asgi_handler))
    handler = fast_path_middleware(app, handler)
    app.asgi_handler = request_middleware(handler, ["localhost"])
    return app
