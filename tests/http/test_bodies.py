"""Bodies of every kind are read and documented: lists, scalars, objects, unions; so are the rules of their parts."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import attrs
import httpx
import jsonschema_rs
import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from service.app import CONTROLLERS, create_app
from service.http import JSONResponse, ServiceRequest, openapi_document
from tests.support.application import OneTransaction, make_settings
from tests.support.factories import service_client
from tests.support.small_application import small_application

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=5, description="a word", examples=["wing"])]


class Plane(msgspec.Struct, forbid_unknown_fields=True, tag=True):
    """A part of many bodies."""

    name: Word | msgspec.UnsetType = msgspec.UNSET


class Kite(msgspec.Struct, forbid_unknown_fields=True, tag=True):
    """Another part."""

    words: list[Word]
    ends: tuple[int, int] = (0, 1)
    lengths: dict[str, Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]] = {}
    weight: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.5
    shops: Annotated[dict[str, str], msgspec.Meta(max_length=2)] = {}
    towed_by: Annotated[Plane, msgspec.Meta(description="a plane")] = msgspec.field(default_factory=Plane)


@attrs.define
class Row:
    """A part of responses."""

    words: Annotated[list[Word], msgspec.Meta(description="all words")]


KITE = {"type": "Kite", "words": ["tail"]}
KITE_SCHEMA = {"$ref": "#/components/schemas/Kite"}
PLANE_SCHEMA = {"$ref": "#/components/schemas/Plane"}
BODIES: dict[str, tuple[Any, object, object, dict[str, object]]] = {
    # name: type, a valid body, an invalid one, the schema
    "list": (list[Kite], [KITE], [7], {"type": "array", "items": KITE_SCHEMA}),
    "short-list": (
        Annotated[list[Kite], msgspec.Meta(min_length=1, max_length=2)],
        [KITE],
        [],
        {"type": "array", "items": KITE_SCHEMA, "minItems": 1, "maxItems": 2},
    ),
    "number": (Annotated[int, msgspec.Meta(ge=1)], 1, 0, {"type": "integer", "minimum": 1}),
    "text": (str, "a", 1, {"type": "string"}),
    "truth": (bool, True, "yes", {"type": "boolean"}),
    "choice": (Literal["a", "b"], "a", "c", {"type": "string", "enum": ["a", "b"]}),
    "object": (dict[str, Kite], {"a": KITE}, {"a": 1}, {"type": "object", "additionalProperties": KITE_SCHEMA}),
    "union": (Kite | Plane, KITE, {"type": "Boat"}, {"oneOf": [KITE_SCHEMA, PLANE_SCHEMA]}),
    "union-of-scalars": (int | str, "a", [], {"oneOf": [{"type": "integer"}, {"type": "string"}]}),
}


def handler_of(name: str, kind: object, *defaults: object) -> ControllerRouterHandler:
    async def handler(request: ServiceRequest, data: Any) -> JSONResponse[list[Row]]:  # noqa: ANN401, ARG001
        return JSONResponse([Row([request.method])])

    handler.__name__, handler.__defaults__ = f"add_{name}", defaults
    handler.__annotations__["data"] = JSONBody[kind]  # type: ignore[misc, valid-type]
    return post(f"/{name}")(handler)


@pytest.fixture(scope="module")
def app() -> Any:  # noqa: ANN401 - a service
    with pytest.MonkeyPatch.context() as patch:
        handlers = [handler_of(name, kind) for name, (kind, *_) in BODIES.items()]
        optional = handler_of("optional", Kite | Plane | None, None)
        without_default = handler_of("without-default", Kite | None)
        patch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, *handlers, optional, without_default])
        return create_app(make_settings("postgresql://localhost/unused"), OneTransaction())


@pytest.fixture(scope="module")
def document(app: Any) -> dict[str, Any]:  # noqa: ANN401 - a service
    return openapi_document(app)


@pytest.fixture
async def bodies(app: Any) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ANN401 - a service
    async with service_client(app) as client:
        yield client


@pytest.mark.parametrize("name", BODIES)
async def test_body_of_each_kind_is_read(bodies: httpx.AsyncClient, name: str) -> None:
    _, valid, invalid, _ = BODIES[name]

    accepted, refused = [await bodies.post(f"/{name}", json=body) for body in (valid, invalid)]

    assert (accepted.json(), refused.status_code) == ([{"words": ["POST"]}], 422)


@pytest.mark.parametrize(
    ("name", "body", "detail"),
    [
        ("choice", " - at `$[..." * 400, "Invalid enum value ' - at $[..."),
        ("union", KITE | {f" - at `${'[' * 50_000}": 1}, "Object contains unknown field "),
    ],
)
async def test_refused_text_takes_no_time(bodies: httpx.AsyncClient, name: str, body: object, detail: str) -> None:
    """The message quotes it: a search for the path of the field could take seconds."""
    used = time.thread_time()
    response = await bodies.post(f"/{name}", json=body)

    assert detail in response.json()["detail"]
    assert time.thread_time() - used < 1


@pytest.mark.parametrize("name", BODIES)
def test_body_of_each_kind_is_documented(document: dict[str, Any], name: str) -> None:
    _, valid, invalid, schema = BODIES[name]

    body = document["paths"][f"/{name}"]["post"]["requestBody"]

    assert body == {"required": True, "content": {"application/json": {"schema": schema}}}
    resolvable = schema | {"components": document["components"]}
    assert jsonschema_rs.is_valid(resolvable, valid)
    assert not jsonschema_rs.is_valid(resolvable, invalid)


def test_optional_union_is_documented_without_null(document: dict[str, Any]) -> None:
    body = document["paths"]["/optional"]["post"]["requestBody"]

    assert body["required"] is False
    assert body["content"]["application/json"]["schema"] == {"oneOf": [KITE_SCHEMA, PLANE_SCHEMA]}


async def test_body_without_a_default_is_required(document: dict[str, Any], bodies: httpx.AsyncClient) -> None:
    response = await bodies.post("/without-default")

    assert response.status_code == 400
    assert document["paths"]["/without-default"]["post"]["requestBody"]["required"] is True


@pytest.mark.parametrize(("body", "status"), [(b"", 201), (b'{"type": "Plane"}', 201), (b"null", 422)])
async def test_optional_body_can_be_omitted_but_not_null(bodies: httpx.AsyncClient, body: bytes, status: int) -> None:
    response = await bodies.post("/optional", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == status


@post("/anything")
async def echo(request: ServiceRequest) -> JSONResponse[Any]:
    """Read a body that the function does not declare."""
    return JSONResponse([await request.json(), await request.json()])


@pytest.mark.parametrize(("body", "status"), [(b'{"a": [1]}', 201), (b"{", 400)])
async def test_body_without_a_class_is_read(body: bytes, status: int) -> None:
    async with service_client(small_application([echo])) as client:
        response = await client.post("/anything", content=body, headers={"content-type": "application/json"})

    assert response.status_code == status


def test_nested_class_documents_that_it_rejects_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert (schemas["Kite"]["additionalProperties"], schemas["Plane"]["additionalProperties"]) == (False, False)


@pytest.mark.parametrize(
    ("part", "schema"),
    [
        (
            ("Kite", "words", "items"),
            {"type": "string", "minLength": 1, "maxLength": 5, "description": "a word", "examples": ["wing"]},
        ),
        (("Kite", "lengths", "additionalProperties"), {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}),
        (("Plane", "name", "oneOf", 0), {"type": "string", "minLength": 1, "maxLength": 5}),
        (("Kite", "weight"), {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}),
        (("Kite", "shops"), {"type": "object", "maxProperties": 2}),
        (("Row", "words"), {"type": "array", "description": "all words"}),
        (("Row", "words", "items"), {"type": "string", "minLength": 1, "maxLength": 5}),
    ],
)
def test_rules_of_a_part_are_documented(
    document: dict[str, Any], part: tuple[str, ...], schema: dict[str, object]
) -> None:
    name, *steps = part
    found = document["components"]["schemas"][name]["properties"]
    for step in steps:
        found = found[step]

    assert schema.items() <= found.items()


def test_pair_has_no_text_as_its_example(document: dict[str, Any]) -> None:
    assert "examples" not in document["components"]["schemas"]["Kite"]["properties"]["ends"]


def test_described_part_keeps_its_examples(document: dict[str, Any]) -> None:
    field = document["components"]["schemas"]["Kite"]["properties"]["towed_by"]

    assert field == {"allOf": [PLANE_SCHEMA], "description": "a plane"}


class File(msgspec.Struct):
    """A body with bytes."""

    content: bytes
    seal: bytes | None = None
    digest: Annotated[bytes, msgspec.Meta(min_length=5, max_length=32)] = b"hello"


async def test_bytes_are_documented_as_base64() -> None:
    @post("/files")
    async def add_file(request: ServiceRequest, data: JSONBody[File]) -> JSONResponse[str]:
        return JSONResponse(f"{request.method} {data.content.decode()}")

    app = small_application([add_file])
    properties = openapi_document(app)["components"]["schemas"]["File"]["properties"]
    async with service_client(app) as client:
        [example] = properties["content"]["examples"]
        response = await client.post("/files", json={"content": example})

    assert {properties["content"]["contentEncoding"], properties["seal"]["oneOf"][0]["contentEncoding"]} == {"base64"}
    assert response.json() == "POST hello"


def test_documented_limits_of_bytes_count_base64() -> None:
    @post("/files")
    async def add_file(request: ServiceRequest, data: JSONBody[File]) -> JSONResponse[str]:
        return JSONResponse(f"{request.method} {data}")

    digest = openapi_document(small_application([add_file]))["components"]["schemas"]["File"]["properties"]["digest"]

    assert (digest["minLength"], digest["maxLength"], digest["contentEncoding"]) == (8, 44, "base64")


async def test_raw_body_is_there_beside_the_decoded_one() -> None:
    """A signature is that of the bytes, which spaces and the order of fields change."""

    @post("/planes")
    async def receive_plane(request: ServiceRequest, data: JSONBody[Plane]) -> JSONResponse[list[str]]:
        return JSONResponse([(await request.body()).decode(), str(data.name)])

    sent = '{"type": "Plane",  "name": "wing"}'
    async with service_client(small_application([receive_plane])) as client:
        response = await client.post("/planes", content=sent, headers={"Content-Type": "application/json"})

    assert response.json() == [sent, "wing"]
