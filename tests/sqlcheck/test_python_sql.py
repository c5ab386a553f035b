"""SQL in Python: findings, and code without any."""

from pathlib import Path

import pytest

from service.sqlcheck.code import Code
from service.sqlcheck.findings import as_text
from service.sqlcheck.rules.python_sql import find_sql

BUILT = "SQL is built from strings: move it to a file in sql/ with $n for each value [built-sql]"
INLINE = "SQL in Python is not checked: move it to a file in sql/ [inline-sql]"
OTHER = """
PREFIX = "select 1 from "


def where(column):
    return f"select 1 from pets where {column}"
"""


def found(root: Path, text: str, package: str = "") -> str:
    """Return the findings about a module, by lines."""
    folder = root / "service/pets"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(package)
    (folder / "other.py").write_text(OTHER)
    (folder / "finder.py").write_text(text)
    return as_text(list(find_sql(Code(root)))).replace("service/pets/finder.py:", "")


@pytest.mark.parametrize(
    "text",
    [
        "def f(db, x):\n    return db.fetch(f'select {x}')",
        "def f(db, x): s = 'select ' + x; \\\n    return db.execute(s)",
        "def f(db, x): s = 'select 1'; s += x; \\\n    return db.execute(s)",
        "def f(db, x):\n    return db.execute(s := f'select {x}'.strip())",
        "def f(db, x):\n    return db.execute(SQL(f'select {x}'))",
        "def f(db, x): s: str = f'select {x}' if x else 'select 1'; \\\n    return db.execute(query=s)",
        "def f(db, x):\n    return db.execute('select %s' % x)",
        "def f(db, x):\n    return db.execute('select {}'.format(x))",
        "def f(db, x): a = 'select '; \\\n    return db.execute(a + x)",
        "import string\ndb.execute(string.Template('select $x').substitute(x=1))",
        "from string import Template; t = Template('select $x')\ndb.execute(t.safe_substitute(x=1))",
        "from .other import PREFIX\ndb.execute(PREFIX + table)",
        "from service.pets import other\ndb.execute(other.PREFIX + table)",
        "from .other import where\ndb.execute(where(column))",
        "class F:\n    def find(self, db): db.fetch(self.sql)\n    def __init__(self, x): self.sql = f'select {x}'",
        "class F:\n    def find(self, db): db.fetch(self.text())\n    def text(self): return 'select ' + self.x",
        "class F:\n    run = lambda s, db: db.fetch(s.text)\n    @property\n    def text(s): return 'select ' + s.x",
        "SQL = {'a': 'select {}'}\ndb.fetch(SQL['a'].format(x))",
        "S, *_ = [f'select {x}', 1]\ndb.fetch(S)",
        "for s in ('select 1', 'select ' + x):\n    db.fetch(s)",
        "make = lambda x: f'select {x}'\ndb.fetch(make(1))",
        "\ndb.fetch(str.format('select {}', x))",
        "\ndb.fetch('select {x}'.format_map(x))",
        "\ndb.copy_from_query(f'select {x}', output='x')",
        "\ndb.fetch(f'select {x}' + ' from a')",
        "\ndb.fetch('select %s' % 'a')",
        "S = 'select {}'\ndb.fetch(S.format(x))",
    ],
)
def test_built_sql_is_found(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == f"2: {BUILT}"


@pytest.mark.parametrize(
    "text",
    [
        "\ndb.fetch('select 1')",
        "S = 'insert into pets ' 'values (1)'\ndb.execute(S)",
        "S = 'with a as (select 1) ' + 'select a'\ndb.execute(S)",
        "def sql(): return 'delete from pets'\ndb.execute(sql())",
        "\nconnection.execute('vacuum login_session')",
        "\ndb.fetch('-- all\\n/* of them */ (select 1)')",
        "\ndb.fetch('table pets')",
        "\ndb.fetch(f'select 1')",
        "\ndb.fetch('select 1'.strip().encode())",
        "S = ', '\ndb.fetch('select 1' + S + '2' + S + '3')",
    ],
)
def test_inline_sql_is_found(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == f"2: {INLINE}"


@pytest.mark.parametrize(
    "text",
    [
        "db.execute('begin')",
        "db.execute(sql.SQL('create database {}').format(sql.Identifier(f'a{x}')))",
        "S = sql.SQL('select {}')\ndb.execute(S.format(sql.Literal('a' + x)))",
        "def f(client, path): client.stream('GET', path)",
        "def f(db, query): db.fetch(query.sql)",
        "def f(): return f()\ndb.fetch(f())",
        "cursor.fetchmany(note='select 1')",
        "db.fetch(a + b)",
        "def f(db, str): db.fetch(str.strip())",  # a parameter
        "class Query:\n    def sql(self): return 'select ' + self.x\ndb.fetch(query.sql)",
    ],
)
def test_other_texts_have_no_finding(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == ""


def test_reason_in_the_module_or_its_package_accepts(tmp_path: Path) -> None:
    accepted = "# inline-sql: ok it is older than sql/\n"

    assert found(tmp_path / "module", accepted + "db.fetch('select 1')") == ""
    assert found(tmp_path / "built", "# built-sql: ok x is a number\ndb.fetch('select ' + x)") == ""
    assert found(tmp_path / "package", "db.fetch('select 1')", accepted) == ""
    assert found(tmp_path / "other", "db.fetch('select ' + x)", accepted) == f"1: {BUILT}"
