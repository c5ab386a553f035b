"""What CI says of a changed API: which changes break callers."""

import copy
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from tests.processes import ROOT

SCRIPT = ROOT / ".ci" / "api_changes.py"
Edit = Callable[[dict[str, Any]], object]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_changes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["api_changes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document of this tree."""
    printed: dict[str, Any] = json.loads(CliRunner().invoke(main, ["openapi"]).stdout)
    return printed


def changes(document: dict[str, Any], edit: Edit) -> list[str]:
    edited = copy.deepcopy(document)
    edit(edited)
    return [str(change) for change in loaded().compare(document, edited)]


def field(schema: str, name: str, **rules: object) -> Edit:
    """Return what adds a field to a schema, or changes its rules."""
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


SENT, GOT, EACH = "POST /pets/create, body", "POST /pets/create, 201", "GET /pets/me, 200, each"
CREATE = "POST /pets/create"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda document: document["paths"].pop("/users/me"), {"DELETE /users/me: is gone", "GET /users/me: is gone"}),
        (no_field("Pet", "user_id"), {f"{GOT}: user_id is gone", f"{EACH}: user_id is gone"}),
        (no_field("PetName", "pet_name"), {f"{SENT}: pet_name is gone"}),
        (
            both(field("PetName", "age"), required("PetName", "age", "pet_name")),
            {f"{SENT}: age is new, and required"},
        ),
        (
            both(field("PetName", "pet_name", type="integer")),
            {f"{SENT}, pet_name: is integer, was string"},
        ),
        (field("PetName", "pet_name", maxLength=10), {f"{SENT}, pet_name: maxLength is 10, was 50"}),
        (field("PetName", "pet_name", minLength=2), {f"{SENT}, pet_name: minLength is 2, was 1"}),
        (field("PetName", "pet_name", pattern="^A"), {f"{SENT}, pet_name: pattern is ^A, was "}),
        (field("PetName", "pet_name", enum=["A"]), {f"{SENT}, pet_name: is A only, was anything"}),
        (required("NewPassword", "password", "current_password"), {"is required now"}),
        (required("Pet", "id", "pet_name"), {f"{GOT}, user_id: is optional now"}),
        (field("Pet", "id", type=["integer", "null"]), {f"{GOT}, id: may be more than integer: integer, null"}),
        (field("Health", "status", enum=["live", "ready", "tired"]), {"may be more than live, ready"}),
        (
            operation("post", "/pets/create", lambda post: post.update(operationId="add_pet")),
            {f"{CREATE}: is called add_pet, was create_pet"},
        ),
        (
            operation("post", "/users/register", lambda post: post.update(security=[{"bearer": []}])),
            {"POST /users/register: needs a token now"},
        ),
        (
            operation("get", "/pets/me", lambda get: get["parameters"].pop(0)),
            {"GET /pets/me, parameters: limit (query) is gone"},
        ),
        (
            operation("post", "/pets/create", lambda post: post["parameters"][0].update(required=True)),
            {f"{CREATE}, parameters, Idempotency-Key (header): is required now"},
        ),
        (
            operation("post", "/pets/create", lambda post: post["responses"]["201"]["headers"].pop("ETag")),
            {f"{GOT}, headers: ETag is gone"},
        ),
        (
            operation("delete", "/users/me", lambda delete: delete["responses"].pop("204")),
            {"DELETE /users/me, 204: is no longer answered"},
        ),
        (
            operation("post", "/pets/create", lambda post: post["requestBody"].update(content={})),
            {f"{SENT}: application/json is gone"},
        ),
        (
            field("LoginSession", "ip", oneOf=[{"type": "string"}, {"type": "null"}, {"type": "integer"}]),
            {'GET /auth/sessions, 200, each, ip: may be {"type": "integer"}, too'},
        ),
    ],
)
def test_what_callers_may_stumble_over_is_breaking(document: dict[str, Any], edit: Edit, expected: set[str]) -> None:
    found = changes(document, edit)

    assert all(line.startswith("breaking  ") for line in found), found
    assert all(any(sentence in line for line in found) for sentence in expected), found


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda document: document["paths"].update({"/toys": {"get": {}}}), "GET /toys: is new"),
        (field("PetName", "age"), f"{SENT}: age is new, and optional"),
        (field("Pet", "age"), f"{GOT}: age is new, and optional"),
        (both(field("Pet", "age"), required("Pet", "age", "id", "pet_name", "user_id")), f"{GOT}: age is new"),
        (required("PetName"), f"{SENT}, pet_name: is optional now"),
        (field("PetName", "pet_name", maxLength=60), f"{SENT}, pet_name: maxLength is 60, was 50"),
        (field("PetName", "pet_name", type=["string", "null"]), "may be more than string"),
        (field("Health", "status", enum=["live"]), "GET /health/live, 200, status: is live only"),
        (
            operation("get", "/pets/me", lambda get: get.pop("security")),
            "GET /pets/me: needs no token any more",
        ),
        (
            operation("get", "/users/me", lambda get: get["responses"].update({"418": {}})),
            "GET /users/me, 418: is a new answer",
        ),
        (
            operation("get", "/users/me", lambda get: get["responses"].pop("503")),
            "GET /users/me, 503: is no longer answered",
        ),
    ],
)
def test_what_they_need_not_know_is_harmless(document: dict[str, Any], edit: Edit, expected: str) -> None:
    found = changes(document, edit)

    assert all(line.startswith("harmless  ") for line in found), found
    assert any(expected in line for line in found), found


def test_words_and_examples_are_no_changes(document: dict[str, Any]) -> None:
    edit = both(
        lambda document: document["info"].update(title="Cats"),
        field("Pet", "pet_name", description="a name", examples=["Ada"]),
        operation("get", "/pets/me", lambda get: get.update(summary="List pets", tags=["cats"])),
    )

    assert changes(document, edit) == []


@pytest.mark.slow
def test_ci_lists_the_changes_since_a_revision(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".dev", "tests", "*_cache"))
    git = ["git", "-C", str(tree), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "The release", "--no-gpg-sign"]):
        subprocess.run([*git, *arguments], check=True)

    def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ".ci/api_changes.py", *arguments]
        return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)

    alone = asked()
    models = tree / "service" / "pets" / "models.py"
    models.write_text(models.read_text().replace("max_length=50", "max_length=40"))
    subprocess.run([*git, "commit", "-qam", "The next", "--no-gpg-sign"], check=True)
    before = asked()
    subprocess.run([*git, "tag", "v1", "HEAD^"], check=True)
    release, since, nowhere = asked(), asked("v1", "--github"), asked("v0")

    assert since.stdout.splitlines() == [
        "breaking  PATCH /pets/{pet_id}, body, pet_name: maxLength is 40, was 50",
        "::warning title=The API breaks::PATCH /pets/{pet_id}, body, pet_name: maxLength is 40, was 50",
        "breaking  POST /pets/create, body, pet_name: maxLength is 40, was 50",
        "::warning title=The API breaks::POST /pets/create, body, pet_name: maxLength is 40, was 50",
        "2 breaking, 0 harmless changes of the API since v1",
    ]
    assert release.stdout.splitlines() == [line for line in since.stdout.splitlines() if not line.startswith("::")]
    assert re.fullmatch("2 breaking, 0 harmless changes of the API since [0-9a-f]{40}", before.stdout.splitlines()[-1])
    assert (alone.returncode, alone.stderr) == (1, "There is no earlier revision to compare the API with.\n")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert nowhere.stderr.startswith("git cannot read 'v0': ")
