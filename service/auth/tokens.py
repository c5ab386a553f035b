"""Access tokens and refresh tokens: signed and verified."""

import base64
import hashlib
import hmac
import json
import struct
import time
from uuid import UUID

import attrs
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, OctKey

from service.auth.models import Session, TokenPair
from service.auth.problems import InvalidGrant
from service.http import Caller
from service.problems import InvalidToken, NotAuthenticated
from service.settings import Settings

ISSUER = "litestar-raw-sql"
TYPE = "at+jwt"  # RFC 9068, 2.1
# Allowed difference between the clocks of two hosts, in seconds.
LEEWAY = 60
# The claims that issue() writes and _verify() requires. A new one takes two releases: the first accepts tokens with and
# without it, the second writes it; while a release replaces another, each must accept the other's tokens.
CLAIMS = jwt.JWTClaimsRegistry(
    leeway=LEEWAY,
    iss={"essential": True, "value": ISSUER},
    iat={"essential": True},
    exp={"essential": True},
)
# Verified access tokens to cache, because verification takes longer than the rest of a request's Python code. Each
# request still checks the expiry, and its statement checks the session.
MAX_CACHED_TOKENS = 10_000
# The payload of a refresh token, before its MAC: session, user, generation.
REFRESH = struct.Struct(">16s16sI")
# Tokens of releases before 2026-12 do not name the user. The last of them expire with their sessions.
REFRESH_WITHOUT_USER = struct.Struct(">16sI")
MAC_LENGTH = 32  # bytes, of HMAC-SHA-256


@attrs.frozen
class RefreshClaims:
    """The payload of a valid refresh token; `user` is None in tokens of releases before 2026-12."""

    session: UUID
    user: UUID | None
    generation: int


class Tokens:
    """Signs tokens with the current key, and verifies them with the current and the previous key."""

    def __init__(self, settings: Settings) -> None:
        secrets = [settings.secret_key]
        if settings.secret_key_previous is not None:
            secrets.append(settings.secret_key_previous)
        keys: list[Key] = [OctKey.import_key(secret, {"kid": _kid(secret), "alg": "HS256"}) for secret in secrets]
        self._key = keys[0]
        self._keys = KeySet(keys)
        self._header = {"alg": "HS256", "typ": TYPE, "kid": _kid(settings.secret_key)}
        # Refresh tokens have derived keys, so that neither kind of token can pass for the other.
        self._refresh_keys = [hmac.digest(secret, b"refresh token", "sha256") for secret in secrets]
        self._lifetime = settings.access_token_expire_seconds
        self._verified: dict[bytes, tuple[Caller, int]] = {}

    def issue(self, session: Session) -> TokenPair:
        """Return a new access token for `session`, and the refresh token of its current generation."""
        now = int(time.time())
        session_end = int(session.expires_at.timestamp())
        expires_at = min(now + self._lifetime, session_end)
        claims = {
            "iss": ISSUER,
            "sub": str(session.user_id),
            "sid": str(session.id),
            "iat": now,
            "exp": expires_at,
        }
        return TokenPair(
            token_type="Bearer",  # noqa: S106 - the type's name
            access_token=jwt.encode(self._header, claims, self._key, algorithms=["HS256"]),
            expires_at=expires_at,
            issued_at=now,
            refresh_token=self._refresh_token(session),
            refresh_token_expires_at=session_end,
            refresh_token_issued_at=int(session.last_used_at.timestamp()),
        )

    def authenticate(self, authorization: bytes) -> Caller:
        """Return the caller that an ``Authorization`` header names by its access token (RFC 6750, 2.1).

        Does not check that the session is live: each query does. Raises NotAuthenticated unless the scheme is Bearer,
        and InvalidToken unless the token is a JWT (RFC 7519) signed with a known key, and not expired (within LEEWAY).
        """
        caller, expires_at = self._verified.get(authorization) or self._verify(authorization)
        if time.time() > expires_at + LEEWAY:
            raise InvalidToken
        return caller

    def _verify(self, authorization: bytes) -> tuple[Caller, int]:
        scheme, _, rest = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticated
        access_token = rest.strip()
        try:
            token = jwt.decode(access_token, self._keys, algorithms=["HS256"])
            for part in access_token.split(".")[:2]:
                json.loads(base64.urlsafe_b64decode(part + "=="), object_pairs_hook=_unique)
            CLAIMS.validate(token.claims)
            # A token with an `aud` is for another service (RFC 7519, 4.1.3): this one writes none.
            if token.header.get("typ") != TYPE or "aud" in token.claims:
                raise InvalidToken
            caller = Caller(session=UUID(token.claims["sid"]), user=UUID(token.claims["sub"]))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidToken from error
        verified = caller, token.claims["exp"]
        if rest == access_token:  # a header with spaces can have any length
            if len(self._verified) >= MAX_CACHED_TOKENS:
                self._verified.clear()
            self._verified[authorization] = verified
        return verified

    def decode_refresh_token(self, refresh_token: str) -> RefreshClaims:
        """Return the payload of `refresh_token`.

        Raises InvalidGrant unless it was signed with a known key.
        """
        try:
            padding = "=" * (-len(refresh_token) % 4)
            token = base64.b64decode(refresh_token + padding, altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidGrant from None
        signed, mac = token[:-MAC_LENGTH], token[-MAC_LENGTH:]
        if not any(hmac.compare_digest(mac, hmac.digest(key, signed, "sha256")) for key in self._refresh_keys):
            raise InvalidGrant
        if len(signed) == REFRESH_WITHOUT_USER.size:
            session, generation = REFRESH_WITHOUT_USER.unpack(signed)
            return RefreshClaims(UUID(bytes=session), None, generation)
        session, user, generation = REFRESH.unpack(signed)
        return RefreshClaims(UUID(bytes=session), UUID(bytes=user), generation)

    def _refresh_token(self, session: Session) -> str:
        signed = REFRESH.pack(session.id.bytes, session.user_id.bytes, session.generation)
        mac = hmac.digest(self._refresh_keys[0], signed, "sha256")
        return base64.urlsafe_b64encode(signed + mac).rstrip(b"=").decode()


def _unique(members: list[tuple[str, object]]) -> None:
    """Check that an object has no duplicate names (RFC 7519, 4), because parsers differ on which one counts.

    Raises ValueError.
    """
    if len(dict(members)) < len(members):
        raise ValueError("duplicate name")


def _kid(secret: bytes) -> str:
    """Return an id of a key that does not reveal the key."""
    return hashlib.sha256(b"kid" + secret).hexdigest()[:8]
