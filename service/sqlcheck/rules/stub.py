"""service/sql.pyi: the type of each query by its name, generated from the headers, for mypy.

``one("pets.create_pet", VersionedPet)`` is then a ``One[[UUID, str], VersionedPet]``, and mypy rejects calls with other
arguments.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from service.postgres import Cardinality, Statement
from service.sqlcheck.analysis.types import COMPOSITE, Type, Types
from service.sqlcheck.findings import Finding

STUB = "service/sql.pyi"
HEAD = "# Generated from sql/ by `python -m service sql stub`: edit the headers there."
# Parameter types that asyncpg accepts in addition to the type that it returns.
ACCEPTED_TYPES = {
    "numeric": "decimal.Decimal | int | str",
    "inet": "str | ipaddress.IPv4Address | ipaddress.IPv6Address",
    "cidr": "str | ipaddress.IPv4Network | ipaddress.IPv6Network",
}
RECORD = "tuple[object, ...]"


def generate(statements: Mapping[str, Statement], types: Types) -> str:
    """Return the text of the stub."""
    functions = "\n".join(line for each in Cardinality for line in _function(each, statements.values(), types))
    names = set(re.findall(r"\b(asyncpg|datetime|decimal|ipaddress|uuid)\.(\w+)", functions))
    for module, name in names:
        functions = functions.replace(f"{module}.{name}", name)
    names |= {("typing", name) for name in ("Literal", "Never", "TypeVar", "overload") if name in functions + "TypeVar"}
    lines = [
        f"from {module} import {', '.join(sorted(name for of, name in names if of == module))}"
        for module in sorted({module for module, _ in names}, key=lambda module: (module == "asyncpg", module))
    ]
    imports = "\n".join(lines).replace("\nfrom asyncpg", "\n\nfrom asyncpg")
    return f"""{HEAD}

{imports}

from service.postgres import {", ".join(sorted(each.capitalize() for each in Cardinality))}

_R = TypeVar("_R")

{functions}
"""


def check_stub(root: Path, statements: Mapping[str, Statement], types: Types) -> Iterator[Finding]:
    """Find a stub that differs from the headers, apart from its formatting."""
    path, current = root / STUB, ""
    with suppress(FileNotFoundError, SyntaxError):  # a merge can leave conflict markers
        current = ast.dump(ast.parse(path.read_text(encoding="utf-8")))
    if current != ast.dump(ast.parse(generate(statements, types))):
        yield Finding(STUB, 1, "does not match the headers in sql/: run python -m service sql stub", "stub")


def write_stub(root: Path, statements: Mapping[str, Statement], types: Types) -> Path:
    """Write the stub, formatted by ruff, and return its path."""
    path = root / STUB
    path.write_text(generate(statements, types), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=True)  # noqa: S603 - a fixed command
    return path


def _function(cardinality: Cardinality, statements: Iterable[Statement], types: Types) -> list[str]:
    """Return the overloads of one function of the stub, one for each query.

    A single query needs no overload. If there is none, the function accepts no name (Never).
    """
    lines = [
        _signature(cardinality, f'Literal["{each.name}"]', "[" + ", ".join(_arguments(each, types)) + "]")
        for each in statements
        if each.cardinality == cardinality
    ] or [_signature(cardinality, "Never", "...")]
    return [line for each in lines for line in (["@overload", each] if len(lines) > 1 else [each])]


def _signature(cardinality: Cardinality, name: str, arguments: str) -> str:
    row = {Cardinality.COUNT: "", Cardinality.VALUE: ", python_type: type[_R]"}.get(cardinality, ", row: type[_R]")
    result = ", _R" if row else ""
    return f"def {cardinality}(name: {name}{row}) -> {cardinality.capitalize()}[{arguments}{result}]: ..."


def _arguments(statement: Statement, types: Types) -> Iterator[str]:
    for parameter in statement.parameters:
        declared = types.by_name(parameter.type)
        argument = (_argument(declared, " | None" if parameter.null_elements else "") if declared else None) or "object"
        yield f"{argument} | None" if parameter.nullable else argument


def _argument(declared: Type, or_null: str = "") -> str | None:
    """Return the Python types that asyncpg accepts for a PostgreSQL type; None if they are unknown.

    `or_null` follows the type of an array's elements.
    """
    bare = declared.bare
    if bare.element:
        inner = _argument(bare.element)
        return f"list[{inner}{or_null}] | tuple[{inner}{or_null}, ...]" if inner else None
    return RECORD if bare.kind == COMPOSITE else ACCEPTED_TYPES.get(bare.internal) or bare.python()
