"""Each operation of the OpenAPI document has an id of its own, or the service refuses to start."""

from collections.abc import Sequence

import pytest
from litestar import Controller, get, route
from litestar.types import ControllerRouterHandler

from service.http import ConfigurationError, JSONResponse, openapi_document
from tests.support.small_application import small_application


@get("/versions")
async def show_version() -> JSONResponse[str]:
    return JSONResponse("")


class Second(Controller):
    """A controller whose handler has the name of another one."""

    path = "/v2/versions"

    @get()
    async def show_version(self) -> JSONResponse[str]:
        return JSONResponse("")


class Named(Controller):
    """A controller whose handler has the name of another one, but its own operation_id."""

    path = "/v3/versions"

    @get(operation_id="show_version_3")
    async def show_version(self) -> JSONResponse[str]:
        return JSONResponse("")


@get("/v4/versions", operation_id=lambda *_: "show_version_4")
async def show_computed_name() -> JSONResponse[str]:
    return JSONResponse("")


@get(["/v2/versions", "/versions"])
async def show_versions() -> JSONResponse[str]:
    return JSONResponse("")


@route("/touch", http_method=["POST", "PUT"], status_code=200)
async def touch() -> JSONResponse[str]:
    return JSONResponse("")


@pytest.mark.parametrize(
    ("handlers", "places"),
    [
        ([show_version, Second], "GET /v2/versions and GET /versions"),
        ([show_versions], "GET /v2/versions and GET /versions"),
        ([touch], "POST /touch and PUT /touch"),
    ],
)
def test_operations_with_one_id_prevent_startup(handlers: Sequence[ControllerRouterHandler], places: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{places} are one operation in the OpenAPI document: each needs"):
        small_application(handlers)


def test_operation_id_replaces_the_name_of_the_function() -> None:
    document = openapi_document(small_application([show_version, Named, show_computed_name]))

    ids = [item["get"]["operationId"] for item in document["paths"].values()]
    assert ids == ["show_version", "show_version_3", "show_version_4"]
