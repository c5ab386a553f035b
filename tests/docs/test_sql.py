"""The nested answer in docs/sql.md passes the checks and is what a client gets."""

import sys
from functools import partial
from types import ModuleType

import pytest

from service.app import CONTROLLERS, Service, create_app
from service.http.openapi import openapi_document
from service.postgres import queries, read_query
from tests.support.application import OneTransaction, make_settings
from tests.support.checkouts import Connection, Copy
from tests.support.factories import LoggedIn, service_client
from tests.support.pages import PART, section
from tests.support.processes import ROOT

CONTROLLER = """
from litestar import Controller, get

from service.auth.guard import BEARER
from service.http import JSONResponse, ServiceRequest


class AccountController(Controller):
    path = "/account"
    tags = ("users",)
    security = BEARER

    @get()
    async def show_account(self, request: ServiceRequest) -> JSONResponse[Account]:
        return JSONResponse(await request.db.one(SHOW_ACCOUNT, *request.auth))
"""
NESTED = section((ROOT / "docs/sql.md").read_text(encoding="utf-8"), "Nested answers in one query")


@pytest.fixture
def page(tree: Copy) -> str:
    """Write the files of the page into a copy of the tree; return its Python."""
    path = python = ""
    for part in PART.finditer(NESTED):
        path = part["path"] or path
        if part["kind"]:
            tree.write(path, part["text"])
            python = part["text"] if part["kind"] == "python" else python
    return python


@pytest.fixture
def app(
    page: str, tree: Copy, database_url: str, one_transaction: OneTransaction, monkeypatch: pytest.MonkeyPatch
) -> Service:
    """Return the service with a controller that runs the page's query."""
    module = ModuleType("accounts")
    monkeypatch.setattr(queries, "read_query", partial(read_query, directory=tree.root / "sql"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(page + CONTROLLER, vars(module))  # noqa: S102 - the page is the project's own
    monkeypatch.setattr("service.app.CONTROLLERS", [*CONTROLLERS, module.AccountController])
    return create_app(make_settings(database_url), one_transaction)


@pytest.mark.slow
@pytest.mark.usefixtures("page")
def test_nested_answer_passes_the_checks(tree: Copy, checked: Connection) -> None:
    assert {finding.check for finding in tree.check(checked)} == {"stub"}  # the stub was not regenerated


@pytest.mark.slow
async def test_nested_answer_is_sent(app: Service, user: LoggedIn) -> None:
    async with service_client(app) as client:
        response = await client.get("/account", headers=user.bearer)

    assert response.json() | {"sessions": [sorted(each) for each in response.json()["sessions"]]} == {
        "id": str(user.id),
        "email": user.email,
        "sessions": [["created_at", "id", "user_agent"]],
    }


@pytest.mark.slow
def test_nested_answer_is_in_the_openapi_document(app: Service) -> None:
    schemas = openapi_document(app)["components"]["schemas"]

    assert schemas["Account"]["properties"]["sessions"]["items"] == {"$ref": "#/components/schemas/OpenSession"}
    assert schemas["OpenSession"]["properties"]["created_at"]["format"] == "date-time"
