"""Fills in the templates for a resource."""

from pathlib import Path

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.dev.scaffold.resource import Resource, class_name

PACKAGE = __name__.partition(".")[0]
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - SQL and Python, from validated names
    # Braces mean something else in Python.
    variable_start_string="<<",
    variable_end_string=">>",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters["class"] = class_name


def render(template: str, resource: Resource, depends: str) -> str:
    """Return `template` filled in for `resource`, whose migration depends on the migration `depends`."""
    fields, rules = resource.fields, {field.kind.body: field.kind.rule for field in resource.fields if field.kind.rule}
    imports = {line for field in fields for line in field.kind.imports}
    if rules:
        imports.add("from typing import Annotated")

    def listed(prefix: str, separator: str = ", ") -> str:
        return separator.join(prefix + field.name for field in fields)

    return TEMPLATES.get_template(f"{template}.tmpl").render(
        package=PACKAGE,
        depends=depends,
        **attrs.asdict(resource, recurse=False),
        path=resource.path,
        rules=rules,
        imports=sorted(imports),
        listed=listed,
        # The longest name of a column or parameter, for alignment.
        width=max(len(name) for name in ("versions", *(field.name for field in fields))),
        thing=resource.thing,
        things=resource.things,
        a_thing=resource.a_thing,
        whose="the caller's" if resource.owned else "the",
        none_such=f"{'the caller has' if resource.owned else 'there is'} no such {resource.thing}",
        of_caller=f"{resource.table}.user_id = $2 and " if resource.owned else "",
    )
