"""What the templates ask for, of one resource."""

from collections.abc import Iterable
from pathlib import Path
from string import Template

from service.dev.scaffold.resource import Field, Resource, class_name

PACKAGE = __name__.partition(".")[0]
TEMPLATES = Path(__file__).parent / "templates"
SESSION = ("session", "uuid", "the caller's login session")
WIDE = 64  # characters of a list; a longer one stands one a line


class _Template(Template):
    """``%name``, because SQL has its own use for ``$``."""

    delimiter = "%"


def render(template: str, values: dict[str, str]) -> str:
    """Return a template with `values` in their places."""
    return _Template((TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(values)


def values_of(resource: Resource) -> dict[str, str]:
    """Return what the templates ask for."""
    table, one, fields = resource.table, resource.one, resource.fields
    thing, things = one.replace("_", " "), table.replace("_", " ")
    names = [field.name for field in fields]
    owner = ["user_id"] if resource.owned else []
    values = {
        "package": PACKAGE,
        **_cases("table", table),
        **_cases("one", one),
        "path": resource.path,
        "thing": thing,
        "a_thing": resource.a_thing,
        "A_thing": resource.a_thing.capitalize(),
        "things": things,
        "Things": things.capitalize(),
        "inserted_columns": _listed([*owner, *names], around=True),
        "selected_values": _listed([*owner, *(f"${at}" for at in range(2, 2 + len(names)))]),
        "returned_columns": _listed(["id", *names, "version"]),
        "page_columns": _listed(f"page.{name}" for name in ("id", *names)),
        "listed_columns": _listed((f"{table}.{name}" for name in ("id", *names)), indent=8),
        "found_columns": _listed(f"{table}.{name}" for name in ("id", *names, "version")),
        "changed_columns": _listed((f"{table}.{name}" for name in ("id", *names, "version")), indent=8),
        "fields_of_one": ", ".join(f"{one}.{name}" for name in names),
        "data": ", ".join(f"data.{name}" for name in names),
        "create_parameters": _parameters([SESSION, *((field.name, field.type, field.of.note) for field in fields)]),
        "change_parameters": _parameters(
            [
                SESSION,
                ("id", "bigint", f"the {thing}"),
                *((field.name, f"{field.type}?", "null: stays") for field in fields),
                ("versions", "integer[]?", "the versions that may be changed; null: any"),
            ]
        ),
        "versions": f"${3 + len(names)}",
        "assignments": ",\n".join(
            f"        {name} = coalesce(${at}, {table}.{name})" for at, name in enumerate(names, 3)
        ),
        "changed_or_not": ",\n".join(f"    coalesce(changed.{name}, {table}.{name}) as {name}" for name in names),
        "python_imports": _python_imports(fields),
        "body_types": _body_types(fields),
        "row_fields": _lines(f"    {field.name}: {field.of.row}" for field in fields),
        "body_fields": _lines(f"    {field.name}: {field.of.body}" for field in fields),
        "change_fields": _lines(f"    {field.name}: {field.of.body} | None = None" for field in fields),
        "example": "{" + ", ".join(f'"{field.name}": {field.of.examples[0]}' for field in fields) + "}",
        "other_example": "{" + ", ".join(f'"{field.name}": {field.of.examples[1]}' for field in fields) + "}",
        "bad_values": "["
        + ", ".join(f'("{field.name}", {field.of.bad}), ("{field.name}", None)' for field in fields)
        + "]",
        "columns_of_table": _columns_of_table(resource),
        "comments": _lines(
            f"comment on column {table}.{column} is '{comment}';" for column, comment in _comments(resource).items()
        ),
    }
    values |= {
        "as_caller": " as caller" if resource.owned else "",
        "of_caller": f"{table}.user_id = caller.user_id and " if resource.owned else "",
        "purpose_of_table": (
            f"-- {values['Things']} belong to exactly one user and go when the user goes."
            if resource.owned
            else f"-- {values['Things']} are everybody's who is logged in."
        ),
        "of_a_user": " of a user" if resource.owned else ", shared by all",
        "to_own": " to the caller's own" if resource.owned else "",
        "the_table": f"the caller's {things}" if resource.owned else f"the {things}",
        "no_such_one": f"the caller has no such {thing}" if resource.owned else f"there is no such {thing}",
        "There_is_no_such_one": f"You have no such {thing}" if resource.owned else f"There is no such {thing}",
        "Whose": (
            f"The caller's {things}; another user's are not found here"
            if resource.owned
            else f"The {things}, everybody's who is logged in"
        ),
    }
    return values | {"test_of_owner": render("test_owned.py" if resource.owned else "test_shared.py", values).rstrip()}


def _cases(key: str, name: str) -> dict[str, str]:
    """Return a name as SQL, as a class and as a constant, under the key in the same case."""
    return {key: name, key.title(): class_name(name), key.upper(): name.upper()}


def _parameters(parameters: list[tuple[str, str, str]]) -> str:
    """Return the lines of a query's header that say what each ``$n`` is."""
    names, types = (max(map(len, part)) for part in list(zip(*parameters, strict=True))[:2])
    numbers = len(str(len(parameters)))
    return _lines(
        f"-- ${at:<{numbers}} {name:{names}} {kind:{types}}  {note}".rstrip()
        for at, (name, kind, note) in enumerate(parameters, 1)
    )


def _listed(names: Iterable[str], *, indent: int = 4, around: bool = False) -> str:
    """Return a list in SQL: on the line that it is on, or one a line where that would be too long."""
    names = list(names)
    line = ", ".join(names)
    if len(line) <= (WIDE // 2 + 8 if around else WIDE):
        return line if around else f" {line}"
    return "".join(f"\n{' ' * indent}{name}," for name in names).rstrip(",") + ("\n" if around else "")


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _python_imports(fields: Iterable[Field]) -> str:
    lines = {line for field in fields for line in field.of.imports}
    if any(field.of.rule for field in fields):
        lines.add("from typing import Annotated")
    return _lines(sorted(lines))


def _body_types(fields: Iterable[Field]) -> str:
    rules = {field.of.body: field.of.rule for field in fields if field.of.rule}
    return _lines(f"{name} = {rule}" for name, rule in rules.items()) + "\n"


def _columns_of_table(resource: Resource) -> str:
    columns = {"user_id": "uuid"} if resource.owned else {}
    columns |= {"id": "bigint", **{field.name: field.of.column for field in resource.fields}, "version": "integer"}
    rest = dict.fromkeys(columns, "not null") | {
        "id": "not null generated always as identity",
        "version": "not null default 1",
    }
    widths = [max(map(len, part)) for part in (columns, columns.values())]
    lines = [f"{name:{widths[0]}} {kind:{widths[1]}} {rest[name]}" for name, kind in columns.items()]
    table = resource.table
    if resource.owned:
        lines += [
            f"""-- user_id leads: what is a user's lies together, and the table can be distributed by it.
    constraint {table}_pkey primary key (user_id, id)""",
            f"constraint {table}_user_id_fkey foreign key (user_id) references user_model (id) on delete cascade",
        ]
    else:
        lines.append(f"constraint {table}_pkey primary key (id)")
    lines += [
        f"constraint {table}_{field.name}_check check ({field.name} <> '')"
        for field in resource.fields
        if field.type == "text"
    ]
    return ",\n".join(f"    {line}" for line in lines)


def _comments(resource: Resource) -> dict[str, str]:
    one = resource.one.replace("_", " ")
    comments = {"user_id": f"Whose {one} it is."} if resource.owned else {}
    comments["id"] = "Unique over all users; opaque to clients." if resource.owned else "Opaque to clients."
    comments |= {field.name: _comment(field) for field in resource.fields}
    return comments | {"version": f"Counts the changes; the ETag of the {one}."}


def _comment(field: Field) -> str:
    words = field.name.replace("_", " ").capitalize()
    return f"{words}, {field.of.note}." if field.of.note else f"{words}."
