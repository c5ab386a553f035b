"""Traces of the service as a receiver of OTLP gets them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import attrs
import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.app import create_app
from service.postgres.pool import Pool
from service.telemetry.context import current
from service.traces import record_traces
from service.traces.spans import TracedPool, Traces
from tests.support.application import make_settings
from tests.support.factories import Factory, service_client
from tests.support.otlp import PARENT, Receiver
from tests.support.pools import Backend

NOT_SAMPLED = PARENT.removesuffix("01") + "00"


@attrs.frozen
class Traced:
    """The service, tracing to a receiver."""

    client: httpx.AsyncClient
    make: Factory
    receiver: Receiver
    traces: Traces

    def spans(self) -> list[Span]:
        """Return all spans so far."""
        self.traces._provider.force_flush()  # noqa: SLF001 - instead of waiting for the export
        return self.receiver.spans


@pytest.fixture
def variables() -> dict[str, str]:
    """Return OpenTelemetry's variables besides the receiver's URL."""
    return {}


@pytest.fixture
async def traced(
    own_database_url: str, receiver: Receiver, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Traced]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pool, traces = Pool(own_database_url), Traces()
    app = create_app(make_settings(own_database_url), pool, instrument=traces.record)
    connection = await asyncpg.connect(own_database_url)
    async with pool.open(), service_client(app) as client:
        yield Traced(client, Factory(app, connection), receiver, traces)
    await traces.flush()
    await connection.close()


def attributes(span: Span) -> dict[str, Any]:
    """Return a span's attributes."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_request_span_contains_its_query_span(traced: Traced) -> None:
    user = await traced.make.user()

    await traced.client.delete(f"/auth/sessions/{user.session}", headers=user.bearer | {"User-Agent": "tests"})

    request, query = traced.spans()
    assert (request.name, request.kind) == ("DELETE /auth/sessions/{session_id}", Span.SPAN_KIND_SERVER)
    assert attributes(request) == {
        "http.request.method": "DELETE",
        "http.route": "/auth/sessions/{session_id}",
        "http.response.status_code": 204,
        "url.path": f"/auth/sessions/{user.session}",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "user_agent.original": "tests",
    }
    assert (query.name, query.kind) == ("auth.end_my_session", Span.SPAN_KIND_CLIENT)
    assert (query.trace_id, query.parent_span_id) == (request.trace_id, request.span_id)
    recorded = attributes(query)
    assert "/* auth.end_my_session */" in recorded.pop("db.query.text")
    assert recorded == {
        "db.system.name": "postgresql",
        "db.query.summary": "auth.end_my_session",
        "db.response.returned_rows": 1,
    }


async def test_span_of_a_query_that_returns_nothing_has_no_rows(traced: Traced) -> None:
    user = await traced.make.user()

    await traced.client.post("/auth/logout", json={"refresh_token": user.tokens.refresh_token})

    _, query = traced.spans()
    assert query.name == "auth.end_session"
    assert "db.response.returned_rows" not in attributes(query)


async def test_span_joins_the_callers_trace(traced: Traced) -> None:
    response = await traced.client.get("/health/live", headers={"traceparent": PARENT})

    [span] = traced.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert response.headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


async def test_tracestate_is_kept(traced: Traced) -> None:
    headers = {"traceparent": PARENT, "tracestate": "vendor=1"}

    response = await traced.client.get("/health/live", headers=headers)

    [span] = traced.spans()
    assert span.trace_state == response.headers["tracestate"] == "vendor=1"


async def test_unsampled_caller_is_respected(traced: Traced) -> None:
    response = await traced.client.get("/health/live", headers={"traceparent": NOT_SAMPLED})

    assert traced.spans() == []
    assert re.fullmatch(f"00-{PARENT.split('-')[1]}-[0-9a-f]{{16}}-00", response.headers["traceparent"])


@pytest.mark.parametrize(
    ("variables", "believed"),
    [
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, False),
    ],
)
async def test_sampled_caller_is_respected_by_parent_sampler(traced: Traced, *, believed: bool) -> None:
    """The sampler excludes all other requests here."""
    await traced.client.get("/health/live")
    assert traced.spans() == []

    await traced.client.get("/health/live", headers={"traceparent": PARENT})

    assert bool(traced.spans()) is believed


@pytest.mark.parametrize("variables", [{"OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-a-test"}])
async def test_receiver_gets_the_configured_headers(traced: Traced) -> None:
    await traced.client.get("/health/live")

    assert traced.spans()
    assert traced.receiver.headers[0]["api-key"] == "of-a-test"


async def test_span_without_a_caller_starts_a_trace(traced: Traced) -> None:
    response = await traced.client.get("/health/live", headers={"traceparent": "nonsense"})

    [span] = traced.spans()
    assert span.parent_span_id == b""
    assert span.trace_id.hex() in response.headers["traceparent"]


async def test_unknown_path_has_no_route(traced: Traced) -> None:
    await traced.client.request("BREW", "/nowhere")

    [span] = traced.spans()
    assert (span.name, span.status.code) == ("HTTP", 0)
    recorded = attributes(span)
    assert (recorded["http.request.method"], recorded["http.response.status_code"]) == ("_OTHER", 404)
    assert "http.route" not in recorded


async def test_internal_errors_are_errors_without_details(traced: Traced) -> None:
    await traced.make.connection.execute("alter table user_model add check (1 / 0 = 1) not valid")

    await traced.client.post("/users/register", json={"email": "planted@example.com", "password": "a long password"})

    request, *_, query = traced.spans()
    assert (request.status.code, attributes(request)["error.type"]) == (2, "500")
    recorded = attributes(query)
    assert (query.status.code, recorded["db.response.status_code"]) == (2, "22012")
    assert recorded["error.type"] == "DivisionByZeroError"
    assert "planted" not in str(traced.receiver.requests)


async def test_missing_database_is_an_error(traced: Traced) -> None:
    app = create_app(make_settings("postgresql://127.0.0.1:1/none"), instrument=traced.traces.record)
    async with app.db.pool.open(), service_client(app) as client:  # its lifespan would end tracing
        await client.post("/auth/access-token", data={"username": "ada@example.com", "password": "some long password"})

    _, query = traced.spans()
    recorded = attributes(query)
    assert recorded["error.type"].endswith("Error")
    assert "db.response.status_code" not in recorded


async def test_query_string_is_not_recorded(traced: Traced) -> None:
    await traced.client.get("/health/live?secret=planted")

    assert "planted" not in str(traced.spans())


async def test_request_without_id_is_traced(traced: Traced) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    token = current.set(None)
    transport = httpx.ASGITransport(traced.traces.middleware(app))  # type: ignore[arg-type]  # Litestar's own types
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/")
    current.reset(token)

    [span] = traced.spans()
    assert span.trace_id.hex() in response.headers["traceparent"]


def test_environment_turns_traces_on(database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)

    app = create_app(make_settings(database_url), Pool(database_url), instrument=record_traces)

    assert isinstance(app.db.pool, TracedPool)


async def test_statements_of_a_transaction_are_spans(
    database_url: str, receiver: Receiver, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    pool, traces = Pool(database_url), Traces()
    app = create_app(make_settings(database_url), pool, instrument=traces.record)

    async with pool.open():
        await app.db.run_transaction(lambda tx: tx.value(backend))
    await traces.flush()

    assert [span.name for span in receiver.spans] == ["tests.query"]


async def test_silent_collector_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.traces.spans.FLUSH_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        traces = Traces()

        traces._tracer.start_span("the last").end()  # noqa: SLF001 - the smallest way to make a span

        async with asyncio.timeout(8):  # OpenTelemetry itself waits 10 s or longer
            await traces.flush()


@pytest.mark.slow
def test_without_traces_queries_are_not_wrapped(database_url: str) -> None:
    """tests/benchmarks/test_counts.py counts what a request costs then."""
    pool = Pool(database_url)

    app = create_app(make_settings(database_url), pool, instrument=record_traces)

    assert app.db.pool is pool
