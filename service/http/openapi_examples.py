"""Examples for the OpenAPI document, by what a field, a parameter or a header is called."""

from collections.abc import Mapping
from typing import Any

# The same Ada everywhere. What is not listed gets an example by its format or type.
EXAMPLES: dict[str, object] = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
    "after": "NTpUYWRldXN6",
    "email": "ada@example.com",
    "expires_at": 1769861700,
    "grant_type": "password",
    "ip": "192.0.2.7",
    "issued_at": 1769860800,
    "limit": 100,
    "password": "some long password",
    "pet_name": "Tadeusz",
    "pointer": "/pet_name",
    "refresh_token": "D25uPnhGQZ2-tTVx0kMGyQ.1.c2lnbmF0dXJl",
    "refresh_token_expires_at": 1772280000,
    "refresh_token_issued_at": 1769860800,
    "token_type": "Bearer",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "username": "ada@example.com",
    "Cache-Control": "no-store",
    "ETag": '"1"',
    "Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    "If-Match": '"1"',
    "If-None-Match": '"1"',
    "Link": '</pets/me?limit=100&after=NTpUYWRldXN6>; rel="next"',
    "Location": "/pets/5",
    "RateLimit": '"failed-logins";r=4;t=900',
    "RateLimit-Policy": '"failed-logins";q=5;w=900',
    "Retry-After": "1",
    "WWW-Authenticate": 'Bearer error="invalid_token"',
    "X-Request-ID": "6f0c9a3e-53a8-4f1e-9c4c-0d8f8f3f6b1a",
}
BY_FORMAT: dict[str, object] = {
    "uuid": "0f6ee0b2-6ad8-4d3f-a5f3-4a3b7c0e4a6e",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
}


def example(name: str, schema: Mapping[str, Any]) -> object:
    """Return an example of what is called `name`; what is not listed gets one by its format or type."""
    match schema:
        case {"format": str(kind)} if kind in BY_FORMAT:
            return BY_FORMAT[kind]
        case {"enum": [first, *_]}:
            return first
        case {"type": "boolean"}:
            return True
        case {"type": "integer", **rules}:
            known = EXAMPLES.get(name)
            return known if isinstance(known, int) else max(1, rules.get("minimum", 1))
        case _:
            known = EXAMPLES.get(name)
            return known if isinstance(known, str) else name.replace("_", " ")
