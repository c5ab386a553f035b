"""compose.yaml, and the same topology as plain processes on Debian's PostgreSQL and PgBouncer."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import attrs
import psycopg
import pytest
from psycopg.errors import ReadOnlySqlTransaction

from tests.support.debian import (
    BINARIES,
    POSTGRES,
    debian_postgres,
    unprivileged,
    unprivileged_folder,
    wait_until_it_answers,
)
from tests.support.deployment import ALWAYS, CITUS, COMPOSE, KNOWN, SERVICES, environment_of, interpolate
from tests.support.first_session import run_black_box
from tests.support.processes import NONE, PATIENCE, ROOT, Running, environment, free_port, run, wait_until
from tests.support.programs import PGBOUNCER_OF_DEBIAN_13, needs

SECRETS = [path.removeprefix("./secrets/") for path in (each["file"] for each in COMPOSE["secrets"].values())]
[MAKE_SECRETS] = re.findall(r"^```sh\n(mkdir .*?)^```", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE | re.DOTALL)


def test_service_waits_for_migration_and_database() -> None:
    assert SERVICES["web"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["database"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["database"]["image"] == "postgres:18"


def test_optional_services_are_profiles() -> None:
    profiles = {name: SERVICES[name].get("profiles", []) for name in KNOWN}

    assert profiles == {
        **{name: [] for name in ALWAYS},
        **{name: ["citus"] for name in CITUS},
        "pgbouncer": ["pgbouncer"],
        "standby": ["standby"],
    }


def test_every_port_is_on_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_is_in_the_environment() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert {name for name in names if re.search("PASSWORD|SECRET|TOKEN", name) and not name.endswith("_FILE")} == set()


def test_dot_env_reaches_only_the_web_service() -> None:
    """No other known service needs it."""
    assert [name for name in KNOWN if "env_file" in SERVICES[name]] == ["web"]
    assert SERVICES["web"]["env_file"] == [{"path": ".env", "required": False}]
    assert SERVICES["web"]["environment"].keys() == {
        *("DATABASE_URL", "DATABASE_PASSWORD_FILE", "SECRET_KEY_FILE"),
        *("HOST", "PORT"),
    }


def test_each_service_gets_only_the_secrets_it_reads() -> None:
    for name, service in SERVICES.items():
        configs = [COMPOSE["configs"][each["source"]]["content"] for each in service.get("configs", [])]
        read = re.findall(r"/run/secrets/(\w+)", f"{service.get('environment')} {service.get('command')} {configs}")
        assert sorted(set(read)) == sorted(service.get("secrets", [])), name


def test_data_is_in_named_volumes() -> None:
    mounted = {volume for service in SERVICES.values() for volume in service.get("volumes", []) if ":ro" not in volume}

    assert {volume.partition(":")[0] for volume in mounted} == COMPOSE["volumes"].keys()


def test_containers_have_few_privileges() -> None:
    for name in ("web", "migrate", "pgbouncer"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_read_only_container_writes_to_memory() -> None:
    written = re.findall(r">(/\w+)/", SERVICES["pgbouncer"]["command"][-1])

    assert set(written) == set(SERVICES["pgbouncer"]["tmpfs"])


def test_database_gets_roles_then_passwords() -> None:
    """The image runs the files of that folder by name."""
    folder = "/docker-entrypoint-initdb.d/"
    [roles] = [volume for volume in SERVICES["database"]["volumes"] if folder in volume]
    [passwords] = SERVICES["database"]["configs"]

    assert roles == f"./sql/roles.sql:{folder}1-roles.sql:ro"
    assert passwords == {"source": "passwords", "target": f"{folder}2-passwords.sql"}


def test_service_restarts_and_has_time_to_drain() -> None:
    assert SERVICES["web"]["restart"] == SERVICES["database"]["restart"] == "unless-stopped"
    assert SERVICES["web"]["stop_grace_period"] == "30s"


def test_nothing_is_copied_into_a_read_only_root() -> None:
    """Inline configs would be, and the engine refuses: https://github.com/docker/compose/issues/12031."""
    assert [name for name, service in SERVICES.items() if service.get("read_only") and service.get("configs")] == []


slow = pytest.mark.slow


@attrs.frozen
class Topology:
    """The database of compose.yaml with its secrets; the settings of the other services are translated."""

    url: str
    secrets: Path

    def here(self, text: str, **variables: str) -> str:
        """Return text of compose.yaml with this test's hosts, ports and secrets."""
        hosts = {"@database/": f"@127.0.0.1:{urlsplit(self.url).port}/", "/run/secrets": str(self.secrets)}
        text = interpolate(text, **variables)
        for theirs, ours in hosts.items():
            text = text.replace(theirs, ours)
        return text

    def environment(self, service: str, **variables: str) -> dict[str, str]:
        """Return the environment of a service if `.env` contains `variables`."""
        return {name: self.here(text) for name, text in environment_of(service, **variables).items()}

    def served(self, folder: Path, inside: Mapping[str, str] = NONE, **variables: str) -> Running:
        """Return the started service; `.env` contains `variables`, and `inside` sets what differs in a container."""
        inside = {"HOST": "127.0.0.1", "PORT": str(free_port()), "LOGIN_THROTTLE": "off", **inside}
        return Running("serve", folder, self.environment("web", **variables) | inside)


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """Return the migrated database, set up like its image does."""
    with debian_postgres({"wal_keep_size": "64MB"}) as admin, unprivileged_folder() as folder:
        subprocess.run(["/bin/sh", "-euc", MAKE_SECRETS], cwd=folder, check=True)
        (folder / "secrets").chmod(0o755)  # passed by a container engine
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("create database service")
            [(data,)] = connection.execute("show data_directory").fetchall()
        (Path(data) / "pg_hba.conf").write_text("host all all all scram-sha-256\n")  # as seen by another container
        url = urlunsplit(urlsplit(admin)._replace(path="/service"))
        topology = Topology(url, folder / "secrets")
        passwords = folder / "passwords.sql"
        passwords.write_text(topology.here(COMPOSE["configs"]["passwords"]["content"]))
        for script in (ROOT / "sql/roles.sql", passwords):
            psql: list[str | Path] = [
                BINARIES / "psql",
                "--set=ON_ERROR_STOP=1",
                "--no-psqlrc",
                "--quiet",
                url,
                "-f",
                script,
            ]
            subprocess.run(psql, env=os.environ | {"PGDATA": data}, check=True, capture_output=True)
        with psycopg.connect(url) as connection:
            connection.execute("select pg_reload_conf()")  # the image restarts the server
        migrated = run(*SERVICES["migrate"]["command"][3:], settings=topology.environment("migrate"))
        assert (migrated.returncode, migrated.stderr) == (0, "")
        yield topology


@slow
@needs(POSTGRES)
def test_secrets_are_those_named_in_the_docs(topology: Topology) -> None:
    made = {path.name: path.read_text() for path in topology.secrets.iterdir()}

    assert sorted(made) == sorted(SECRETS)
    assert len(set(made.values())) == len(made)
    assert all(len(secret) >= 32 for secret in made.values())


@slow
@needs(POSTGRES)
def test_contract_holds_on_the_application_role(topology: Topology, tmp_path: Path) -> None:
    with topology.served(tmp_path) as served:
        served.wait_until_ready()

        assert " passed" in run_black_box(served.url)
        with psycopg.connect(topology.url) as connection:
            roles = (
                "select distinct usename from pg_stat_activity where datname = 'service' and pid <> pg_backend_pid()"
            )
            assert connection.execute(roles).fetchall() == [("service_app",)]


@slow
@needs(POSTGRES)
@pytest.mark.parametrize("name", ["database", "standby"])
def test_postgres_health_check_asks_the_server(topology: Topology, name: str) -> None:
    _, program, *options = SERVICES[name]["healthcheck"]["test"]
    ports = [urlsplit(topology.url).port, free_port()]
    states = [
        subprocess.run([BINARIES / program, *options, f"--port={port}"], capture_output=True, check=False).returncode
        for port in ports
    ]

    assert states == [0, 2]


@contextmanager
def shell(service: str, script: str, folder: Path, **variables: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the script of a service until the end of the context."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*unprivileged(), *SERVICES[service]["command"][:-1], script],
            cwd=folder,
            env=environment({"PATH": f"{BINARIES}:{Path(PGBOUNCER_OF_DEBIAN_13).parent}:/usr/bin:/bin", **variables}),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@slow
@needs(POSTGRES, PGBOUNCER_OF_DEBIAN_13)
def test_contract_holds_through_pgbouncer(topology: Topology, tmp_path: Path) -> None:
    port = free_port()
    with unprivileged_folder() as folder:
        script = SERVICES["pgbouncer"]["command"][-1]
        for theirs, ours in {
            "host=database": f"host=127.0.0.1 port={urlsplit(topology.url).port}",
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "6432": str(port),
            "/tmp/": f"{folder}/",  # noqa: S108 - the container's own
            "exec pgbouncer": f"exec {PGBOUNCER_OF_DEBIAN_13}",
        }.items():
            assert theirs in script
            script = script.replace(theirs, ours)
        script = topology.here(script)
        through = {
            "DATABASE_HOST": f"127.0.0.1:{port}",
            "DATABASE_STATEMENT_TIMEOUT": "0",
            "DATABASE_LOCK_TIMEOUT": "0",
        }
        with shell("pgbouncer", script, folder), topology.served(tmp_path, NONE, **through) as served:
            served.wait_until_ready()

            assert " passed" in run_black_box(served.url)
            assert "service_app" in (folder / "log").read_text()
            secret = (topology.secrets / "app_password").read_text().strip()
            url = f"postgresql://service_app:{secret}@127.0.0.1:{port}/service"
            with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
                psycopg.connect(url.replace(secret, "another"))
            with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as another:
                seen = [each.execute("select pg_backend_pid()").fetchone() for each in (one, another)]
            assert seen[0] == seen[1], "each has a connection to PostgreSQL for a transaction only"


@slow
@needs(POSTGRES)
def test_replica_follows_and_is_read(topology: Topology, tmp_path: Path) -> None:
    port = str(free_port())
    with unprivileged_folder() as folder:
        script = topology.here(SERVICES["standby"]["command"][-1]).replace(
            "@database ", f"@127.0.0.1:{urlsplit(topology.url).port} "
        )
        # Its certificate is in the first server's data folder, its socket where the image has it.
        script = script.replace("exec postgres", f"exec postgres -k {folder}")
        with shell("standby", script, folder, PGDATA=str(folder / "data"), PGPORT=port) as process:
            url = topology.url.replace(f":{urlsplit(topology.url).port}/", f":{port}/")
            wait_until_it_answers(url, process, folder / "log")
            with psycopg.connect(topology.url) as first, psycopg.connect(url, autocommit=True) as standby:
                first.execute("insert into login_throttle values ('followed', '::1', 1, 1, now())")
                first.commit()

                follows = "select from login_throttle where account = 'followed'"
                wait_until(lambda: standby.execute(follows).rowcount == 1, "the row arrives")
                with pytest.raises(ReadOnlySqlTransaction):
                    standby.execute("delete from login_throttle")
            replica = f"postgresql://service_app@127.0.0.1:{port}/service"
            if find_spec("service.replica"):  # `remove replica` removes it
                with topology.served(tmp_path, DATABASE_REPLICA_URL=replica) as served:
                    wait_until(lambda: "replica in use" in served.stdout, "it reads from the standby")
