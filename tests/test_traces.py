"""Traces, as a receiver of OTLP gets them from the service."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import asyncpg
import attrs
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from typing_extensions import override

from service.app import _traces as traces_from_environment
from service.app import create_app
from service.connections import Pool
from service.exchange import current
from service.settings import SettingsError, wants_traces
from service.traces import HEADERS, Traces
from tests.conftest import make_settings
from tests.connections.conftest import opening, sleep, statement  # noqa: F401 - fixtures
from tests.factories import Factory, service_client
from tests.processes import Start, serving, until
from tests.test_serve import log_in

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Receiver:
    """A receiver of OTLP by HTTP, on a port of its own (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                requests.append(
                    ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                )
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Span]:
        """What was received, the earliest first."""
        scopes = [scope for each in self.requests for one in each.resource_spans for scope in one.scope_spans]
        return sorted((span for scope in scopes for span in scope.spans), key=lambda span: span.start_time_unix_nano)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@attrs.frozen
class Traced:
    """The service, tracing to a receiver."""

    client: httpx.AsyncClient
    make: Factory
    receiver: Receiver
    traces: Traces

    def spans(self) -> list[Span]:
        """Return all spans that were made."""
        self.traces._provider.force_flush()  # noqa: SLF001 - instead of waiting for seconds
        return self.receiver.spans


@pytest.fixture
async def traced(own_database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traced]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    pool, traces = Pool(own_database_url), Traces()
    app = create_app(make_settings(own_database_url), pool, traces=traces)
    connection = await asyncpg.connect(own_database_url)
    async with traces.sending(), pool.open(), service_client(app) as client:
        yield Traced(client, Factory(app, connection), receiver, traces)
    await connection.close()


def attributes(span: Span) -> dict[str, Any]:
    """Return a span's attributes."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_a_request_is_a_span_and_its_query_one_within(traced: Traced) -> None:
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
    told = attributes(query)
    assert "/* auth.end_my_session */" in told.pop("db.query.text")
    assert told == {
        "db.system.name": "postgresql",
        "db.query.summary": "auth.end_my_session",
        "db.response.returned_rows": 1,
    }


async def test_it_is_part_of_the_trace_that_the_caller_names(traced: Traced) -> None:
    response = await traced.client.get("/health/live", headers={"traceparent": PARENT})

    [span] = traced.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert response.headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


async def test_without_a_caller_it_begins_a_trace(traced: Traced) -> None:
    response = await traced.client.get("/health/live", headers={"traceparent": "nonsense"})

    [span] = traced.spans()
    assert span.parent_span_id == b""
    assert span.trace_id.hex() in response.headers["traceparent"]


async def test_what_leads_nowhere_has_no_route(traced: Traced) -> None:
    await traced.client.request("BREW", "/nowhere")

    [span] = traced.spans()
    assert (span.name, span.status.code) == ("HTTP", 0)
    told = attributes(span)
    assert (told["http.request.method"], told["http.response.status_code"]) == ("_OTHER", 404)
    assert "http.route" not in told


async def test_our_mistakes_are_errors_and_quote_nothing(traced: Traced) -> None:
    await traced.make._connection.execute("alter table user_model rename to gone")  # noqa: SLF001 - the fixture's own

    await traced.client.post("/users/register", json={"email": "planted@example.com", "password": "a long password"})

    request, query = traced.spans()
    assert (request.status.code, attributes(request)["error.type"]) == (2, "500")
    told = attributes(query)
    assert (query.status.code, told["db.response.status_code"]) == (2, "42P01")
    assert told["error.type"] == "UndefinedTableError"
    assert "planted" not in str(traced.receiver.requests)


async def test_an_absent_database_is_an_error(traced: Traced) -> None:
    app = create_app(make_settings("postgresql://127.0.0.1:1/none"), traces=traced.traces)
    async with app.db._connections.open(), service_client(app) as client:  # noqa: SLF001 - its lifespan would end the traces
        await client.get("/health/ready")

    _, query = traced.spans()
    told = attributes(query)
    assert told["error.type"].endswith("Error")
    assert "db.response.status_code" not in told


async def test_a_query_string_is_not_told(traced: Traced) -> None:
    await traced.client.get("/health/live?secret=planted")

    assert "planted" not in str(traced.spans())


async def test_a_request_that_has_no_id_is_traced_too(traced: Traced) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    token = current.set(None)
    transport = httpx.ASGITransport(traced.traces.requests(app, 0))  # type: ignore[arg-type]  # Litestar's own types
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/")
    current.reset(token)

    [span] = traced.spans()
    assert span.trace_id.hex() in response.headers["traceparent"]


def test_propagators_may_look_at_all_headers() -> None:
    assert HEADERS.keys([(b"host", b"localhost"), (b"b3", b"0")]) == ["host", "b3"]


def test_the_environment_turns_traces_on(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)

    traces = traces_from_environment()

    assert traces is not None
    asyncio.run(send_all(traces))


async def send_all(traces: Traces) -> None:
    """Have `traces` end what it has begun."""
    async with traces.sending():
        pass


def test_without_traces_nothing_stands_between_a_query_and_its_connection(database_url: str) -> None:
    """What a request costs then, tests/benchmarks/test_counts.py counts."""
    pool = Pool(database_url)

    app = create_app(make_settings(database_url), pool)

    assert app.db._connections is pool  # noqa: SLF001 - what it is about


@pytest.mark.slow
def test_serve_traces_where_the_environment_names_a_receiver(
    own_database_url: str, start: Start, receiver: Receiver
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_RESOURCE_ATTRIBUTES": "service.name=accounts"}
    served = start("serve", serving(own_database_url, **variables))
    served.wait_until_ready()
    response = served.client.get("/users/me", headers=log_in(served.client))
    trace = response.headers["traceparent"].split("-")[1]
    until(lambda: f'"trace_id":"{trace}"' in served.stdout, "the access log names the trace")

    served.end()

    assert [s.name for s in receiver.spans if s.trace_id.hex() == trace] == ["GET /users/me", "users.show_me"]
    resource = receiver.requests[0].resource_spans[0].resource
    assert {each.value.string_value for each in resource.attributes if each.key == "service.name"} == {"accounts"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "accounts"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_wanted_where_a_receiver_is_named(environment: dict[str, str], *, wanted: bool) -> None:
    assert wants_traces(environment) is wanted


def test_another_protocol_is_refused_by_name() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not 'grpc'"):
        wants_traces(environment)


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=re.escape("pip install -r requirements-traces.txt")):
        wants_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
