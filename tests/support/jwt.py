"""JSON Web Tokens, taken apart and put together by hand, like an attacker."""

import base64
import hmac
import json
from typing import Any

import attrs


def encoded(part: bytes) -> bytes:
    """Encode a part of a JWT (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def signed(header: bytes, claims: bytes, key: bytes, digest: str = "sha256") -> str:
    """Sign any two texts as header and claims."""
    message = encoded(header) + b"." + encoded(claims)
    return (message + b"." + encoded(hmac.digest(key, message, digest))).decode()


@attrs.frozen
class Token:
    """A genuine token, not verified, and the key that it was signed with."""

    text: str
    key: bytes

    @property
    def header(self) -> dict[str, Any]:
        """Return its header."""
        return self._part(0)

    @property
    def claims(self) -> dict[str, Any]:
        """Return its claims."""
        return self._part(1)

    def replace(
        self,
        header: dict[str, Any] | None = None,
        *,
        key: bytes | None = None,
        digest: str = "sha256",
        **claims: object,
    ) -> str:
        """Return it signed again, with `key` if given, and with other members; ``...`` removes one."""
        members = _members(self.header | (header or {})), _members(self.claims | claims)
        return signed(*members, self.key if key is None else key, digest)

    def _part(self, number: int) -> dict[str, Any]:
        part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(self.text.split(".")[number] + "=="))
        return part


def _members(members: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()
