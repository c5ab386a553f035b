"""Measures a server: requests for a while, and its CPU time before and after."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import attrs
import click

from service.postgres.query_file import read_query
from tests.benchmarks.contestants import PATIENCE, Contestant, Server, pinned, running
from tests.benchmarks.data import Database
from tests.support.relay import Relay

CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
CLIENTS = 16  # connections, with one request at a time each
Request = tuple[str, str]


def text(request: str, token: str | None, body: str = "", kind: str = "application/json") -> str:
    """Return an HTTP/1.1 request as bytes."""
    headers = ["Host: 127.0.0.1", "Accept: application/json"]
    if token:
        headers.append(f"Authorization: Bearer {token}")
    if body:
        headers += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([f"{request} HTTP/1.1", *headers, "", body])


def list_pets(token: str, limit: int = 100) -> Request:
    """List the caller's pets."""
    return "GET /pets/me", text("GET /pets/me" + (f"?limit={limit}" if limit != 100 else ""), token)


def show_me(token: str) -> Request:
    """Show the caller's account."""
    return "GET /users/me", text("GET /users/me", token)


def create_pet(token: str) -> Request:
    """Add a pet."""
    return "POST /pets/create", text("POST /pets/create", token, '{"pet_name": "Tadeusz"}')


def operations(database: Database, clients: int = CLIENTS) -> dict[str, list[list[Request]]]:
    """Return the measured operations, each as a list of requests per client; every client is another user."""
    listers = list(islice(cycle(database.listers), clients))
    creators = list(islice(cycle(database.creators), clients))
    return {
        "GET /pets/me": [[list_pets(token)] for token in listers],
        "GET /users/me": [[show_me(token)] for token in listers],
        "POST /pets/create": [[create_pet(token)] for token in creators],
    }


@attrs.frozen
class Measurement:
    """The results of one server under load. Times are in seconds, latencies are p50, p99 and p99.9."""

    cpu: float  # of the server, per request
    postgres_cpu: float
    per_second: float
    latency: dict[str, list[float]]

    def slow(self, name: str) -> tuple[float, ...]:
        """Return the three latencies of an operation in milliseconds."""
        return tuple(1000 * each for each in self.latency[name])


def measure(server: Server, requests: Sequence[Sequence[Request]], seconds: float) -> Measurement:
    """Load `server` with a connection for each list of `requests`.

    Raises click.ClickException if a response is not a success.
    """
    cpu, postgres_cpu = server.cpu()
    with pinned(LOAD_CORE):
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("load.py")],
            timeout=seconds + PATIENCE,
            input=json.dumps({"port": server.port, "seconds": seconds, "requests": requests}),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(f"{server.contestant.name}: {done.stderr.strip().splitlines()[-1]}")
    seen = json.loads(done.stdout)
    cpu_now, postgres_cpu_now = server.cpu()
    return Measurement(
        cpu=(cpu_now - cpu) / seen["requests"],
        postgres_cpu=(postgres_cpu_now - postgres_cpu) / seen["requests"],
        per_second=seen["requests"] / seen["seconds"],
        latency=seen["latency"],
    )


def answers(server: Server, database: Database) -> dict[str, object]:
    """Return a server's response to each operation; that of a new pet without its id."""
    listing = {"Authorization": f"Bearer {database.listers[0]}"}
    creating = {"Authorization": f"Bearer {database.creators[0]}"}
    with server.client() as client:
        listed = client.get("/pets/me", headers=listing)
        shown = client.get("/users/me", headers=listing)
        created = client.post("/pets/create", json={"pet_name": "Tadeusz"}, headers=creating)
        refused = client.get("/users/me", headers={"Authorization": listing["Authorization"] + "x"})
    return {
        "GET /pets/me": (listed.status_code, listed.json()),
        "GET /users/me": (shown.status_code, shown.json()),
        "POST /pets/create": (created.status_code, {**created.json(), "id": None}),
        "a forged token": refused.status_code,
    }


async def check_and_count(contestant: Contestant, database: Database) -> tuple[dict[str, object], dict[str, int]]:
    """Return a contestant's responses, and the round trips of each operation after warming up."""
    relay = Relay(database.server)
    async with relay.listen() as port:
        # One connection, so that the first requests prepare every statement.
        settings = database.settings("127.0.0.1", port) | {"DATABASE_POOL_SIZE": "1"}
        return await asyncio.to_thread(_check_and_count, contestant, database, settings, relay)


def _check_and_count(
    contestant: Contestant, database: Database, settings: dict[str, str], relay: Relay
) -> tuple[dict[str, object], dict[str, int]]:
    with running(contestant, settings) as server, server.client() as client:
        given = answers(server, database)
        trips = {}
        for name, clients in operations(database, clients=1).items():
            method, path = name.split()
            token = clients[0][0][1].partition("Bearer ")[2].partition("\r\n")[0]
            body = {"pet_name": "Tadeusz"} if method == "POST" else None
            before = 0
            for turn in range(20):
                if turn == 10:  # by then, all statements are prepared
                    before = relay.trips
                client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
            # Some release their connection after the response, so the count of a single request would vary.
            trips[name] = round((relay.trips - before) / 10)
        return given, trips


def pgbench(database: Database, query: str, arguments: dict[str, str]) -> float:
    """Return how often per second PostgreSQL alone runs the file of `query`, prepared, for as many clients."""
    statement = read_query(query)
    script = "\n".join(line for line in statement.sql.splitlines() if not line.startswith("--"))
    for number in range(len(statement.parameters), 0, -1):
        parameter = statement.parameters[number - 1].name
        # pgbench has no empty variables.
        script = script.replace(f"${number}", f":{parameter}" if arguments[parameter] else "''")
    command = [
        *(str(database.server.binaries / "pgbench"), "--no-vacuum", "--protocol=prepared", "--file=-"),
        *(f"--client={CLIENTS}", "--time=2"),
        *(f"--define={name}={value}" for name, value in arguments.items() if value),
        database.url,
    ]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    rate = next((line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps = ")), None)
    if done.returncode or rate is None:
        raise click.ClickException(f"pgbench: {done.stderr.strip()}")
    return float(rate)
