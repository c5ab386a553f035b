"""The rows and the request and response bodies of log-ins and sessions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import attrs
import msgspec


@attrs.define(slots=False)
class Credentials:
    """The account against which a password is checked, and `wait`, the seconds until the next attempt is allowed.

    `id` and `hashed_password` are None for an unknown address, `wait` if an attempt is allowed now.
    """

    id: UUID | None
    hashed_password: str | None
    wait: int | None


@attrs.define(slots=False)
class Allowance:
    """How many attempts remain in the next `wait` seconds; negative if this one exceeded the limit."""

    remaining: int
    wait: int


@attrs.define(slots=False)
class Session:
    """A login session, with the values that its tokens contain."""

    id: UUID
    user_id: UUID
    generation: int
    last_used_at: datetime
    expires_at: datetime


@attrs.define(slots=False)
class RotatedSession(Session):
    """A session after a refresh; `ended` is true if the refresh token had been used before."""

    ended: bool


@attrs.define(slots=False)
class SessionOwner:
    """The owner of a session."""

    user_id: UUID


@attrs.define(slots=False)
class LoginSession:
    """A session of the caller, as the list of sessions shows it."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: (
        Annotated[
            str,
            msgspec.Meta(examples=["Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"]),
        ]
        | None
    )
    ip: Annotated[str, msgspec.Meta(examples=["192.0.2.7"])] | None
    current: bool


@attrs.define(slots=False)
class EndedSession:
    """A session that was ended by this request."""

    id: UUID


Token = Annotated[str, msgspec.Meta(examples=["D25uPnhGQZ2-tTVx0kMGyQAAAAAAAAAAAAAAAAAAAAAAAAAB"])]
UnixTime = Annotated[int, msgspec.Meta(examples=[1769860800])]


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """The form of OAuth 2's password grant (RFC 6749, 4.3.2)."""

    username: Annotated[str, msgspec.Meta(description="The email address; case does not matter")]
    password: str
    # A parameter without a value counts as omitted (RFC 6749, 3.2).
    grant_type: str = ""
    # OAuth 2 clients send these; they are ignored.
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class RefreshToken(msgspec.Struct, forbid_unknown_fields=True):
    """A refresh token that the service issued."""

    refresh_token: Token


class TokenPair(msgspec.Struct):
    """An access token, and the refresh token that is exchanged for the next such pair. Times are Unix seconds."""

    token_type: Annotated[str, msgspec.Meta(examples=["Bearer"])]
    access_token: Annotated[str, msgspec.Meta(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl"])]
    expires_at: UnixTime
    issued_at: UnixTime
    refresh_token: Token
    refresh_token_expires_at: UnixTime
    refresh_token_issued_at: UnixTime
