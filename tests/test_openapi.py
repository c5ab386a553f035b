"""The OpenAPI document: what clients are generated from."""

from typing import Any

import httpx
import pytest

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the document as a client gets it, who asks for the second time."""
    first = (await client.get("/openapi.json")).json()
    second: dict[str, Any] = (await client.get("/openapi.json")).json()
    assert first == second
    return second


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


async def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for operation in operations(document):
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"421", "431", "500", "503"} <= refusals.keys()
        assert all(answer["content"] == PROBLEM for answer in refusals.values())


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("post", "/auth/access-token", ["200", "400", "408", "413", "415", "421", "422", "429", "431", "500", "503"]),
        ("post", "/users/register", ["201", "400", "408", "409", "413", "415", "421", "422", "431", "500", "503"]),
        ("get", "/pets/{pet_id}", ["200", "304", "401", "404", "421", "422", "431", "500", "503"]),
        ("get", "/pets/me", ["200", "401", "421", "422", "431", "500", "503"]),
        ("delete", "/pets/{pet_id}", ["204", "401", "404", "412", "421", "422", "431", "500", "503"]),
    ],
)
async def test_an_operation_says_all_that_it_may_answer(
    document: dict[str, Any],
    method: str,
    path: str,
    statuses: list[str],
) -> None:
    assert sorted(document["paths"][path][method]["responses"]) == statuses


async def test_bodies_take_no_unknown_fields(document: dict[str, Any]) -> None:
    bodies = [operation["requestBody"]["content"] for operation in operations(document) if "requestBody" in operation]
    schemas = [content["schema"] for body in bodies for content in body.values()]
    resolved = [
        document["components"]["schemas"].get(each.get("$ref", "").rpartition("/")[2], each) for each in schemas
    ]

    assert len(resolved) >= 7
    assert all(schema["additionalProperties"] is False for schema in resolved)


async def test_who_calls_is_said_where_a_token_is_needed(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert ("401" in operation["responses"]) == bool(operation.get("security"))
        if "401" in operation["responses"]:
            assert operation["responses"]["401"]["headers"] == {"WWW-Authenticate": {"schema": {"type": "string"}}}
