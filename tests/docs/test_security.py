"""Every promise in docs/security.md has a test, and every test it names exists."""

import re

import pytest

from tests.support.processes import ROOT

PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
PROMISES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`tests/" in line
]


def test_every_promise_has_a_source_and_a_test() -> None:
    tables = re.findall(r"^\| promise \| source \| shown by \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)

    assert sum(table.count("\n") for table in tables) == len(PROMISES) > 20
    assert all(len(row) == 3 for row in PROMISES)


@pytest.mark.parametrize("shown_by", [row[2] for row in PROMISES])
def test_every_named_test_exists(shown_by: str) -> None:
    named = re.findall(r"`(.*?)`", shown_by)

    assert named
    for path in named:
        assert re.search(r"^(async )?def test_", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path


def test_every_attack_is_listed() -> None:
    """The page says what each attack shows."""
    files = {f"tests/e2e/attack/{path.name}" for path in (ROOT / "tests/e2e/attack").glob("test_*.py")}

    assert files <= set(re.findall(r"`(tests/.*?)`", PAGE))


@pytest.mark.parametrize(
    "source",
    [
        "ASVS",
        "SP 800-63B",
        "RFC 6749",
        "RFC 6750",
        "RFC 7009",
        "RFC 8725",
        "RFC 9068",
        "RFC 9106",
        "RFC 9457",
        "RFC 9700",
    ],
)
def test_page_names_the_standards(source: str) -> None:
    assert source in PAGE
