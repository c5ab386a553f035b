"""Traces, an optional part: a span for each request and each query, exported by OpenTelemetry.

`python -m service remove traces` removes it; see docs/your-own.md.

Read in this order: traces (the interface; its base class records nothing), environment (the OTEL_ variables),
opentelemetry (records requests), queries (records queries). The last two are imported only if traces are enabled.
"""

from service.traces.environment import check_trace_variables, traces_from_environment
from service.traces.traces import NO_TRACES, Traces

__all__ = ["NO_TRACES", "Traces", "check_trace_variables", "traces_from_environment"]
