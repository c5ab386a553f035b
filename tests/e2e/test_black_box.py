"""The API contract, tested over a socket against a running service.

BLACK_BOX_URL names another one, in a container for example. As nothing of the service is imported, neither its code
nor a PostgreSQL is needed then:

    export BLACK_BOX_URL=http://localhost:8000
    python -m pytest --noconftest -p tests.support.black_box tests/e2e/test_black_box.py tests/pets/test_black_box.py
"""

from typing import Any

import httpx
import pytest

from tests.support.accounts import PASSWORD, Account, account, connect, new_email, refresh
from tests.support.black_box import (
    OTHER_PASSWORD,
    PAIR,
    TIMES,
    assert_problem,
    guarded_endpoints,
    pointers,
)


def test_account_lives_from_registration_to_deletion(base_url: str) -> None:
    """It registers, logs in, refreshes, resets the password and deletes itself."""
    with connect(base_url) as http:
        email = new_email()

        registered = http.post("/users/register", json={"email": email, "password": PASSWORD})
        assert registered.status_code == 201
        user = registered.json()
        assert user == {"id": user["id"], "email": email}

        logged_in = http.post("/auth/access-token", data={"username": email, "password": PASSWORD})
        assert logged_in.status_code == 200
        assert logged_in.headers["Cache-Control"] == "no-store"
        assert logged_in.json().keys() == PAIR
        assert logged_in.json()["token_type"] == "Bearer"
        assert all(isinstance(logged_in.json()[key], int) for key in TIMES)

        refreshed = http.post("/auth/refresh-token", json={"refresh_token": logged_in.json()["refresh_token"]})
        assert refreshed.status_code == 200
        assert refreshed.headers["Cache-Control"] == "no-store"
        assert refreshed.json().keys() == PAIR
        http.headers["Authorization"] = f"Bearer {refreshed.json()['access_token']}"

        shown = http.get("/users/me")
        assert (shown.status_code, shown.json()) == (200, user)

        reset = http.post("/users/reset-password", json={"password": OTHER_PASSWORD})
        assert (reset.status_code, reset.json()) == (200, user)

        deleted = http.delete("/users/me")
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert http.get("/users/me").status_code == 401
        del http.headers["Authorization"]
        assert_problem(http.post("/auth/access-token", data={"username": email, "password": OTHER_PASSWORD}), 400)


def test_wrong_password_and_unknown_user_look_alike(ada: Account) -> None:
    form = {"username": new_email(), "password": PASSWORD}

    for response in (ada.log_in("not the password"), ada.client.post("/auth/access-token", data=form)):
        problem = assert_problem(response, 400, "Incorrect email or password")
        assert problem["error"] == "invalid_grant"
        assert problem["error_description"] == "Incorrect email or password"


def test_lost_refresh_can_be_repeated_at_once(ada: Account) -> None:
    first, again = (refresh(ada.client, ada.tokens["refresh_token"]) for _ in range(2))

    assert first.json()["refresh_token"] == again.json()["refresh_token"] != ada.tokens["refresh_token"]


def test_reused_refresh_token_revokes_the_session(ada: Account) -> None:
    second = refresh(ada.client, ada.tokens["refresh_token"]).json()
    third = refresh(ada.client, second["refresh_token"]).json()

    stolen = refresh(ada.client, ada.tokens["refresh_token"])

    assert assert_problem(stolen, 400)["error"] == "invalid_grant"
    assert assert_problem(refresh(ada.client, third["refresh_token"]), 400)["error"] == "invalid_grant"
    assert_problem(ada.ask("GET", "/users/me", token=third["access_token"]), 401)


def test_logout_ends_the_session(ada: Account) -> None:
    token = {"refresh_token": ada.tokens["refresh_token"]}

    assert ada.client.post("/auth/logout", json=token).status_code == 204

    assert_problem(refresh(ada.client, ada.tokens["refresh_token"]), 400)
    assert_problem(ada.ask("GET", "/users/me"), 401)
    assert ada.client.post("/auth/logout", json=token).status_code == 204
    assert ada.client.post("/auth/logout", json={"refresh_token": "unknown"}).status_code == 204


def test_sessions_are_listed_and_ended(ada: Account) -> None:
    phone = ada.log_in().json()["access_token"]
    sessions = ada.ask("GET", "/auth/sessions").json()
    assert len(sessions) == 2
    assert sessions[0].keys() == {"id", "created_at", "last_used_at", "expires_at", "user_agent", "ip", "current"}
    [other] = [session["id"] for session in sessions if not session["current"]]

    assert ada.ask("DELETE", f"/auth/sessions/{other}").status_code == 204

    assert_problem(ada.ask("GET", "/users/me", token=phone), 401)
    assert_problem(ada.ask("DELETE", f"/auth/sessions/{other}"), 404)
    assert [session["current"] for session in ada.ask("GET", "/auth/sessions").json()] == [True]


def test_all_other_sessions_are_ended(ada: Account) -> None:
    phone = ada.log_in().json()["access_token"]

    assert ada.ask("DELETE", "/auth/sessions").status_code == 204

    assert_problem(ada.ask("GET", "/users/me", token=phone), 401)
    assert ada.ask("GET", "/users/me").status_code == 200


def test_email_is_case_insensitive(ada: Account) -> None:
    again = ada.client.post("/users/register", json={"email": ada.email.upper(), "password": PASSWORD})

    assert_problem(again, 409, "Cannot use this email address")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"password": "7 chars"}, "/password"),
        ({"password": "x" * 129}, "/password"),
        ({"password": 12345678}, "/password"),
        ({"admin": True}, "/admin"),
    ],
)
def test_invalid_registration_names_the_field(http: httpx.Client, change: dict[str, Any], pointer: str) -> None:
    body = {"email": new_email(), "password": PASSWORD}

    problem = assert_problem(http.post("/users/register", json=body | change), 422)

    assert pointers(problem) == [pointer]


def test_password_reset_ends_other_sessions(ada: Account) -> None:
    phone = ada.log_in().json()

    assert ada.ask("POST", "/users/reset-password", {"password": OTHER_PASSWORD}).status_code == 200

    assert ada.ask("GET", "/users/me").status_code == 200
    assert_problem(ada.ask("GET", "/users/me", token=phone["access_token"]), 401)
    assert_problem(refresh(ada.client, phone["refresh_token"]), 400)
    assert_problem(ada.log_in(), 400)
    assert ada.log_in(OTHER_PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"password": "short"}, "/password"),
        ({"password": OTHER_PASSWORD, "current_password": "not the password"}, "/current_password"),
    ],
)
def test_invalid_password_reset_changes_nothing(ada: Account, body: dict[str, str], pointer: str) -> None:
    problem = assert_problem(ada.ask("POST", "/users/reset-password", body), 422)

    assert pointers(problem) == [pointer]
    assert ada.log_in().status_code == 200


def test_other_users_session_is_404(ada: Account) -> None:
    [session] = account(ada.client).ask("GET", "/auth/sessions").json()

    assert_problem(ada.ask("DELETE", f"/auth/sessions/{session['id']}"), 404)


def test_guarded_endpoint_without_token_is_401(http: httpx.Client) -> None:
    endpoints = guarded_endpoints(http)

    assert ("GET", "/users/me") in endpoints
    for endpoint in endpoints:
        nobody = http.request(*endpoint)
        forger = http.request(*endpoint, headers={"Authorization": "Bearer forged"})
        assert_problem(nobody, 401)
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        assert assert_problem(forger, 401)["error"] == "invalid_token"
        assert forger.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"email": ', "application/json", 400),
        (b'{"email": "\xff"}', "application/json", 400),
        (b"email=a", "application/x-www-form-urlencoded", 415),
        (b" " * (64 * 1024 + 1), "application/json", 413),
        (b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "application/json", 422),
        (b'{"email": "nul\\u0000@example.com", "password": "long enough"}', "application/json", 422),
    ],
)
def test_malformed_body_is_4xx(http: httpx.Client, content: bytes, content_type: str, status: int) -> None:
    response = http.post("/users/register", content=content, headers={"Content-Type": content_type})

    assert_problem(response, status)


def test_unknown_paths_and_methods_are_problems(http: httpx.Client) -> None:
    assert_problem(http.get("/nowhere"), 404)
    assert_problem(http.get("/openapi.json/more"), 404)
    refused = http.put("/users/me")
    assert_problem(refused, 405)
    assert set(refused.headers["Allow"].replace(" ", "").split(",")) >= {"DELETE", "GET"}


def test_health_and_documentation_are_served(http: httpx.Client) -> None:
    assert http.get("/health/live").status_code == 200
    assert http.get("/health/ready").status_code == 200
    assert http.get("/").headers["Content-Type"].startswith("text/html")
    assert http.get("/openapi.json").json()["openapi"].startswith("3.1.")
