"""Bad input is a client error, never a 5xx, and accepted text is returned unchanged."""

# ruff: noqa: RUF001 - these texts are meant to be ambiguous
import json
import random
import unicodedata
from collections import Counter
from urllib.parse import quote

import httpx
import pytest

from tests.support.accounts import Account, account
from tests.support.figures import Report
from tests.support.processes import Running
from tests.support.resources import Resource
from tests.support.routes import address, needs_json, routes

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# Bodies that could break an endpoint; TEXT stands for the field of a resource.
MALFORMED = {
    "nothing": b"",
    "a blank": b" ",
    "null": b"null",
    "a text": b'"text"',
    "a number": b"1",
    "a list": b"[]",
    "an empty object": b"{}",
    "a list of objects": b'[{"TEXT": "Max"}]',
    "half": b'{"TEXT": "M',
    "two": b"{}{}",
    "NaN": b'{"TEXT": NaN}',
    "Infinity": b'{"TEXT": -Infinity}',
    "a huge number": b'{"TEXT": 1e999999}',
    "5,000 digits": b'{"TEXT": ' + b"9" * 5000 + b"}",
    "beyond 2^63": b'{"TEXT": 9223372036854775808}',
    "true": b'{"TEXT": true, "email": true, "password": true, "refresh_token": true}',
    "null in fields": b'{"TEXT": null, "email": null, "password": null, "refresh_token": null}',
    "lists in fields": b'{"TEXT": [], "email": [], "password": [], "refresh_token": []}',
    "objects in fields": b'{"TEXT": {"$ne": ""}, "email": {}, "password": {}, "refresh_token": {}}',
    "NUL": b'{"TEXT": "a\\u0000b", "email": "a\\u0000@b.c", "refresh_token": "\\u0000"}',
    "a raw NUL": b'{"TEXT": "a\0b"}',
    "a lone surrogate": b'{"TEXT": "\\ud800", "email": "\\udfff@b.c", "refresh_token": "\\ud800"}',
    "no UTF-8": b'{"TEXT": "\xff\xfe"}',
    "an encoded surrogate": b'{"TEXT": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"TEXT": "\xc0\xaf"}',
    "UTF-16": '{"TEXT": "Max"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"TEXT": "Max"}',
    "100,000 lists deep": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000,
    "deep in a field": b'{"TEXT": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "too long a text": json.dumps({"TEXT": "x" * 60_000}).encode(),
    "over 64 KiB": json.dumps({"TEXT": "x" * 70_000}).encode(),
    "a field twice": b'{"TEXT": "a", "TEXT": "b"}',
    "__proto__": b'{"__proto__": {"admin": true}, "constructor": {}}',
    "many fields": json.dumps({f"field{n}": n for n in range(3000)}).encode(),
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
}
FORMS = {
    "no UTF-8": b"username=%ff%fe&password=%ff%fe",
    "raw bytes": b"username=\xff&password=\xfe",
    "NUL": b"username=a%00b&password=a%00b",
    "a surrogate": b"username=%ed%a0%80&password=x",
    "twice": b"username=a&username=b&password=c",
    "no value": b"username&password",
    "nothing": b"",
    "ampersands": b"&" * 60_000,
    "many fields": b"&".join(b"f%d=1" % n for n in range(5000)),
    "long": b"username=" + b"a" * 30_000 + b"&password=" + b"b" * 30_000,
    "bad percent": b"username=%zz&password=%",
    "another grant": b"grant_type=client_credentials&username=a&password=b",
    "JSON": b'{"username": "a", "password": "b"}',
}
IDS = [
    *("0", "-1", "1.5", "1e3", "0x1", "NaN", "null", "me", "%00", "%ff", "..%2f..", "%2e%2e", "'", "1;--", "٣", "%20"),
    *(str(2**31), str(2**63 - 1), str(2**63), str(2**64), "9" * 5000, "-" + "9" * 5000, "{}", "[1]", "1,2", "+1", "01"),
]
HEADERS = {
    "an odd type": {"Content-Type": "application/xml"},
    "no type": {"Content-Type": ""},
    "a broken type": {"Content-Type": 'application/json; charset="utf-7'},
    "multipart without boundary": {"Content-Type": "multipart/form-data"},
    "gzip": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    "odd ETags": {"If-Match": '"' * 1000, "If-None-Match": "W/,,*,", "Content-Type": "application/json"},
    "a long cookie": {"Cookie": "a=" + "b" * 8000, "Content-Type": "application/json"},
    "odd Accept": {"Accept": "*/*;q=x,\x7f", "Content-Type": "application/json"},
    "no ASCII": {"User-Agent": "é\xff".encode("latin-1").decode("latin-1"), "Content-Type": "application/json"},
    "odd Range": {"Range": "bytes=-1-", "Content-Type": "application/json"},
    "odd length of a list": {"Accept-Language": "," * 4000, "Content-Type": "application/json"},
}


@pytest.fixture(scope="module")
def caller(unthrottled: Running) -> Account:
    """Return the logged-in account that sends the requests."""
    return account(unthrottled.client)


@pytest.fixture(scope="module")
def documented(unthrottled: Running) -> dict[tuple[str, str], set[int]]:
    """Return the documented statuses of each operation, by method and path."""
    paths = unthrottled.client.get("/openapi.json").json()["paths"]
    return {
        (method.upper(), path.partition("{")[0]): {int(status) for status in operation["responses"]}
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def check(
    response: httpx.Response, statuses: Counter[int], documented: dict[tuple[str, str], set[int]] | None = None
) -> None:
    """Count the response, which must be a documented refusal or a success."""
    statuses[response.status_code] += 1
    method, path = response.request.method, response.request.url.path
    known = (documented or {}).get((method, path)) or (documented or {}).get((method, path.rpartition("/")[0] + "/"))
    # 405: "me" as an id is another path
    assert known is None or response.status_code in {405, *known}, f"{method} {path}: {response.text}"
    assert response.status_code < 500, f"{response.request.method} {response.request.url}: {response.text}"
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code


def test_malformed_bodies_ids_and_headers_are_4xx(
    unthrottled: Running,
    resource: Resource,
    caller: Account,
    documented: dict[tuple[str, str], set[int]],
    report: Report,
) -> None:
    statuses: Counter[int] = Counter()
    send = unthrottled.client.request
    # An object with the id need not exist.
    for method, path in [address(route) for route in routes() if needs_json(route)]:
        for body in MALFORMED.values():
            content = body.replace(b"TEXT", resource.field.encode())
            check(send(method, path, content=content, headers=caller.bearer | JSON), statuses, documented)
        for headers in HEADERS.values():
            raw = {name: value.encode("latin-1") for name, value in (caller.bearer | headers).items()}
            check(send(method, path, content=b"{}", headers=raw), statuses, documented)  # type: ignore[arg-type]  # bytes are fine
    for body in FORMS.values():
        check(send("POST", "/auth/access-token", content=body, headers=FORM), statuses, documented)
    for method in ("GET", "PATCH", "DELETE"):
        for each in IDS:
            body = json.dumps(resource.body("x")).encode() if method == "PATCH" else b""
            url = resource.one(each)
            check(send(method, url, content=body, headers=caller.bearer | JSON), statuses, documented)
            check(send("DELETE", f"/auth/sessions/{each}", headers=caller.bearer), statuses, documented)
    for query in (
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "limit=%ff",
        "limit=1e2",
        "cursor=x",
        "%00=%00",
    ):
        check(send("GET", f"{resource.list}?{query}", headers=caller.bearer), statuses, documented)
    for cursor in ("x", "%00", "%ff", "a" * 5000, "MTo=", "LTE6YQ", quote("'; drop table user_model; --")):
        check(send("GET", f"{resource.list}?after={cursor}", headers=caller.bearer), statuses, documented)

    report(f"{statuses.total()} bad requests: {dict(sorted(statuses.items()))}")
    assert statuses.total() > 400
    assert set(statuses) <= {200, 201, 204, 400, 404, 405, 413, 415, 422}


def hostile_strings(number: int = 500) -> list[str]:
    """Return strings known to break software, and as many composed of unusual characters."""
    known = [
        *(
            "",
            " ",
            "\t",
            "\r\n",
            "a\r\nSet-Cookie: x=1",
            "\0",
            "a\0b",
            "\x1b[31m",
            "\x7f",
            "\u0085",
            "\u2028",
            "\ufeff",
        ),
        *("'", '"', "''", "\\", "\\'", "%", "_", "%s%n", "$1", ":name", "$$", "; --", "/*", "*/", "--", "#"),
        "' or 1=1 --",
        "'; drop table user_model; --",
        "\\'; select pg_sleep(9); --",
        "') union select hashed_password from user_model --",
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "${jndi:ldap://127.0.0.1/a}",
        "{{7*7}}",
        "{0.__class__}",
        "../../../../etc/passwd",
        "file:///etc/passwd",
        "=cmd|' /C calc'!A0",
        *("null", "NULL", "None", "undefined", "true", "NaN", "Infinity", "-0", "1e309", "0x10", "00", "1_000"),
        *(
            "ﷺ",
            "İıſK",
            "ß",
            "ŉ",
            "ǆ",
            "ﬁ",
            "Å",
            "e\u0301",
            "é",
            "각",
            "𝕳𝖊",
            "👩‍👩‍👧‍👦",
            "🏴‍☠️",
            "\U0010ffff",
            "\ue000",
            "\ufffe",
            "\uffff",
        ),
        *("مرحبا", "\u202eabc", "\u200b", "\u200d", "\u2066", "Z̵̢͓a̷̧l̶g̴o̸" * 3, "עִבְרִית", "ไทย", "한국어", "日本語", "नमस्ते"),
        "x" * 49,
        "x" * 50,
        "x" * 51,
        "😀" * 50,
        "\u0301" * 50,
        "a" * 5000,
    ]
    odd = [
        chr(code) for code in (*range(0x80), 0xA0, 0xAD, 0x301, 0x600, 0x180E, 0x200B, 0x202E, 0x2028, 0xFDFA, 0xFEFF)
    ]
    odd += ["\uffff", "\U0001f600", "\U000e0001", "\U0010ffff", "'", '"', "\\", "\0", "%00", "&#x27;", "${", "{{"]
    chance = random.Random(1)  # noqa: S311 - the same texts in each run
    while len(known) < number:
        known.append("".join(chance.choices(odd, k=chance.randint(1, 40))))
    return known


def test_hostile_strings_are_stored_or_refused(
    unthrottled: Running, resource: Resource, caller: Account, report: Report
) -> None:
    statuses: Counter[int] = Counter()
    client, stored = unthrottled.client, Counter[str]()
    for text in hostile_strings():
        created = client.post(resource.create, json=resource.body(text), headers=caller.bearer)
        check(created, statuses)
        storable = 1 <= len(text) <= resource.longest and "\0" not in text
        assert (created.status_code == 201) is storable, (text, created.text)
        if storable:
            shown = client.get(created.headers["Location"], headers=caller.bearer).json()
            assert shown[resource.field] == created.json()[resource.field] == text
            stored[text] += 1
        check(client.post("/users/register", json={"email": text, "password": "x" * 7}), statuses)
        check(client.post("/auth/refresh-token", json={"refresh_token": text}), statuses)
        check(client.get(resource.list, params={"after": text}, headers=caller.bearer), statuses)
        check(client.get(resource.one(quote(text, safe="")), headers=caller.bearer), statuses)
    listed = client.get(resource.list, params={"limit": 1000}, headers=caller.bearer).json()

    report(f"500 hostile strings in five fields: {dict(sorted(statuses.items()))}; {stored.total()} read back")
    assert stored.total() > 300
    assert stored <= Counter(each[resource.field] for each in listed)


@pytest.mark.parametrize("text", ["Crème brûlée", "각", "Å"])
def test_stored_text_is_not_normalized(unthrottled: Running, resource: Resource, caller: Account, text: str) -> None:
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, text)
        created = unthrottled.client.post(resource.create, json=resource.body(name), headers=caller.bearer)
        assert created.json()[resource.field] == name
