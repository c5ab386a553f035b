"""Counts, instead of times, what a request costs, so that an increase shows on any machine.

Round trips to PostgreSQL are counted in `tests/sql/test_round_trips.py`.
"""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg
import attrs
import pytest

from service.app import Service, from_environment
from service.postgres.pool import Pool
from service.telemetry import METRICS_DIRECTORY_VARIABLE, configure_logging, recorder
from service.telemetry.output import stdout
from tests.support.factories import Factory
from tests.support.processes import ROOT, environment, serve_settings
from tests.support.raw_http import listening
from tests.support.routes import routes, valid_request

pytestmark = pytest.mark.skipif(not (ROOT / "service/fast_path").exists(), reason="counted with the fast path")

# Calls of Python functions per request, without those of asyncio and of the test. If a change lowers one, write the new
# figure here. If a change raises one, every request costs more: see docs/performance.md for how much, and write the new
# figure only if it is worth that. Another version of Litestar or asyncpg can change them as well.
CALLS = {"GET /pets/me": 56, "GET /users/me": 53, "POST /pets/create": 61}
# Later versions call no function for a comprehension.
COUNTED_BY = (3, 11)
PYTHON = sys.version_info[:2]
# Of these, if metrics and tracing are on: one for the request, and one for its query.
OF_METRICS = 2
# Peak memory of a request in bytes, including its response and log line. Python does not count allocations, and
# PostgreSQL's data arrive in one piece or several, so these vary between runs, from 8,100 to 9,300.
PEAK = {"GET /pets/me": 10_000, "GET /users/me": 10_000, "POST /pets/create": 10_000}
# asyncio's buffer for each read from a socket; uvloop, in production, has none.
TO_READ = 256 * 1024
# Modules that workers must not import, because they cost memory and time at startup.
NOT_IN_PRODUCTION = {
    "dotenv",
    "email_validator",
    "faker",
    "http.client",
    "httpx",
    "jinja2",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pytest",
    "service.dev.server",
    "service.embedded",
    "service.migrate.runner",
    "yoyo",
}


@attrs.define
class Caller:
    """Sends requests directly to the application, like the server, without a client's own calls and tasks."""

    app: Service
    token: str
    # The bodies of the routes that the service has, encoded before, because calls to encode them would count.
    sent: Mapping[str, bytes]

    async def request(self, name: str) -> int:
        """Send the request, and return the status of the response."""
        method, path = name.split()
        if name not in self.sent:
            pytest.skip(f"the service has no {name}")
        body = self.sent[name]
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {self.token}".encode())]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else []
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            statuses.extend(status for key, status in message.items() if key == "status")

        scope: dict[str, object] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
        }
        scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers}
        scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}
        await self.app(scope, receive, send)
        return statuses[0]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log as in production until the end of the test."""
    monkeypatch.setattr("service.telemetry.output.FLUSH_DELAY", 3600)  # writing is not part of a request
    monkeypatch.setattr("service.telemetry.output.stdout._closes_at", None)  # an earlier test has closed the log
    root = logging.getLogger()
    before = root.handlers, root.level
    configure_logging("INFO", "json")
    yield
    configure_logging("INFO", "console")
    root.handlers, root.level = before


@pytest.fixture
def with_metrics() -> bool:
    """Whether metrics are on."""
    return True


@pytest.fixture
async def caller(
    own_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: None,  # noqa: ARG001 - turns on metrics
    *,
    with_metrics: bool,
) -> AsyncIterator[Caller]:
    """Return a caller of a service that has answered every request twice: statements are prepared, tokens cached.

    The service is created as in a worker without tracing.
    """
    for name, value in serve_settings(
        own_database_url, **{METRICS_DIRECTORY_VARIABLE: str(tmp_path) if with_metrics else ""}
    ).items():
        monkeypatch.setenv(name, value)
    pool = Pool(own_database_url)
    app = from_environment(lambda _: pool)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open():
        user = await Factory(app, connection).user()
        bodies = {name: valid_request(name)["json"] for name in CALLS if name in routes()}
        sent = {name: json.dumps(body).encode() if body else b"" for name, body in bodies.items()}
        caller = Caller(app, user.bearer["Authorization"].removeprefix("Bearer "), sent)
        for name in [*sent, *sent]:
            assert await caller.request(name) in {200, 201}
        yield caller
    await connection.close()
    recorder.stop()


@contextmanager
def counting_tasks() -> Iterator[list[Coroutine[Any, Any, Any]]]:
    """Collect the tasks created until the end of the context."""
    made = []
    loop = asyncio.get_running_loop()

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - asyncio's arguments
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    before = loop.get_task_factory()
    loop.set_task_factory(make)  # type: ignore[arg-type]  # the type differs between Python versions
    try:
        yield made
    finally:
        loop.set_task_factory(before)


@pytest.mark.parametrize("name", CALLS)
async def test_request_creates_no_task(caller: Caller, name: str) -> None:
    with counting_tasks() as made:
        await caller.request(name)

    assert made == []


async def test_server_creates_one_task_per_request(caller: Caller) -> None:
    request = b"GET /users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n" % caller.token.encode()
    async with listening(caller.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with counting_tasks() as made:
            for _ in range(3):
                writer.write(request)
                assert await reader.readuntil(b"}")
        writer.close()

    assert len(made) == 3


@pytest.mark.parametrize("with_metrics", [True, False])
@pytest.mark.parametrize("name", CALLS)
async def test_request_calls_no_more_functions_than_before(caller: Caller, name: str, *, with_metrics: bool) -> None:
    most = CALLS[name] - (0 if with_metrics else OF_METRICS)

    called = min([await _calls(caller, name) for _ in range(3)])  # occasionally other code runs meanwhile

    as_before = called == most if PYTHON == COUNTED_BY else called <= most
    assert as_before, f"{name} took {called} calls of Python functions, and took {most} before"


async def _calls(caller: Caller, name: str) -> int:
    called = 0
    beside = (str(Path(asyncio.__file__).parent), __file__, "selectors.py")

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal called
        called += (
            event == "call"
            and not frame.f_code.co_filename.endswith(beside[1:])
            and (not frame.f_code.co_filename.startswith(beside[0]))
        )

    stdout.flush()
    measured_by = sys.getprofile()
    sys.setprofile(count)
    try:
        await caller.request(name)
    finally:
        sys.setprofile(measured_by)
    return called


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
async def test_request_needs_no_more_memory_than_before(caller: Caller, name: str) -> None:
    traced_by = sys.gettrace()
    sys.settrace(None)  # coverage needs memory, too
    tracemalloc.start()
    try:
        needed = min([await _memory(caller, name) for _ in range(3)])  # occasionally a cache of all requests grows
    finally:
        tracemalloc.stop()
        sys.settrace(traced_by)

    assert needed <= PEAK[name], f"{name} needed {needed} bytes, and {PEAK[name]} before"


async def _memory(caller: Caller, name: str) -> int:
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    await caller.request(name)
    _, most = tracemalloc.get_traced_memory()
    return most - before - TO_READ


@pytest.mark.slow
def test_worker_imports_only_what_it_needs() -> None:
    listing = subprocess.run(
        [sys.executable, "-c", "import sys, service.cli, service.server.serving, service.app; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert NOT_IN_PRODUCTION.isdisjoint(listing.stdout.split())


@pytest.mark.slow
def test_objects_from_startup_are_frozen_for_gc() -> None:
    script = """
import asyncio, gc
from service.app import from_environment
from service.server import create_worker_app
app = create_worker_app(from_environment)
asyncio.run(app.on_startup[-1]())
print(gc.get_freeze_count(), len(gc.get_objects()))
"""
    needed = environment(serve_settings("postgresql://nobody@localhost/nothing"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=needed, capture_output=True, text=True, check=True
    )

    frozen, looked_at = map(int, done.stdout.split())
    assert frozen > 20 * looked_at
