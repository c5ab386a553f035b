"""The examples of docs/deploy.md and docs/live-database.md work."""

import json
import re
import subprocess
import sys
import tomllib
from shlex import quote
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from service.embedded import EmbeddedPostgres
from service.settings import SECRETS, Settings
from tests.support.deployment import PROCFILE
from tests.support.processes import ROOT
from tests.support.review_files import FILES
from tests.support.variables import NEEDED

PAGE = (ROOT / "docs/deploy.md").read_text()
LIVE = (ROOT / "docs/live-database.md").read_text()


def block(kind: str, heading: str) -> str:
    """Return the first block of a kind under a heading."""
    _, _, section = PAGE.partition(f"\n## {heading}\n")
    found = re.search(rf"^```{kind}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_fly_migrates_and_checks_the_right_port() -> None:
    fly: dict[str, Any] = tomllib.loads(block("toml", "Fly"))

    settings = Settings.read(NEEDED | fly["env"])
    assert fly["deploy"]["release_command"] == PROCFILE["release"]
    assert settings.address == ("0.0.0.0", fly["http_service"]["internal_port"])  # noqa: S104 - the platform's network
    assert (settings.allowed_hosts, settings.trusted_proxy_hops) == (("your-app.fly.dev",), 2)
    assert [check["path"] for check in fly["http_service"]["checks"]] == ["/health/ready"]
    assert fly["kill_timeout"] > 20  # the longest shutdown of `serve`


def test_render_migrates_and_sets_what_the_service_needs() -> None:
    render = yaml.safe_load(block("yaml", "Render"))

    [web] = render["services"]
    assert (web["preDeployCommand"], web["healthCheckPath"]) == (PROCFILE["release"], "/health/ready")
    assert {"DATABASE_URL", "SECRET_KEY"} <= {each["key"] for each in web["envVars"]}
    given = {each["key"]: each["value"] for each in web["envVars"] if "value" in each}
    assert Settings.read(NEEDED | given).allowed_hosts == (".onrender.com",)


def test_railway_migrates() -> None:
    railway = json.loads(block("json", "Railway"))

    assert railway["deploy"] == {"preDeployCommand": [PROCFILE["release"]], "healthcheckPath": "/health/ready"}


def test_every_secret_file_setting_is_documented() -> None:
    sentence = PAGE.partition("\n## Secrets\n")[2].partition("read from files")[0]

    assert set(re.findall(r"`([A-Z_]+)`", sentence)) == set(SECRETS)


def test_every_review_file_is_documented() -> None:
    assert sorted(re.findall(r"\| `sql/review/(\w+)\.sql` \|", LIVE)) == FILES


# Arguments of pg_cron's function; it stores the statements, which the test runs itself.
CRON = """
create schema cron;
create table cron.job (name text, schedule text, command text);
create function cron.schedule(text, text, text) returns bigint language sql
as 'insert into cron.job values ($1, $2, $3); select count(*) from cron.job';
"""


LEFT = "select convert_from(account, 'UTF8') from login_throttle"


def test_pg_cron_jobs_remove_expired_rows(server: EmbeddedPostgres, own_database_url: str) -> None:
    """Without pg_cron, which would run them every day."""
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        connection.execute(CRON)
        connection.execute(
            "insert into login_throttle values ('over', '::1', 1, 1, now()), ('not', '::1', 1, 1, 'infinity')"
        )

        shell = ["/bin/bash", "-euc", block("sh", "Cleaning")]
        path = {"PATH": f"{server.binaries}:/usr/bin:/bin", "DATABASE_URL": own_database_url}
        done = subprocess.run(shell, cwd=ROOT, env=path, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stderr) == (0, "")
        jobs = connection.execute("select name, schedule, command from cron.job order by name").fetchall()
        assert [job[:2] for job in jobs] == [
            ("clean_idempotency_keys", "* * * * *"),
            ("clean_login_sessions", "* * * * *"),
            ("clean_login_throttle", "* * * * *"),
        ]
        for *_, command in jobs:
            assert "limit 1000\n" in command
            connection.execute(command)
        assert connection.execute(LEFT).fetchall() == [("not",)]


@pytest.mark.slow
def test_cron_line_removes_expired_rows(own_database_url: str) -> None:
    """Cron provides only a bare PATH, and runs the line with sh."""
    variable, line = block("", "Cleaning").splitlines()
    *when, command = line.split(maxsplit=5)
    name, url = variable.split("=", 1)
    assert when == ["17", "3", "*", "*", "*"]
    with psycopg.connect(own_database_url) as connection:
        connection.execute("insert into login_throttle values ('over', '::1', 1, 1, now())")
    assert url.startswith("postgresql://service_app:")
    here = command.replace("/app", quote(str(ROOT))).replace(".venv/bin/python", quote(sys.executable))
    assert here.count(str(ROOT)) >= 1

    environment = {"PATH": "/usr/bin:/bin", name: own_database_url}
    done = subprocess.run(
        ["/bin/sh", "-c", here], cwd="/", env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(own_database_url) as connection:
        assert connection.execute(LEFT).fetchall() == []


def test_index_lists_every_page_and_a_path_per_role() -> None:
    index = (ROOT / "docs/index.md").read_text()

    assert re.findall(r"^- \*\*(.*?):\*\* \[", index, re.MULTILINE) == ["New here", "DBA", "Operator"]
    rows = re.findall(r"^\|.*\]\((\S+?)(?:#.*?)?\) \|$", index, re.MULTILINE)
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"index.md", "changelog.md"} == set(rows)
