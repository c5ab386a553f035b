"""How the service's cost grows: with the rows in the tables, the length of a page, connections, and log-ins between."""

import random
from statistics import median

import click

from service.dev.embedded import EmbeddedPostgres
from tests.benchmarks.contestants import SERVICE, Server, running
from tests.benchmarks.data import PASSWORD, Database, fill
from tests.benchmarks.measure import (
    CLIENTS,
    SERVER_CORE,
    Measurement,
    Request,
    create_pet,
    list_pets,
    measure,
    operations,
    show_me,
    text,
)
from tests.benchmarks.report import table

USERS = (10_000, 100_000, 1_000_000)
PAGES = (1, 10, 100, 1000)
CONNECTIONS = (1, 4, 16, 64, 256, 1000)


def run(server: EmbeddedPostgres, *, rounds: int, seconds: float, users: tuple[int, ...]) -> None:
    """Measure each kind of growth and print a table of each."""
    databases = {}
    for each in users:
        click.echo(f"Adding {each:,} users …", err=True)
        databases[f"{each:,}"] = fill(server, users=each, pets=10 if each <= USERS[0] else 1)
    click.echo(rows(databases, rounds, seconds))
    long = fill(server, users=100, pets=1000)
    with running(SERVICE, long.settings(), SERVER_CORE) as service:
        pages = {f"{n:,}": [[list_pets(token, n)] for token in long.listers[:CLIENTS]] for n in PAGES}
        click.echo(curve("pets on the page", {n: best(service, work, rounds, seconds) for n, work in pages.items()}))
    database = next(iter(databases.values()))
    with running(SERVICE, database.settings(), SERVER_CORE) as service:
        work = {f"{n:,}": operations(database, n)["GET /pets/me"] for n in CONNECTIONS}
        click.echo(curve("connections", {n: best(service, each, rounds, seconds) for n, each in work.items()}))
        mixed = {
            "list 80 %, me 10 %, create 10 %": mix(database, logins=0),
            "list 80 %, me 9 %, create 10 %, log in 1 %": mix(database, logins=1),
        }
        click.echo(curve("mixed load", {n: best(service, each, rounds, 2 * seconds) for n, each in mixed.items()}))
    for workers in ("1", "2"):
        with running(SERVICE, database.settings() | {"WEB_CONCURRENCY": workers}) as service:
            found = best(service, operations(database)["GET /pets/me"], rounds, seconds)
            click.echo(curve("workers, on all cores", {workers: found}))


def rows(databases: dict[str, Database], rounds: int, seconds: float) -> str:
    """Measure the same requests in each database: the cost should not depend on how many other users there are."""
    found = {}
    for name, database in databases.items():
        with running(SERVICE, database.settings(), SERVER_CORE) as service:
            # One pet at most, so that each answer is of the same size.
            work = [[list_pets(token, 1)] for token in database.listers[:CLIENTS]]
            found[name] = best(service, work, rounds, seconds)
    return curve("users in the database", found)


def best(service: Server, work: list[list[Request]], rounds: int, seconds: float) -> list[Measurement]:
    """Measure a few times, after a warm-up."""
    measure(service, work, seconds / 2)
    return [measure(service, work, seconds) for _ in range(rounds)]


def mix(database: Database, logins: int) -> list[list[Request]]:
    """Return a hundred requests of all kinds for each client, in an order of its own that is always the same."""
    clients = []
    for number in range(CLIENTS):
        lister, creator = database.listers[number], database.creators[number]
        form = f"username=user{number + 1}%40example.com&password={PASSWORD.replace(' ', '+')}"
        login = text("POST /auth/access-token", None, form, "application/x-www-form-urlencoded")
        requests = [
            *[list_pets(lister)] * 80,
            *[create_pet(creator)] * 10,
            *[show_me(lister)] * (10 - logins),
            *[("POST /auth/access-token", login)] * logins,
        ]
        random.Random(number).shuffle(requests)  # noqa: S311 - an order
        clients.append(requests)
    return clients


def curve(what: str, found: dict[str, list[Measurement]]) -> str:
    """Lay out a table of one kind of growth."""
    lines = []
    for name, measured in found.items():
        cpu = [each.cpu * 1e6 for each in measured]
        latency = [median(column) for column in zip(*(each.slow("GET /pets/me") for each in measured), strict=True)]
        lines.append(
            [
                *(name, f"{median(cpu):.0f} ({min(cpu):.0f}–{max(cpu):.0f})"),
                *(f"{median(each.per_second for each in measured):,.0f}", *(f"{each:.1f}" for each in latency)),
            ]
        )
    return table([what, "CPU, µs a request", "a second", "p50 ms of lists", "p99", "p99.9"], lines)
