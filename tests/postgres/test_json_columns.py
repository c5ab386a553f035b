"""Fields that are objects, decoded from JSON."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import msgspec
import pytest

from service.postgres.json_columns import WrongJSONError, row_factory


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
    data: str
    owner: Annotated[Owner | None, "of the kite"]
    toys: "list[Toy]"
    parsed: Owner | str = attrs.field(converter=str)
    count: int = attrs.field(init=False, default=0)


OWNER, TOYS = '{"id": 1, "name": null}', '[{"price": 1}, {"price": 2.5}]'


@pytest.fixture
def make() -> Callable[..., Any]:
    return row_factory("kites.find_kite", Kite)


def test_objects_are_decoded_and_other_text_is_kept(make: Callable[..., Any]) -> None:
    assert make(1, OWNER, OWNER, TOYS, OWNER) == Kite(1, OWNER, Owner(1, None), [Toy(1), Toy(2.5)], OWNER)


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
