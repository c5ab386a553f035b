"""How the service's cost grows with rows, page length, connections and the share of log-ins."""

import random
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click

from service.embedded import EmbeddedPostgres
from tests.benchmarks import plot
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
from tests.benchmarks.report import microseconds, ratio, table

USERS = (10_000, 1_000_000, 10_000_000)
OWNED = (10, 100, 1_000, 10_000)
EACH = 200
PAGES = (1, 10, 100, 1000)
CONNECTIONS = (1, 4, 16, 64, 256, 1000)
Found = dict[str, list[Measurement]]
Cases = dict[str, tuple[Server, list[list[Request]]]]


def run(server: EmbeddedPostgres, *, rounds: int, seconds: float, users: tuple[int, ...], plot_to: Path) -> None:
    """Measure each kind of growth, print its table, and plot those that are curves."""
    curves = {
        "users in the database": _by_users(server, users, rounds, seconds),
        "pets that the user has, 10 on the page": _by_owned(server, rounds, seconds),
    }
    with ExitStack() as stack:
        long = fill(server, users=100, pets=1000)
        service = stack.enter_context(running(SERVICE, long.settings(), SERVER_CORE))
        pages: Cases = {f"{n:,}": (service, [[list_pets(token, n)] for token in long.listers[:CLIENTS]]) for n in PAGES}
        curves["pets on the page"] = turns(pages, rounds, seconds)
        database = fill(server, users=100, pets=10)
        service = stack.enter_context(running(SERVICE, database.settings(), SERVER_CORE))
        crowds: Cases = {f"{n:,}": (service, operations(database, n)["GET /pets/me"]) for n in CONNECTIONS}
        curves["connections"] = turns(crowds, rounds, seconds)
        mixed = {
            "list 80 %, me 10 %, create 10 %": (service, mix(database, logins=0)),
            "list 80 %, me 9 %, create 10 %, log in 1 %": (service, mix(database, logins=1)),
        }
        others = {"mixed load": turns(mixed, rounds, 2 * seconds)}
        work = operations(database)["GET /pets/me"]
        workers: Cases = {
            n: (stack.enter_context(running(SERVICE, database.settings() | {"WEB_CONCURRENCY": n})), work)
            for n in ("1", "2")
        }
        others["workers, on all cores"] = turns(workers, rounds, seconds)
    for what, found in (curves | others).items():
        click.echo(growth_table(what, found))
    plot_to.write_text(plot.curves(curves))
    click.echo(f"Plot: {plot_to}", err=True)


def _by_users(server: EmbeddedPostgres, users: tuple[int, ...], rounds: int, seconds: float) -> Found:
    """Measure the same requests in databases of different sizes: the cost should not depend on other users.

    Each client makes requests for EACH users in turn, from all over the tables.
    """
    with ExitStack() as stack:
        cases: Cases = {}
        for number in users:
            click.echo(f"Adding {number:,} users …", err=True)
            # One pet each, so that all responses have the same size.
            database = fill(server, users=number, pets=1, listers=CLIENTS * EACH)
            service = stack.enter_context(running(SERVICE, database.settings(), SERVER_CORE))
            requests = [list_pets(token, 1) for token in database.listers]
            cases[f"{number:,}"] = service, [requests[client::CLIENTS] for client in range(CLIENTS)]
        return turns(cases, rounds, seconds)


def _by_owned(server: EmbeddedPostgres, rounds: int, seconds: float) -> Found:
    """Measure a page of ten, for users with different numbers of pets."""
    with ExitStack() as stack:
        cases: Cases = {}
        for number in OWNED:
            database = fill(server, users=100, pets=number)
            service = stack.enter_context(running(SERVICE, database.settings(), SERVER_CORE))
            cases[f"{number:,}"] = service, [[list_pets(token, 10)] for token in database.listers[:CLIENTS]]
        return turns(cases, rounds, seconds)


def turns(cases: Cases, rounds: int, seconds: float) -> Found:
    """Measure all in turn, repeatedly, so that disturbances affect all."""
    for server, work in cases.values():
        measure(server, work, seconds / 2)
    found: Found = defaultdict(list)
    for turn in range(rounds):
        click.echo(f"Round {turn + 1} of {rounds}: {', '.join(cases)} …", err=True)
        for name, (server, work) in cases.items():
            found[name].append(measure(server, work, seconds))
    return found


def mix(database: Database, logins: int) -> list[list[Request]]:
    """Return a hundred requests of all kinds for each client, in a fixed order per client."""
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
        random.Random(number).shuffle(requests)  # noqa: S311 - only an order
        clients.append(requests)
    return clients


def growth_table(what: str, found: Found) -> str:
    """Format one kind of growth: each cost relative to the first, in the same round."""
    first = next(iter(found.values()))
    lines = []
    for name, measured in found.items():
        cpu = ratio([each.cpu / begin.cpu for each, begin in zip(measured, first, strict=True)])
        latency = [median(column) for column in zip(*(each.slow("GET /pets/me") for each in measured), strict=True)]
        lines.append(
            [
                *(name, cpu, microseconds(each.cpu for each in measured)),
                microseconds(each.postgres_cpu for each in measured),
                *(f"{median(each.per_second for each in measured):,.0f}", *(f"{each:.1f}" for each in latency)),
            ]
        )
    head = [what, "CPU a request, × the first", "µs", "PostgreSQL's", "a second"]
    return table([*head, "p50 ms of lists", "p99", "p99.9"], lines)
