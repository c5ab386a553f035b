"""Registers a resource outside its own folders: in app.py, README and changelog."""

import re
from collections.abc import Callable, Mapping

from service.dev.scaffold.rendering import PACKAGE
from service.dev.scaffold.resource import Resource, class_name

Edit = Callable[[str, Resource], str]
APP, README, CHANGELOG = f"{PACKAGE}/app.py", "README.md", "docs/changelog.md"
CONTROLLERS = re.compile(r"(?<=^CONTROLLERS = \[\n)((?:    \w+,\n)*)(?=\])", re.MULTILINE)


def _app(text: str, resource: Resource) -> str:
    controller = f"{class_name(resource.table)}Controller"
    imported = f"from {PACKAGE}.{resource.table}.controllers import {controller}\n"
    text = re.sub(rf"^from {PACKAGE}\.", rf"{imported}\g<0>", text, count=1, flags=re.MULTILINE)
    return CONTROLLERS.sub(rf"\g<1>    {controller},\n", text, count=1)


def _readme(text: str, resource: Resource) -> str:
    path, singular = resource.path, resource.one.replace("_", " ")
    listed, whose = (f"/{path}/me", "yours") if resource.owned else (f"/{path}", "all")
    rows = (
        f"| `POST /{path}/create`, `GET {listed}` | add {resource.a_thing}; list {whose}, page by page |\n"
        f"| `GET`, `PATCH`, `DELETE /{path}/{{id}}` | one {singular}, with `ETag`, `If-None-Match` and `If-Match` |\n"
    )
    return text.replace("| `GET /health/live`", f"{rows}| `GET /health/live`", 1)


def _changelog(text: str, resource: Resource) -> str:
    line = f"- {resource.table.replace('_', ' ').capitalize()}: `/{resource.path}`.\n"
    return re.sub(r"^## Unreleased\n\n", rf"\g<0>{line}", text, count=1, flags=re.MULTILINE)


EDITS: Mapping[str, Edit] = {APP: _app, README: _readme, CHANGELOG: _changelog}
