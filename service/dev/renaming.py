"""``rename``: renames the package in all files of the project."""

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

from service.problems import OperatorError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = __name__.partition(".")[0]
# Paths that mention the package. Migrations do not change, because databases store their checksums.
PATHS = (
    *(".ci", ".dockerignore", ".github", ".pre-commit-config.yaml", ".squawk.toml", "Dockerfile", "Makefile"),
    *("Procfile", "README.md", "compose.yaml", "docs", "pyproject.toml", PACKAGE, "sql", "tests"),
)
THIRD_PARTY = {"__pycache__", "node_modules", "swagger_ui"}
# Matches the name only if it means the package: in imports, paths and commands, before a module name, as an entire
# string, as the name of a logger; also in code within strings, where "\nfrom" is one word. Prose is unchanged, as are
# other uses such as OpenTelemetry's "service.name".
PACKAGE_REFERENCE = r"""
    (?<=from\ )NAME(?=\ import\b|\.\w) | (?<=import\ )NAME(?=\.\w) | (?<=^import\ )NAME\b
    | (?<![\w.-])NAME(?=/) | (?<![\w.-])NAME(?=\\?\.(?:(?:MODULES)\b|\*|(?:\w+\.)?(?:models|controllers|problems)\b))
    | (?<=-m\ )NAME\b | (?<=-m,\ )NAME\b | (?<=\.venv\ )NAME\b | (?<=^COPY\ )NAME\ NAME$ | (?<=^!)NAME$
    | (?<=")NAME(?=") | (?<="\*/)NAME(?=") | (?<=`)NAME(?=`)
    | (?<=\[)NAME(?=]) | (?<=\blogger=)NAME\b
"""
LOGGERS = {"access"}  # those not named after a module


def rename(new: str, root: Path = ROOT) -> list[Path]:
    """Rename the package below `root`, and return the changed files. Raises OperatorError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", new) or keyword.iskeyword(new):
        raise OperatorError(f"{new!r} is not a valid package name: use lower-case letters, digits and '_'")
    if (root / new).exists() or importlib.util.find_spec(new) is not None:
        raise OperatorError(f"{new!r} already exists, as a package or a file")
    reference = _package_reference(root)
    changed = []
    for path in _files(root):
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:  # a binary file
            continue
        variables = set(_variables(text)) if path.suffix in {".py", ".pyi"} else set()
        found = [each for each in reference.finditer(text) if each.start() not in variables]
        for each in reversed(found):
            text = text[: each.start()] + each[0].replace(PACKAGE, new) + text[each.end() :]
        if found:
            path.write_bytes(text.encode())
            changed.append(path.relative_to(root))
    (root / PACKAGE).rename(root / new)
    # Sort imports again, and reformat; lines that cannot be broken get a noqa.
    too_long = ["check", "--select=E501", "--add-noqa=the name is longer"]
    for arguments in (["check", "--select=I", "--fix"], ["format"], too_long):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--no-cache", new, "tests", ".ci"]
        subprocess.run(ruff, cwd=root, check=True)  # noqa: S603 - the command is fixed
    return changed


def _package_reference(root: Path) -> re.Pattern[str]:
    modules = "|".join({path.stem for path in (root / PACKAGE).iterdir()} | LOGGERS)
    return re.compile(PACKAGE_REFERENCE.replace("NAME", PACKAGE).replace("MODULES", modules), re.VERBOSE | re.MULTILINE)


def _files(root: Path) -> Iterator[Path]:
    for name in PATHS:
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file() and THIRD_PARTY.isdisjoint(path.relative_to(root).parts):
                yield path


def _variables(text: str) -> Iterator[int]:
    """Yield the offsets of the name in Python source `text` if it is a variable there: the package is not imported."""
    if re.search(rf"^import {PACKAGE}\b(?!.* as )", text, re.MULTILINE):
        return
    starts = list(itertools.accumulate(map(len, io.StringIO(text)), initial=0))
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string == PACKAGE and before not in {"from", "import"}:
            row, column = token.start
            yield starts[row - 1] + column
        before = token.string
