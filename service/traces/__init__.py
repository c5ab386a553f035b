"""Traces, an optional part: a span for each request and each query, exported by OpenTelemetry.

`python -m service remove traces` removes it; see docs/your-own.md.

Read in this order: environment (the OTEL_ variables), spans (of requests and queries; it is imported only if traces
are enabled).
"""

from service.traces.environment import check_trace_variables, record_traces

__all__ = ["check_trace_variables", "record_traces"]
