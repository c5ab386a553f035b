"""Where resources are listed, and what another one adds to each list."""

import re
from collections.abc import Callable, Mapping

from service.dev.scaffold.rendering import PACKAGE
from service.dev.scaffold.resource import Resource, class_name

Edit = Callable[[str, Resource], str]


def _app(text: str, resource: Resource) -> str:
    table = resource.table
    controller = f"{class_name(table)}Controller"
    imported = f"from {PACKAGE}.{table}.controllers import {controller}\n"
    text = re.sub(rf"^from {PACKAGE}\.", imported + r"\g<0>", text, count=1, flags=re.MULTILINE)
    listed = r"(?<=^CONTROLLERS = \[)([^]]*?)(?=    HealthController)"
    return re.sub(listed, rf"\g<1>    {controller},\n", text, count=1, flags=re.MULTILINE)


def _scale(text: str, resource: Resource) -> str:
    """Add rows, ten for each user, and the arguments that the queries are measured with."""
    table = resource.table
    examples = {field.name: "'" + field.of.examples[0].strip('"') + "'" for field in resource.fields}
    row = {"user_id": "id", **examples} if resource.owned else examples
    rows = (
        f"insert into {table} ({', '.join(row)})\n"
        f"select {', '.join(row.values())}\n"
        "from user_model\n"
        "cross join generate_series(1, 10);\n\n"
    )
    whose = " where user_id = someone.id" if resource.owned else ""
    any_id = f"(select min(id)::text from {table}{whose})"  # noqa: S608 - of names that have been looked at
    arguments = {"id": any_id, "after": "'0'", **examples}
    lines = "".join(f",\n        ('{table}.{name}', {value})" for name, value in arguments.items())
    text = re.sub(r"^-- The queries are run with these", rf"{rows}\g<0>", text, count=1, flags=re.MULTILINE)
    return re.sub(r"\n    \) as given", rf"{lines}\g<0>", text, count=1)


def _readme(text: str, resource: Resource) -> str:
    path, thing, whose = resource.path, resource.one.replace("_", " "), "yours" if resource.owned else "all"
    rows = (
        f"| `POST /{path}`, `GET /{path}` | add {resource.a_thing}; list {whose}, page by page |\n"
        f"| `GET`, `PATCH`, `DELETE /{path}/{{id}}` | one {thing}, with `ETag`, `If-None-Match` and `If-Match` |\n"
    )
    return text.replace("| `GET /health/live`", f"{rows}| `GET /health/live`", 1)


def _changelog(text: str, resource: Resource) -> str:
    line = f"- {resource.table.replace('_', ' ').capitalize()}: `/{resource.path}`.\n"
    return re.sub(r"^## Unreleased\n\n", rf"\g<0>{line}", text, count=1, flags=re.MULTILINE)


LISTS: Mapping[str, Edit] = {
    f"{PACKAGE}/app.py": _app,
    f"{PACKAGE}/sqlcheck/scale.sql": _scale,
    "README.md": _readme,
    "docs/changelog.md": _changelog,
}
