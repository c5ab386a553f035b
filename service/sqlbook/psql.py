"""The command that runs a query file in psql, with an example value for each parameter."""

import shlex

from service.postgres import Statement
from service.sqlcheck import Description, Type

# Example values by type, which need no quoting in a shell or in psql. For text, the parameter name is the example.
EXAMPLES = {
    "bool": "true",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "today",
    "time": "12:00",
    "timetz": "12:00+00",
    "timestamp": "now",
    "timestamptz": "now",
    "interval": "1day",
    "inet": "127.0.0.1",
    "cidr": "127.0.0.0/24",
    "macaddr": "08:00:2b:01:02:03",
    "json": "{}",
    "jsonb": "{}",
}
TEXT_TYPES = {"text", "varchar", "bpchar", "name", "bytea"}


def psql(statement: Statement, description: Description) -> str:
    r"""Return a shell command to run in the checkout; `\bind` needs psql 16 or later."""
    path = shlex.quote("/".join(statement.path.parts[-3:]))
    values = [
        _example(parameter.name, inferred)
        for parameter, inferred in zip(statement.parameters, description.parameters, strict=True)
    ]
    bind = f"-c {shlex.quote(' '.join([chr(92) + 'bind', *values]))} " if values else ""
    return f'psql "$DATABASE_URL" {bind}-f {path}'


def _example(name: str, inferred: Type) -> str:
    bare = inferred.bare
    if bare.element:
        return "{}"
    if bare.labels:
        return "'{}'".format(bare.labels[0].replace("'", "''"))
    return name if bare.internal in TEXT_TYPES else EXAMPLES.get(bare.internal, "1")
