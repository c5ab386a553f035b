"""The rows and the request bodies of pets."""

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
    """A pet and its version, which each change increments."""

    version: int


@attrs.define(slots=False)
class PetOnce(VersionedPet):
    """A pet created with an Idempotency-Key; `is_same_request` is false if the key was used for another pet name."""

    is_same_request: bool


@attrs.define(slots=False)
class RenamedPet(Pet):
    """A pet after a rename; `version` is None if the caller expected another version, and nothing was changed."""

    version: int | None


@attrs.define(slots=False)
class DeletedPet:
    """The result of a deletion; `deleted` is false if the caller expected another version."""

    id: int
    deleted: bool


class PetName(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a creation or a rename."""

    # PostgreSQL cannot store NUL; the pattern documents that for clients.
    pet_name: Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern="^[^\\u0000]*$", examples=["Tadeusz"])]
