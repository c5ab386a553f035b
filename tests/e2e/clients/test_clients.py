"""docs/clients.md: typed clients from third-party generators, type-checked and run through README's first session."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import session
from tests.support.processes import PATIENCE, ROOT, Running
from tests.support.programs import needs

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
PROGRAMS = ROOT / "tests" / "e2e" / "clients" / "programs"
SPECTRAL = "@stoplight/spectral-cli@6.16.3"
QUIET_NPM = {"npm_config_audit": "false", "npm_config_fund": "false"}  # no requests about packages
# Values that differ between runs and clients.
VOLATILE = {"id", "user_id", "email", "instance"}


@pytest.fixture
def folder(tmp_path: Path, served: Running) -> Path:
    """Return a folder with the served OpenAPI document and the programs."""
    shutil.copytree(PROGRAMS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_text(served.client.get("/openapi.json").text)
    return tmp_path


def run(folder: Path, *command: str) -> str:
    """Run a tool in `folder` that must succeed; return its output."""
    # Packages come from the machine's configured registries.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | QUIET_NPM | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(folder: Path, tools: str) -> None:
    """Run the commands of the page that begin with one of `tools`."""
    commands = re.findall(rf"^(?:{tools}) .*", PAGE, re.MULTILINE)
    assert commands
    for command in commands:
        run(folder, *shlex.split(command))


def masked(response: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a response without the values that differ between runs."""
    if isinstance(response, list):
        return [masked(each) for each in response]
    return {name: "…" if name in VOLATILE else value for name, value in response.items()}


def expected() -> list[Any]:
    """Return the responses of README's first session."""
    return [masked(json.loads(output)) for _, output in session() if output]


def answers(printed: str) -> list[Any]:
    """Return the responses that a program has printed."""
    return [masked(json.loads(line)) for line in printed.splitlines()]


def test_openapi_python_client_runs_the_first_session(folder: Path, served: Running) -> None:
    follow(folder, "uv")

    checked = "first_session.py", "pets_client/models"  # the rest is the same for every service
    run(folder, "python", "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", *checked)
    printed = run(folder, "python", "first_session.py", served.url, "ada.python@example.com", "some long password")

    *session, refusal = expected()
    *had, refused = answers(printed)
    assert had == session
    # This client cannot omit the token.
    assert (refused["status"], refused["type"]) == (refusal["status"], "/problems/invalid-token")


@needs("npm", "npx", "node")
def test_openapi_typescript_client_runs_the_first_session(folder: Path, served: Running) -> None:
    follow(folder, "npm|npx")

    run(folder, "npx", "tsc", "--strict", "--module", "nodenext", "--target", "es2022", "first_session.mts")
    printed = run(folder, "node", "first_session.mjs", served.url, "ada.node@example.com", "some long password")

    assert answers(printed) == expected()


@needs("npx")
def test_spectral_finds_nothing(folder: Path) -> None:
    """No errors, warnings or hints from its OpenAPI rules, which include the schema of OpenAPI 3.1."""
    (folder / ".spectral.yaml").write_text("extends: spectral:oas\n")

    printed = run(folder, "npx", "--yes", SPECTRAL, "lint", "--fail-severity=hint", "openapi.json")

    assert printed.startswith("No results")
