"""Access tokens that look valid in some respect but are not."""

import hmac
import json
import time
from collections.abc import Callable
from uuid import uuid4

from tests.support.jwt import Token, encoded, signed

OTHER_KEY = b"a key of 32 bytes that is not ours"
UNSIGNED = ["none", "None", "NONE", "nOnE", "none ", ""]


def unsigned(alg: str) -> Callable[[Token], str]:
    """Return a function that makes an unsigned token, which declares that it needs no signature."""
    return lambda token: token.but({"alg": alg}).rpartition(".")[0] + "."


def twice(token: Token, name: bytes, before: bytes) -> str:
    """Return the token signed again, with `before` inserted at the beginning of the part that contains `name`."""
    header, claims = (json.dumps(part).encode() for part in (token.header, token.claims))
    header, claims = (before + part[1:] if name in part else part for part in (header, claims))
    return signed(header, claims, token.key)


# The name of each forgery, and the function that makes it from a genuine token.
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
    "sub twice": lambda token: twice(token, b'"sub":', b'{"sub": "' + str(uuid4()).encode() + b'", '),
    "exp twice": lambda token: twice(token, b'"exp":', b'{"exp": 0, '),
    "alg twice": lambda token: twice(token, b'"alg":', b'{"alg": "none", '),
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
