"""The docstrings of packages that tell in which order to read their modules."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.processes import ROOT

LISTS = {
    path.parent.relative_to(ROOT).as_posix(): text
    for path in sorted(ROOT.glob("service/**/__init__.py"))
    if "in this order" in (text := ast.get_docstring(ast.parse(path.read_text())) or "")
}


@pytest.mark.parametrize("package", LISTS)
def test_reading_list_names_every_module(package: str) -> None:
    modules = {
        path.stem for path in Path(ROOT, package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    unnamed = modules - set(re.findall(r"\w+", LISTS[package])) - {"__init__"}
    assert unnamed == set(), f"add these where they belong in the reading order of {package}/__init__.py"
