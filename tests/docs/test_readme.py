"""README.md shows what really happens."""

import re
import shutil
import subprocess
from pathlib import Path

import environ
import pytest

from service.cli import main
from service.settings import Settings
from tests.support.pages import session
from tests.support.processes import ROOT, Serve

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Values that differ between runs: UUIDs and ids.
VOLATILE = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<="id":)\d+')


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one with curl")
def test_first_session_prints_what_is_shown(serve: Serve, own_database_url: str) -> None:
    served = serve(own_database_url)
    commands = [command.replace("localhost:8000", f"127.0.0.1:{served.port}") for command, _ in session()]

    script = "\necho\n".join(commands)
    shell = ["/bin/bash", "-euc", script]
    printed = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=True).stdout

    expected = [output for _, output in session() if output]
    assert VOLATILE.sub("…", printed).split() == VOLATILE.sub("…", "\n".join(expected)).split()


def test_every_setting_is_listed() -> None:
    names = re.findall(r"^\w+", environ.generate_help(Settings), re.MULTILINE)

    unlisted = [name for name in names if f"`{name}`" not in README]
    assert unlisted == [], "add these to the table of settings in README.md"


def test_every_command_is_listed() -> None:
    section = README.partition("\n## Commands\n")[2].partition("\n## ")[0]

    unlisted = [name for name in main.commands if not re.search(rf"`{name}\b", section)]
    assert unlisted == [], "add these to the table of commands in README.md"


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not has_section(page.parent / link[0] if link[0] else page, link[1])] == []


def has_section(page: Path, anchor: str) -> bool:
    """Return whether `page` exists, and has the section `anchor` if there is one, named as GitHub names it."""
    if not page.exists() or not anchor:
        return page.exists()
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
