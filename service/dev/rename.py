"""``rename``: gives the package another name, in every file of the tree that knows it."""

import importlib.util
import keyword
import re
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = __name__.partition(".")[0]
# What tools make, what others wrote, and what databases remember the checksum of.
LEFT_ALONE = {"__pycache__", "swagger_ui"}
LEFT_ALONE_AT_THE_TOP = {".git", ".venv", ".dev", "htmlcov", "migrations", "sql"}
# Where the word means the package: an import, a path, a command, or the whole of a string; prose is left as it is.
MEANT = r"""
    (?<=\bfrom\ )NAME(?=\ import\b|\.) | (?<=\bimport\ )NAME\b | (?<![\w.-])NAME(?=\.[a-z_*]|/)
    | (?<=-m\ )NAME\b | (?<=-m,\ )NAME\b | (?<=["!])NAME(?=["\n]) | (?<="\*/)NAME(?=")
    | (?<=\bCOPY\ )NAME\ NAME$ | (?<=\.venv\ )NAME\b
"""


def rename(new: str, root: Path = ROOT) -> list[Path]:
    """Rename the package below `root`, and return the files that were changed. Raises click.ClickException."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", new) or keyword.iskeyword(new):
        raise click.ClickException(f"{new!r} is no name for a package: small letters, digits and '_'")
    if (root / new).exists() or importlib.util.find_spec(new) is not None:
        raise click.ClickException(f"{new!r} is the name of something else already")
    meant = re.compile(MEANT.replace("NAME", PACKAGE), re.VERBOSE | re.MULTILINE)
    changed = []
    for path in _files(root):
        text = path.read_bytes().decode(errors="surrogateescape")  # pictures are in the tree too
        renamed = meant.sub(lambda found: found[0].replace(PACKAGE, new), text)
        if renamed != text:
            path.write_bytes(renamed.encode(errors="surrogateescape"))
            changed.append(path.relative_to(root))
    (root / PACKAGE).rename(root / new)
    # Imports are sorted by name, and lines have grown or shrunk.
    for arguments in (["check", "--quiet", "--select=I", "--fix"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--no-cache", new, "tests"]
        subprocess.run(ruff, cwd=root, check=True)  # noqa: S603 - ours
    return changed


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and not _is_left_alone(path.relative_to(root))]


def _is_left_alone(path: Path) -> bool:
    return (
        path.parts[0] in LEFT_ALONE_AT_THE_TOP
        or path.parts[0].endswith("_cache")
        or not LEFT_ALONE.isdisjoint(path.parts)
    )
