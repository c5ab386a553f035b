"""What the OpenAPI document says about your API as a whole."""

from service.http import ApiDescription

API = ApiDescription(
    title="Pets",
    contact="The operator of this service",
    description="""Accounts, log-ins and the pets of each account.

Log in at `POST /auth/access-token`. Send the access token as `Authorization: Bearer …`; it is valid for minutes.
Exchange the refresh token for the next pair. Unknown fields are rejected. Errors are problem documents (RFC 9457).""",
    log_in="/auth/access-token",
)
