"""Bodies of nested objects and arrays: each invalid value is located."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody

from tests.support.factories import service_client
from tests.support.small_application import small_application

JSON = {"Content-Type": "application/json"}
# Only the first error so deep is located.
DEEP = {"branches": [{"branches": [{"branches": [{"branches": [{"age": 1, "height": "tall"}]}]}]}]}


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    """A body of unlimited depth; the service's own have none."""

    branches: Annotated[list["Tree"], msgspec.Meta(max_length=1000)] = []
    height: int = 0
    nest: "Nest | None" = None
    nests: list["Nest"] = []
    birds: dict[Annotated[str, msgspec.Meta(max_length=4)], int] = {}
    leaves: dict[str, int] | None = None


class Nest(msgspec.Struct):
    """A body that ignores unknown fields."""

    eggs: int


@post("/trees", sync_to_thread=False)
def plant(data: JSONBody[Tree]) -> Tree:
    return data


@pytest.fixture(scope="module")
async def forest() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application with nested bodies."""
    async with service_client(small_application([plant])) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        JSON | {"Content-Encoding": "Identity"},
    ],
)
async def test_content_type_spelling_varies(forest: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await forest.post("/trees", content=b"{}", headers=headers)).status_code == 201


async def test_body_becomes_the_handlers_type(forest: httpx.AsyncClient) -> None:
    more = {"birds": {"jay": 1}, "leaves": None}
    branch = {"branches": [], "height": 1, "nest": {"eggs": 3}, "nests": [{"eggs": 0}], **more}

    response = await forest.post("/trees", json={"branches": [branch], "height": 2})

    empty: dict[str, object] = {"nest": None, "nests": [], "birds": {}, "leaves": None}
    assert response.json() == {"branches": [branch], "height": 2, **empty}


async def test_invalid_nested_field_is_pointed_at(forest: httpx.AsyncClient) -> None:
    response = await forest.post("/trees", json={"branches": [{"height": "tall"}]})

    assert response.json()["errors"] == [{"pointer": "/branches/0/height", "detail": "Expected int, got str"}]


@pytest.mark.parametrize(
    ("tree", "pointer", "detail"),
    [
        ({"nest": {}}, "/nest/eggs", "is missing"),
        ({"nest": {"eggs": "two", "twigs": 1}}, "/nest/eggs", "Expected int, got str"),
        ({"nests": [{"eggs": "two", "twigs": 1}]}, "/nests/0/eggs", "Expected int, got str"),
        ({"birds": {"a/b": "two"}}, "/birds/a~1b", "Expected int, got str"),
        ({"birds": {"robin": 1}}, "/birds", "Expected str of length <= 4"),
        ({"leaves": {"oak": "two"}}, "/leaves", "Expected int, got str"),
        (DEEP, f"{'/branches/0' * 4}/age", "is not a known field"),
    ],
)
async def test_other_nested_field_is_pointed_at(
    forest: httpx.AsyncClient, tree: dict[str, object], pointer: str, detail: str
) -> None:
    response = await forest.post("/trees", json=tree)

    assert response.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_broken_rules_of_all_elements_are_named(forest: httpx.AsyncClient) -> None:
    response = await forest.post("/trees", json={"branches": [{"height": "tall"}, {}, {"age": 1}, 7]})

    assert [error["pointer"] for error in response.json()["errors"]] == [
        "/branches/0/height",
        "/branches/2/age",
        "/branches/3",
    ]


async def test_number_of_named_rules_is_limited(forest: httpx.AsyncClient) -> None:
    response = await forest.post("/trees", json={"branches": [7] * 1000})

    assert len(response.json()["errors"]) == 20


@pytest.mark.parametrize(
    "body", ['{"height":"tall"', '{"height":"tall"}}', "[7, ", '{"leaves":1} 2', b'{"age":1,"x":"\xff"}']
)
async def test_malformed_json_behind_an_invalid_field_is_400(forest: httpx.AsyncClient, body: str | bytes) -> None:
    response = await forest.post("/trees", content=body, headers=JSON)

    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed-request")


async def test_number_without_a_representation_is_422(forest: httpx.AsyncClient) -> None:
    response = await forest.post("/trees", content='{"height":"tall","leaves":1e999}', headers=JSON)

    assert response.status_code == 422


@pytest.mark.parametrize(
    "body", ['{"branches":[' * 100_000, '{"branches":[' * 100_000 + "]}" * 100_000, "[" * 1_000_000]
)
async def test_deep_nesting_is_never_500(forest: httpx.AsyncClient, body: str) -> None:
    response = await forest.post("/trees", content=body, headers=JSON)

    assert response.status_code in {400, 422}


async def test_too_deep_body_is_reported(forest: httpx.AsyncClient) -> None:
    response = await forest.post("/trees", content='{"branches":[' * 100_000, headers=JSON)

    assert response.json()["detail"] == "The body is not JSON: it is nested too deeply"
