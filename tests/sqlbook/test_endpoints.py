"""The endpoint map compared with the service itself, and with unusual code."""

from pathlib import Path

import pytest

from service.sqlbook.endpoints import Endpoint, endpoints
from service.sqlcheck.code import Code
from tests.support.processes import ROOT
from tests.support.routes import guarded, routes

DOCS = {"GET /", "GET /docs/{name}"}


@pytest.fixture(scope="module")
def every() -> list[Endpoint]:
    """Return the endpoints of the checkout."""
    return endpoints(Code(ROOT))


def test_every_route_is_mapped(every: list[Endpoint]) -> None:
    mapped = {f"{each.method} {each.path}": each.guarded for each in every}

    assert {route for route, is_guarded in mapped.items() if is_guarded} == {*guarded()}
    assert mapped.keys() == routes().keys() | DOCS


def test_queries_behind_calls_and_dependencies_are_found(every: list[Endpoint]) -> None:
    queries = {each.handler: each.queries for each in every}

    assert queries["UsersController.show_me"] == ("users.show_me",)
    assert queries["AuthController.log_in"][-1] == "auth.find_credentials"
    assert queries["HealthController.live"] == ()


@pytest.mark.parametrize("feature", ["auth", "users"])
def test_every_query_of_a_feature_has_an_endpoint(every: list[Endpoint], feature: str) -> None:
    named = {query for each in every for query in each.queries}
    of_a_command = {"users.ensure_user", "users.fill_email_keys", "users.list_emails_without_key"}

    assert {f"{feature}.{path.stem}" for path in (ROOT / "sql" / feature).glob("*.sql")} <= named | of_a_command


CODE = """
import other
from litestar import Controller, delete, get, patch, post
from service import models
from service.names import LIST as ALL, listed
from service.sql import count, many

PREFIX: str = "/named"
ONE, TWO = 1, 2

@get
async def bare() -> None:
    return ALL

@post(PREFIX)
def named(self, given: Rows, other: int) -> None:
    self.nobody(), other.thing(), given.rows(), given.none(), given["x"].y, undefined()
    return listed(), TWO

@patch()
def here() -> None:
    "Ends   here.\\n\\nNot there."
    count("a.here"); here()

@nothing
def no_handler() -> None: ...

class Rows:
    def rows(self) -> None: many("a.rows", Rows)

class Things(Controller):
    path: str = "/annotated"
    security = BEARER

    @delete(path="/things/{thing:uuid}/")
    def remove(self) -> models.Thing: self.inner(); self.gone()

    def inner(self) -> None: return count("a.inner")
"""
NAMES = """
from service.sql import many
LIST: object = many("a.list", Row)
def listed(): many("a.listed", Row)
"""


def test_unusual_code_is_followed_where_possible(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").write_text("from service import models")
    (tmp_path / "service/models.py").write_text("class Thing: ...")
    (tmp_path / "service/things.py").write_text(CODE)
    (tmp_path / "service/names.py").write_text(NAMES)

    found = {each.handler: each for each in endpoints(Code(tmp_path))}

    assert {handler: (each.method, each.path, each.queries) for handler, each in found.items()} == {
        "bare": ("GET", "/", ("a.list",)),
        "named": ("POST", "/named", ("a.rows", "a.listed")),
        "here": ("PATCH", "/", ("a.here",)),
        "Things.remove": ("DELETE", "/annotated/things/{thing}", ("a.inner",)),
    }
    assert found["here"].purpose == "Ends here."
    assert found["Things.remove"].guarded


def test_handler_of_several_paths_and_methods_is_an_endpoint_for_each(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").touch()
    (tmp_path / "service/things.py").write_text(
        "from litestar import HttpMethod, route\n"
        "@route(['/a', '/b/{key:str}'], http_method=[HttpMethod.GET, 'PUT'])\n"
        "def both() -> None: ...\n"
    )

    found = endpoints(Code(tmp_path))

    assert [(each.method, each.path) for each in found] == [
        ("GET", "/a"),
        ("PUT", "/a"),
        ("GET", "/b/{key}"),
        ("PUT", "/b/{key}"),
    ]


@pytest.mark.parametrize("nothing", ["[]", "()"])
def test_public_handler_is_not_guarded(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").touch()
    (tmp_path / "service/things.py").write_text(
        f"from litestar import Controller, get\nclass Things(Controller):\n"
        f"    security = {nothing}\n    @get()\n    async def all(self) -> None: ...\n"
    )

    [found] = endpoints(Code(tmp_path))

    assert not found.guarded
