"""The tables as Markdown."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from statistics import median

from tests.benchmarks.contestants import SERVICE
from tests.benchmarks.measure import Measurement


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def conditions(interpreter: str, rounds: int, seconds: float, clients: int) -> str:
    """Describe the conditions of the measurement."""
    load = os.getloadavg()[1]
    python = subprocess.run(
        [interpreter, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {python}; {rounds} interleaved rounds"
        f" of {seconds:g} s, {clients} connections; load average over 5 minutes {load:.1f}, its own part included.\n"
    )


def operation(name: str, results: dict[str, list[Measurement]], floor: Sequence[float]) -> str:
    """Format the cost of one operation for each server: medians, and the ratio to the service's in the same round."""
    ours = results[SERVICE.name]
    rows = []
    for who, theirs in results.items():
        cpu = ratio([their.cpu / our.cpu for their, our in zip(theirs, ours, strict=True)])
        rate = ratio([their.per_second / our.per_second for their, our in zip(theirs, ours, strict=True)])
        latency = [f"{median(column):.1f}" for column in zip(*(each.slow(name) for each in theirs), strict=True)]
        rows.append(
            [
                *(who, cpu, microseconds(each.cpu for each in theirs)),
                microseconds(each.postgres_cpu for each in theirs),
                *(rate, f"{median(each.per_second for each in theirs):,.0f}", *latency),
            ]
        )
    rows.append(["PostgreSQL alone (pgbench)", "", "", "", "", f"{median(floor):,.0f}", "", "", ""])
    head = [
        name,
        "CPU, × the service",
        "µs",
        "PostgreSQL's",
        "rate, × the service",
        "a second",
        "p50 ms",
        "p99",
        "p99.9",
    ]
    return table(head, rows)


def microseconds(seconds: Iterable[float]) -> str:
    """Return the median."""
    return f"{median(seconds) * 1e6:.0f}"


def ratio(ratios: list[float]) -> str:
    """Format median and spread."""
    return f"**{median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"


def servers(trips: dict[str, dict[str, int]], starts: dict[str, float], memory: dict[str, float]) -> str:
    """Format the other figures of each server."""
    rows = [[who, *map(str, trips[who].values()), f"{starts[who]:.2f}", f"{memory[who]:.0f}"] for who in trips]
    return table(["round trips to PostgreSQL", *next(iter(trips.values())), "start, s", "memory, MB"], rows)
