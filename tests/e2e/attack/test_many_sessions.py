"""The owner of an account with more sessions than log-ins can create can still end them."""

import time

import psycopg
import pytest

from tests.support.accounts import account
from tests.support.figures import Report
from tests.support.processes import Running

MANY = 300_000
FILL = """
    insert into login_session (user_id, expires_at, user_agent, ip)
    select %s, now() + interval '28 days', 'Mozilla/5.0', '203.0.113.9' from generate_series(1, %s)
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/auth/sessions", None),
        ("POST", "/users/reset-password", {"password": "another password than before"}),
    ],
    ids=["end others", "reset"],
)
def test_owner_of_300000_sessions_can_end_them(
    unthrottled: Running, served_database_url: str, report: Report, method: str, path: str, body: object
) -> None:
    owner = account(unthrottled.client)
    with psycopg.connect(served_database_url, autocommit=True) as database:
        database.execute(FILL, [owner.id, MANY])
        database.execute("vacuum analyze login_session")
    other = owner.log_in().json()["access_token"]
    steps = [
        ("POST", "/auth/access-token", None),
        ("GET", "/auth/sessions", None),
        (method, path, body),
        ("GET", "/auth/sessions", None),
    ]
    answers, seconds = [], []
    for step in steps:
        began = time.perf_counter()
        answers.append(owner.log_in() if step[1] == "/auth/access-token" else owner.ask(*step))
        seconds.append(time.perf_counter() - began)

    times = ", ".join(f"{step[0]} {step[1]} {took * 1000:.0f} ms" for step, took in zip(steps, seconds, strict=True))
    report(f"{MANY} sessions: {times}")
    assert all(answer.is_success for answer in answers), [answer.text for answer in answers if not answer.is_success]
    assert len(answers[1].json()) == 100
    assert [each["current"] for each in answers[3].json()] == [True]
    assert owner.ask("GET", "/users/me", token=other).status_code == 401
    assert max(seconds) < 1
