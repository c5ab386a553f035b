"""Reads ``sql/`` into typed queries, and knows no database.

A query is a file, ``sql/<feature>/<verb_noun>.sql``, and is sent byte for byte. Its header tells people
and this module the same thing: what the query does, what each ``$n`` is, and what comes back.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Generic, NoReturn, ParamSpec, TypeVar

import attrs

from service.problems import OperatorError

NEWLINE = "\n"
SQL = Path(__file__).resolve().parents[2] / "sql"
# Folders without queries of the service: what DBAs run in psql, and what development and the scale check load.
FOR_PSQL = "review"
NOT_QUERIES = {FOR_PSQL, "dev"}

P = ParamSpec("P")
R = TypeVar("R")

NAME = re.compile(r"-- (?P<name>[a-z_0-9]+\.[a-z_0-9]+): (?P<purpose>\S.*)")
SPACED = r"double precision|(?:character|bit) varying|time(?:stamp)? with(?:out)? time zone"
TYPE = rf"(?:{SPACED}|(?:\w+\.)?\w+)(?:\[\])?"
PARAMETER = re.compile(
    rf"-- \$(?P<number>\d+) +(?P<name>[a-z_0-9]+) +(?P<type>{TYPE})(?P<nullable>\?)?( +(?P<note>\S.*))?"
)
RETURNS = re.compile(
    rf"-- returns: (?P<cardinality>one|maybe|many|value|count)( (?P<row>{TYPE})(?P<nullable>\?)?)?( +\(.*)?"
)
MARKER = re.compile(
    r"-- (not null: (?P<columns>\w+(\[\])?(, \w+(\[\])?)*)( +\(.*)?"
    r"|(?P<check>seqscan|scale|one-shard|cardinality|unlimited|cross-join): ok \S.*"
    r"|(?P<replica>replica): ok( +\(.*)?)"
)
CONTINUED = re.compile(r"--  +\S.*")
# Behind `returns:` people may say more; what looks like a key there is a mistake.
PROSE = re.compile(r"--( (?!\$|not null:|[a-z]+:).*)?")

# What may hide a `;` or a `$1` that PostgreSQL does not take for one, then the two themselves
# (PostgreSQL's manual, 4.1, Lexical Structure).
TOKEN = re.compile(
    r"""
      (?P<hidden> --[^\n]*
        | [eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*"
        | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<comment> /\* (?:[^*]|\*(?!/))* \*/ )
    | \$(?P<number>\d+)
    | (?P<end> ;)
    | \w[\w$]* | \S
    """,
    re.VERBOSE | re.DOTALL,
)


class QueryError(OperatorError):
    """A query file is missing or malformed, or is not what its reader declares; names the file and the line."""


class Cardinality(StrEnum):
    """How much a query returns."""

    ONE = "one"
    MAYBE = "maybe"
    MANY = "many"
    VALUE = "value"
    COUNT = "count"


@attrs.frozen
class Parameter:
    """A ``$n`` of a query, as the header declares it; `note` is what it says behind the type."""

    name: str
    type: str
    nullable: bool
    line: int
    note: str


@attrs.frozen
class Marker:
    """What only the header can say: a column is not null, a finding is accepted, a replica may answer."""

    name: str
    line: int


@attrs.frozen
class Statement:
    """A query file: what its header says, and the text that PostgreSQL gets."""

    name: str
    path: Path
    purpose: str
    parameters: tuple[Parameter, ...]
    cardinality: Cardinality
    row: str | None
    row_nullable: bool
    returns_line: int
    sql: str
    not_null: tuple[Marker, ...] = ()
    accepted: tuple[Marker, ...] = ()
    replica: tuple[Marker, ...] = ()

    @property
    def of_session(self) -> bool:
        """Whether the statement itself checks that the caller's session is alive: its ``$1`` is ``session``."""
        return bool(self.parameters) and self.parameters[0].name == "session"


@attrs.frozen(eq=False)
class Query(Generic[P, R]):
    """A statement, and the class of its rows; the subclass says how many of them come back."""

    statement: Statement
    row: type[R]
    # What each request needs of the statement, one attribute away.
    name: str = attrs.field(init=False)
    sql: str = attrs.field(init=False)
    of_session: bool = attrs.field(init=False)
    on_replica: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Copy what the hot path reads."""
        object.__setattr__(self, "name", self.statement.name)
        object.__setattr__(self, "sql", self.statement.sql)
        object.__setattr__(self, "of_session", self.statement.of_session)
        object.__setattr__(self, "on_replica", bool(self.statement.replica))


class One(Query[P, R]):
    """Returns exactly one row."""


class Maybe(Query[P, R]):
    """Returns a row, or none."""


class Many(Query[P, R]):
    """Returns any number of rows."""


class Value(Query[P, R]):
    """Returns one row of one column."""


class Count(Query[P, int]):
    """Returns the number of rows that it changed."""


def query_names(directory: Path = SQL) -> list[str]:
    """Return the name of every query below `directory`; names that begin with a dot are an editor's own files."""
    return sorted(
        f"{path.parent.name}.{path.stem}"
        for path in directory.glob("[!.]*/[!.]*.sql")
        if path.parent.name not in NOT_QUERIES
    )


def read_query(name: str, directory: Path = SQL) -> Statement:
    """Read the file of the query `name` below `directory`. Raises QueryError if it is missing or malformed."""
    path = directory / f"{name.replace('.', '/')}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise QueryError(f"{place(path, 1)}: no such file; the code names the query {name!r}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise QueryError(f"{place(path, line)}: not UTF-8 ({error.reason})") from None
    return _parse(name, path, text)


# Set in the environment, so that processes which `dev` starts know it before they import anything.
ACCEPT_BROKEN_FILES_VARIABLE = "_ACCEPT_BROKEN_QUERY_FILES"


def accept_broken_files() -> None:
    """From now on, in this process and its children, declared() returns an empty statement for a broken file.

    Its purpose says what is wrong. `dev` serves on then, and reports it to the requests that need the query.
    """
    os.environ[ACCEPT_BROKEN_FILES_VARIABLE] = "yes"


def declared(name: str, cardinality: Cardinality, row: type | None) -> Statement:
    """Read the file of the query `name`, which must declare this cardinality and row.

    Raises QueryError if the file is missing or malformed, or declares another result.
    """
    try:
        return _declared(name, cardinality, row)
    except QueryError as error:
        if ACCEPT_BROKEN_FILES_VARIABLE not in os.environ:
            raise
        path = SQL / f"{name.replace('.', '/')}.sql"
        return Statement(name, path, str(error), (), cardinality, row=None, row_nullable=False, returns_line=1, sql="")


def _declared(name: str, cardinality: Cardinality, row: type | None) -> Statement:
    statement = read_query(name)
    code = f"{cardinality} {row.__name__}" if row else str(cardinality)
    file = f"{statement.cardinality} {statement.row}" if row and statement.row else str(statement.cardinality)
    if code != file:
        raise QueryError(
            f"{place(statement.path, statement.returns_line)}: returns {file!r}, but the code reads {code!r}"
        )
    return statement


def _parse(name: str, path: Path, text: str) -> Statement:
    lines = text.split("\n")
    head = _match(NAME, path, 1, lines[0], f"the first line is '-- {name}: what the query does'")
    if head["name"] != name:
        raise QueryError(f"{place(path, 1)}: the header names {head['name']!r}, the file is {name!r}")
    parameters: list[Parameter] = []
    returns: re.Match[str] | None = None
    at = returns_line = 1
    for at, line in enumerate(lines[1:], start=2):
        if not line.startswith("--"):
            break
        if MARKER.fullmatch(line) or CONTINUED.fullmatch(line) or (returns and PROSE.fullmatch(line)):
            continue
        if line.startswith("-- $"):
            found = _match(PARAMETER, path, at, line, "a parameter is '-- $1 name type', with '?' if null is allowed")
            if int(found["number"]) != len(parameters) + 1:
                raise QueryError(
                    f"{place(path, at)}: ${found['number']} stands where ${len(parameters) + 1} is expected"
                )
            name_and_type = found["name"], found["type"]
            parameters.append(Parameter(*name_and_type, bool(found["nullable"]), at, found["note"] or ""))
        elif returns and line.startswith("-- returns:"):
            raise QueryError(f"{place(path, at)}: a second 'returns'; a query returns one thing")
        else:
            returns = _match(
                RETURNS, path, at, line, "expected '-- $n …', '-- returns: …', or more text after two spaces"
            )
            returns_line = at
    if returns is None:
        raise QueryError(f"{place(path, at)}: the header says nothing of what the query returns")
    _check_body(name, path, text, len(parameters))
    return Statement(
        name=name,
        path=path,
        purpose=head["purpose"],
        parameters=tuple(parameters),
        cardinality=Cardinality(returns["cardinality"]),
        row=returns["row"],
        row_nullable=bool(returns["nullable"]),
        returns_line=returns_line,
        sql=text,
        not_null=_marked("columns", lines[:at]),
        accepted=_marked("check", lines[:at]),
        replica=_marked("replica", lines[:at]),
    )


def _marked(kind: str, header: list[str]) -> tuple[Marker, ...]:
    """Return what the header's markers of a `kind` name: ``columns`` that are not null, a ``check``, ``replica``."""
    found = [(MARKER.fullmatch(line), number) for number, line in enumerate(header, start=1)]
    return tuple(
        Marker(name, number) for match, number in found if match for name in (match[kind] or "").split(", ") if name
    )


def _check_body(name: str, path: Path, text: str, parameters: int) -> None:
    """Check that `text` is one statement that ends in ``;``, uses each parameter, and carries its name inside.

    The name in the header is what pg_stat_activity shows; pg_stat_statements drops what stands before a statement.
    """

    def refuse(at: int, what: str) -> NoReturn:
        raise QueryError(f"{place(path, text.count(NEWLINE, 0, at) + 1)}: {what}")

    tokens = [token for token in TOKEN.finditer(text) if not token[0].startswith("--")]
    code = [token for token in tokens if not token["comment"]]
    end = next((index for index, token in enumerate(code) if token["end"]), None)
    if end is None:
        refuse(len(text.rstrip()), "the statement does not end in ';'")
    if end + 1 < len(code):
        refuse(code[end + 1].start(), "a second statement; a file holds one query")
    inside = [token[0] for token in tokens if token.start() > code[0].start()]
    if f"/* {name} */" not in inside:
        refuse(code[0].start(), f"the statement does not carry its name: write '/* {name} */' after its first word")
    used = {int(token["number"]): token.start() for token in code if token["number"]}
    if unknown := sorted(used.keys() - set(range(1, parameters + 1))):
        refuse(used[unknown[0]], f"${unknown[0]} is not in the header")
    if unused := sorted(set(range(1, parameters + 1)) - used.keys()):
        refuse(code[0].start(), f"${unused[0]} is in the header, but not in the statement")


def _match(pattern: re.Pattern[str], path: Path, line: int, text: str, expected: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise QueryError(f"{place(path, line)}: malformed header: {expected}")
    return found


def place(path: Path, line: int) -> str:
    """Name a place as a person in the checkout would: ``sql/pets/create_pet.sql:3``."""
    return f"{path.relative_to(path.parents[2])}:{line}"
