"""Random sequences of requests to one account, compared with a small model of it.

If a response differs, Hypothesis prints the shortest sequence that it finds.
"""

from functools import partial

import attrs
import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.accounts import bearer, connect, log_in, new_email, refresh
from tests.support.processes import Serve

MAX_SESSIONS = 3
WORDS = ["some long password", "another long password"]
PASSWORDS = st.sampled_from(WORDS)
DAY = 86_400
LIFETIME = 28 * DAY
REPEATABLE = 10  # seconds after a refresh in which the previous token gets the same successor
AGE = "update login_session set created_at = created_at - %(by)s::interval, expires_at = expires_at - %(by)s::interval"
# Sets what the model says, so that a slow machine does not count as time.
IDLE = "update login_session set last_used_at = now() - %s * interval '1 second' where id = %s"


@attrs.define(eq=False)
class Session:
    """A session of the model; times are seconds of its clock."""

    id: str
    opened_at: int
    used_at: int
    generation: int = 1
    ended: bool = False


@attrs.frozen
class Pair:
    """A token pair that the service issued."""

    session: Session
    generation: int
    access_token: str
    refresh_token: str


class Sessions(RuleBasedStateMachine):
    """The model: one account, its password and its sessions in the order of their log-ins."""

    pairs = Bundle("pairs")
    # Without it, most sessions would end before anything else happens to them.
    full = precondition(lambda self: len(self.live()) == MAX_SESSIONS)

    def __init__(self, client: httpx.Client, database: psycopg.Connection) -> None:
        super().__init__()
        self.client, self.database = client, database
        self.clock = 0
        self.sessions: list[Session] = []
        self.email = new_email()

    @initialize(password=PASSWORDS)
    def register(self, password: str) -> None:
        body = {"email": self.email, "password": password}
        assert self.client.post("/users/register", json=body).status_code == 201
        self.password = password

    @rule(target=pairs)
    def log_in(self) -> Pair:
        for password in WORDS:
            if password != self.password:
                assert log_in(self.client, self.email, password).status_code == 400
        response = log_in(self.client, self.email, self.password)
        assert response.status_code == 200, response.text
        access_token = response.json()["access_token"]
        listed = self.client.get("/auth/sessions", headers=bearer(access_token)).json()
        [own] = [session["id"] for session in listed if session["current"]]
        session = Session(own, self.clock, self.clock)
        self.sessions.append(session)
        for oldest in self.live()[:-MAX_SESSIONS]:
            oldest.ended = True
        return Pair(session, 1, access_token, response.json()["refresh_token"])

    @rule(target=pairs, pair=pairs, seconds=st.sampled_from([0, REPEATABLE // 2, REPEATABLE + 1]))
    def refresh_after(self, seconds: int, pair: Pair) -> Pair:
        self.let_time_pass(seconds)
        session, idle = pair.session, self.clock - pair.session.used_at
        self.database.execute(IDLE, [idle, session.id])
        response = refresh(self.client, pair.refresh_token)
        is_current = pair.generation == session.generation
        is_repeated = pair.generation == session.generation - 1 and idle < REPEATABLE
        if not self.is_live(session) or not (is_current or is_repeated):
            assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
            session.ended = True
            return pair
        assert response.status_code == 200, response.text
        if is_current:
            session.generation += 1
            session.used_at = self.clock
        tokens = response.json()
        return Pair(session, session.generation, tokens["access_token"], tokens["refresh_token"])

    @full
    @rule(pair=pairs)
    def log_out(self, pair: Pair) -> None:
        response = self.client.post("/auth/logout", json={"refresh_token": pair.refresh_token})
        assert response.status_code == 204
        pair.session.ended = True

    @rule(pair=pairs)
    def list_sessions(self, pair: Pair) -> None:
        response = self.ask(pair, "GET", "/auth/sessions", 200)
        if self.is_live(pair.session):
            listed = {session["id"]: session["current"] for session in response.json()}
            assert listed == {session.id: session is pair.session for session in self.live()}

    @full
    @rule(pair=pairs, other=pairs)
    def end_session(self, pair: Pair, other: Pair) -> None:
        self.ask(pair, "DELETE", f"/auth/sessions/{other.session.id}", 204 if self.is_live(other.session) else 404)
        if self.is_live(pair.session):
            other.session.ended = True

    @full
    @rule(pair=pairs)
    def end_other_sessions(self, pair: Pair) -> None:
        self.ask(pair, "DELETE", "/auth/sessions", 204)
        self.end_all_but(pair.session)

    @full
    @rule(pair=pairs, password=PASSWORDS, current=st.none() | PASSWORDS)
    def reset_password(self, pair: Pair, password: str, current: str | None) -> None:
        is_right = current in {None, self.password}
        body = {"password": password, "current_password": current}
        self.ask(pair, "POST", "/users/reset-password", 200 if is_right else 422, body)
        if is_right and self.is_live(pair.session):
            self.password = password
            self.end_all_but(pair.session)

    @full
    @rule(pair=pairs, password=PASSWORDS)
    def delete_account_and_register_again(self, pair: Pair, password: str) -> None:
        self.ask(pair, "DELETE", "/users/me", 204)
        if self.is_live(pair.session):
            for session in self.sessions:
                session.ended = True
            self.register(password)

    @rule(seconds=st.just(10 * DAY))
    def let_time_pass(self, seconds: int) -> None:
        self.clock += seconds
        self.database.execute(AGE, {"by": f"{seconds} s"})

    def ask(self, pair: Pair, method: str, path: str, status: int, body: object = None) -> httpx.Response:
        """Send a request, which gets `status` if the session is live, otherwise 401."""
        response = self.client.request(method, path, json=body, headers=bearer(pair.access_token))
        assert response.status_code == (status if self.is_live(pair.session) else 401), response.text
        return response

    def is_live(self, session: Session) -> bool:
        """Return whether `session` has neither ended nor expired."""
        return not session.ended and self.clock < session.opened_at + LIFETIME

    def live(self) -> list[Session]:
        """Return the live sessions, oldest first."""
        return [session for session in self.sessions if self.is_live(session)]

    def end_all_but(self, kept: Session) -> None:
        """End all sessions but `kept`, if that is live."""
        if self.is_live(kept):
            for session in self.sessions:
                session.ended = session.ended or session is not kept


@pytest.mark.slow
# Hypothesis does not see who refers to its random numbers on Python 3.14.
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
def test_random_requests_match_the_model(serve: Serve, own_database_url: str) -> None:
    served = serve(own_database_url, MAX_SESSIONS=str(MAX_SESSIONS), LOGIN_THROTTLE="off")
    options = settings(
        max_examples=25,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with connect(served.url) as client, psycopg.connect(own_database_url, autocommit=True) as database:
        run_state_machine_as_test(partial(Sessions, client, database), settings=options)  # type: ignore[arg-type]  # a function will do
