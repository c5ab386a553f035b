"""compose.yaml as Docker Compose itself reads it, without an engine."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import ALWAYS, CITUS, COMPOSE, KNOWN, NODES, SERVICES, environment_of, interpolate
from tests.support.processes import NONE, ROOT, environment
from tests.support.programs import needs

# docker(1)'s plugin folders; the plugins also run without it.
PLACES = [f"/usr/{folder}/docker/cli-plugins/docker-compose" for folder in ("local/lib", "libexec", "lib")]
PLUGIN = next(filter(shutil.which, PLACES), PLACES[0])

pytestmark = [pytest.mark.slow, needs(PLUGIN)]


def config(*options: str, **variables: str) -> dict[str, Any]:
    """Return Compose's view of the file, beside a `.env` with `variables` or without one."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "compose.yaml", folder)
        if variables:
            lines = "".join(f"{name}={value}\n" for name, value in variables.items())
            (Path(folder) / ".env").write_text(lines)
        command = [PLUGIN, *options, "config", "--format=json"]
        done = subprocess.run(command, cwd=folder, env=environment(NONE), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    resolved: dict[str, Any] = json.loads(done.stdout)
    return resolved


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return the known services of all profiles."""
    return {name: service for name, service in config("--profile=*")["services"].items() if name in KNOWN}


def test_profiles_add_services() -> None:
    always = config()["services"].keys()

    assert always >= ALWAYS
    assert config("--profile=pgbouncer")["services"].keys() == always | {"pgbouncer"}
    assert config("--profile=pgbouncer", "--profile=standby")["services"].keys() == always | {"pgbouncer", "standby"}
    assert config("--profile=citus")["services"].keys() == always | CITUS
    assert config("--profile=*")["services"].keys() == SERVICES.keys()


def test_each_port_is_on_loopback(services: dict[str, Any]) -> None:
    ports = {
        name: [(port["host_ip"], port["published"]) for port in of.get("ports", [])] for name, of in services.items()
    }

    assert ports == {
        **{name: [] for name in CITUS},
        "database": [("127.0.0.1", "5432")],
        "migrate": [],
        "web": [("127.0.0.1", "8000")],
        "pgbouncer": [("127.0.0.1", "6432")],
        "standby": [("127.0.0.1", "5433")],
    }


def test_each_secret_is_a_file(services: dict[str, Any]) -> None:
    secrets = config("--profile=*")["secrets"]

    assert secrets.keys() == COMPOSE["secrets"].keys()
    assert all(secret["file"].endswith(f"/secrets/{name}") for name, secret in secrets.items())
    for service in services.values():
        assert {secret["target"] for secret in service.get("secrets", [])} <= {
            f"/run/secrets/{name}" for name in secrets
        }


def test_services_wait_for_their_dependencies(services: dict[str, Any]) -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }

    healthy = {"database": "service_healthy"}
    assert waits == {
        "database": {},
        "migrate": healthy,
        "web": {**healthy, "migrate": "service_completed_successfully"},
        "pgbouncer": healthy,
        "standby": healthy,
        **{name: {} for name in NODES},
        "add-workers": dict.fromkeys(NODES, "service_healthy"),
        "migrate-citus": {"add-workers": "service_completed_successfully"},
        "distribute": {"migrate-citus": "service_completed_successfully"},
    }
    assert [name for name, service in services.items() if "test" in service.get("healthcheck", {})] == [
        *("coordinator", "database", "standby", "worker-1", "worker-2"),
    ]


@pytest.mark.parametrize("given", [{}, {"DATABASE_HOST": "pgbouncer:6432", "PORT": "9000", "LOG_FORMAT": "logfmt"}])
def test_tests_start_processes_as_containers_are_started(given: dict[str, str]) -> None:
    """The other tests read the file themselves."""
    for name, service in config("--profile=*", **given)["services"].items():
        assert service.get("environment", {}) == environment_of(name, **given)
        command = [word.replace("$$", "$") for word in service["command"] or []]  # escaped, to be read again
        assert command == [interpolate(word) for word in SERVICES[name].get("command", [])]


def test_documented_variables_take_effect() -> None:
    for_the_service = {"METRICS_PORT": "9100", "SECRET_KEY_PREVIOUS": "a" * 64, "OTEL_TRACES_SAMPLER": "always_off"}
    given = {"DATABASE_HOST": "pgbouncer:6432", "PORT": "9000", "EXTRAS": "traces", **for_the_service}
    web = config(**given)["services"]["web"]

    assert for_the_service.items() < web["environment"].items()
    assert web["environment"]["DATABASE_URL"] == "postgresql://service_app@pgbouncer:6432/service"
    on_citus = config(DATABASE_HOST="coordinator", DATABASE_OPTIONS="?plan_cache_mode=auto")["services"]["web"]
    assert on_citus["environment"]["DATABASE_URL"].endswith("@coordinator/service?plan_cache_mode=auto")
    assert web["environment"]["PORT"] == "8000"
    assert [(port["published"], port["target"]) for port in web["ports"]] == [("9000", 8000)]
    assert web["build"]["args"] == {"EXTRAS": "traces"}
