"""A handler is as open as it is documented: public beside protected ones, or protected, whatever else it declares."""

from typing import Any

import pytest
from litestar import Controller, get
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import ControllerRouterHandler
from structlog.testing import capture_logs

from service.app import CONTROLLERS, create_app
from service.auth.guard import BEARER
from service.http import ConfigurationError, JSONResponse, ServiceRequest, openapi_document
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import LoggedIn, service_client


class Library(Controller):
    """A controller that requires a token, with one public handler."""

    path = "/library"
    security = BEARER

    @get("/hours", security=[])
    async def show_hours(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)

    @get("/loans", security=None)
    async def show_loans(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(str(request.auth.user))

    @get("/mistake", security=())
    async def show_mistake(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(str(request.auth.user))


def application(monkeypatch: pytest.MonkeyPatch, *handlers: ControllerRouterHandler) -> Any:  # noqa: ANN401 - a service
    monkeypatch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, *handlers])
    return create_app(make_settings("postgresql://localhost/unused"), OneTransaction())


@pytest.mark.parametrize(("path", "status"), [("/library/hours", 200), ("/library/loans", 401)])
async def test_empty_security_makes_only_its_handler_public(
    monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    app = application(monkeypatch, Library)

    async with service_client(app) as client:
        response = await client.get(path)

    assert response.status_code == status
    operation = openapi_document(app)["paths"][path]["get"]
    assert ("security" in operation, "401" in operation["responses"]) == (status == 401, status == 401)


async def test_public_handler_that_uses_the_caller_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with service_client(application(monkeypatch, Library)) as client:
            response = await client.get("/library/mistake")

    assert response.json()["type"] == "/problems/internal-error"
    [failure] = [entry for entry in logs if entry["event"] == "request failed"]
    assert str(failure["exc_info"]).endswith(
        "Library.show_mistake uses request.auth, but is public: give it security=BEARER"
    )


@get("/cached", security=BEARER, cache=60)
async def show_cached(request: ServiceRequest) -> JSONResponse[str]:
    return JSONResponse(str(request.auth.user))


def test_cached_handler_that_needs_a_token_prevents_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        application(monkeypatch, show_cached)

    assert "show_cached: its cache would respond before the access token is checked" in str(refusal.value)


def refuse_all(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse the caller by name, as a guard of Litestar."""
    raise PermissionDeniedException(str(connection.auth.user))


@get("/guarded", security=BEARER, guards=[refuse_all])
async def show_guarded(request: ServiceRequest) -> JSONResponse[str]:
    return JSONResponse(request.method)


async def test_guard_knows_the_caller(monkeypatch: pytest.MonkeyPatch, user: LoggedIn) -> None:
    async with service_client(application(monkeypatch, show_guarded)) as client:
        response = await client.get("/guarded", headers=user.bearer)

    assert (response.status_code, response.json()["detail"]) == (403, str(user.id))


async def test_guard_that_uses_the_caller_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_client(application(monkeypatch, show_guarded)) as client:
        response = await client.get("/guarded")

    assert response.json()["type"] == "/problems/not-authenticated"
