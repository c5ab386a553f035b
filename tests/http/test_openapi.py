"""The OpenAPI document that clients are generated from."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

import httpx
import jsonschema_rs
import pytest
from click.testing import CliRunner

from service.cli import main
from service.http.openapi import CompleteDocument, example, is_composed, openapi_document
from service.problems import Forbidden, MethodNotAllowed, QueryFinding
from tests.support.problems import KINDS
from tests.support.processes import ROOT, command, environment

PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture
async def document(kites: httpx.AsyncClient) -> dict[str, Any]:
    """Return the document of the service with one more controller."""
    served: dict[str, Any] = (await kites.get("/openapi.json")).json()
    return served


async def test_command_prints_the_served_document(client: httpx.AsyncClient) -> None:
    result = CliRunner().invoke(main, ["openapi"])

    assert result.exit_code == 0
    assert json.loads(result.stdout) == (await client.get("/openapi.json")).json()


@pytest.mark.slow
def test_processes_print_the_same_document() -> None:
    """Sets have another order in each."""
    environments = [environment({"PYTHONHASHSEED": seed}) for seed in "1234"]
    printed = {subprocess.check_output(command("openapi"), cwd=ROOT, env=each) for each in environments}

    assert len(printed) == 1


async def test_document_is_made_once(client: httpx.AsyncClient) -> None:
    """Anyone can request it, and the event loop would be blocked for 10 ms each time."""
    first = await client.get("/openapi.json")
    ran = set[CodeType]()
    sys.setprofile(lambda frame, *_: ran.add(frame.f_code))

    second = await client.get("/openapi.json")

    sys.setprofile(None)
    assert second.content == first.content
    assert CompleteDocument.render.__code__ in ran
    assert openapi_document.__code__ not in ran


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


async def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for operation in operations(document):
        refusals = {status: response for status, response in operation["responses"].items() if status >= "400"}
        assert {"431", "500", "503"} <= refusals.keys()
        schemas = [response["content"]["application/problem+json"]["schema"] for response in refusals.values()]
        assert all(schema == PROBLEM for schema in schemas)


async def test_example_of_a_problem_is_what_clients_receive(document: dict[str, Any], kites: httpx.AsyncClient) -> None:
    response = document["paths"]["/users/me"]["get"]["responses"]["401"]
    example = response["content"]["application/problem+json"]["examples"]["not-authenticated"]["value"]

    received = (await kites.get("/users/me")).json()

    assert received == example | {"instance": received["instance"]}


async def test_only_health_checks_accept_any_host(document: dict[str, Any]) -> None:
    without = {
        path
        for path, methods in document["paths"].items()
        for each in methods.values()
        if "421" not in each["responses"]
    }

    assert without == {"/health/live", "/health/ready"}


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        (
            "post",
            "/auth/access-token",
            ["200", "400", "408", "413", "415", "421", "422", "429", "431", "500", "501", "503"],
        ),
        (
            "post",
            "/users/register",
            ["201", "400", "408", "409", "413", "415", "421", "422", "429", "431", "500", "501", "503"],
        ),
        ("get", "/kites/{kite_id}", ["200", "304", "401", "404", "421", "422", "431", "500", "503"]),
        ("get", "/kites/me", ["200", "401", "421", "422", "431", "500", "503"]),
        ("delete", "/kites/{kite_id}", ["204", "401", "404", "412", "421", "422", "431", "500", "503"]),
    ],
)
async def test_operation_lists_all_its_statuses(
    document: dict[str, Any],
    method: str,
    path: str,
    statuses: list[str],
) -> None:
    assert sorted(document["paths"][path][method]["responses"]) == statuses


async def test_every_problem_type_has_an_example(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    shown = {example["type"] for operation in operations(document) for example in examples_of(operation)}

    # Litestar generates the first, the second is for developers of the service, and no operation need return the third.
    never = {MethodNotAllowed.type, QueryFinding.type, Forbidden.type}
    # For operations that take the header.
    of_headers = {
        "If-Match": {"/problems/precondition-failed"},
        "Idempotency-Key": {"/problems/request-in-flight", "/problems/idempotency-key-reused"},
    }
    taken = {each["name"] for operation in operations(document) for each in operation.get("parameters", [])}
    for header in of_headers.keys() - taken:
        never |= of_headers[header]
    unlisted = {kind.type for kind in KINDS} - shown - never
    assert unlisted == set(), "list their classes in `problems=` of the handlers that raise them"


def examples_of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the problem of each example, and check that its status matches its response."""
    for status, response in operation["responses"].items():
        for each in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).values():
            assert str(each["value"]["status"]) == status
            yield each["value"]


async def test_every_refusal_has_a_valid_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    problem = schemas["Problem"] | {"$defs": {}, "properties": schemas["Problem"]["properties"] | {"errors": {}}}
    for operation in operations(document):
        refused = [status for status in operation["responses"] if status >= "400"]
        examples = [*examples_of(operation)]
        assert {str(example["status"]) for example in examples} == {*refused}
        assert all(jsonschema_rs.is_valid(problem, example) for example in examples)


async def test_bodies_allow_no_unknown_fields(document: dict[str, Any]) -> None:
    names = ("Login", "NewPassword", "RefreshToken", "Registration", "KiteName")

    assert all(document["components"]["schemas"][name]["additionalProperties"] is False for name in names)


async def test_guarded_operations_document_401(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert ("401" in operation["responses"]) == bool(operation.get("security"))
        if "401" in operation["responses"]:
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]


async def test_every_operation_has_id_and_summary(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document)]

    assert len(ids) == len(set(ids))
    assert {"log_in", "create_kite", "list_my_kites"} <= set(ids)
    assert document["paths"]["/kites/create"]["post"]["summary"] == "Create a kite for the caller"
    for operation in operations(document):
        assert operation["description"].startswith(operation["summary"])
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"] if tag["description"]}


def parameters_and_headers(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each parameter and response header with its place."""
    for operation in operations(document):
        for parameter in operation.get("parameters", []):
            yield f"{operation['operationId']} {parameter['name']}", parameter
        for status, response in operation["responses"].items():
            for name, header in response["headers"].items():
                found = document["components"]["headers"][name] if "$ref" in header else header
                yield f"{operation['operationId']} {status} {name}", found


def placed_schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schema of each field, parameter and header with its place."""
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            yield f"{schema['title']}.{name}", field
    for place, each in parameters_and_headers(document):
        yield place, each["schema"]


async def test_every_parameter_and_header_has_a_description(document: dict[str, Any]) -> None:
    undescribed = [place for place, each in parameters_and_headers(document) if not each.get("description")]

    assert not undescribed, f"add a description, as in PathParameter(description=…), to {', '.join(undescribed)}"


async def test_every_schema_has_a_valid_example(document: dict[str, Any]) -> None:
    for place, schema in placed_schemas(document):
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        if not is_composed(schema):
            assert schema["examples"], place
        for each in schema.get("examples", ()):
            assert validator.is_valid(each), f"{place}: {each!r} is not valid: add `examples` to its msgspec.Meta"


async def test_parameter_is_never_null(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert all({"type", "$ref"} & parameter["schema"].keys() for parameter in operation.get("parameters", []))


async def test_documented_limits_are_exact(document: dict[str, Any]) -> None:
    """Litestar's limits are floats, which cannot represent 2**63 - 1."""
    [kite_id] = document["paths"]["/kites/{kite_id}"]["delete"]["parameters"][:1]

    assert (kite_id["schema"]["minimum"], kite_id["schema"]["maximum"]) == (1, 2**63 - 1)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("post", "/auth/access-token", "200", {"Cache-Control"}),
        ("post", "/auth/access-token", "400", {"RateLimit", "RateLimit-Policy"}),
        ("post", "/auth/refresh-token", "400", set()),
        ("post", "/users/reset-password", "422", {"RateLimit", "RateLimit-Policy"}),
        ("delete", "/users/me", "422", {"RateLimit", "RateLimit-Policy"}),
        ("post", "/auth/access-token", "429", {"Retry-After", "RateLimit", "RateLimit-Policy"}),
        ("post", "/kites/create", "201", {"ETag", "Location"}),
        ("get", "/kites/me", "200", {"Link"}),
        ("get", "/kites/{kite_id}", "200", {"ETag"}),
        ("get", "/kites/{kite_id}", "304", {"ETag"}),
        ("patch", "/kites/{kite_id}", "200", {"ETag"}),
        ("delete", "/kites/{kite_id}", "204", set()),
        ("post", "/kites/create", "415", {"Accept-Post", "Accept-Encoding"}),
        ("patch", "/kites/{kite_id}", "415", {"Accept-Patch", "Accept-Encoding"}),
        ("delete", "/users/me", "415", {"Accept", "Accept-Encoding"}),
        ("post", "/kites/create", "409", {"Retry-After"}),
        ("get", "/health/ready", "503", {"Retry-After"}),
    ],
)
async def test_response_headers_are_documented(
    document: dict[str, Any], method: str, path: str, status: str, headers: set[str]
) -> None:
    assert set(document["paths"][path][method]["responses"][status]["headers"]) == {"X-Request-ID", *headers}


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [
        ("kite_name", {"type": "string"}, "kite name"),
        ("issued_at", {"type": "string", "format": "date"}, "2026-01-31"),
        ("pieces", {"type": "integer", "minimum": 7}, 7),
        ("status", {"type": "string", "enum": ["live", "ready"]}, "live"),
        ("pieces", {"oneOf": [{"type": "integer"}, {"type": "null"}], "exclusiveMinimum": 5.0}, 6),
        ("pieces", {"type": "integer", "maximum": 0}, 0),
        ("currency", {"type": "string", "minLength": 3, "maxLength": 3}, "cur"),
        ("id", {"type": "string", "minLength": 3}, "idx"),
    ],
)
def test_missing_example_is_generated(name: str, schema: dict[str, Any], expected: object) -> None:
    assert example(name, schema) == expected
