"""Compares the service with other stacks, and with what PostgreSQL alone can do: ``make bench``.

Prints Markdown on standard output and progress on standard error.
"""

import asyncio
import signal
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import click

from service.auth.models import Session
from tests.benchmarks import growth, plot, report
from tests.benchmarks.contestants import (
    INSTALLED,
    Contestant,
    Server,
    contestants,
    earlier,
    running,
    seconds_to_import,
)
from tests.benchmarks.data import Database, fill, postgres
from tests.benchmarks.measure import (
    CLIENTS,
    SERVER_CORE,
    Measurement,
    check_and_count,
    measure,
    operations,
    pgbench,
)

USERS, PETS = 10_000, 10


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds per stack.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds per stack and round."
)
@click.option("--quick", is_flag=True, help="2 rounds of half a second: under a minute.")
@click.option(
    "--only", multiple=True, metavar="WORD", help="Measure only stacks with this word in their names; repeatable."
)
@click.option(
    "--against", multiple=True, metavar="REV", help="Also measure an earlier revision of this project; repeatable."
)
@click.option("--python", default=sys.executable, help="The Python to run the stacks with.  [default: this one]")
@click.option(
    "--plot",
    "plot_to",
    type=click.Path(path_type=Path),
    default=INSTALLED / "performance.svg",
    help="The file to draw the figures to.",
)
@click.option(
    "--growth", "grow", is_flag=True, help="Instead, measure how the cost grows with users, page size and connections."
)
@click.option(
    "--users",
    type=int,
    multiple=True,
    default=growth.USERS,
    show_default=True,
    help="Numbers of users, for --growth; repeatable.",
)
def main(
    *,
    rounds: int,
    seconds: float,
    quick: bool,
    only: tuple[str, ...],
    against: tuple[str, ...],
    python: str,
    plot_to: Path,
    grow: bool,
    users: tuple[int, ...],
) -> None:
    """Compare the service with other stacks on one PostgreSQL, and print tables."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # end all started processes
    if quick:
        rounds, seconds = 2, 0.5
    chosen = contestants(python, only)
    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        if grow:
            click.echo(report.conditions(python, rounds, seconds, CLIENTS))
            growth.run(server, rounds=rounds, seconds=seconds, users=users, plot_to=plot_to)
            return
        chosen[1:1] = [stack.enter_context(earlier(revision, python)) for revision in against]
        database = fill(server, users=USERS, pets=PETS)
        trips = checked(chosen, database)
        compare(chosen, database, trips, python=python, rounds=rounds, seconds=seconds, plot_to=plot_to)


def checked(chosen: list[Contestant], database: Database) -> dict[str, dict[str, int]]:
    """Check that all contestants return the service's responses; return the round trips of each.

    Raises click.ClickException if one does not.
    """
    trips, expected = {}, None
    for contestant in chosen:
        click.echo(f"Checking {contestant.name} …", err=True)
        given, trips[contestant.name] = asyncio.run(check_and_count(contestant, database))
        expected = expected or given
        for question, answer in expected.items():
            if given[question] != answer:
                raise click.ClickException(
                    f"{contestant.name} answers {question} with {given[question]}, the service with {answer}"
                )
    database.forget_created()
    return trips


def compare(
    chosen: list[Contestant],
    database: Database,
    trips: dict[str, dict[str, int]],
    *,
    python: str,
    rounds: int,
    seconds: float,
    plot_to: Path,
) -> None:
    """Measure all contestants in turn, and print and plot the results."""
    click.echo("Running pgbench …", err=True)
    floor = {
        name: [pgbench(database, query, arguments(name, database)) for _ in range(3)] for name, query in QUERIES.items()
    }
    database.forget_created()
    with ExitStack() as stack:
        servers = [stack.enter_context(running(each, database.settings(), SERVER_CORE)) for each in chosen]
        work = operations(database)
        for server in servers:
            click.echo(f"Warming up {server.contestant.name} …", err=True)
            for requests in work.values():
                measure(server, requests, 0.3)
        results = take_turns(servers, work, database, rounds=rounds, seconds=seconds)
        memory = {server.contestant.name: server.memory() for server in servers}
        starts = {server.contestant.name: server.seconds_to_start for server in servers}
    click.echo(report.conditions(python, rounds, seconds, CLIENTS))
    for name in work:
        click.echo(report.operation(name, results[name], floor[name]))
    click.echo(report.servers(trips, starts, memory))
    click.echo(f"`import service.app` takes {seconds_to_import():.2f} s of processor time, the least of nine times.\n")
    plot_to.parent.mkdir(parents=True, exist_ok=True)
    plot_to.write_text(plot.bars(results))
    click.echo(f"Plot: {plot_to}", err=True)


QUERIES = {
    "GET /pets/me": "pets.list_my_pets",
    "GET /users/me": "users.show_me",
    "POST /pets/create": "pets.create_pet",
}


def arguments(name: str, database: Database) -> dict[str, str]:
    """Return pgbench's arguments for the query of an operation."""
    session: Session = database.sessions[-1 if name.startswith("POST") else 0]
    page = {"after_name": "", "after_id": "0", "size": "101"}
    return {"session": str(session.id), "user": str(session.user_id), "pet_name": "Tadeusz", **page}


Results = dict[str, dict[str, list[Measurement]]]


def take_turns(
    servers: list[Server],
    work: dict[str, list[list[tuple[str, str]]]],
    database: Database,
    *,
    rounds: int,
    seconds: float,
) -> Results:
    """Measure each operation of each server in the order A B C, C B A, …, so that disturbances affect all."""
    results: Results = defaultdict(lambda: defaultdict(list))
    for turn in range(rounds):
        click.echo(f"Round {turn + 1} of {rounds} …", err=True)
        for name, requests in work.items():
            for server in servers if turn % 2 else servers[::-1]:
                results[name][server.contestant.name].append(measure(server, requests, seconds))
        database.forget_created()
    return results


if __name__ == "__main__":
    main()
