"""The output of findings."""

import pytest

from service.sqlcheck.findings import Finding, as_json, as_text, summary
from service.sqlcheck.rules.hygiene import check_hygiene
from tests.sqlcheck.conftest import Toys

SAME = [Finding(f"sql/toys/{name}.sql", 4, "column s.ended_at does not exist", "refused") for name in "abc"]
OTHER = Finding("sql/toys/d.sql", 1, "no code names this query", "unused")


def test_same_sentence_of_many_files_is_printed_once() -> None:
    assert as_text([*SAME, OTHER]) == (
        "sql/toys/a.sql:4: column s.ended_at does not exist [refused]\n"
        "  the same: sql/toys/b.sql:4, sql/toys/c.sql:4\n"
        "sql/toys/d.sql:1: no code names this query [unused]"
    )


def test_same_missing_column_is_printed_once() -> None:
    sentences = (
        "PostgreSQL says: column s.ended_at does not exist",
        'end_session(): PostgreSQL says: column "ended_at" does not exist',
        'PostgreSQL says: column "ended_at" of relation "login_session" does not exist',
    )
    found = [Finding(f"sql/toys/{name}.sql", 4, each, "refused") for name, each in zip("abc", sentences, strict=True)]

    assert as_text(found) == (
        "sql/toys/a.sql:4: PostgreSQL says: column s.ended_at does not exist [refused]\n"
        "  the same: sql/toys/b.sql:4, sql/toys/c.sql:4"
    )


def test_same_sentence_of_two_files_is_printed_twice() -> None:
    assert as_text(SAME[:2]).count("\n") == 1


def test_json_has_an_object_for_each_place() -> None:
    assert as_json(SAME).count('"path"') == 3


def test_findings_are_counted_by_check() -> None:
    assert (summary([*SAME, OTHER]), summary([OTHER])) == ("4 findings: 3 refused, 1 unused", "1 finding: 1 unused")


@pytest.mark.parametrize(
    ("sql", "stars"),
    [
        ("select id from toy where exists (select * from maker)", 0),
        ("select (select count(*) from (select * from toy) as t)", 1),
    ],
)
def test_star_is_no_finding_where_no_column_is_read(toys: Toys, sql: str, stars: int) -> None:
    description = toys.describe(sql, "-- returns: many Toy\n")

    assert [check for check, *_ in check_hygiene(description)] == ["star"] * stars
