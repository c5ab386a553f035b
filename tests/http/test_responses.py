"""A JSONResponse is what the handler declares, and hooks change it like a response of Litestar."""

from typing import Any, cast

import pytest
from litestar import Response, delete, get, post
from litestar.background_tasks import BackgroundTask

from service.http.request import ServiceRequest
from service.http.response import JSONResponse
from tests.support.factories import service_client
from tests.support.small_application import small_application


async def mark(response: Response[Any]) -> Response[Any]:
    """Change a response, as Litestar's documentation of `after_request` shows."""
    response.headers["X-Mark"] = "1"
    response.set_cookie("mark", "2")
    return response


@post("/made")
async def make(request: ServiceRequest) -> JSONResponse[str]:
    """Respond with the status of POST."""
    return JSONResponse(request.method)


@post("/made-later", background=BackgroundTask(int))
async def make_later(request: ServiceRequest) -> JSONResponse[str]:
    """Do the same on Litestar's path."""
    return JSONResponse(request.method)


@get("/marked", after_request=mark)
async def show_marked() -> JSONResponse[int]:
    """Respond with what a hook changes."""
    return JSONResponse(1)


@delete("/gone")
async def end() -> JSONResponse[None]:
    """Respond with content, contrary to the annotation and the status 204."""
    return JSONResponse(cast("None", 1))


@delete("/gone-later", background=BackgroundTask(int))
async def end_later() -> JSONResponse[None]:
    """Do the same on Litestar's path."""
    return JSONResponse(cast("None", 1))


@pytest.mark.parametrize("path", ["/gone", "/gone-later"])
async def test_content_is_never_sent_with_204(path: str) -> None:
    async with service_client(small_application([end, end_later])) as client:
        response = await client.delete(path)

    assert response.status_code == 500


async def test_response_has_the_status_of_its_handler() -> None:
    async with service_client(small_application([make, make_later])) as client:
        statuses = [(await client.post(path)).status_code for path in ("/made", "/made-later")]

    assert statuses == [201, 201]


async def test_middleware_responds_without_a_handler() -> None:
    app = small_application([make], around=lambda _: JSONResponse("maintenance"))

    async with service_client(app) as client:
        response = await client.get("/nowhere")

    assert (response.status_code, response.json()) == (200, "maintenance")


async def test_hook_adds_header_and_cookie() -> None:
    async with service_client(small_application([show_marked])) as client:
        response = await client.get("/marked")

    assert (response.status_code, response.headers["x-mark"], response.cookies["mark"]) == (200, "1", "2")
