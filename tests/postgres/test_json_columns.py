"""Fields that are objects, decoded from JSON."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, NewType, Optional, TypeVar

import attrs
import msgspec
import pytest

from service.postgres.json_columns import WrongJSONError, row_factory

T = TypeVar("T")


@attrs.define(slots=False)
class Owner:
    """An attrs class."""

    id: int
    name: str | None


class Toy(msgspec.Struct):
    """A Struct."""

    price: float


@attrs.define(slots=False)
class Kite:
    """A row with objects."""

    id: int
    count: int = attrs.field(init=False, default=0)  # no column
    data: str
    owner: Annotated[Owner | None, "of the kite"]
    toys: "list[Toy]"
    parsed: Owner | str = attrs.field(converter=str)


Keeper = NewType("Keeper", Owner)


@attrs.define(slots=False)
class Kept:
    """A row whose objects are named by a type of their own, and as text inside of a type."""

    keeper: Keeper
    owner: Optional["Owner"]
    toys: list["Toy"]


class Pair(NamedTuple):
    """A row that is no attrs class."""

    id: int
    toys: list[Toy]


OWNER, TOYS = '{"id": 1, "name": null}', '[{"price": 1}, {"price": 2.5}]'


@pytest.fixture
def make() -> Callable[..., Any]:
    return row_factory("kites.find_kite", Kite)


def test_objects_are_decoded_and_other_text_is_kept(make: Callable[..., Any]) -> None:
    assert make(1, OWNER, OWNER, TOYS, OWNER) == Kite(1, OWNER, Owner(1, None), [Toy(1), Toy(2.5)], OWNER)


def test_objects_are_found_however_their_type_is_written() -> None:
    kept = Kept(Keeper(Owner(1, None)), Owner(1, None), [Toy(1), Toy(2.5)])

    assert row_factory("kites.find_kept", Kept)(OWNER, OWNER, TOYS) == kept


def test_objects_of_a_named_tuple_are_decoded() -> None:
    assert row_factory("kites.find_pair", Pair)(1, TOYS) == Pair(1, [Toy(1), Toy(2.5)])


def test_null_is_none(make: Callable[..., Any]) -> None:
    assert make(1, "", None, TOYS, "").owner is None


@pytest.mark.parametrize(
    ("owner", "complaint"),
    [
        ('{"id": "a", "name": null}', "Expected `int`, got `str` - at `$.id`"),
        ('{"id": 1}', "Object missing required field `name`"),
        ("{", "Input data was truncated"),
    ],
)
def test_json_of_another_shape_names_query_field_and_path(make: Callable[..., Any], owner: str, complaint: str) -> None:
    with pytest.raises(WrongJSONError) as wrong:
        make(1, "", owner, TOYS, "")

    assert str(wrong.value) == f"kites.find_kite: Kite.owner: {complaint}"


def test_class_without_objects_is_unchanged() -> None:
    assert row_factory("kites.find_owner", Owner) is Owner


@attrs.frozen
class Page(Generic[T]):
    """A row of any type."""

    number: int
    value: T


@pytest.mark.parametrize("row", [Page[int], attrs.make_class("Untyped", ["number"])], ids=["generic", "untyped"])
def test_row_without_json_is_made_by_its_class(row: type) -> None:
    assert row_factory("kites.find_page", row) is row
