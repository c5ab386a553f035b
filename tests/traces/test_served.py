"""Traces enabled by the environment, in processes as in production."""

import re

import httpx
import pytest

from service.app import Service
from service.settings import SettingsError
from service.traces import check_trace_variables, record_traces
from tests.support.accounts import account
from tests.support.otlp import PARENT, Receiver
from tests.support.processes import Serve, wait_until


@pytest.mark.slow
def test_serve_traces_to_the_configured_receiver(own_database_url: str, serve: Serve, receiver: Receiver) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_RESOURCE_ATTRIBUTES": "service.name=accounts"}
    served = serve(own_database_url, **variables)
    response = served.client.get("/users/me", headers=account(served.client).bearer)
    trace = response.headers["traceparent"].split("-")[1]
    wait_until(lambda: f'"trace_id":"{trace}"' in served.stdout, "the access log names the trace")

    served.end()

    assert [s.name for s in receiver.spans if s.trace_id.hex() == trace] == ["GET /users/me", "users.show_me"]
    assert resources(receiver, "service.name") == {"accounts"}


@pytest.mark.slow
def test_every_worker_traces_with_all_propagators(own_database_url: str, serve: Serve, receiver: Receiver) -> None:
    """Workers are forked, and the exporters start only after the fork."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_PROPAGATORS": "baggage"}
    schedule = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
    served = serve(own_database_url, WEB_CONCURRENCY="2", **endpoint, **schedule)
    asked = 0

    def both_have_sent() -> bool:
        nonlocal asked
        response = httpx.get(f"{served.url}/health/live", headers={"traceparent": PARENT}, trust_env=False)
        assert "traceparent" not in response.headers
        asked += 1
        return len(resources(receiver, "service.instance.id")) == 2

    wait_until(both_have_sent, "both have sent spans")
    served.end()

    lives = [span for span in receiver.spans if span.name == "GET /health/live"]
    assert len(lives) == asked
    assert {span.parent_span_id for span in lives} == {b""}


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
def test_traces_are_on_if_a_receiver_is_named(environment: dict[str, str], *, wanted: bool) -> None:
    assert check_trace_variables(environment) is wanted


def test_other_protocol_is_refused_by_name() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not 'grpc'"):
        check_trace_variables(environment)


@pytest.mark.parametrize("endpoint", ["localhost:4318", "http://", "http://localhost:99999", "grpc://localhost:4317"])
def test_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT must look like http://localhost:4318, not"):
        check_trace_variables({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})


def test_variable_that_opentelemetry_refuses_is_one_sentence(app: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "-1")

    with pytest.raises(SettingsError, match=r"^an OTEL_ variable is not valid: schedule_delay_millis must be positive"):
        record_traces(app, app.asgi_handler)


def test_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.traces.environment.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=re.escape("pip install -r requirements-traces.txt")):
        check_trace_variables({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})


def resources(receiver: Receiver, key: str) -> set[str]:
    """Return the resource attributes of the processes that sent spans."""
    senders = [sent.resource for request in receiver.requests for sent in request.resource_spans]
    return {each.value.string_value for sender in senders for each in sender.attributes if each.key == key}
