"""Compares what clients saw with what the database holds, and prints a table with a line for each fault."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from math import inf
from pathlib import Path
from typing import Protocol, Self

import attrs
from typing_extensions import override

from tests.support.load import DROPPED, HUNG, REFUSED
from tests.support.postgres import Postgres
from tests.support.processes import ROOT
from tests.support.resources import Resource

NUMBERS = count(1)
DONE = {200, 201}
NAMES = {REFUSED: "refused", DROPPED: "dropped", HUNG: "hung"}


@attrs.frozen
class Request:
    """A request as seen by its client; times are monotonic seconds."""

    kind: str
    status: int
    sent: float
    took: float
    retry_after: str


@attrs.define
class Outcome:
    """Everything that the clients of a load saw."""

    requests: list[Request]
    acknowledged: dict[str, int]
    unclear: list[str]
    lost: int = 0
    duplicates: int = 0

    @property
    def statuses(self) -> Counter[int]:
        """The count of each status, including those of tests.support.load."""
        return Counter(request.status for request in self.requests)

    @property
    def failed(self) -> list[Request]:
        """The requests that did not succeed."""
        return [request for request in self.requests if request.status not in DONE]

    def failing_after(self, moment: float) -> float:
        """Return for how many seconds after `moment` clients got errors or no response."""
        answered = [request.sent + request.took for request in self.requests if request.status in DONE]
        first = min((at for at in answered if at > moment), default=inf)
        last = max((request.sent + request.took for request in self.failed), default=moment)
        return max(0.0, last - moment, first - moment)

    def check(self) -> None:
        """Check that each request was answered within 3 s, failures with Retry-After; no write is lost or doubled."""
        assert set(self.statuses) <= {200, 201, 409, 503}
        assert self.statuses.keys() >= DONE
        assert all(request.retry_after for request in self.failed)
        assert max(request.took for request in self.requests) < 3
        assert (self.lost, self.duplicates) == (0, 0)

    def add(self, other: "Outcome") -> None:
        """Add what the clients of another load saw."""
        self.requests += other.requests
        self.acknowledged |= other.acknowledged
        self.unclear += other.unclear
        self.lost += other.lost
        self.duplicates += other.duplicates

    def compare(self, postgres: Postgres, resource: Resource, name: str) -> Self:
        """Look for acknowledged writes that the database lacks, and for duplicates."""
        field, table = resource.field, resource.table
        pairs = f"coalesce(json_agg(json_build_array({field}, id)), '[]')"
        query = f"select {pairs} from {table} where starts_with({field}, %s)"
        stored = {(text, number) for text, number in postgres.ask(query, [f"{name}-"])}
        times = Counter(text for text, _ in stored)
        self.lost = len(set(self.acknowledged.items()) - stored)
        self.duplicates = sum(number > 1 for number in times.values())
        return self


class Front(Protocol):
    """The base URL on loopback for clients, and a folder for what they saw."""

    port: int
    output: Path


class Load:
    """Clients that send requests until the end of the context; ``outcome`` then contains what they saw."""

    outcome: Outcome

    def __init__(
        self,
        served: Front,
        postgres: Postgres,
        resource: Resource,
        tokens: list[str],
        clients: int,
        reads: int,
        pause: float,
    ) -> None:
        self._postgres, self._resource = postgres, resource
        self._name = f"load{next(NUMBERS)}"
        self._task = {"name": self._name, "port": served.port, "tokens": tokens}
        self._task["target"] = {"create": resource.create, "list": resource.list, "field": resource.field}
        self._task |= {"clients": clients, "reads": reads, "pause": pause}
        self._file = served.output / f"{self._name}.json"

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.load"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(self._task | {"output": str(self._file)}) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "begins\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._process.communicate(timeout=60)
        seen = json.loads(self._file.read_text())
        requests = [Request(*each) for each in seen["requests"]]
        self.outcome = Outcome(requests, seen["acknowledged"], seen["unclear"])
        if kind is None:
            self.outcome.compare(self._postgres, self._resource, self._name)


Clients = Callable[..., Load]
# Prints a figure.
Report = Callable[[str], None]


@attrs.define
class Table:
    """The table printed at the end of the run."""

    lines: list[tuple[str, str, str]] = attrs.Factory(list)
    acknowledged: int = 0
    lost: int = 0
    duplicates: int = 0

    def note(self, fault: str, outcome: Outcome, figure: str = "") -> None:
        """Add the effect of a fault on the clients."""
        self.acknowledged += len(outcome.acknowledged)
        self.lost += outcome.lost
        self.duplicates += outcome.duplicates
        statuses = ", ".join(
            f"{number:,} of {NAMES.get(status, status)}" for status, number in sorted(outcome.statuses.items())[::-1]
        )
        slow = max((request.took for request in outcome.failed), default=0.0)
        parts = [figure, f"slowest refusal {slow:.1f} s" if outcome.failed else ""]
        self.lines.append((fault, statuses, "; ".join(part for part in parts if part)))

    def add_line(self, fault: str, result: str, figure: str = "") -> None:
        """Add a line without a load."""
        self.lines.append((fault, result, figure))

    @override
    def __str__(self) -> str:
        """Format it for a terminal."""
        if not self.lines:
            return ""
        first, second = (max(len(line[part]) for line in self.lines) for part in (0, 1))
        rows = [f"{fault:{first}}  {result:{second}}  {figure}" for fault, result, figure in self.lines]
        total = f"{self.acknowledged:,} acknowledged writes: {self.lost} lost, {self.duplicates} twice"
        return "\n".join([*rows, total])
