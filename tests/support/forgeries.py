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
    return lambda token: token.replace({"alg": alg}).rpartition(".")[0] + "."


def twice(token: Token, name: bytes, before: bytes) -> str:
    """Return the token signed again, with `before` inserted at the beginning of the part that contains `name`."""
    header, claims = (json.dumps(part).encode() for part in (token.header, token.claims))
    header, claims = (before + part[1:] if name in part else part for part in (header, claims))
    return signed(header, claims, token.key)


# The name of each forgery, and the function that makes it from a genuine token.
FORGERIES: dict[str, Callable[[Token], str]] = {
    **{f"alg {alg!r}": unsigned(alg) for alg in UNSIGNED},
    "alg none, signed": lambda token: token.replace({"alg": "none"}),
    "alg lower case": lambda token: token.replace({"alg": "hs256"}),
    "alg missing": lambda token: token.replace({"alg": ...}),
    "alg null": lambda token: token.replace({"alg": None}),
    "alg a list": lambda token: token.replace({"alg": ["HS256"]}),
    "alg a number": lambda token: token.replace({"alg": 256}),
    "HS384": lambda token: token.replace({"alg": "HS384"}, digest="sha384"),
    "HS512": lambda token: token.replace({"alg": "HS512"}, digest="sha512"),
    "RS256": lambda token: token.replace({"alg": "RS256"}),
    "ES256": lambda token: token.replace({"alg": "ES256"}),
    "EdDSA": lambda token: token.replace({"alg": "EdDSA"}),
    "dir, as a JWE has it": lambda token: token.replace({"alg": "dir", "enc": "A128GCM"}),
    "another key": lambda token: token.replace(key=OTHER_KEY),
    "an empty key": lambda token: token.replace(key=b""),
    "the kid as the key": lambda token: token.replace(key=token.header["kid"].encode()),
    "the refresh tokens' key": lambda token: token.replace(key=hmac.digest(token.key, b"refresh token", "sha256")),
    "no signature": lambda token: token.text.rpartition(".")[0] + ".",
    "no signature, no dot": lambda token: token.text.rpartition(".")[0],
    "half a signature": lambda token: token.text[:-22],
    "a longer signature": lambda token: token.text + "AAAA",
    "the signature of other claims": lambda token: ".".join(
        [*token.replace(sub=str(uuid4())).split(".")[:2], token.text.split(".")[2]]
    ),
    "kid of no key": lambda token: token.replace({"kid": "00000000"}),
    "kid a path": lambda token: token.replace({"kid": "../../../dev/null"}, key=b""),
    "kid SQL": lambda token: token.replace({"kid": "' union select 'key"}, key=b"key"),
    "kid a list": lambda token: token.replace({"kid": [token.header["kid"]]}),
    "kid an object": lambda token: token.replace({"kid": {}}),
    "kid a number": lambda token: token.replace({"kid": 1}),
    "kid of 60 KB": lambda token: token.replace({"kid": "k" * 60_000}),
    "jwk, its own key": lambda token: token.replace(
        {"jwk": {"kty": "oct", "k": encoded(OTHER_KEY).decode()}}, key=OTHER_KEY
    ),
    "jku, its own key": lambda token: token.replace({"jku": "https://example.com/keys"}, key=OTHER_KEY),
    "x5u, its own key": lambda token: token.replace({"x5u": "https://example.com/keys"}, key=OTHER_KEY),
    "crit of an unknown word": lambda token: token.replace({"crit": ["must"], "must": True}),
    "crit of a missing word": lambda token: token.replace({"crit": ["must"]}),
    "crit a text": lambda token: token.replace({"crit": "exp"}),
    "typ missing": lambda token: token.replace({"typ": ...}),
    "typ JWT": lambda token: token.replace({"typ": "JWT"}),
    "typ of a refresh token": lambda token: token.replace({"typ": "rt+jwt"}),
    "typ null": lambda token: token.replace({"typ": None}),
    "typ a list": lambda token: token.replace({"typ": ["at+jwt"]}),
    "iss another": lambda token: token.replace(iss="https://example.com"),
    "iss missing": lambda token: token.replace(iss=...),
    "iss null": lambda token: token.replace(iss=None),
    "iss a list": lambda token: token.replace(iss=[token.claims["iss"]]),
    "for somebody's aud": lambda token: token.replace(aud="https://example.com"),
    "for an aud of us": lambda token: token.replace(aud=[token.claims["iss"]]),
    "for an aud of null": lambda token: token.replace(aud=None),
    "exp missing": lambda token: token.replace(exp=...),
    "exp null": lambda token: token.replace(exp=None),
    "exp a text": lambda token: token.replace(exp=str(token.claims["exp"])),
    "exp true": lambda token: token.replace(exp=True),
    "exp NaN": lambda token: token.replace(exp=float("nan")),
    "exp infinite": lambda token: token.replace(exp=float("inf")),
    "exp negative": lambda token: token.replace(exp=-1),
    "expired": lambda token: token.replace(exp=time.time() - 61),
    "iat missing": lambda token: token.replace(iat=...),
    "iat a text": lambda token: token.replace(iat="now"),
    "issued in the future": lambda token: token.replace(iat=time.time() + 90),
    "not valid yet": lambda token: token.replace(nbf=time.time() + 90),
    "sub missing": lambda token: token.replace(sub=...),
    "sub null": lambda token: token.replace(sub=None),
    "sub empty": lambda token: token.replace(sub=""),
    "sub no UUID": lambda token: token.replace(sub="admin"),
    "sub a number": lambda token: token.replace(sub=1),
    "sub a list": lambda token: token.replace(sub=[token.claims["sub"]]),
    "sid missing": lambda token: token.replace(sid=...),
    "sid null": lambda token: token.replace(sid=None),
    "sid empty": lambda token: token.replace(sid=""),
    "sid no UUID": lambda token: token.replace(sid="' or true --"),
    "sid a number": lambda token: token.replace(sid=1),
    "sid a list": lambda token: token.replace(sid=[token.claims["sid"]]),
    "sid an object": lambda token: token.replace(sid={}),
    "sid of no session": lambda token: token.replace(sid=str(uuid4())),
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
