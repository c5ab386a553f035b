"""Errors in a header name the mistake."""

import pytest

from service.postgres.header_mistakes import mistake


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("\ufeff-- kites.find: x", "the file begins with a byte-order mark: save it without one"),
        ("finds", "the line does not begin with '--'"),
        ("--kites.find_kite: x", "a space must follow '--'"),
        ("-- kites.find_kite:", "nothing follows 'kites.find_kite:'"),
        ("-- kites.find-kite: x", "'kites.find-kite' is not a valid name: use lower-case letters, digits and _"),
        ("-- $1", "the parameter has no name and no type"),
        ("-- $1: id", "a space must follow the number"),
        ("-- $1 id", "'id' has no type"),
        ("-- $1 Id text", "'Id' is not a valid name: use lower-case letters, digits and _"),
        ("-- $1 id varchar(50)", "'varchar(50)' has a length: write the type alone"),
        ("-- $1 id character varying(50)", "'character varying(50)' has a length: write the type alone"),
        ("-- $1 id pg_catalog.numeric(10, 2)?", "'pg_catalog.numeric(10, 2)' has a length: write the type alone"),
        ("-- $1 ids integer[][]", "an array of any size and dimensions is written 'integer[]'"),
        ("-- $1 ids integer[3]", "an array of any size and dimensions is written 'integer[]'"),
        ("-- $1 id bigint ?", "write '?' directly after the type, and after the [] of an array"),
        ("-- returns one Kite", "a ':' must follow 'returns'"),
        ("-- returns: some Kite", "'some' is not one, maybe, many, value or count"),
        ("-- returns: one list[Kite]", "'list[Kite]' is not the name of a class or a type"),
        ("-- not null: a b", "'a b' is not a list of columns; put a reason in brackets after it"),
        ("-- seqscan: ok", "a reason must follow 'ok'"),
        ("-- seqscn: ok few", "no check that a header can accept is called 'seqscn'"),
        ("-- repilca: ok", "no check that a header can accept is called 'repilca'"),
        ("-- replica: yes", "only 'ok' can follow 'replica:'"),
        ("-- answers: maybe Kite", "a header has no 'answers:'"),
    ],
)
def test_mistake_is_named(line: str, wrong: str) -> None:
    assert mistake(line) == f": {wrong}"


def test_unclear_line_has_no_mistake() -> None:
    assert mistake("-- hello") == ""
