"""Bearer tokens: the rules shared by all guarded routes."""

import asyncpg
import httpx
import pytest

from tests.support import api
from tests.support.factories import Factory, LoggedIn
from tests.support.routes import address, explained, guarded, routes, valid_request


async def test_open_routes_are_those_listed_by_hand() -> None:
    listed = api.OPEN

    found = routes().keys() - guarded()

    assert found - listed == set(), "add security=BEARER, or list these as OPEN in tests/support/api.py"
    assert listed - found == set(), "remove these from OPEN in tests/support/api.py"


async def test_guarded_routes_match_the_document(client: httpx.AsyncClient) -> None:
    """The check precedes the body: these requests have none, or an invalid one."""
    responses = {route: await client.request(*address(route), content=b"{") for route in routes()}

    refused = {route for route, response in responses.items() if response.status_code == 401}
    assert refused == {*guarded()}
    for route in refused:
        assert responses[route].headers["WWW-Authenticate"] == "Bearer"
        assert responses[route].headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("update login_session set ended_at = now() where id = $1", id="ended"),
        pytest.param("update login_session set expires_at = now() where id = $1", id="expired"),
        pytest.param("delete from user_model using login_session where login_session.id = $1", id="user deleted"),
    ],
)
async def test_token_of_ended_session_is_401_on_every_route(
    client: httpx.AsyncClient,
    user: LoggedIn,
    connection: asyncpg.Connection,
    ending: str,
) -> None:
    """On the next request, although the token itself is genuine and fresh."""
    assert (await client.get("/users/me", headers=user.bearer)).status_code == 200
    await connection.execute(ending, user.session)

    for route in guarded():
        response = await client.request(**valid_request(route, user.bearer))
        assert response.is_client_error, f"{route}: no query checks the session: pass *request.auth to one"
        assert response.status_code == 401, explained(route, response)
        assert response.json()["detail"] == "The session has ended"
        assert response.headers["WWW-Authenticate"] == (
            'Bearer error="invalid_token", error_description="The session has ended"'
        )


async def test_other_users_session_looks_nonexistent(client: httpx.AsyncClient, user: LoggedIn, make: Factory) -> None:
    """The session is also left unchanged."""
    owner = await make.user()

    for route in guarded():
        if "{session_id}" in route:
            others, none = [
                await client.request(**valid_request(route, user.bearer, **ids))
                for ids in ({"session_id": owner.session}, {})
            ]
            assert (route, others.status_code, none.status_code) == (route, 404, 404)
            assert others.json() | {"instance": ""} == none.json() | {"instance": ""}
            assert set(others.headers) == set(none.headers)
    assert (await client.get("/users/me", headers=owner.bearer)).status_code == 200


async def test_missing_token_is_401_without_error_code(client: httpx.AsyncClient) -> None:
    """RFC 6750, 3.1."""
    response = await client.get("/users/me")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json() == {
        "type": "/problems/not-authenticated",
        "title": "Authentication required",
        "status": 401,
        "detail": "This request needs a bearer token",
        "instance": response.json()["instance"],
    }


async def test_invalid_token_is_401_invalid_token(client: httpx.AsyncClient) -> None:
    response = await client.get("/users/me", headers={"Authorization": "Bearer x"})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="The access token is malformed, forged or expired"'
    )
    assert response.json() == {
        "type": "/problems/invalid-token",
        "title": "The access token is not valid",
        "status": 401,
        "detail": "The access token is malformed, forged or expired",
        "instance": response.json()["instance"],
        "error": "invalid_token",
        "error_description": "The access token is malformed, forged or expired",
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_bearer_scheme_is_case_insensitive(client: httpx.AsyncClient, user: LoggedIn, scheme: str) -> None:
    """RFC 9110, 11.1: one or more spaces separate it from the token."""
    response = await client.get("/users/me", headers={"Authorization": f"{scheme} {user.tokens.access_token}"})

    assert response.status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "Token", "DPoP", "Bearer:", ""])
async def test_other_scheme_is_401(client: httpx.AsyncClient, user: LoggedIn, scheme: str) -> None:
    response = await client.get("/users/me", headers={"Authorization": f"{scheme} {user.tokens.access_token}"})

    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("repeated", "status"), [("Authorization", 401), ("X-Forwarded-For", 200)])
async def test_only_authorization_must_not_be_repeated(
    client: httpx.AsyncClient, user: LoggedIn, repeated: str, status: int
) -> None:
    """A proxy could have used the other one."""
    headers = {"Authorization": f"Bearer {user.tokens.access_token}", "X-Forwarded-For": "203.0.113.7"}

    response = await client.get("/users/me", headers=[*headers.items(), (repeated, headers[repeated])])

    assert response.status_code == status


async def test_token_outside_the_header_is_ignored(client: httpx.AsyncClient, user: LoggedIn) -> None:
    """RFC 6750 allows tokens in bodies and URLs too, but URLs are logged."""
    token = {"access_token": user.tokens.access_token}
    client.cookies.update(token)

    response = await client.request("GET", "/users/me", params=token, data=token)

    assert response.status_code == 401
