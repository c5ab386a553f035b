"""Every finding has its section in docs/checks.md, and every section its finding."""

import re
from collections import Counter

import pytest

from service.postgres import ACCEPTABLE_CHECKS
from tests.support.processes import ROOT
from tests.support.sqlcheck import check_names

HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
SECTIONS = re.split(HEADING, (ROOT / "docs/checks.md").read_text("utf-8"))
EXPLAINED = [name for heading in SECTIONS[1::2] for name in heading.split(", ")]


def test_every_finding_is_explained() -> None:
    assert check_names() - {*EXPLAINED} == set(), "write a section '### name' of docs/checks.md about these"


def test_every_explained_finding_exists_once() -> None:
    assert Counter(EXPLAINED) - Counter(check_names()) == Counter(), "remove these sections from docs/checks.md"


def test_each_finding_that_a_header_can_accept_says_so() -> None:
    sections = zip(SECTIONS[1::2], SECTIONS[2::2], strict=True)

    accepted = {heading for heading, text in sections if re.search(r"[,;] or a\s+reason\.", text)}

    assert accepted == {*ACCEPTABLE_CHECKS}


@pytest.mark.parametrize(("heading", "text"), list(zip(SECTIONS[1::2], SECTIONS[2::2], strict=True)))
def test_every_explanation_says_how_to_fix_it(heading: str, text: str) -> None:
    assert "*Fix:*" in text, heading
