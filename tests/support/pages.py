"""Follows the instructions of documentation: the pages of docs/ in a copy of the tree, and the session in README.md."""

import re
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.trees import Tree

# A file name on its own line, or the announcement of an empty file; commands; and blocks that belong to the last file:
# a deliberate mistake with `sql check`'s report of it, or a part of the file.
PART = re.compile(
    r"^`(?P<path>[^\s`]+)`( is empty[^\n]*)?$"
    r"|^```sh\n(?P<commands>.*?)^```$"
    r"|^```diff slip\n(?P<slip>.*?)^```\n\n^```text\n(?P<finding>.*?)^```$"
    r"|^```(?P<kind>sql|python|diff)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


NEWEST = max(path.stem for path in ROOT.glob("migrations/*.sql") if not path.match("*.rollback.sql"))


def numbered(page: str) -> str:
    """Return the page with its migration numbered after the newest one of this tree."""
    page = re.sub(r"\d{4}(?=_create_)", f"{int(NEWEST[:4]) + 1:04}", page)
    return re.sub(r"^-- depends: \d{4}_\w+$", f"-- depends: {NEWEST}", page, flags=re.MULTILINE)


def change(path: Path, diff: str) -> None:
    """Apply a diff that changes one place of a file."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
    assert path.read_text().count(old) == 1, f"{path.name} has no such place:\n{old}"
    path.write_text(path.read_text().replace(old, new))


def follow(tree: Tree, page: str, *, run: bool = True) -> None:
    """Follow a page in its order, and undo each deliberate mistake once `sql check` has reported it as shown.

    Without `run`, files are created and changed, but no command runs.
    """
    path = tree.path
    for part in PART.finditer(page):
        if part["path"]:
            path = tree.path / part["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif part["slip"]:
            before = path.read_text()
            change(path, part["slip"])
            said = tree.fail(*tree.command("sql", "check")) if run else part["finding"]
            said = re.sub(r"^\d+ findings?: .*\n", "", said, flags=re.MULTILINE)  # the count, which the page leaves out
            assert said == part["finding"], f"the page shows this, `sql check` said that:\n{part['finding']}\n{said}"
            path.write_text(before)
        elif part["kind"] == "diff":
            change(path, part["text"])
        elif part["kind"]:
            assert path.read_text() == "", f"{path.name} is shown twice, or there already"
            path.write_text(part["text"])
        elif run:
            tree.shell(part["commands"])


def commands(page: Path) -> list[str]:
    """Return the shell commands of a page, one block each."""
    return [part["commands"] for part in PART.finditer(page.read_text(encoding="utf-8")) if part["commands"]]


def section(page: str, heading: str) -> str:
    """Return the text below a heading of a page."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def session() -> list[tuple[str, str]]:
    """Return the commands of the first session, each with its output."""
    [block] = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    steps = [step.partition("\n") for step in block.split("$ ")[1:]]
    return [(command, output.strip()) for command, _, output in steps]
