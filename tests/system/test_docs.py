"""GET / and what it loads: documentation that works without the internet."""

import re

import httpx
import pytest

from tests.routes import GUARDED, OPEN


async def test_the_page_may_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/")

    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert not re.search("https?:", " ".join(policy.values()))


async def test_all_that_the_page_loads_is_served(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    paths = re.findall(r'(?:src|href)="([^"]+)"', page)

    answers = {path: await client.get(path) for path in paths}

    assert {path: (answer.status_code, answer.headers["Content-Type"]) for path, answer in answers.items()} == {
        "/docs/favicon-32x32.png": (200, "image/png"),
        "/docs/swagger-ui.css": (200, "text/css; charset=utf-8"),
        "/docs/swagger-ui-bundle.js": (200, "text/javascript; charset=utf-8"),
        "/docs/start.js": (200, "text/javascript; charset=utf-8"),
    }


async def test_the_page_reads_the_document_of_this_service(client: httpx.AsyncClient) -> None:
    script = (await client.get("/docs/start.js")).text

    [url] = re.findall(r'url: "(.+)"', script)
    assert (await client.get(url)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/docs/",
        "/docs/nothing.js",
        "/docs/..%2fcontrollers.py",
        "/docs/%00",
        f"/docs/{'a' * 5000}",
        "/docs/a/b",
    ],
)
async def test_no_other_file_is(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


async def test_the_document_is_openapi_3_1_and_lists_every_endpoint(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")

    assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    document = response.json()
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    listed = {f"{method} {path}" for path, methods in document["paths"].items() for method in methods}
    assert listed == {*OPEN, *GUARDED}


async def test_the_document_says_how_to_log_in(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["flows"]) == (
        "oauth2",
        {"password": {"tokenUrl": "/auth/access-token", "scopes": {}}},
    )
    assert document["paths"]["/users/me"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/users/register"]["post"]


async def test_the_document_tells_what_a_field_may_be(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]

    assert schemas["Registration"]["required"] == ["email", "password"]
    assert schemas["Registration"]["properties"]["email"] == {
        "type": "string",
        "maxLength": 254,
        "format": "email",
        "examples": ["ada@example.com"],
    }


@pytest.mark.parametrize("path", ["/openapi.json/openapi.json", "/openapi.json/openapi.yaml", "/openapi.json/nothing"])
async def test_there_is_one_document_only(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
