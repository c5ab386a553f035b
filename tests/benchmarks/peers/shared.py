"""What the peers share: the service's own SQL files, and a JWT check as each of their frameworks' tutorials has it."""

import os
from pathlib import Path
from typing import Any

import jwt

SQL = Path(__file__).resolve().parents[3] / "sql"
KEY = os.environ["SECRET_KEY"]
CONNECTIONS = int(os.environ["DATABASE_POOL_SIZE"])


def sql(name: str) -> str:
    """Return the text of the query `name`."""
    return (SQL / f"{name.replace('.', '/')}.sql").read_text()


def claims(token: str) -> dict[str, Any]:
    """Return what a genuine `token` says. Raises jwt.InvalidTokenError."""
    decoded: dict[str, Any] = jwt.decode(token, KEY, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    return decoded
