"""Parses query files, ``sql/<feature>/<verb_noun>.sql``, without a database.

A file holds one statement, which is sent to PostgreSQL unchanged. Its header documents it, and declares what the code
relies on: the parameters and the result.
"""

import re
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import attrs

from service.postgres.header_mistakes import ACCEPTABLE_CHECKS, mistake
from service.problems import OperatorError

SQL = Path(__file__).resolve().parents[2] / "sql"
# Folders without queries of the service: files that DBAs run in psql, and data for development and the scale check.
FOR_PSQL = "review"
NOT_QUERIES = {FOR_PSQL, "dev"}

NAME = re.compile(r"-- (?P<name>[a-z_0-9]+\.[a-z_0-9]+): (?P<purpose>\S.*)")
MULTI_WORD_TYPES = r"double precision|(?:character|bit) varying|time(?:stamp)? with(?:out)? time zone"
IDENTIFIER = r'(?:\w+|"[^"]+")'
ELEMENT = rf"(?:{MULTI_WORD_TYPES}|(?:{IDENTIFIER}\.)?{IDENTIFIER})"
TYPE = rf"{ELEMENT}(?:\[\])?"
PARAMETER = re.compile(
    rf"-- \$(?P<number>\d+) +(?P<name>[a-z_0-9]+) +(?P<type>{ELEMENT}(?:\??\[\])?)(?P<nullable>\?)?( +(?P<note>\S.*))?"
)
RETURNS = re.compile(
    rf"-- returns: (?P<cardinality>one|maybe|many|value|count)( (?P<row>{TYPE})(?P<nullable>\?)?)?( +\(.*)?"
)
MARKER = re.compile(
    r"-- (not null: (?P<columns>[\w.\[\]]+(, [\w.\[\]]+)*)( +\(.*)?"
    rf"|(?P<check>{'|'.join(ACCEPTABLE_CHECKS)}): ok \S.*"
    r"|(?P<replica>replica): ok( +\(.*)?)"
)
CONTINUATION = re.compile(r"--  +\S.*")
# Free text can follow `returns:`; a line that looks like a key there is a mistake.
PROSE = re.compile(r"--( (?!\$|not null:|[a-z_-]+:).*)?")

# Tokens in which `;` and `$1` have no meaning come first, then these two (PostgreSQL's manual, 4.1, Lexical Structure).
TOKEN = re.compile(
    r"""
      (?P<opaque> --[^\n]*
        | [eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*"
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<comment> /\* (?> /\* .*? \*/ | (?!\*/) . )* \*/ )  # contains others if a part of a statement is commented out
    | \$(?P<number>\d+)
    | (?P<end> ;)
    | \w[\w$]* | \S
    """,
    re.VERBOSE | re.DOTALL,
)


class QueryError(OperatorError):
    """A query file is missing or malformed, or contradicts the code; the message names file and line."""


class Cardinality(StrEnum):
    """What a query returns: rows, a single value, or a count of rows."""

    ONE = "one"
    MAYBE = "maybe"
    MANY = "many"
    VALUE = "value"
    COUNT = "count"


@attrs.frozen
class Parameter:
    """A parameter (``$n``) as the header declares it; `note` is the text after its type.

    `null_elements`: the array can contain nulls, ``date?[]``.
    """

    name: str
    type: str
    nullable: bool
    line: int
    note: str
    null_elements: bool = False


@attrs.frozen
class Marker:
    """An annotation in the header: a column is not null, a finding is accepted, a replica can run the query."""

    name: str
    line: int


@attrs.frozen
class Statement:
    """A parsed query file: its header, and the text that PostgreSQL receives."""

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
    def returns(self) -> str:
        """The result that the header declares: ``one VersionedPet``, ``value``."""
        has_row = self.row and self.cardinality not in {Cardinality.VALUE, Cardinality.COUNT}
        return f"{self.cardinality} {self.row}" if has_row else str(self.cardinality)

    @property
    def checks_session(self) -> bool:
        """Whether the statement itself checks that the caller's session is alive: its ``$1`` is ``session``."""
        return bool(self.parameters) and self.parameters[0].name == "session"


def query_names(directory: Path = SQL) -> list[str]:
    """Return the names of all queries below `directory`, without hidden files, which belong to editors."""
    return sorted(
        f"{path.parent.name}.{path.stem}"
        for path in directory.glob("[!.]*/[!.]*.sql")
        if path.parent.name not in NOT_QUERIES
    )


def read_query(name: str, directory: Path = SQL) -> Statement:
    """Parse the file of the query `name` below `directory`. Raises QueryError if it is missing or malformed."""
    path = directory / f"{name.replace('.', '/')}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error_at(path, 1, f"no such file; the code names the query {name!r}") from None
    except OSError as error:
        raise error_at(path, 1, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise error_at(path, line, f"not UTF-8 ({error.reason})") from None
    return _parse(name, path, text)


def _parse(name: str, path: Path, text: str) -> Statement:
    lines = text.split("\n")
    title = _match(NAME, path, 1, lines[0], f"the first line is '-- {name}: what the query does'")
    if title["name"] != name:
        raise error_at(path, 1, f"the header names {title['name']!r}, the file is {name!r}")
    header = [lines[0], *takewhile(lambda line: line.startswith("--"), lines[1:])]
    parameters, returns_line, result = _parse_declarations(path, header)
    if result is None:
        line = min(len(header) + 1, len(lines))
        raise error_at(path, line, "the header does not declare what the query returns")
    _check_body(name, path, text, len(parameters))
    return Statement(
        name=name,
        path=path,
        purpose=title["purpose"],
        parameters=tuple(parameters),
        cardinality=Cardinality(result["cardinality"]),
        row=result["row"],
        row_nullable=bool(result["nullable"]),
        returns_line=returns_line,
        sql=text,
        not_null=_marked("columns", header),
        accepted=_marked("check", header),
        replica=_marked("replica", header),
    )


def _parse_declarations(path: Path, header: list[str]) -> tuple[list[Parameter], int, re.Match[str] | None]:
    """Return the parameters, and the number and the match of the ``returns:`` line, if there is one."""
    parameters: list[Parameter] = []
    returns_line, returns = 0, None
    for number, line in enumerate(header[1:], start=2):
        if MARKER.fullmatch(line) or CONTINUATION.fullmatch(line) or (returns and PROSE.fullmatch(line)):
            continue
        if line.startswith("-- $"):
            hint = "a parameter is '-- $1 name type', with '?' if null is allowed"
            found = _match(PARAMETER, path, number, line, hint)
            expected = len(parameters) + 1
            if int(found["number"]) != expected:
                raise error_at(path, number, f"${found['number']} stands where ${expected} is expected")
            nullable, note = bool(found["nullable"]), found["note"] or ""
            type_ = found["type"].replace("?", "")
            parameters.append(Parameter(found["name"], type_, nullable, number, note, type_ != found["type"]))
        elif returns and line.startswith("-- returns:"):
            raise error_at(path, number, "a second 'returns'; a query has one result")
        else:
            hint = "expected '-- $n …', '-- returns: …', or more text after two spaces"
            returns_line, returns = number, _match(RETURNS, path, number, line, hint)
    return parameters, returns_line, returns


def _marked(kind: str, header: list[str]) -> tuple[Marker, ...]:
    """Return the header's markers of a `kind`: ``columns`` (not null), ``check`` (accepted) or ``replica``."""
    return tuple(
        Marker(name, number)
        for number, line in enumerate(header, start=1)
        if (match := MARKER.fullmatch(line)) and match[kind]
        for name in match[kind].split(", ")
    )


def _check_body(name: str, path: Path, text: str, parameters: int) -> None:
    """Check that `text` is one statement that ends in ``;``, uses each parameter, and contains its name.

    The name in the header appears in pg_stat_activity, but pg_stat_statements drops comments before a statement.
    """

    def refuse(offset: int, reason: str) -> NoReturn:
        line = text.count("\n", 0, offset) + 1
        raise error_at(path, line, reason)

    tokens = [token for token in TOKEN.finditer(text) if not token[0].startswith("--")]
    code = [token for token in tokens if not token["comment"]]
    end = next((index for index, token in enumerate(code) if token["end"]), None)
    if end is None:
        refuse(len(text.rstrip()), "the statement does not end in ';'")
    if end + 1 < len(code):
        refuse(code[end + 1].start(), "a second statement; a file holds one query")
    inside = [token[0] for token in tokens if token.start() > code[0].start()]
    if f"/* {name} */" not in inside:
        refuse(code[0].start(), f"the statement does not contain its name: write '/* {name} */' after its first word")
    used = {int(token["number"]): token.start() for token in code if token["number"]}
    if unknown := sorted(used.keys() - set(range(1, parameters + 1))):
        refuse(used[unknown[0]], f"${unknown[0]} is not in the header")
    if unused := sorted(set(range(1, parameters + 1)) - used.keys()):
        refuse(code[0].start(), f"${unused[0]} is in the header, but not in the statement")


def _match(pattern: re.Pattern[str], path: Path, line: int, text: str, expected: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise error_at(path, line, f"malformed header: {expected}{mistake(text)}")
    return found


def error_at(path: Path, line: int, message: str) -> QueryError:
    """Return an error whose message begins with the place: ``sql/pets/create_pet.sql:3: …``."""
    return QueryError(f"{path.relative_to(path.parents[2])}:{line}: {message}")
