"""One account per mailbox, and no password costs more than the limit."""

import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import psycopg
import pytest
from argon2 import PasswordHasher

from tests.support.accounts import PASSWORD, log_in, register
from tests.support.figures import Report
from tests.support.processes import ROOT, Running
from tests.support.sockets import statuses, talk

STORED = "select hashed_password from user_model where id = %s"
STORE = "update user_model set hashed_password = %s where id = %s"
COMMON = ROOT / "service/auth/common_passwords.txt"
FORMS: tuple[Literal["NFC", "NFD"], ...] = "NFC", "NFD"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_one_of_50_equal_registrations_succeeds(
    two_hosts: list[Running], served_database_url: str, report: Report
) -> None:
    """In spellings that differ by case, at two processes."""
    spellings = [
        "twin@example.com",
        "Twin@Example.com",
        "TWIN@EXAMPLE.COM",
        "tWIN@example.COM",
        "twiN@exAmple.com",
    ] * 10

    def one(number: int) -> int:
        body = {"email": spellings[number], "password": PASSWORD}
        return two_hosts[number % 2].client.post("/users/register", json=body).status_code

    with ThreadPoolExecutor(50) as threads:
        answered = Counter(threads.map(one, range(50)))

    report(f"50 registrations at once of one address in 5 spellings, 2 processes: {dict(answered)}")
    assert answered == {201: 1, 409: 49}
    with psycopg.connect(served_database_url) as database:
        rows = database.execute("select count(*) from user_model where lower(email) = 'twin@example.com'").fetchone()
    assert rows == (1,)


def quickest(send: Callable[[], list[int]], tries: int = 5) -> tuple[list[int], float]:
    """Return the response, which is always the same, and the seconds of the fastest attempt: the machine is busy."""
    seconds, responses = [], []
    for _ in range(tries):
        began = time.perf_counter()
        responses.append(send())
        seconds.append(time.perf_counter() - began)
    assert all(response == responses[0] for response in responses)
    return responses[0], min(seconds)


@pytest.mark.alone
def test_long_passwords_are_refused_before_hashing(two_hosts: list[Running], report: Report) -> None:
    host = two_hosts[0]
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    bodies = {
        "9 MB, registering": (b"/users/register", b"application/json", b'{"email": "a@b.example", "password": "%s"}'),
        "9 MB, logging in": (b"/auth/access-token", FORM["Content-Type"].encode(), b"username=a&password=%s"),
    }
    found = {}
    for name, (path, media_type, body) in bodies.items():
        content = body % (b"x" * 9_000_000)
        request = head % (path, media_type, len(content)), content
        found[name] = quickest(lambda request=request: statuses(talk(host.port, *request)))  # type: ignore[misc]  # mypy infers no lambda with a default
    long = {"username": register(host.client)[1], "password": "x" * 60_000}
    found["60 KB, logging in"] = quickest(lambda: [host.client.post("/auth/access-token", data=long).status_code])

    report("; ".join(f"{name}: {response} in {seconds * 1000:.1f} ms" for name, (response, seconds) in found.items()))
    assert [response for response, _ in found.values()] == [[413], [413], [400]]
    assert max(seconds for _, seconds in found.values()) < 0.05


def test_form_not_in_utf_8_is_refused(two_hosts: list[Running]) -> None:
    """Unreadable bytes are not replaced, which would make different passwords equal."""
    client = two_hosts[0].client
    password = "\ufffd\ufffd" * 4
    client.post("/users/register", json={"email": "alias@example.com", "password": password})

    for bad in (b"%ff%fe" * 4, b"\xff\xfe" * 4, b"%ed%a0%80" * 3):
        body = b"username=alias@example.com&password=" + bad
        response = client.post("/auth/access-token", content=body, headers=FORM)
        assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed-request")
    assert log_in(client, "alias@example.com", password).status_code == 200


def test_composed_and_decomposed_password_are_equal(two_hosts: list[Running]) -> None:
    client = two_hosts[0].client
    forms = [unicodedata.normalize(form, "Crème brûlée 각 Å") for form in FORMS]
    for number, (given, typed) in enumerate([forms, forms[::-1]]):
        email = f"letters{number}@example.com"
        assert client.post("/users/register", json={"email": email, "password": given}).status_code == 201

        assert log_in(client, email, typed).status_code == 200


def test_common_passwords_are_refused_in_any_case(two_hosts: list[Running], report: Report) -> None:
    listed = COMMON.read_text(encoding="utf-8").splitlines()
    common = [*listed[:: len(listed) // 3000][:3000], "password", "12345678", "qwertyuiop", "iloveyou", "football"]
    began = time.perf_counter()

    responses = Counter(
        two_hosts[number % 2]
        .client.post("/users/register", json={"email": f"common{number}@example.com", "password": spelt})
        .status_code
        for number, password in enumerate(common)
        for spelt in [password if number % 3 else password.upper()]
    )

    report(f"{len(common)} common passwords: {dict(responses)} in {time.perf_counter() - began:.1f} s")
    assert responses == {422: len(common)}


@pytest.mark.alone
def test_old_hash_is_renewed_and_absurd_one_not_run(
    two_hosts: list[Running], served_database_url: str, report: Report
) -> None:
    client = two_hosts[0].client
    user, email = register(client)
    with psycopg.connect(served_database_url, autocommit=True) as database:

        def stored() -> str:
            row = database.execute(STORED, [user]).fetchone()
            assert row is not None
            return str(row[0])

        today = stored()
        former = PasswordHasher(time_cost=3, memory_cost=8 * 1024, parallelism=4).hash(PASSWORD)
        database.execute(STORE, [former, user])
        with ThreadPoolExecutor(8) as threads:
            responses = list(
                threads.map(lambda number: log_in(two_hosts[number % 2].client, email).status_code, range(8))
            )
        renewed = stored()
        database.execute(STORE, [today.replace("m=19456,t=2", "m=4194304,t=100"), user])
        absurd = quickest(lambda: [log_in(client, email).status_code])

    report(
        f"8 log-ins at once with a former hash: {responses}; a hash of 4 GiB and 100 passes: {absurd[1] * 1000:.1f} ms"
    )
    assert responses == [200] * 8
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert absurd[0] == [400]
    assert absurd[1] < 0.05
