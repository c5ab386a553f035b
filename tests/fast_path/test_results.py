"""A handler that does not return the JSONResponse of its annotation: both paths treat it alike."""

from typing import Any, cast

import httpx
import pytest
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.types import Receive, Scope, Send
from structlog.testing import capture_logs
from typing_extensions import override

from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application

BOTH_PATHS = pytest.mark.parametrize("path", ["/mistaken", "/mistaken?word=1"])  # the fast path takes no query string


def returning(result: object) -> HTTPRouteHandler:
    """Return a handler that returns `result`, whatever it declares."""

    @get("/mistaken")
    async def mistaken(request: ServiceRequest, word: FromQuery[str] = "") -> JSONResponse[Any]:  # noqa: ARG001 - makes it simple
        return cast("JSONResponse[Any]", result)

    return mistaken


@BOTH_PATHS
@pytest.mark.parametrize("result", [["a", "b"], None, "text", {"a": 1}], ids=repr)
async def test_undeclared_result_is_a_logged_500(result: object, path: str) -> None:
    with capture_logs() as logs:
        async with service_client(small_application([returning(result)])) as client:
            response = await client.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (500, "application/problem+json")
    assert response.json()["type"] == "/problems/internal-error"
    assert [entry["path"] for entry in logs if entry["event"] == "request failed"] == ["/mistaken"]


@BOTH_PATHS
@pytest.mark.parametrize("status", [204, 304])
async def test_content_of_a_status_without_content_is_500(status: int, path: str) -> None:
    """The client would take it for the beginning of the next response (RFC 9112, 6.3)."""

    @get("/mistaken")
    async def mistaken(request: ServiceRequest, word: FromQuery[str] = "") -> JSONResponse[int]:  # noqa: ARG001
        return JSONResponse(1, status_code=status)

    async with service_client(small_application([mistaken])) as client:
        response = await client.get(path)

    assert response.json()["type"] == "/problems/internal-error"


@BOTH_PATHS
async def test_litestars_own_response_is_sent(path: str) -> None:
    async with service_client(small_application([returning(Response("it", status_code=202))])) as client:
        response = await client.get(path)

    assert (response.status_code, response.text) == (202, "it")


class Broken(JSONResponse[str]):
    """A response that fails while it is sent."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise TypeError("broken")


async def test_error_while_sending_has_no_second_response() -> None:
    transport = httpx.ASGITransport(small_application([returning(Broken("it"))]))

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with pytest.raises(TypeError, match="broken"):
            await client.get("/mistaken")
