"""The rows and the request bodies of accounts."""

from typing import Annotated
from uuid import UUID

import attrs
import msgspec

from service.auth.emails import MAX_LENGTH
from service.auth.passwords import Password

EMAIL = {"extra": {"format": "email"}}  # for the OpenAPI document
ExistingPassword = Annotated[str, msgspec.Meta(examples=["some long password"])]


@attrs.define(slots=False)
class User:
    """An account, as its owner sees it."""

    id: UUID
    email: Annotated[str, msgspec.Meta(examples=["ada@example.com"], extra_json_schema=EMAIL)]


@attrs.define(slots=False)
class Collision:
    """An account whose key another account already has."""

    id: UUID
    email_key: str


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a registration."""

    email: Annotated[str, msgspec.Meta(max_length=MAX_LENGTH, examples=["ada@example.com"], extra_json_schema=EMAIL)]
    password: Password


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """A new password, and the current one if it is required."""

    password: Password
    current_password: ExistingPassword | None = None


class AccountDeletion(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a deletion: the current password, if it is required."""

    current_password: ExistingPassword | None = None
