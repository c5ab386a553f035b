"""Pages of docs/ that say what to write where: what they show is done in a copy of the tree."""

import re
from pathlib import Path

from tests.trees import Tree

# A file's name on a line of its own, or its empty file announced; and a block, which belongs to the last name: a slip
# with what is said of it, or a part of the file.
PART = re.compile(
    r"^`(?P<path>[^\s`]+)`( is empty[^\n]*)?$"
    r"|^```diff slip\n(?P<slip>.*?)^```\n\n^```text\n(?P<finding>.*?)^```$"
    r"|^```(?P<kind>sql|python|diff)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def change(path: Path, diff: str) -> None:
    """Change the one place of a file that a diff shows."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
    assert path.read_text().count(old) == 1, f"{path.name} has no such place:\n{old}"
    path.write_text(path.read_text().replace(old, new))


def follow(tree: Tree, page: str) -> None:
    """Make the files of a page, and the changes of those that are there."""
    path = tree.path
    for part in PART.finditer(page):
        if part["path"]:
            path = tree.path / part["path"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
        elif part["kind"] == "diff":
            change(path, part["text"])
        elif part["kind"]:
            assert path.read_text() == "", f"{path.name} is shown twice, or there already"
            path.write_text(part["text"])
