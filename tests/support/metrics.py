"""The service with metrics, which are parsed as Prometheus does."""

from pathlib import Path

import attrs
import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.app import Service
from service.telemetry.prometheus import render_metrics
from tests.support.factories import Factory

TOKEN = "a-token-for-one-test"


def samples(text: str) -> dict[str, float]:
    """Return each sample of an exposition by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            found[name + "".join(f" {key}={labels[key]}" for key in sorted(labels))] = value
    return found


@attrs.frozen
class ServiceWithMetrics:
    """The service with metrics, on its own database."""

    app: Service
    client: httpx.AsyncClient
    make: Factory
    directory: Path

    def __getitem__(self, name: str) -> float:
        """Return the value of a sample."""
        return samples(render_metrics(self.directory, "text/plain")[0].decode())[name]
