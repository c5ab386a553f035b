"""The rows and the bodies of pets."""

from typing import Annotated
from uuid import UUID

import attrs
import msgspec


@attrs.define(slots=False)
class Pet:
    """A pet, as its owner sees it."""

    id: Annotated[int, msgspec.Meta(examples=[5])]
    pet_name: Annotated[str, msgspec.Meta(examples=["Tadeusz"])]
    user_id: UUID


@attrs.define(slots=False)
class VersionedPet(Pet):
    """A pet, and how often it has been changed."""

    version: int


@attrs.define(slots=False)
class PetOnce(VersionedPet):
    """A pet as it was created under an Idempotency-Key, now or by the same request before."""

    is_same_request: bool


@attrs.define(slots=False)
class RenamedPet(Pet):
    """A pet after a change of its name; its version is None if the caller expected another one."""

    version: int | None


@attrs.define(slots=False)
class DeletedPet:
    """The result of a removal; `deleted` is false if the caller expected another version."""

    id: int
    deleted: bool


class PetName(msgspec.Struct, forbid_unknown_fields=True):
    """The body that names a pet."""

    # PostgreSQL stores no NUL; the pattern tells clients so.
    pet_name: Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern="^[^\\u0000]*$", examples=["Tadeusz"])]
