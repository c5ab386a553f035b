"""Accounts of a running service, used over HTTP only: this module imports nothing of the service."""

from typing import Any, Self
from uuid import uuid4

import attrs
import httpx

PASSWORD = "a password for one test"


def connect(url: str) -> httpx.Client:
    """Return a client of the service at `url`; it ignores proxies of the environment."""
    return httpx.Client(base_url=url, trust_env=False, timeout=20)


def bearer(access_token: str) -> dict[str, str]:
    """Return the header that authenticates a request."""
    return {"Authorization": f"Bearer {access_token}"}


def new_email() -> str:
    """Return an unused address."""
    return f"{uuid4()}@example.com"


@attrs.frozen
class Account:
    """An account, the token pair of a log-in, and the client that logged in."""

    client: httpx.Client
    id: str
    email: str
    tokens: dict[str, Any]

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header that authenticates a request."""
        return bearer(self.tokens["access_token"])

    def log_in(self, password: str = PASSWORD) -> httpx.Response:
        """Log in once more, without changing the tokens here."""
        return log_in(self.client, self.email, password)

    def ask(self, method: str, path: str, json: object = None, *, token: str = "", **headers: str) -> httpx.Response:
        """Send a request with this account's access token, or another one."""
        authorization = bearer(token or self.tokens["access_token"])
        return self.client.request(method, path, json=json, headers=authorization | headers)

    def refreshed(self, client: httpx.Client) -> Self:
        """Return the account with the next token pair, which `client` requests."""
        response = refresh(client, self.tokens["refresh_token"])
        assert response.status_code == 200, response.text
        return attrs.evolve(self, tokens=response.json())


def register(client: httpx.Client) -> tuple[str, str]:
    """Create an account; return its id and address."""
    email = new_email()
    registered = client.post("/users/register", json={"email": email, "password": PASSWORD})
    assert registered.status_code == 201, registered.text
    return registered.json()["id"], email


def log_in(client: httpx.Client, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    """Log in."""
    return client.post("/auth/access-token", data={"username": email, "password": password}, headers=headers)


def account(client: httpx.Client, **headers: str) -> Account:
    """Create an account, and log in with `headers`."""
    user, email = register(client)
    return Account(client, user, email, log_in(client, email, **headers).json())


def refresh(client: httpx.Client, refresh_token: str) -> httpx.Response:
    """Exchange a refresh token for a new token pair."""
    return client.post("/auth/refresh-token", json={"refresh_token": refresh_token})
