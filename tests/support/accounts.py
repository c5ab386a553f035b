"""Accounts of a running service, made and used over HTTP as a stranger would."""

from itertools import count
from typing import Any

import attrs
import httpx

PASSWORD = "a password for one test"
NUMBERS = count(1)


@attrs.frozen
class Account:
    """An account, and the token pair of a log-in."""

    id: str
    email: str
    tokens: dict[str, Any]

    def refreshed(self, client: httpx.Client) -> "Account":
        """Return it with the next token pair."""
        answer = refresh(client, self.tokens["refresh_token"])
        assert answer.status_code == 200, answer.text
        return attrs.evolve(self, tokens=answer.json())

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header that says who calls."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


def register(client: httpx.Client) -> tuple[str, str]:
    """Make an account and return its id and its address."""
    email = f"user{next(NUMBERS)}@example.com"
    registered = client.post("/users/register", json={"email": email, "password": PASSWORD})
    assert registered.status_code == 201, registered.text
    return registered.json()["id"], email


def log_in(client: httpx.Client, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    """Log in."""
    return client.post("/auth/access-token", data={"username": email, "password": password}, headers=headers)


def account(client: httpx.Client) -> Account:
    """Make an account, and log in."""
    user, email = register(client)
    return Account(user, email, log_in(client, email).json())


def refresh(client: httpx.Client, refresh_token: str) -> httpx.Response:
    """Trade a refresh token."""
    return client.post("/auth/refresh-token", json={"refresh_token": refresh_token})
