"""Access tokens: only one that was signed here, for now, opens anything."""

import hmac
import json
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from service.auth import tokens as module
from service.auth.models import Session
from service.auth.tokens import Tokens
from tests.auth.jwt import Token, encoded, signed
from tests.conftest import make_settings
from tests.factories import LoggedIn

OTHER_KEY = b"a key of 32 bytes that is not ours"
UNSIGNED = ["none", "None", "NONE", "nOnE", "none ", ""]


def unsigned(alg: str) -> Callable[[Token], str]:
    """Return what makes a token that claims to need no signature, and has none."""
    return lambda token: token.but({"alg": alg}).rpartition(".")[0] + "."


# Tokens that look right at some point, and are not.
FORGERIES: dict[str, Callable[[Token], str]] = {
    **{f"alg {alg!r}": unsigned(alg) for alg in UNSIGNED},
    "alg none, signed": lambda token: token.but({"alg": "none"}),
    "alg lower case": lambda token: token.but({"alg": "hs256"}),
    "alg missing": lambda token: token.but({"alg": ...}),
    "alg null": lambda token: token.but({"alg": None}),
    "alg a list": lambda token: token.but({"alg": ["HS256"]}),
    "alg a number": lambda token: token.but({"alg": 256}),
    "HS384": lambda token: token.but({"alg": "HS384"}, digest="sha384"),
    "HS512": lambda token: token.but({"alg": "HS512"}, digest="sha512"),
    "RS256": lambda token: token.but({"alg": "RS256"}),
    "ES256": lambda token: token.but({"alg": "ES256"}),
    "EdDSA": lambda token: token.but({"alg": "EdDSA"}),
    "dir, as a JWE has it": lambda token: token.but({"alg": "dir", "enc": "A128GCM"}),
    "another key": lambda token: token.but(key=OTHER_KEY),
    "an empty key": lambda token: token.but(key=b""),
    "the kid as the key": lambda token: token.but(key=token.header["kid"].encode()),
    "the refresh tokens' key": lambda token: token.but(key=hmac.digest(token.key, b"refresh token", "sha256")),
    "no signature": lambda token: token.text.rpartition(".")[0] + ".",
    "no signature, no dot": lambda token: token.text.rpartition(".")[0],
    "half a signature": lambda token: token.text[:-22],
    "a longer signature": lambda token: token.text + "AAAA",
    "the signature of other claims": lambda token: ".".join(
        [*token.but(sub=str(uuid4())).split(".")[:2], token.text.split(".")[2]]
    ),
    "kid of no key": lambda token: token.but({"kid": "00000000"}),
    "kid a path": lambda token: token.but({"kid": "../../../dev/null"}, key=b""),
    "kid SQL": lambda token: token.but({"kid": "' union select 'key"}, key=b"key"),
    "kid a list": lambda token: token.but({"kid": [token.header["kid"]]}),
    "kid an object": lambda token: token.but({"kid": {}}),
    "kid a number": lambda token: token.but({"kid": 1}),
    "kid of 60 KB": lambda token: token.but({"kid": "k" * 60_000}),
    "jwk, its own key": lambda token: token.but(
        {"jwk": {"kty": "oct", "k": encoded(OTHER_KEY).decode()}}, key=OTHER_KEY
    ),
    "jku, its own key": lambda token: token.but({"jku": "https://example.com/keys"}, key=OTHER_KEY),
    "x5u, its own key": lambda token: token.but({"x5u": "https://example.com/keys"}, key=OTHER_KEY),
    "crit of an unknown word": lambda token: token.but({"crit": ["must"], "must": True}),
    "crit of a missing word": lambda token: token.but({"crit": ["must"]}),
    "crit a text": lambda token: token.but({"crit": "exp"}),
    "typ missing": lambda token: token.but({"typ": ...}),
    "typ JWT": lambda token: token.but({"typ": "JWT"}),
    "typ of a refresh token": lambda token: token.but({"typ": "rt+jwt"}),
    "typ null": lambda token: token.but({"typ": None}),
    "typ a list": lambda token: token.but({"typ": ["at+jwt"]}),
    "iss another": lambda token: token.but(iss="https://example.com"),
    "iss missing": lambda token: token.but(iss=...),
    "iss null": lambda token: token.but(iss=None),
    "iss a list": lambda token: token.but(iss=[token.claims["iss"]]),
    "for somebody's aud": lambda token: token.but(aud="https://example.com"),
    "for an aud of us": lambda token: token.but(aud=[token.claims["iss"]]),
    "for an aud of null": lambda token: token.but(aud=None),
    "exp missing": lambda token: token.but(exp=...),
    "exp null": lambda token: token.but(exp=None),
    "exp a text": lambda token: token.but(exp=str(token.claims["exp"])),
    "exp true": lambda token: token.but(exp=True),
    "exp NaN": lambda token: token.but(exp=float("nan")),
    "exp infinite": lambda token: token.but(exp=float("inf")),
    "exp negative": lambda token: token.but(exp=-1),
    "expired": lambda token: token.but(exp=time.time() - 61),
    "iat missing": lambda token: token.but(iat=...),
    "iat a text": lambda token: token.but(iat="now"),
    "issued in the future": lambda token: token.but(iat=time.time() + 90),
    "not valid yet": lambda token: token.but(nbf=time.time() + 90),
    "sub missing": lambda token: token.but(sub=...),
    "sub null": lambda token: token.but(sub=None),
    "sub empty": lambda token: token.but(sub=""),
    "sub no UUID": lambda token: token.but(sub="admin"),
    "sub a number": lambda token: token.but(sub=1),
    "sub a list": lambda token: token.but(sub=[token.claims["sub"]]),
    "sid missing": lambda token: token.but(sid=...),
    "sid null": lambda token: token.but(sid=None),
    "sid empty": lambda token: token.but(sid=""),
    "sid no UUID": lambda token: token.but(sid="' or true --"),
    "sid a number": lambda token: token.but(sid=1),
    "sid a list": lambda token: token.but(sid=[token.claims["sid"]]),
    "sid an object": lambda token: token.but(sid={}),
    "sid of no session": lambda token: token.but(sid=str(uuid4())),
    "claims a list": lambda token: signed(json.dumps(token.header).encode(), b"[]", token.key),
    "claims null": lambda token: signed(json.dumps(token.header).encode(), b"null", token.key),
    "claims no JSON": lambda token: signed(json.dumps(token.header).encode(), b"\xff{", token.key),
    "claims too deep": lambda token: signed(json.dumps(token.header).encode(), b'{"a":' * 10_000, token.key),
    "header a list": lambda token: signed(b'["HS256"]', b"{}", token.key),
    "header a text": lambda token: signed(b'"HS256"', b"{}", token.key),
    "header no JSON": lambda token: signed(b"\xff{", b"{}", token.key),
    "header too deep": lambda token: signed(b"[" * 20_000, b"{}", token.key),
    "nothing": lambda _: "",
    "a word": lambda _: "garbage",
    "dots": lambda _: "..",
    "a hundred thousand dots": lambda _: "." * 100_000,
    "100 KB": lambda token: token.text + "A" * 100_000,
    "four parts": lambda token: token.text + "." + token.text.partition(".")[0],
    "five parts, as a JWE has": lambda token: token.text + ".AAAA.AAAA",
    "a comma and another": lambda token: f"{token.text}, Bearer {token.text}",
    "a blank within": lambda token: token.text.replace(".", ". "),
    "no ASCII": lambda token: token.text + "é",
    "a NUL": lambda token: token.text + "\0",
}


@pytest.fixture
def token(user: LoggedIn, database_url: str) -> Token:
    """Return a genuine access token."""
    return Token(user.tokens.access_token, make_settings(database_url).secret_key)


async def whoami(client: httpx.AsyncClient, access_token: str) -> httpx.Response:
    return await client.get("/users/me", headers={b"Authorization": b"Bearer " + access_token.encode()})


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_a_forged_token_opens_nothing(
    client: httpx.AsyncClient, token: Token, forge: Callable[[Token], str]
) -> None:
    """Nor the second time: only what was believed is remembered."""
    answers = [await whoami(client, forge(token)) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 401, answer.text
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param({}, id="the same"),
        pytest.param({"exp": -30}, id="expired by a clock that is ahead"),
        pytest.param({"iat": 30, "nbf": 30}, id="issued by a clock that is ahead"),
    ],
)
async def test_two_hosts_clocks_may_differ_by_a_minute(
    client: httpx.AsyncClient, token: Token, seconds: dict[str, Any]
) -> None:
    """It shows, too, that the forgeries above fail for what is wrong with them, not for how they are made."""
    response = await whoami(client, token.but(**{name: time.time() + later for name, later in seconds.items()}))

    assert response.status_code == 200, response.text


async def test_a_refresh_token_is_no_access_token(client: httpx.AsyncClient, user: LoggedIn) -> None:
    assert (await whoami(client, user.tokens.refresh_token)).status_code == 401


async def test_a_token_that_is_remembered_expires_all_the_same(
    client: httpx.AsyncClient, user: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []
    for seconds in (0, 59, 61):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: user.tokens.expires_at + seconds)
        statuses.append((await whoami(client, user.tokens.access_token)).status_code)

    assert statuses == [200, 200, 401]


def test_what_is_remembered_is_limited(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    tokens = Tokens(make_settings(database_url))
    now = datetime.now(UTC)
    first, second = (
        tokens.pair(Session(uuid4(), uuid4(), generation=1, last_used_at=now, expires_at=now + timedelta(days=1)))
        for _ in range(2)
    )

    caller = weakref.ref(tokens.caller(first.access_token))
    assert caller() is tokens.caller(first.access_token)
    tokens.caller(second.access_token)

    assert caller() is None
