"""The rows and the bodies of accounts."""

from typing import Annotated
from uuid import UUID

import attrs
import msgspec

from service.auth.passwords import Password

EMAIL = {"extra": {"format": "email"}}  # for the OpenAPI document


@attrs.define(slots=False)
class User:
    """An account, as its owner sees it."""

    id: UUID
    email: Annotated[str, msgspec.Meta(examples=["ada@example.com"], extra_json_schema=EMAIL)]


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """A new account."""

    # 254: the longest address that SMTP carries (RFC 5321, erratum 1690).
    email: Annotated[str, msgspec.Meta(max_length=254, examples=["ada@example.com"], extra_json_schema=EMAIL)]
    password: Password


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """A new password, and the current one where it is asked for."""

    password: Password
    current_password: Annotated[str, msgspec.Meta(examples=["some long password"])] | None = None
