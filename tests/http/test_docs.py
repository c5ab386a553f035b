"""The documentation page works without internet access."""

import re
from hashlib import sha256

import httpx
import pytest

from service.app import Service
from tests.support.processes import ROOT
from tests.support.routes import operations

FOLDER = ROOT / "service" / "http" / "system" / "swagger_ui"
# The SHA-256 of each file of swagger-ui-dist in the tree, as published on npm.
OF_OTHERS = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "favicon-32x32.png": "3ed612f41e050ca5e7000cad6f1cbe7e7da39f65fca99c02e99e6591056e5837",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


@pytest.mark.parametrize("path", ["/", "/docs/index.html"])
async def test_page_may_load_nothing_from_elsewhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert set(response.headers["Content-Security-Policy"].split("; ")) == {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    }


async def test_every_asset_of_the_page_is_served(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    paths = re.findall(r'(?:src|href)="([^"]+)"', page)

    responses = {path: await client.get(path) for path in paths}

    assert {path: (response.status_code, response.headers["Content-Type"]) for path, response in responses.items()} == {
        "/docs/favicon-32x32.png": (200, "image/png"),
        "/docs/swagger-ui.css": (200, "text/css; charset=utf-8"),
        "/docs/page.css": (200, "text/css; charset=utf-8"),
        "/docs/swagger-ui-bundle.js": (200, "text/javascript; charset=utf-8"),
        "/docs/start.js": (200, "text/javascript; charset=utf-8"),
    }


async def test_file_without_an_extension_is_text(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs/LICENSE")

    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")


def test_vendored_assets_are_unchanged_and_licensed() -> None:
    [version] = re.findall(r"`swagger-ui-dist` (\S+) ", (FOLDER / "README.md").read_text())

    assert f'PACKAGE_VERSION:"{version}"' in (FOLDER / "swagger-ui-bundle.js").read_text()
    assert {name: sha256((FOLDER / name).read_bytes()).hexdigest() for name in OF_OTHERS} == OF_OTHERS


async def test_page_reads_this_services_document(client: httpx.AsyncClient) -> None:
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
async def test_other_files_are_404(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


async def test_document_is_openapi_3_1_with_every_endpoint(client: httpx.AsyncClient, app: Service) -> None:
    response = await client.get("/openapi.json")

    assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    document = response.json()
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert operations(document).keys() == {
        f"{method} {route.path_format}"
        for route in app.routes
        if not re.match(r"/($|docs/|openapi\.json)", route.path_format)
        for method in getattr(route, "methods", set()) - {"HEAD", "OPTIONS"}
    }


async def test_document_describes_log_in(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["flows"]) == (
        "oauth2",
        {"password": {"tokenUrl": "/auth/access-token", "scopes": {}}},
    )
    assert document["paths"]["/users/me"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/users/register"]["post"]


async def test_document_describes_field_limits(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]

    assert schemas["Registration"]["required"] == ["email", "password"]
    assert schemas["Registration"]["properties"]["email"] == {
        "type": "string",
        "maxLength": 254,
        "format": "email",
        "examples": ["ada@example.com"],
    }


@pytest.mark.parametrize("path", ["/openapi.json/openapi.json", "/openapi.json/openapi.yaml", "/openapi.json/nothing"])
async def test_only_one_document_is_served(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
