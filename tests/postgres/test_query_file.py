"""Query files: valid ones are parsed, invalid ones get an error with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from service import sql
from service.postgres.queries import Maybe
from service.postgres.query_file import Cardinality, Parameter, QueryError, Statement, query_names, read_query

GOOD = """\
-- kites.find_kite: finds one of the caller's kites
--    and nobody else's
-- $1 session uuid      the caller's login session
--    as the access token names it
-- $2 ids     bigint[]?
-- returns: maybe Kite?  (no row: the session has ended)
--    and so on
-- Free text may follow: it explains the statement.
--
select /* kites.find_kite */ id, kite_name
from kites
where session = $1 and id = any($2);
"""
STATEMENT = GOOD[GOOD.index("select") :]

Read = Callable[..., Statement]


@attrs.define
class Kite:
    """A row."""

    id: int


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that parses a text as the file of kites.find_kite."""
    path = tmp_path / "sql" / "kites" / "find_kite.sql"
    path.parent.mkdir(parents=True)

    def read(text: str, encoding: str = "utf-8") -> Statement:
        path.write_bytes(text.encode(encoding))
        return read_query("kites.find_kite", tmp_path / "sql")

    return read


def test_file_declares_parameters_and_result(read: Read, tmp_path: Path) -> None:
    assert read(GOOD) == Statement(
        name="kites.find_kite",
        path=tmp_path / "sql" / "kites" / "find_kite.sql",
        purpose="finds one of the caller's kites",
        parameters=(
            Parameter("session", "uuid", nullable=False, line=3, note="the caller's login session"),
            Parameter("ids", "bigint[]", nullable=True, line=5, note=""),
        ),
        cardinality=Cardinality.MAYBE,
        row="Kite",
        row_nullable=True,
        returns_line=6,
        sql=GOOD,
    )


@pytest.mark.parametrize(
    ("parameter", "checks_session"), [("-- $1 session uuid\n", True), ("-- $1 user_id uuid\n", False), ("", False)]
)
def test_first_parameter_session_makes_it_session_bound(read: Read, parameter: str, *, checks_session: bool) -> None:
    header = f"-- kites.find_kite: x\n{parameter}-- returns: count\n"
    text = f"{header}select /* kites.find_kite */ {'$1' if parameter else 1};"

    assert read(text).checks_session is checks_session


@pytest.mark.parametrize(
    ("declared", "type_", "note"),
    [
        ("timestamp with time zone?  of the kite", "timestamp with time zone", "of the kite"),
        ("double precision[]", "double precision[]", ""),
        ("app.level precision", "app.level", "precision"),
        ('"Mood"[]? of the kite', '"Mood"[]', "of the kite"),
        ('app."Mood of day"', 'app."Mood of day"', ""),
        ("text", "text", ""),
    ],
)
def test_types_may_be_of_several_words(read: Read, declared: str, type_: str, note: str) -> None:
    text = GOOD.replace("bigint[]?", declared).replace("returns: maybe Kite?", f"returns: value {type_}?")

    found = read(text)

    assert (found.parameters[1].type, found.parameters[1].note) == (type_, note)
    assert found.row == type_


@pytest.mark.parametrize(("end", "found"), [("?[]", (False, True)), ("[]?", (True, False)), ("?[]?", (True, True))])
def test_array_and_its_elements_can_be_null(read: Read, end: str, found: tuple[bool, bool]) -> None:
    ids = read(GOOD.replace("bigint[]?", f"bigint{end}")).parameters[1]

    assert (ids.type, ids.nullable, ids.null_elements) == ("bigint[]", *found)


def test_query_precomputes_what_each_request_needs(read: Read) -> None:
    query: Maybe[..., Kite] = Maybe(read(GOOD), Kite)

    assert (query.name, query.sql, query.checks_session) == ("kites.find_kite", GOOD, True)


@pytest.mark.parametrize(
    "hiding",
    [
        "';$9'",
        "'it''s;$9'",
        r"E'\';$9'",
        '";$9"',
        '"a"";$9"',
        "$$;$9$$",
        "$a$;$9$$;$9$a$",
        "-- ;$9\n",
        "/* ;$9 * / */",
        "/* or: select /* ;$9 */ ;$9 /**/ ;$9 */",
        "$öl$;$9$öl$",
        "name$9",
    ],
)
def test_quoted_parameters_and_semicolons_are_ignored(read: Read, hiding: str) -> None:
    text = GOOD.replace("from kites", f"{hiding} from kites")

    assert read(text).sql == text


@pytest.mark.parametrize("end", ["", "\n", "\n-- the end; of $9\n", "\n/* the end; of $9 */"])
def test_comment_may_follow_the_statement(read: Read, end: str) -> None:
    assert read(GOOD.rstrip() + end).sql.endswith(end)


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("-- kites.find_kite: finds", "finds", 1, "malformed header: the first line is '-- kites.find_kite: what the"),
        ("-- kites.find_kite: finds", "\ufeff-- kites.find_kite: finds", 1, "malformed header: the first line is"),
        ("-- kites.find_kite: finds", "-- kites.find_cat: finds", 1, "the header names 'kites.find_cat', the file is"),
        ("-- $1 session", "-- $2 session", 3, "$2 stands where $1 is expected"),
        ("-- $2 ids", "-- $3 ids", 5, "$3 stands where $2 is expected"),
        ("-- $2 ids", "-- $1 ids", 5, "$1 stands where $2 is expected"),
        ("-- $2 ids     bigint[]?", "-- $2 ids", 5, "malformed header: a parameter is '-- $1 name type'"),
        ("-- $2 ids     bigint[]?", "-- $2 ids bigint?[?]", 5, "malformed header: a parameter is '-- $1 name type'"),
        ("-- returns: maybe Kite?", "-- returns: some Kite", 6, "malformed header: expected '-- $n …'"),
        ("-- returns: maybe", "-- answers: maybe", 6, "malformed header: expected '-- $n …', '-- returns: …'"),
        ("-- Free text", "-- locks: none", 8, "malformed header: expected '-- $n …'"),
        ("-- Free text", "-- one_shard: ok few", 8, "malformed header: expected '-- $n …'"),
        ("-- Free text", "-- cross-joins: ok few", 8, "malformed header: expected '-- $n …'"),
        ("-- Free text", "-- returns: one Kite", 8, "a second 'returns'"),
        ("-- Free text", "-- $1 id bigint", 8, "$1 stands where $3 is expected"),
        ("any($2)", "any($3)", 12, "$3 is not in the header"),
        ("any($2)", "any($2) or id = $0", 12, "$0 is not in the header"),
        ("any($2)", "7", 10, "$2 is in the header, but not in the statement"),
        ("$1 and", "", 10, "$1 is in the header, but not in the statement"),
        (";", "", 12, "the statement does not end in ';'"),
        (STATEMENT, "", 9, "the statement does not end in ';'"),
        (";\n", ";\n\ndelete from kites", 14, "a second statement; a file holds one query"),
        (";\n", ";;\n", 12, "a second statement; a file holds one query"),
        (
            "/* kites.find_kite */ ",
            "",
            10,
            "the statement does not contain its name: write '/* kites.find_kite */'",
        ),
        ("/* kites.find_kite */", "/* kites.find_cat */", 10, "the statement does not contain its name"),
        ("/* kites.find_kite */", "'/* kites.find_kite */',", 10, "the statement does not contain its name"),
        (
            "select /* kites.find_kite */",
            "/* kites.find_kite */\nselect",
            11,
            "the statement does not contain its name",
        ),
        (STATEMENT, ";", 10, "the statement does not contain its name"),
    ],
)
def test_malformed_file_is_refused_with_its_line(read: Read, old: str, new: str, line: int, complaint: str) -> None:
    assert old in GOOD

    with pytest.raises(QueryError) as refusal:
        read(GOOD.replace(old, new, 1))

    assert str(refusal.value).startswith(f"sql/kites/find_kite.sql:{line}: {complaint}")


@pytest.mark.parametrize(
    ("header", "line"),
    [("-- kites.find_kite: x\n", 2), ("-- kites.find_kite: x\n-- $1 session uuid\n", 3), ("-- kites.find_kite: x", 1)],
)
def test_header_must_declare_the_result(read: Read, header: str, line: int) -> None:
    with pytest.raises(QueryError, match=rf"^sql/kites/find_kite\.sql:{line}: the header does not declare what"):
        read(header)


def test_file_not_in_utf8_is_refused(read: Read) -> None:
    with pytest.raises(QueryError, match=r"^sql/kites/find_kite\.sql:8: not UTF-8 \(invalid"):
        read(GOOD.replace("Free", "Für"), "latin-1")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "sql/kites/find_cat.sql").mkdir(parents=True)

    with pytest.raises(QueryError, match=r"^sql/kites/find_cat\.sql:1: cannot be read: Is a directory$"):
        read_query("kites.find_cat", tmp_path / "sql")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"^sql/kites/find_cat\.sql:1: no such file; the code names the query"):
        read_query("kites.find_cat", tmp_path / "sql")


@pytest.mark.parametrize(
    ("reader", "arguments", "in_file", "in_code"),
    [
        (sql.one, ("auth.open_session", Kite), "maybe Session", "one Kite"),
        (sql.maybe, ("users.show_me", Kite), "one User", "maybe Kite"),
        (sql.maybe, ("auth.open_session", Kite), "maybe Session", "maybe Kite"),
        (sql.many, ("auth.open_session", Kite), "maybe Session", "many Kite"),
        (sql.many, ("auth.end_session", Kite), "count", "many Kite"),
        (sql.value, ("auth.list_my_sessions", int), "many LoginSession", "value"),
        (sql.count, ("users.show_me",), "one User", "count"),
    ],
)
def test_code_and_file_must_declare_the_same_result(
    reader: Callable[..., object], arguments: tuple[Any, ...], in_file: str, in_code: str
) -> None:
    with pytest.raises(QueryError, match=rf"sql/.*\.sql:\d+: returns '{in_file}', but the code reads '{in_code}'$"):
        reader(*arguments)


def test_hidden_file_is_no_query(tmp_path: Path) -> None:
    """Emacs creates a dangling link with such a name for unsaved changes, macOS a file of metadata."""
    for name in ("kites/find_kite.sql", "kites/.#find_kite.sql", "kites/._find_kite.sql", ".git/find_kite.sql"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    assert query_names(tmp_path) == ["kites.find_kite"]


@pytest.mark.parametrize("name", query_names())
def test_every_file_of_the_service_is_well_formed(name: str) -> None:
    statement = read_query(name)

    assert statement.sql.encode() == statement.path.read_bytes()
