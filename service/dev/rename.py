"""``rename``: gives the package another name, in every file of the project that knows it."""

import importlib.util
import io
import itertools
import keyword
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = __name__.partition(".")[0]
# Where it is named. Migrations stay, because databases remember their checksums; what else lies there is private.
PLACES = (
    *(".ci", ".dockerignore", ".github", ".pre-commit-config.yaml", ".squawk.toml", "Dockerfile", "Makefile"),
    *("Procfile", "README.md", "compose.yaml", "docs", "pyproject.toml", PACKAGE, "sql", "tests"),
)
OF_OTHERS = {"__pycache__", "node_modules", "swagger_ui"}
# Where the word means the package: in imports, paths and commands, before a module of it, as the whole of a string, as
# the name of a logger. Prose is left as it is, and so is what others call so: OpenTelemetry knows a "service.name".
MEANT = r"""
    (?<=\bfrom\ )NAME(?=\ import\b|\.\w) | (?<=^import\ )NAME\b
    | (?<![\w.-])NAME(?=/) | (?<![\w.-])NAME(?=\\?\.(?:(?:MODULES)\b|\*))
    | (?<=-m\ )NAME\b | (?<=-m,\ )NAME\b | (?<=\.venv\ )NAME\b | (?<=^COPY\ )NAME\ NAME$ | (?<=^!)NAME$
    | (?<=")NAME(?=") | (?<="\*/)NAME(?=") | (?<=`)NAME(?=`)
    | (?<=\[)NAME(?=]) | (?<=\blogger=)NAME\b
"""
LOGGERS = {"access"}  # beside those that are called like a module


def rename(new: str, root: Path = ROOT) -> list[Path]:
    """Rename the package below `root`, and return the files that were changed. Raises click.ClickException."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", new) or keyword.iskeyword(new):
        raise click.ClickException(f"{new!r} is no name for a package: small letters, digits and '_'")
    if (root / new).exists() or importlib.util.find_spec(new) is not None:
        raise click.ClickException(f"{new!r} is the name of something else already")
    meant = _meant(root)
    changed = []
    for path in _files(root):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:  # a picture
            continue
        variables = set(_variables(text)) if path.suffix in {".py", ".pyi"} else set()
        found = [each for each in meant.finditer(text) if each.start() not in variables]
        for each in reversed(found):
            text = text[: each.start()] + each[0].replace(PACKAGE, new) + text[each.end() :]
        if found:
            path.write_bytes(text.encode())
            changed.append(path.relative_to(root))
    (root / PACKAGE).rename(root / new)
    # Imports are sorted by name, and lines have grown or shrunk: what cannot be broken stays longer.
    too_long = ["check", "--select=E501", "--add-noqa=the name is longer"]
    for arguments in (["check", "--select=I", "--fix"], ["format"], too_long):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--no-cache", new, "tests", ".ci"]
        subprocess.run(ruff, cwd=root, check=True)  # noqa: S603 - ours
    return changed


def _meant(root: Path) -> re.Pattern[str]:
    modules = "|".join({path.stem for path in (root / PACKAGE).iterdir()} | LOGGERS)
    return re.compile(MEANT.replace("NAME", PACKAGE).replace("MODULES", modules), re.VERBOSE | re.MULTILINE)


def _files(root: Path) -> Iterator[Path]:
    for place in PLACES:
        for path in [root / place, *sorted((root / place).rglob("*"))]:
            if path.is_file() and OF_OTHERS.isdisjoint(path.relative_to(root).parts):
                yield path


def _variables(text: str) -> Iterator[int]:
    """Yield where in Python's `text` the word is the name of something else: no import has made it the package's."""
    if re.search(rf"^import {PACKAGE}\b(?!.* as )", text, re.MULTILINE):
        return
    starts = list(itertools.accumulate(map(len, io.StringIO(text)), initial=0))
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string == PACKAGE and before not in {"from", "import"}:
            row, column = token.start
            yield starts[row - 1] + column
        before = token.string
