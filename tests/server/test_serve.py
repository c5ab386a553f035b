"""`serve`, as a process manager runs it."""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from click.testing import CliRunner, Result

from service import cli
from service.embedded import EmbeddedPostgres
from service.timeouts import DATABASE_TIMEOUTS
from tests.support import api
from tests.support.accounts import account
from tests.support.processes import (
    PATIENCE,
    Running,
    Serve,
    Start,
    is_alive,
    run,
    serve_settings,
    wait_until,
)

pytestmark = pytest.mark.slow  # starts processes

STARTED = "Application startup complete."


def listens(port: int) -> bool:
    """Return whether the port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_server_is_ready_and_hides_its_software(served: Running) -> None:
    response = served.client.get("/health/ready")

    assert response.json() == {"status": "ready"}
    assert "server" not in response.headers


def test_edited_files_are_not_read_while_serving(own_database_url: str, checkout: Path, serve: Serve) -> None:
    served = serve(own_database_url, cwd=checkout)
    family = served.process_tree()

    for path in ("sql/system/list_applied_migrations.sql", "service/http/system/health.py"):
        (checkout / path).write_text("broken")

    # `dev` would notice within a second.
    for _ in range(15):
        assert served.status("/health/ready") == 200
        time.sleep(0.1)
    assert served.process_tree() == family


def test_forwarded_header_of_a_client_is_ignored(served: Running) -> None:
    bearer = account(served.client, **{"X-Forwarded-For": "192.0.2.1"}).bearer

    sessions = served.client.get("/auth/sessions", headers=bearer).json()

    assert {session["ip"] for session in sessions} == {"127.0.0.1"}


def test_each_line_of_output_is_json(served: Running) -> None:
    lines = [json.loads(line) for line in served.stdout.splitlines()]

    assert STARTED in [line["event"] for line in lines]
    assert served.stderr == ""


# A single process dies of the signal, as process managers expect; the parent of several exits normally.
@pytest.mark.parametrize(("workers", "status"), [("1", -signal.SIGTERM), ("2", 0)])
def test_sigterm_finishes_requests_in_flight(
    own_database_url: str, checkout: Path, serve: Serve, workers: str, status: int
) -> None:
    # Without PostgreSQL's timeouts, because the request waits for the table until the server waits for the request.
    patient = {"DATABASE_LOCK_TIMEOUT": "0", "DATABASE_STATEMENT_TIMEOUT": "0"}
    deadlines = checkout / "service/timeouts.py"
    text = deadlines.read_text()
    deadlines.write_text(text.replace(f"query: float = {DATABASE_TIMEOUTS.query}", "query: float = 25"))
    assert deadlines.read_text() != text
    served = serve(own_database_url, WEB_CONCURRENCY=workers, **patient, cwd=checkout)
    bearer = account(served.client).bearer
    with psycopg.connect(own_database_url) as rival, ThreadPoolExecutor() as threads:
        rival.execute("lock table login_session")
        response = threads.submit(served.client.get, "/users/me", headers=bearer)
        waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        wait_until(lambda: rival.execute(waiting).rowcount == 1, "the request waits for the table")

        os.killpg(served.process.pid, signal.SIGTERM)  # Heroku signals all processes
        wait_until(lambda: "Waiting for connections to close" in served.stdout, "the worker waits for the request")
        rival.rollback()

        assert response.result().status_code == 200
    assert served.process.wait(PATIENCE) == status
    assert "Traceback" not in served.stdout + served.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_drains_first(own_database_url: str, serve: Serve, workers: str) -> None:
    """All requests are served meanwhile, with ``Connection: close``."""
    served = serve(own_database_url, WEB_CONCURRENCY=workers, DRAIN_SECONDS="5")
    wait_until(lambda: served.stdout.count(STARTED) == int(workers), "all serve")
    with httpx.Client(base_url=served.client.base_url, trust_env=False) as open_connection:
        assert "Connection" not in open_connection.get("/health/live").headers
        began = time.monotonic()

        os.killpg(served.process.pid, signal.SIGTERM)

        wait_until(lambda: served.stdout.count('"event": "draining"') == int(workers), "all drain")
        assert open_connection.get("/health/live").headers["Connection"] == "close"
    time.sleep(1)  # it keeps draining
    assert served.client.get("/health/ready").json()["detail"] == "draining: this process is shutting down"
    response = served.client.get("/health/live")
    assert (response.status_code, response.headers["Connection"]) == (200, "close")
    served.process.wait(PATIENCE)
    assert time.monotonic() - began > 5
    assert "Traceback" not in served.stdout + served.stderr


def test_workers_end_when_their_parent_is_killed(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, WEB_CONCURRENCY="2")
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both workers serve")
    family = served.process_tree()
    assert len(family) >= 3

    served.end(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, family)), "the workers have ended")
    assert not listens(served.port)
    assert "Traceback" not in served.stdout + served.stderr


def test_dead_worker_is_replaced_with_the_same_code(own_database_url: str, checkout: Path, start: Start) -> None:
    """At once, even while its parent waits for a heartbeat, and after a reload that was given up."""
    served = start("serve", serve_settings(own_database_url, WEB_CONCURRENCY="2"), checkout)
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both workers serve")
    (checkout / "service/http/system/health.py").write_text("broken")
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload given up" in served.stdout, "the new code cannot start")
    worker = served.workers()[0]
    worker.suspend()
    time.sleep(0.6)  # its parent checks every half second

    worker.kill()

    wait_until(lambda: served.stdout.count(STARTED) == 3, "another one serves", seconds=10)
    assert not is_alive(worker)


def test_sighup_replaces_workers_with_new_code(own_database_url: str, checkout: Path, start: Start) -> None:
    served = start("serve", serve_settings(own_database_url, WEB_CONCURRENCY="2"), checkout)
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both workers serve")
    old = served.workers()
    code = checkout / "service/http/system/health.py"
    code.write_text(code.read_text().replace('"ready"', '"new"'))

    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not any(map(is_alive, old)), "both have ended")
    served.workers()[0].kill()

    wait_until(lambda: served.stdout.count(STARTED) == 5, "all are replaced, and one once more")
    assert {served.client.get("/health/ready").json()["status"] for _ in range(8)} == {"new"}


def test_sighup_reads_secrets_again(own_database_url: str, tmp_path: Path, start: Start) -> None:
    old, new = "an-old-token-of-the-metrics", "a-new-token-of-the-metrics"
    secret = tmp_path / "token"
    secret.write_text(old)
    served = start("serve", serve_settings(own_database_url, WEB_CONCURRENCY="2", METRICS_TOKEN_FILE=str(secret)))
    wait_until(lambda: served.stdout.count(STARTED) == 2, "both workers serve")
    workers = served.workers()
    secret.write_text(new)

    served.process.send_signal(signal.SIGHUP)

    wait_until(lambda: not any(map(is_alive, workers)), "both have ended")
    headers = [{"Authorization": f"Bearer {token}"} for token in (old, new)]
    assert [served.client.get("/metrics", headers=each).status_code for each in headers] == [404, 200]


def test_sighup_during_the_start_does_not_end_the_process(own_database_url: str, start: Start) -> None:
    served = start("serve", serve_settings(own_database_url))
    hangup = 1 << (signal.SIGHUP - 1)
    status = Path(f"/proc/{served.process.pid}/status")
    wait_until(lambda: int(status.read_text().partition("SigBlk:")[2].split()[0], 16) & hangup != 0, "it is blocked")

    served.process.send_signal(signal.SIGHUP)

    wait_until(lambda: "SIGHUP is ignored" in served.stdout and STARTED in served.stdout, "it serves")


@pytest.fixture
def socket_directory() -> Iterator[Path]:
    """Return a folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def test_server_starts_without_database_and_becomes_ready(
    own_database_url: str, server: EmbeddedPostgres, socket_directory: Path, serve: Serve
) -> None:
    place = socket_directory / "postgres"
    served = serve(own_database_url.replace(str(server.socket_directory), str(place)), ready=503)
    assert served.status("/health/live") == 200
    assert served.client.get("/health/ready").json()["detail"] == "The database does not answer"

    place.symlink_to(server.socket_directory)

    served.wait_until_ready()


def test_ctrl_c_ends_without_output_on_stderr(own_database_url: str, serve: Serve) -> None:
    served = serve(own_database_url, DRAIN_SECONDS="5")

    assert served.end(signal.SIGINT) == 0

    assert served.stderr == ""
    assert '"draining"' not in served.stdout


def test_start_waits_for_a_port_in_use(own_database_url: str, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ending:
        port = ending.getsockname()[1]
        served = start("serve", serve_settings(own_database_url, PORT=str(port)))
        wait_until(lambda: served.stderr != "", "it reports what it waits for")

    served.wait_until_ready()

    assert served.stderr == f"Waiting for port {port}: another process is using it\n"


def test_missing_settings_prevent_startup_in_one_line() -> None:
    ended = run("serve", settings=api.SETTINGS)

    assert ended.returncode == 1
    assert ended.stderr == "Error: DATABASE_URL, SECRET_KEY must be set; see README.md\n"
    assert ended.stdout == ""


def test_broken_query_file_prevents_startup_in_one_line(checkout: Path) -> None:
    """Otherwise each worker would die of it."""
    (checkout / "sql/users/show_me.sql").write_text("select 1;\n")

    ended = run("serve", settings=serve_settings("postgresql:///none", WEB_CONCURRENCY="2"), cwd=checkout)

    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: sql/users/show_me.sql:1: ")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://localhost/kites"),
        ("SECRET_KEY", "too short"),
        ("PORT", "0"),
        ("WEB_CONCURRENCY", "many"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_invalid_setting_prevents_startup_in_one_line(name: str, value: str) -> None:
    result = serve_in_vain(**{name: value})

    assert result.stderr.startswith(f"Error: {name} ")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_that_stays_in_use_is_named(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr("service.server.listener.SECONDS_FOR_PORT", 0.1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]

        result = serve_in_vain(HOST=host, PORT=str(port))

    assert result.stderr == (
        f"Waiting for port {port}: another process is using it\n"
        f"Error: Cannot listen on {host}, port {port}: Address already in use; choose another HOST or PORT\n"
    )


def test_foreign_address_is_named() -> None:
    result = serve_in_vain(HOST="192.0.2.1")

    assert result.stderr.startswith("Error: Cannot listen on 192.0.2.1, port 8000: ")


def serve_in_vain(**settings: str) -> Result:
    """Run `serve` with settings with which it cannot start."""
    environment = {**serve_settings("postgresql:///none"), "HOST": None, "PORT": None, **settings}
    result = CliRunner().invoke(cli.main, ["serve"], env=environment, catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result
