"""SQL files for one test, read like the service's own."""

from pathlib import Path

from service.postgres.query_file import Statement, read_query

# A value of each parameter type.
DUMMIES = {
    "bigint": "1",
    "boolean": "true",
    "date": "2020-02-29",
    "cidr": "127.0.0.1/32",
    "inet": "127.0.0.1",
    "integer": "1",
    "integer[]": "{1,2}",
    "interval": "1 day",
    "numeric": "12.50",
    "text": "it",
    "text[]": "{Ada,Max}",
    "timestamptz": "2020-02-29 12:00:00+01",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "uuid[]": "{}",
}


class Statements:
    """Writes SQL files into a folder and reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, returns: str, sql: str, *parameters: str) -> Statement:
        """Return `sql`, completed with name and semicolon, as a file that declares `returns` and `parameters`."""
        self._count += 1
        name = "tests.query" + "_again" * (self._count - 1)
        first_word, _, rest = sql.partition(" ")
        path = self._folder / f"{name.replace('.', '/')}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "\n".join(
                [
                    f"-- {name}: serves one test",
                    *(f"-- ${number} {parameter}" for number, parameter in enumerate(parameters, start=1)),
                    f"-- returns: {returns}",
                    f"{first_word} /* {name} */ {rest};\n",
                ]
            )
        )
        return read_query(name, self._folder)
