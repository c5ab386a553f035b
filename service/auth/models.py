"""The rows and the bodies of log-ins and their sessions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import attrs
import msgspec


@attrs.define(slots=False)
class Credentials:
    """What a password is checked against, and the seconds until it may be; an unknown address has no account."""

    id: UUID | None
    hashed_password: str | None
    wait: int | None


@attrs.define(slots=False)
class LoginFailure:
    """How many more log-ins may fail within `wait` seconds; less than 0: this was one too many."""

    remaining: int
    wait: int


@attrs.define(slots=False)
class Session:
    """A login session, as its tokens need it."""

    id: UUID
    user_id: UUID
    generation: int
    last_used_at: datetime
    expires_at: datetime


@attrs.define(slots=False)
class RotatedSession(Session):
    """A session after one of its refresh tokens was shown; `ended` if that token had been spent before."""

    ended: bool


@attrs.define(slots=False)
class LoginSession:
    """A place where the caller is logged in."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str | None
    ip: str | None
    current: bool


@attrs.define(slots=False)
class EndedSession:
    """A session that has just been ended."""

    id: UUID


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """The form of OAuth 2's password grant (RFC 6749, 4.3.2)."""

    username: Annotated[str, msgspec.Meta(description="The email address, in any case")]
    password: str
    # Sent without a value, it counts as left out (RFC 6749, 3.2).
    grant_type: str = ""
    # OAuth 2 clients send these; first-party log-ins need none of them.
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class RefreshToken(msgspec.Struct, forbid_unknown_fields=True):
    """A refresh token, as it was given out."""

    refresh_token: str


class TokenPair(msgspec.Struct):
    """An access token for the next minutes, and a refresh token for the next pair. Times are Unix seconds."""

    token_type: str
    access_token: str
    expires_at: int
    issued_at: int
    refresh_token: str
    refresh_token_expires_at: int
    refresh_token_issued_at: int
