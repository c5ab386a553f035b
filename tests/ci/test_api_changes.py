"""The changes of the API that CI reports as breaking or harmless."""

import copy
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.app import Service
from service.http.openapi import openapi_document
from tests.support.git import commit, git
from tests.support.processes import ROOT

SCRIPT = ROOT / ".ci" / "api_changes.py"
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
Edit = Callable[[dict[str, Any]], object]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_changes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["api_changes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def document(app_with_kites: Service) -> dict[str, Any]:
    """Return the document of the service with one more controller."""
    return openapi_document(app_with_kites)


def changes(document: dict[str, Any], edit: Edit) -> list[str]:
    edited = copy.deepcopy(document)
    edit(edited)
    return [str(change) for change in loaded().compare(document, edited)]


def field(schema: str, name: str, **rules: object) -> Edit:
    """Return a function that adds a field to a schema, or changes its rules."""
    return lambda document: (
        document["components"]["schemas"][schema]["properties"].setdefault(name, {"type": "string"}).update(rules)
    )


def no_field(schema: str, name: str) -> Edit:
    return lambda document: document["components"]["schemas"][schema]["properties"].pop(name)


def required(schema: str, *names: str) -> Edit:
    return lambda document: document["components"]["schemas"][schema].update(required=names)


def both(*edits: Edit) -> Edit:
    return lambda document: [edit(document) for edit in edits]


def operation(method: str, path: str, edit: Edit) -> Edit:
    return lambda document: edit(document["paths"][path][method])


SENT, GOT, EACH = "POST /kites/create, body", "POST /kites/create, 201", "GET /kites/me, 200, each"
CREATE = "POST /kites/create"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda document: document["paths"].pop("/users/me"), {"DELETE /users/me: is gone", "GET /users/me: is gone"}),
        (no_field("Kite", "kite_name"), {f"{GOT}: kite_name is gone", f"{EACH}: kite_name is gone"}),
        (no_field("KiteName", "kite_name"), {f"{SENT}: kite_name is gone"}),
        (
            both(field("KiteName", "age"), required("KiteName", "age", "kite_name")),
            {f"{SENT}: age is new, and required"},
        ),
        (
            both(field("KiteName", "kite_name", type="integer")),
            {f"{SENT}, kite_name: is integer, was string"},
        ),
        (field("KiteName", "kite_name", maxLength=10), {f"{SENT}, kite_name: maxLength is 10, was 50"}),
        (field("KiteName", "kite_name", minLength=2), {f"{SENT}, kite_name: minLength is 2, was 1"}),
        (field("KiteName", "kite_name", pattern="^A"), {f"{SENT}, kite_name: pattern is ^A, was "}),
        (field("KiteName", "kite_name", enum=["A"]), {f"{SENT}, kite_name: is A only, was anything"}),
        (field("KiteName", "kite_name", exclusiveMinimum=1), {f"{SENT}, kite_name: exclusiveMinimum is 1, was None"}),
        (field("KiteName", "kite_name", exclusiveMaximum=9), {f"{SENT}, kite_name: exclusiveMaximum is 9, was None"}),
        (field("KiteName", "kite_name", multipleOf=5), {f"{SENT}, kite_name: multipleOf is 5, was None"}),
        (field("KiteName", "kite_name", uniqueItems=True), {f"{SENT}, kite_name: uniqueItems is True, was None"}),
        (required("NewPassword", "password", "current_password"), {"is required now"}),
        (required("Kite", "id"), {f"{GOT}, kite_name: is optional now"}),
        (field("Kite", "id", type=["integer", "null"]), {f"{GOT}, id: can be more than integer: integer, null"}),
        (field("Health", "status", enum=["live", "ready", "tired"]), {"can be more than live, ready"}),
        (
            operation("post", "/kites/create", lambda post: post.update(operationId="add_kite")),
            {f"{CREATE}: is called add_kite, was create_kite"},
        ),
        (
            operation("post", "/users/register", lambda post: post.update(security=[{"bearer": []}])),
            {"POST /users/register: needs a token now"},
        ),
        (
            operation("get", "/kites/me", lambda get: get["parameters"].pop(0)),
            {"GET /kites/me, parameters: limit (query) is gone"},
        ),
        (
            operation("post", "/kites/create", lambda post: post["parameters"][0].update(required=True)),
            {f"{CREATE}, parameters, Idempotency-Key (header): is required now"},
        ),
        (
            operation("post", "/kites/create", lambda post: post["responses"]["201"]["headers"].pop("ETag")),
            {f"{GOT}, headers: ETag is gone"},
        ),
        (
            operation("delete", "/users/me", lambda delete: delete["responses"].pop("204")),
            {"DELETE /users/me, 204: is no longer returned"},
        ),
        (
            operation("post", "/kites/create", lambda post: post["requestBody"].update(content={})),
            {f"{SENT}: application/json is gone"},
        ),
        (
            operation("delete", "/users/me", lambda delete: delete["requestBody"].update(required=True)),
            {"DELETE /users/me, body: is required now"},
        ),
        (
            field("LoginSession", "ip", oneOf=[{"type": "string"}, {"type": "null"}, {"type": "integer"}]),
            {'GET /auth/sessions, 200, each, ip: can also be {"type": "integer"}'},
        ),
    ],
)
def test_change_that_breaks_callers_is_breaking(document: dict[str, Any], edit: Edit, expected: set[str]) -> None:
    found = changes(document, edit)

    assert all(line.startswith("breaking  ") for line in found), found
    assert all(any(sentence in line for line in found) for sentence in expected), found


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda document: document["paths"].update({"/kites": {"get": {}}}), "GET /kites: is new"),
        (field("KiteName", "age"), f"{SENT}: age is new, and optional"),
        (field("Kite", "age"), f"{GOT}: age is new, and optional"),
        (both(field("Kite", "age"), required("Kite", "age", "id", "kite_name")), f"{GOT}: age is new"),
        (required("KiteName"), f"{SENT}, kite_name: is optional now"),
        (field("KiteName", "kite_name", maxLength=60), f"{SENT}, kite_name: maxLength is 60, was 50"),
        (field("KiteName", "kite_name", type=["string", "null"]), "can be more than string"),
        (field("Health", "status", enum=["live"]), "GET /health/live, 200, status: is live only"),
        (
            operation("get", "/kites/me", lambda get: get.pop("security")),
            "GET /kites/me: no longer needs a token",
        ),
        (
            operation("post", "/auth/logout", lambda post: post["requestBody"].pop("required")),
            "POST /auth/logout, body: is optional now",
        ),
        (
            operation(
                "get", "/users/me", lambda get: get.update(requestBody={"content": {"text/plain": {"schema": {}}}})
            ),
            "GET /users/me, body: text/plain is new",
        ),
        (
            operation("get", "/users/me", lambda get: get["responses"].update({"418": {}})),
            "GET /users/me, 418: is a new response",
        ),
        (
            operation("get", "/users/me", lambda get: get["responses"].pop("503")),
            "GET /users/me, 503: is no longer returned",
        ),
    ],
)
def test_change_that_callers_can_ignore_is_harmless(document: dict[str, Any], edit: Edit, expected: str) -> None:
    found = changes(document, edit)

    assert all(line.startswith("harmless  ") for line in found), found
    assert any(expected in line for line in found), found


def test_bound_made_exclusive_is_breaking(document: dict[str, Any]) -> None:
    """The lower bound was 1, inclusive: 1 is refused now."""

    def exclude_it(document: dict[str, Any]) -> None:
        [limit] = [each for each in document["paths"]["/kites/me"]["get"]["parameters"] if each["name"] == "limit"]
        limit["schema"]["exclusiveMinimum"] = limit["schema"].pop("minimum")

    assert changes(document, exclude_it) == [
        "breaking  GET /kites/me, parameters, limit (query): exclusiveMinimum is 1, was None",
        "harmless  GET /kites/me, parameters, limit (query): minimum is None, was 1",
    ]


def test_descriptions_and_examples_are_not_changes(document: dict[str, Any]) -> None:
    edit = both(
        lambda document: document["info"].update(title="Cats"),
        field("Kite", "kite_name", description="a name", examples=["Ada"]),
        operation("get", "/kites/me", lambda get: get.update(summary="List kites", tags=["cats"])),
    )

    assert changes(document, edit) == []


@pytest.mark.slow
def test_ci_lists_changes_since_a_revision(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".dev", "tests", "*_cache"))
    commit(tree)

    def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ".ci/api_changes.py", *arguments]
        nothing = {"PATH": os.environ["PATH"]}  # no coverage: each of these generates two documents
        return subprocess.run(command, cwd=tree, env=nothing, capture_output=True, text=True, check=False)

    alone = asked()
    models = tree / "service" / "auth" / "emails.py"
    models.write_text(models.read_text().replace("MAX_LENGTH = 254", "MAX_LENGTH = 200"))
    git(tree, "switch", "--quiet", "--create", "next")
    commit(tree)
    before = loaded().last_release(tree)
    git(tree, "tag", "v1", "HEAD^")
    release = loaded().last_release(tree)
    [since_main] = re.findall(r"^python \.ci/api_changes\.py (.*)$", PAGE, re.MULTILINE)
    since, nowhere = asked(since_main, "--github"), asked("v0")
    models.write_text("no Python")
    broken = asked()

    assert (before, release) == (git(tree, "rev-parse", "HEAD^").strip(), "v1")
    assert since.returncode == 0
    assert since.stdout.splitlines() == [
        "breaking  POST /users/register, body, email: maxLength is 200, was 254",
        "::warning title=The API breaks::POST /users/register, body, email: maxLength is 200, was 254",
        "1 breaking, 0 harmless changes to the API since main",
    ]
    assert (alone.returncode, alone.stdout) == (0, "There is no earlier revision to compare the API with.\n")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert nowhere.stderr.startswith("git cannot read 'v0': ")
    assert (broken.returncode, broken.stderr.count("\n")) == (1, 1)
    assert broken.stderr.startswith("The OpenAPI document cannot be generated: ")
