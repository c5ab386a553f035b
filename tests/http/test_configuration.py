"""Handlers written by newcomers work, or the service refuses to start and says why."""

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from litestar import Controller, WebSocket, get, patch, post, websocket
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from service.app import CONTROLLERS, create_app
from service.auth.guard import BEARER
from service.http import ConfigurationError, ServiceRequest, openapi_document
from service.http.response import JSONResponse
from service.problems import Forbidden, Problem
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import service_client


class Untagged(Controller):
    """A controller without tags."""

    path = "/untagged"

    @get()
    async def show_untagged(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)


@get("/alone", tags=["alone"], sync_to_thread=False)
def show_alone() -> dict[str, int]:
    """Show a function handler."""
    return {"alone": 1}


def application(monkeypatch: pytest.MonkeyPatch, *handlers: ControllerRouterHandler) -> Any:  # noqa: ANN401 - a service
    monkeypatch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, *handlers])
    return create_app(make_settings("postgresql://localhost/unused"), OneTransaction())


class Readers(Controller):
    """A controller for everybody."""

    path = "/books"

    @get("/{book_id:int}")
    async def show_book(self, request: ServiceRequest, book_id: FromPath[int]) -> JSONResponse[str]:
        return JSONResponse(f"{request.method} {book_id}")


class Editors(Controller):
    """A controller with the same path as another."""

    path = "/books"
    security = BEARER

    @patch("/{book_id:int}")
    async def change_book(self, request: ServiceRequest, book_id: FromPath[int]) -> JSONResponse[str]:
        return JSONResponse(f"{request.method} {book_id}")


async def test_two_controllers_share_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(monkeypatch, Readers, Editors)

    async with service_client(app) as client:
        answers = [await client.request(method, "/books/1") for method in ("GET", "PATCH", "OPTIONS")]

    assert [answer.status_code for answer in answers] == [200, 401, 204]
    assert {*answers[2].headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS", "PATCH"}
    assert openapi_document(app)["paths"]["/books/{book_id}"].keys() == {"get", "patch"}


async def test_controller_without_tags_and_function_work(monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(monkeypatch, Untagged, show_alone)

    async with service_client(app) as client:
        answers = [(await client.get(path)).json() for path in ("/untagged", "/alone", "/openapi.json")]

    assert answers[:2] == ["GET", {"alone": 1}]
    assert {"/untagged", "/alone"} <= answers[2]["paths"].keys()
    assert answers[2] == openapi_document(app)
    assert {"alone"} <= {tag["name"] for tag in answers[2]["tags"]}


class Tolerant(msgspec.Struct):
    """A body that ignores unknown fields."""

    name: str


@post("/tolerant")
async def add_tolerantly(request: ServiceRequest, data: JSONBody[Tolerant]) -> JSONResponse[str]:
    return JSONResponse(request.method + data.name)


def test_body_that_ignores_unknown_fields_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    document = openapi_document(application(monkeypatch, add_tolerantly))

    assert "additionalProperties" not in document["components"]["schemas"]["Tolerant"]


class Opening(msgspec.Struct):
    """A body with a time of day, a duration and a price."""

    opens: time
    closes: Annotated[time | None, msgspec.Meta(description="when it is dark")] = None
    pause: timedelta | None = None
    fee: Decimal = Decimal()


@post("/openings")
async def add_opening(request: ServiceRequest, data: JSONBody[Opening]) -> JSONResponse[str]:
    return JSONResponse(request.method + str(data))


def test_times_durations_and_decimals_are_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    document = openapi_document(application(monkeypatch, add_opening))

    properties = document["components"]["schemas"]["Opening"]["properties"]
    assert properties["opens"] == {"type": "string", "format": "time-local", "examples": ["12:00:00"]}
    assert properties["closes"]["oneOf"] == [{"type": "string", "format": "time-local"}, {"type": "null"}]
    assert properties["pause"]["examples"] == ["PT1H"]
    assert properties["fee"] == {"type": "string", "format": "decimal", "default": "0", "examples": ["12.50"]}


class Price(msgspec.Struct):
    """A body that msgspec cannot read."""

    amount: Annotated[Decimal, msgspec.Meta(gt=0)]


@post("/prices")
async def add_price(request: ServiceRequest, data: JSONBody[Price]) -> JSONResponse[str]:
    return JSONResponse(request.method + str(data))


@get("/since")
async def list_since(
    day: FromQuery[date] = date(2000, 1, 1), price: FromQuery[Decimal] = Decimal("1.50")
) -> JSONResponse[str]:
    return JSONResponse(f"{day} {price}")


def test_default_date_is_documented_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = openapi_document(application(monkeypatch, list_since))["paths"]["/since"]["get"]["parameters"]

    assert {each["name"]: each["schema"]["default"] for each in parameters} == {"day": "2000-01-01", "price": "1.50"}


async def let_all_in(_: object) -> None:
    """Allow every request."""


@get("/open", security=BEARER, before_request=let_all_in)
async def show_open(request: ServiceRequest) -> JSONResponse[str]:
    return JSONResponse(request.method)


class Twice(Controller):
    """A controller that declares a route twice."""

    path = "/twice"

    @get()
    async def show_once(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)

    @get()
    async def show_again(self, request: ServiceRequest) -> JSONResponse[str]:
        return JSONResponse(request.method)


@get("/alone", sync_to_thread=False)
def show_another() -> str:
    return "another"


class Untyped(Controller):
    """A controller whose handler lacks the annotation of its result."""

    path = "/untyped"

    @get("/return")
    async def show_untyped(self, request: ServiceRequest):  # type: ignore[no-untyped-def]
        return JSONResponse(request.method)


@get("/unnamed")
async def show_unnamed(word: "Nowhere") -> JSONResponse[str]:  # type: ignore[name-defined]  # noqa: F821
    return JSONResponse(word)


@get("/with-body")
async def show_with_body(data: JSONBody[str]) -> JSONResponse[str]:
    return JSONResponse(data)


@get("/typos/{kiteid:int}")
async def show_typo(kite_id: FromPath[int]) -> JSONResponse[int]:
    return JSONResponse(kite_id)


@get("/parcels/{parcel_id:int}")
async def show_parcel(parcel_id: FromPath[UUID]) -> JSONResponse[UUID]:
    return JSONResponse(parcel_id)


@get("/search")
async def search(query: FromQuery[str]) -> JSONResponse[str]:
    return JSONResponse(query)


@get("/places")
async def list_places(state: Annotated[str, QueryParameter()]) -> JSONResponse[str]:
    return JSONResponse(state)


@websocket("/socket")
async def talk(socket: WebSocket[Any, Any, Any]) -> None:
    """Return nothing."""


@get("/slugs", problems=[Problem])
async def list_slugs() -> JSONResponse[str]:
    return JSONResponse("")


@get("/one-problem", problems=Forbidden)
async def show_one_problem() -> JSONResponse[str]:
    return JSONResponse("")


@get("/bookings")
async def list_bookings() -> JSONResponse[list[asyncpg.Range[date]]]:
    return JSONResponse([])


@get("/statuses", problems=[ValueError])
async def list_statuses() -> JSONResponse[str]:
    return JSONResponse("")


@pytest.mark.parametrize(
    ("handlers", "sentence"),
    [
        ([talk], "talk: the server refuses WebSockets"),
        ([list_slugs], "list_slugs: Problem in problems= has no status"),
        ([show_one_problem], "show_one_problem: problems= must be a list of classes, such as [Forbidden]"),
        ([list_statuses], "list_statuses: ValueError in problems= has no status"),
        (
            [show_typo],
            "show_typo: its path /typos/{kiteid:int} lacks the parameter kite_id; the path's parameters: kiteid",
        ),
        (
            [show_parcel],
            "show_parcel: its path /parcels/{parcel_id:int} gives parcel_id as int, the function expects UUID",
        ),
        ([Twice], "Twice: the combination of path and method must be unique in a controller"),
        ([show_alone, show_another], "show_another: Handler already registered for path '/alone' and http method GET"),
        ([Untyped], "A return value of a route handler function tests.http.test_configuration.Untyped.show_untyped"),
        ([show_unnamed], "show_unnamed: name 'Nowhere' is not defined"),
        ([show_with_body], "show_with_body: 'data' kwarg is unsupported for 'GET' request handlers"),
        ([add_price], "add_price: its body cannot be read as JSON: Can only set `gt` on a numeric type"),
        (
            [list_bookings],
            "list_bookings: its response cannot be written as JSON: it contains asyncpg.types.Range",
        ),
        ([show_open], "show_open: its before_request replaces the one that checks the access token"),
        ([search], 'search: Litestar reserves the argument query: rename it, with QueryParameter(name="query")'),
        ([list_places], "list_places: Litestar reserves the argument state: rename it"),
    ],
)
def test_broken_handler_prevents_startup(
    monkeypatch: pytest.MonkeyPatch, handlers: list[ControllerRouterHandler], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        application(monkeypatch, *handlers)

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


class ShowSize:
    """A handler that is an object."""

    async def __call__(self) -> JSONResponse[int]:
        return JSONResponse(3)


async def test_callable_object_is_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(monkeypatch, get("/size", security=[])(ShowSize()))

    async with service_client(app) as client:
        assert (await client.get("/size")).json() == 3
