"""ETags and conditional requests (RFC 9110, 13.1)."""

from typing import Any

import pytest
from litestar import patch
from litestar.params import FromPath

from service.http.etags import (
    IfMatch,
    IfNoneMatch,
    etag,
    expected_versions,
    join_headers,
    matches_any,
    unchanged_problem,
)
from service.http.response import JSONResponse
from service.problems import NotFound, PreconditionFailed, Problem
from tests.support.factories import service_client
from tests.support.small_application import small_application


def test_repeated_headers_of_other_kinds_stay_apart() -> None:
    """Cookies are not joined with a comma."""
    cookies = [(b"cookie", b"a=1"), (b"cookie", b"b=2")]
    tags = [(b"if-match", b'"1"'), (b"if-match", b'"2"')]

    assert [*join_headers(cookies + tags)] == [*cookies, (b"if-match", b'"1", "2"')]


def test_etag_is_strong() -> None:
    assert etag(7) == '"7"'


@pytest.mark.parametrize(
    "if_none_match", ['"7"', 'W/"7"', '"6", "7"', '"6","7"', '"a, b" , W/"7"', ' "7" ', "*", " * ", '"", "7"']
)
def test_matching_if_none_match_is_304(if_none_match: str) -> None:
    """Weak comparison (13.1.2)."""
    assert matches_any(if_none_match, 7)


@pytest.mark.parametrize("if_none_match", [None, "", '"6"', "7", '"07"', '"77"', '"*"', "'7'"])
def test_other_if_none_match_is_200(if_none_match: str | None) -> None:
    assert not matches_any(if_none_match, 7)


@pytest.mark.parametrize("if_match", [None, "*", " * "])
def test_missing_or_star_if_match_accepts_any_version(if_match: str | None) -> None:
    assert expected_versions(if_match) is None


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        ('"7"', [7]),
        ('"7", "8"', [7, 8]),
        ('"7","8"', [7, 8]),
        ('"2147483647"', [2147483647]),
        # Strong comparison (13.1.1): a weak tag matches nothing.
        ('W/"7"', []),
        ('W/"7", "8"', [8]),
        # Nor does a foreign tag.
        ('"abc"', []),
        ('""', []),
        ('"07"', []),
        ('"0"', []),
        ('"-7"', []),
        ('" 7"', []),
        ('"7, 8"', []),
        ('"\N{ARABIC-INDIC DIGIT SEVEN}"', []),
        ('"2147483648"', []),
        (f'"{"9" * 5000}"', []),
        # Nor does a malformed tag.
        ("7", []),
        ("", []),
    ],
)
def test_if_match_lists_the_accepted_versions(if_match: str, versions: list[int]) -> None:
    assert expected_versions(if_match) == versions


@patch("/versions/{number:int}")
async def show_versions(
    number: FromPath[int], if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> JSONResponse[Any]:
    return JSONResponse([expected_versions(if_match), matches_any(if_none_match, number)])


async def test_several_lines_are_one_list() -> None:
    lines = [("If-Match", '"1"'), ("If-None-Match", '"7"'), ("If-Match", '"2", "3"'), ("If-None-Match", '"8"')]

    async with service_client(small_application([show_versions])) as client:
        response = await client.patch("/versions/8", headers=lines)

    assert response.json() == [[1, 2, 3], True]


async def test_empty_if_match_beside_several_lines_matches_nothing() -> None:
    lines = [("If-Match", ""), ("If-None-Match", '"6"'), ("If-None-Match", '"7"')]

    async with service_client(small_application([show_versions])) as client:
        response = await client.patch("/versions/8", headers=lines)

    assert response.json() == [[], False]


@pytest.mark.parametrize(
    ("found", "versions", "expected"),
    [
        (None, None, NotFound),
        (None, [1], NotFound),
        ("at another version", [1], PreconditionFailed),
        ("at another version", [], PreconditionFailed),
        ("removed meanwhile", None, NotFound),
    ],
)
def test_row_not_changed_is_412_or_404(found: str | None, versions: list[int] | None, expected: type[Problem]) -> None:
    assert type(unchanged_problem(found, versions, "There is none")) is expected
