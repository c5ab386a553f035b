"""The deployment files: compose.yaml as Compose reads it, and the Procfile."""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from tests.support.processes import ROOT

PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
# The services that the tests know, by profile; a service of your own needs only to keep the rules for all.
ALWAYS = {"database", "migrate", "web"}
NODES = ["coordinator", "worker-1", "worker-2"]
CITUS = {*NODES, "add-workers", "migrate-citus", "distribute"}
KNOWN = {*ALWAYS, "pgbouncer", "standby", *CITUS}


def interpolate(text: str, **variables: str) -> str:
    """Substitute variables as Compose does: ${NAME:-default}, and $$ for a $."""
    text = re.sub(r"\$\{(\w+):-(.*?)\}", lambda found: variables.get(found[1]) or found[2], text)
    return text.replace("$$", "$")


def environment_of(service: str, **variables: str) -> dict[str, str]:
    """Return the environment that Compose gives a service if `.env` contains `variables`."""
    own = SERVICES[service].get("environment", {})
    from_file = variables if "env_file" in SERVICES[service] else {}
    return {**from_file, **{name: interpolate(text, **variables) for name, text in own.items()}}
