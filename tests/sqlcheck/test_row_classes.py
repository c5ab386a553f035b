"""The fields of row classes."""

from pathlib import Path

import pytest

from service.sqlcheck.code import Code
from service.sqlcheck.row_classes import Row
from tests.sqlcheck.conftest import Toys

OTHER = "@attrs.define(slots=False)\nclass Other:\n    c: int\n"
BASE = "@attrs.define(slots=False)\nclass Base:\n    a: int\n    b: str\n"


def row(tmp_path: Path, source: str) -> Row:
    """Return the row class X."""
    folder = tmp_path / "service" / "toys"
    folder.mkdir(parents=True)
    (folder / "models.py").write_text(f"import attrs\nimport typing\n{source}")
    (folder / "controllers.py").write_text(
        "from service.sql import one\nfrom service.toys.models import X\nQUERY = one('toys.find_toy', X)\n"
    )
    [reference] = Code(tmp_path).references
    assert isinstance(reference.row, Row)
    return reference.row


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (f"{BASE}@attrs.define\nclass X(Base):\n    c: int\n", "a b c"),
        (f"{BASE}@attrs.frozen(slots=False)\nclass X(Base):\n    a: int\n    c: int\n", "b a c"),
        (f"{BASE}@attrs.define\nclass X(Base):\n    b: str = attrs.field(init=False)\n    c: int\n", "a c"),
        (f"{BASE}class Middle(Base):\n    x: int\n@attrs.define\nclass X(Middle):\n    c: int\n", "a b c"),
        (f"{BASE}@attrs.define\nclass X(Base):\n    pass\n", "a b"),
        ("@attrs.define\nclass X(object):\n    n: typing.ClassVar[int] = 1\n    a: int\n", "a"),
        ("import datetime\n@attrs.define\nclass X:\n    n: typing.ClassVar[datetime.date]\n    a: int\n", "a"),
        ("class X(typing.NamedTuple):\n    a: int\n    b: str\n", "a b"),
        # The source does not show the fields, so attrs is asked.
        (
            f"{BASE}{OTHER}@attrs.define(slots=False)\nclass X(Base, Other):\n    d: int\n",
            "c a b d",
        ),
        ("@attrs.define(auto_attribs=False)\nclass X:\n    a: int\n    b: int = attrs.field()\n", "b"),
        ("@attrs.define\nclass X:\n    a: int\n    b = attrs.field()\n    c: int = attrs.field()\n", "b c"),
        ("YES = True\n@attrs.define\nclass X:\n    a: int = attrs.field(init=YES)\n    b: int\n", "a b"),
        ("O = {'init': False}\n@attrs.define\nclass X:\n    a: int = attrs.field(**O)\n    b: int\n", "b"),
        ("import attr\n@attr.s\nclass X:\n    a: int\n    b: int = attr.ib()\n", "b"),
        ("@typing.final\n@attrs.define\nclass X:\n    a: int\n", "a"),
        ("import abc\n@attrs.define\nclass X(abc.ABC, Exception):\n    a: int\n", "a"),
    ],
)
def test_fields_are_those_of_attrs(tmp_path: Path, source: str, fields: str) -> None:
    found = row(tmp_path, source)

    assert (" ".join(field.name for field in found.fields), found.problem) == (fields, "")


def test_field_in_the_order_of_attrs_keeps_its_type(tmp_path: Path) -> None:
    [field] = row(tmp_path, "@typing.final\n@attrs.define\nclass X:\n    a: int\n").fields

    assert str(field.annotation) == "int"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("@attrs.define(kw_only=True)\nclass X:\n    a: int\n", "takes a by keyword only"),
        ("@attrs.define\nclass X:\n    a: int\n    b: int = attrs.field(kw_only=True)\n", "takes b by keyword only"),
        ("row = attrs.define(kw_only=True)\n@row\nclass X:\n    a: int\n", "takes a by keyword only"),
        ("class X(typing.TypedDict):\n    a: int\n", "is not an attrs class: decorate it with attrs.define"),
        ("class X:\n    a: int\n", "is not an attrs class: decorate it with attrs.define"),
        ("import gone\n@attrs.define(these={})\nclass X:\n    a: int\n", "No module named 'gone'"),
    ],
)
def test_unusable_class_is_found(tmp_path: Path, source: str, problem: str) -> None:
    assert problem in row(tmp_path, source).problem


@pytest.mark.parametrize(
    ("imported", "name"),
    [
        ("from .models import X", "X"),
        ("from . import models", "models.X"),
        ("from service.toys import models as m", "m.X"),
        ("import service.toys.models", "service.toys.models.X"),
        ("import service.toys.models as m", "m.X"),
        ("from ..toys.models import X", "X"),
        ("from service.toys import X", "X"),
    ],
)
def test_imports_are_followed(tmp_path: Path, imported: str, name: str) -> None:
    source = "from . import kinds\n@attrs.define\nclass X:\n    a: int\n    b: kinds.Kind\n"
    (tmp_path / "service" / "toys").mkdir(parents=True)
    (tmp_path / "service" / "toys" / "kinds.py").write_text("import datetime\nKind = datetime.date\n")
    (tmp_path / "service" / "toys" / "__init__.py").write_text("from .models import X\n")
    (tmp_path / "service" / "toys" / "models.py").write_text(f"import attrs\n{source}")
    (tmp_path / "service" / "toys" / "controllers.py").write_text(
        f"from service.sql import one\n{imported}\nQUERY = one('toys.find_toy', {name})\n"
    )

    [reference] = Code(tmp_path).references

    assert isinstance(reference.row, Row)
    assert [str(field.annotation) for field in reference.row.fields] == ["int", "date"]


@pytest.mark.parametrize("declared", ["int | None", "Kind"])
def test_type_is_read_as_written(tmp_path: Path, declared: str) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "queries.py").write_text(
        "import enum\nfrom service.sql import value\nclass Kind(enum.StrEnum):\n    CAT = 'cat'\n"
        f"value('toys.n', {declared})\n"
    )

    [reference] = Code(tmp_path).references

    assert str(reference.row) == declared


def test_literal_of_a_member_has_no_known_values(tmp_path: Path) -> None:
    source = (
        "import enum\nclass Kind(enum.Enum):\n    A = 'a'\n@attrs.define\nclass X:\n    a: typing.Literal[Kind.A]\n"
    )

    [field] = row(tmp_path, source).fields

    assert (field.annotation.name, field.annotation.values) == ("Literal", None)


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from service import sql", "sql.one('toys.find_toy', X)"),
        ("import service.sql", "service.sql.one('toys.find_toy', X)"),
        ("from service.toys.database import read", "read('toys.find_toy', X)"),
        ("from service.sql import one", "one('toys.find_toy', row=X)"),
        ("from service.sql import one", "one(row=X, name='toys.find_toy')"),
        ("from service.sql import value", "value('toys.find_toy', python_type=X)"),
    ],
)
def test_query_is_found_however_it_is_declared(tmp_path: Path, imported: str, call: str) -> None:
    (tmp_path / "service" / "toys").mkdir(parents=True)
    (tmp_path / "service" / "sql.py").write_text("from service.postgres import one, value\n")
    (tmp_path / "service" / "toys" / "database.py").write_text("from service.sql import one as read\n")
    (tmp_path / "service" / "toys" / "queries.py").write_text(
        f"import attrs\n{imported}\n@attrs.define\nclass X:\n    a: int\nQUERY = {call}\n"
    )

    [reference] = Code(tmp_path).references

    assert (reference.query, getattr(reference.row, "name", "")) == ("toys.find_toy", "X")


@pytest.mark.parametrize(
    ("source", "annotation", "said"),
    [
        ("Id: typing.TypeAlias = int\n", "Id", "int"),
        ("", "typing.Union[int, str, None]", "int | str | None"),
        ("if typing.TYPE_CHECKING:\n    from uuid import UUID as Id\n", "'Id'", "UUID"),
        ("try:\n    from uuid import UUID as Id\nexcept ImportError:\n    Id = str\n", "Id", "UUID"),
        ("import enum\nKind = enum.StrEnum('Kind', 'cat dog')\n", "Kind", "cat dog"),
    ],
)
def test_annotation_is_followed(tmp_path: Path, source: str, annotation: str, said: str) -> None:
    [field] = row(tmp_path, f"{source}@attrs.define\nclass X:\n    a: {annotation}\n").fields

    assert str(field.annotation) == said


def test_members_by_auto_are_values(tmp_path: Path) -> None:
    members = "'A kind.'\n    CAT = enum.auto()\n    DOG = 'Dog'\n    HOUND = DOG\n"
    source = f"import enum\nclass Kind(enum.StrEnum):\n    {members}"

    [field] = row(tmp_path, f"{source}@attrs.define\nclass X:\n    a: Kind\n").fields

    assert field.annotation.values == ("cat", "Dog")


@pytest.mark.parametrize("alias", ["typing.TypeVar('T')", "list['T'] | str"])
def test_alias_of_itself_is_no_endless_loop(tmp_path: Path, alias: str) -> None:
    found = row(tmp_path, f"T = {alias}\n@attrs.define\nclass X:\n    a: T\n    b: 'T'\n")

    assert [field.annotation for field in found.fields] == [found.fields[0].annotation] * 2


def test_class_without_attrs_is_a_finding(toys: Toys) -> None:
    models = "class Row:\n    id: int\n"

    assert toys.check("select id from toy", "-- returns: many Row\n", "column-count", models=models) == (
        "2: Row is not an attrs class: decorate it with attrs.define [column-count]"
    )


def test_row_of_a_rule_with_another_command_is_a_finding(toys: Toys) -> None:
    models = "import attrs\n@attrs.define\nclass Row:\n    id: int\n"

    assert toys.check("delete from ruled returning id", "-- returns: many Row\n", "column-count", models=models) == (
        "2: returns 0 columns, Row has 1: id [column-count]"
    )


@pytest.mark.parametrize("base", ["Plain", "collections.UserString"])
def test_json_class_with_unknown_fields_is_accepted(toys: Toys, base: str) -> None:
    models = (
        "import collections\nimport attrs\nclass Plain:\n    a: int\n"
        f"@attrs.define\nclass Inside({base}):\n    b: int\n@attrs.define\nclass Row:\n    x: Inside\n"
    )
    select = "select jsonb_build_object('a', 1) as x"

    assert toys.check(select, "-- returns: many Row\n", "column-type", models=models) == ""


@pytest.mark.parametrize(("value", "is_missing"), [("1", False), ("field(factory=int)", False), ("field()", True)])
def test_key_of_a_field_without_default_is_required(toys: Toys, value: str, *, is_missing: bool) -> None:
    models = (
        f"import attrs\nfrom attrs import field\n@attrs.define\nclass Inside:\n    a: int\n    b: int = {value}\n"
        "@attrs.define\nclass Row:\n    x: Inside\n"
    )
    select = "select jsonb_build_object('a', 1) as x"

    found = toys.check(select, "-- returns: many Row\n", "column-type", models=models)

    assert ("x lacks b of Inside" in found) is is_missing


def test_json_of_unknown_shape_is_accepted(toys: Toys) -> None:
    models = "import attrs\n@attrs.define\nclass Inside:\n    a: int\n@attrs.define\nclass Row:\n    x: Inside\n"
    select = "select jsonb_build_object('b', 1) as x union all select data from toy"

    assert toys.check(select, "-- returns: many Row\n", "column-type", models=models) == ""
