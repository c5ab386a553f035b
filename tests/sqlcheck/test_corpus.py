"""The checks on a corpus: a column inferred never null is never null, and few findings are false alarms.

Each query of corpus/ runs on a shop that is empty, full of nulls, or without partners for its joins, with arguments
that hit and miss. With `-s`, the figures of docs/checks.md are printed.
"""

from collections.abc import Iterator

import attrs
import pytest
from psycopg import sql

from service.sqlcheck.analysis.description import Describer, Description
from service.sqlcheck.rules.null_checks import column_nullability
from service.sqlcheck.rules.query_checks import check_query
from service.sqlcheck.scratch import connect
from tests.sqlcheck.corpus import FOLDER, Case, cases, fill, nulls_of, reference, statement, tables

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]  # runs 403 queries, six times each

Descriptions = dict[str, list[Description]]


@attrs.define
class Outcome:
    """A query: the columns inferred never null, and those that were null in a run."""

    case: Case
    never: list[bool]
    seen: list[bool]
    rows: int = 0

    @property
    def unsound(self) -> bool:
        """Whether a column was null, but inferred never null."""
        return any(never and seen for never, seen in zip(self.never, self.seen, strict=True))

    @property
    def is_false_alarm(self) -> bool:
        """Whether a column is inferred nullable, but was never null."""
        return not all(never or seen for never, seen in zip(self.never, self.seen, strict=True))


@pytest.fixture(scope="module")
def describer(module_database_url: str) -> Iterator[Describer]:
    """Return a describer on a database with a shop."""
    with connect(module_database_url) as connection:
        connection.execute((FOLDER / "schema.sql").read_bytes())
        yield Describer(connection)


@pytest.fixture(scope="module")
def descriptions(describer: Describer, tmp_path_factory: pytest.TempPathFactory) -> Descriptions:
    """Return the descriptions of both halves."""
    folder = tmp_path_factory.mktemp("corpus")
    return {
        half: [describer.describe(statement(case, describer, folder)) for case in cases(half)]
        for half in ("working", "held_out")
    }


@pytest.fixture(scope="module")
def outcomes(describer: Describer, descriptions: Descriptions) -> dict[str, list[Outcome]]:
    """Return the inferred and the observed nulls of each query."""
    connection = describer._connection  # noqa: SLF001 - the one that has the tables
    found = {
        half: [
            Outcome(case, [nulls.never_null for nulls in column_nullability(each)], [False] * len(each.columns))
            for case, each in zip(cases(half), its, strict=True)
        ]
        for half, its in descriptions.items()
    }
    connection.execute("reset enable_seqscan")
    # Empty; full of nulls; half and half, twice; without nulls.
    for seed, share in enumerate([None, 0.9, 0.5, 0.5, 0.5, 0.1]):
        names = sql.SQL(", ").join(map(sql.Identifier, tables()))
        connection.execute(sql.SQL("truncate {} restart identity").format(names))
        if share is not None:
            fill(connection, share=share, seed=seed)
        for half, its in descriptions.items():
            for outcome, description in zip(found[half], its, strict=True):
                seen, most = nulls_of(describer, outcome.case.sql, description)
                outcome.seen = [before or null for before, null in zip(outcome.seen, seen, strict=True)]
                outcome.rows += most
    return found


@pytest.mark.parametrize("half", ["working", "held_out"])
def test_column_inferred_never_null_is_never_null(outcomes: dict[str, list[Outcome]], half: str) -> None:
    assert [outcome.case.name for outcome in outcomes[half] if outcome.unsound] == []


@pytest.mark.parametrize("half", ["working", "held_out"])
def test_few_findings_are_false_alarms(outcomes: dict[str, list[Outcome]], half: str) -> None:
    ran = [outcome for outcome in outcomes[half] if outcome.rows]
    false_alarms = [outcome.case.name for outcome in ran if outcome.is_false_alarm]
    columns = [never for outcome in ran for never in outcome.never]
    figures = f"{len(ran)} queries, {len(columns)} columns, {sum(columns)} never null, false alarms: {false_alarms}"
    print(f"{half}: {figures}")  # noqa: T201 - a figure

    assert len(false_alarms) <= len(ran) * 0.05
    assert len(ran) >= len(outcomes[half]) * 0.95


@pytest.mark.parametrize("half", ["working", "held_out"])
def test_cardinality_is_proven(descriptions: Descriptions, half: str) -> None:
    unproven = [
        description.statement.name
        for description in descriptions[half]
        if any(found.check == "cardinality" for found in check_query(description, [reference(description)]))
    ]

    assert len(unproven) <= len(descriptions[half]) * 0.01
