"""Parses metrics as Prometheus does."""

from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-for-one-test"


def samples(text: str) -> dict[str, float]:
    """Return each sample of an exposition by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            found[name + "".join(f" {key}={labels[key]}" for key in sorted(labels))] = value
    return found
