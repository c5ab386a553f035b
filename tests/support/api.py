"""Your API, where the tests that run over all routes cannot read it from the OpenAPI document. Edit this file.

A route is named like in the document: "POST /orders/{order_id}/place".
"""

from collections.abc import Mapping
from typing import Any

import attrs

# The routes that need no access token; all others must have `security=BEARER`. The list is written by hand, so that no
# route becomes public by mistake.
OPEN = frozenset(
    {
        *("POST /users/register", "POST /auth/access-token", "POST /auth/refresh-token", "POST /auth/logout"),
        *("GET /health/live", "GET /health/ready"),
    }
)
# Your own settings without a default, each with a valid value; the command `openapi` in service/cli.py needs one, too.
SETTINGS: Mapping[str, str] = {}


@attrs.frozen
class Route:
    """What a request needs to succeed, and what it costs."""

    body: Any = None
    """Instead of the required fields, each with its first example."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """In addition to those that the document requires, each with its first example."""
    rows: str = ""
    """A statement that inserts the rows which must exist; $1 is the caller. What it returns replaces the id in the path
    and the fields of the body that have the name of the column."""
    trips: int = 1
    """The round trips to PostgreSQL: one for a query; for a transaction two more than it runs statements."""


# Only routes that need more than their documentation says. For example, of an order of one of the caller's customers:
#     "POST /orders": Route(rows="insert into customers (user_id) values ($1) returning id as customer_id"),
#     "POST /orders/{order_id}/place": Route(
#         rows="insert into orders (user_id, status) values ($1, 'draft') returning id as order_id", trips=5
#     ),
# and of an endpoint for administrators:
#     "DELETE /products/{product_id}": Route(rows="insert into administrators (user_id) values ($1)"),
ROUTES: Mapping[str, Route] = {
    "POST /users/reset-password": Route(trips=4),
    "DELETE /users/me": Route(trips=5),
}
# Values of parameters of queries, by name, for queries that refuse some values of the parameter's type. For example:
#     "products.import_products.attributes": '{"colour": "red"}',
PARAMETERS: Mapping[str, str] = {}
# Keys that no request can violate, for example because each insert has `on conflict`.
NEVER_VIOLATED = frozenset(
    {"idempotency_key_pkey", "login_throttle_pkey", "migration_checksum_pkey", "session_cutoff_pkey"}
)


def route(name: str) -> Route:
    """Return what the tests need to know of a route."""
    return ROUTES.get(name, Route())
