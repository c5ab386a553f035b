"""Metrics served for several processes, some of which are killed."""

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from service.telemetry.metrics import Layout
from service.telemetry.prometheus import make_directory
from tests.support.accounts import account, connect
from tests.support.metrics import TOKEN, samples
from tests.support.processes import Running, Start, free_port, serve_settings, wait_until

Scrape = Callable[[], dict[str, float]]
CALLS = "sql_query_duration_seconds_count query"


def scraping(port: int) -> Scrape:
    """Return a function that reads the metrics at a port."""
    return lambda: samples(httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text)


@pytest.mark.slow
def test_workers_are_summed_although_one_is_killed(own_database_url: str, start: Start, tmp_path: Path) -> None:
    port = free_port()
    settings = {"WEB_CONCURRENCY": "2", "METRICS_PORT": str(port), "TMPDIR": str(tmp_path)}
    served = start("serve", serve_settings(own_database_url, **settings))
    wait_until(lambda: served.stdout.count("Application startup complete.") == 2, "both workers serve")
    [folder] = folders(tmp_path)
    live, scrape = "http_requests_total method=GET route=/health/live status=200", scraping(port)
    asked = ask_both(served, folder)
    assert scrape()[live] == asked

    worker = next(child for child in served.process_tree() if "spawn_main" in " ".join(child.cmdline()))
    worker.kill()
    wait_until(lambda: served.stdout.count("Application startup complete.") == 3, "another worker serves")

    asked += ask_both(served, folder)
    assert scrape()[live] == asked
    assert scrape()["service_workers"] == 2
    assert scrape()["migrations_applied"] == scrape()["migrations_needed"]
    assert scrape()["database_connections_max server=primary"] == 20


@pytest.mark.slow
def test_counters_survive_a_reload_with_new_code(own_database_url: str, start: Start, checkout: Path) -> None:
    """The new code has one more query; its workers continue the counts of the others."""
    port = free_port()
    settings = serve_settings(own_database_url, WEB_CONCURRENCY="2", METRICS_PORT=str(port))
    served, scrape = start("serve", settings, checkout), scraping(port)
    wait_until(lambda: served.stdout.count("Application startup complete.") == 2, "both workers serve")
    bearer = account(served.client).bearer
    for _ in range(3):
        served.client.get("/users/me", headers=bearer)
    (checkout / "sql/auth/a_new_one.sql").write_text(
        "-- auth.a_new_one: answers\n-- returns: value integer\nselect /* auth.a_new_one */ 1;\n"
    )

    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: served.stdout.count("Application startup complete.") == 4, "all are replaced")
    for _ in range(2):
        served.client.get("/users/me", headers=bearer)

    found = scrape()
    called = {name for name, number in found.items() if name.startswith(f"{CALLS}=") and number}
    assert found[f"{CALLS}=users.show_me"] == found["http_requests_total method=GET route=/users/me status=200"] == 5
    assert found[f"{CALLS}=auth.a_new_one"] == 0
    assert {name.removeprefix(f"{CALLS}=") for name in called} == {
        "auth.count_registration",
        "auth.end_oldest_sessions",
        "auth.find_credentials",
        "auth.open_session",
        "system.list_applied_migrations",
        "users.register_user",
        "users.show_me",
    }


def ask_both(served: Running, folder: Path) -> int:
    """Request liveness until both workers have counted it; return the number of requests."""
    before = counted(folder)
    for asked in range(1, 1000):
        with connect(served.url) as client:  # each on its own connection
            assert client.get("/health/live").status_code == 200
        if len(before) == 2 and not {*before} & {*counted(folder)}:
            return asked
    pytest.fail("one worker answered all")


def counted(folder: Path) -> list[bytes]:
    """Return the number of liveness requests that each worker has counted."""
    [file] = folder.glob("layout.*")
    place = msgspec.json.decode(file.read_bytes(), type=Layout).slices()["GET", "/health/live"]
    return [path.read_bytes()[place.start * 8 : place.stop * 8] for path in sorted(folder.glob("worker.*"))]


@pytest.mark.slow
def test_workers_leave_no_metrics_files(own_database_url: str, start: Start, tmp_path: Path) -> None:
    settings = serve_settings(own_database_url, WEB_CONCURRENCY="2", METRICS_TOKEN=TOKEN, TMPDIR=str(tmp_path))
    served = start("serve", settings)
    served.wait_until_ready()
    assert len(folders(tmp_path)) == 1

    assert served.end() in {-signal.SIGTERM, 0}

    assert folders(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_leftover_metrics_files_are_removed_at_startup(
    own_database_url: str, start: Start, tmp_path: Path, by: signal.Signals
) -> None:
    settings = serve_settings(own_database_url, METRICS_TOKEN=TOKEN, TMPDIR=str(tmp_path))
    ended = start("serve", settings)
    ended.wait_until_ready()
    ended.end(by)
    left = folders(tmp_path)

    start("serve", settings).wait_until_ready()

    assert len(left) == len(folders(tmp_path)) == 1
    assert left != folders(tmp_path)


def test_metrics_folder_of_a_living_process_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "metrics-left" / "deep").mkdir(parents=True)
    (tmp_path / "metrics-no-folder").touch()

    with make_directory() as first, make_directory() as second:
        assert {*tmp_path.iterdir()} == {first, second, tmp_path / "metrics-no-folder"}

    assert folders(tmp_path) == {tmp_path / "metrics-no-folder"}


def folders(temporary: Path) -> set[Path]:
    """Return the folders of metrics files."""
    return set(temporary.glob("metrics-*"))
