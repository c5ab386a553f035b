"""What the OpenAPI document says about your API as a whole."""

from service.http import ApiDescription

API = ApiDescription(
    title="Pets",
    contact="Whoever runs this service",
    description="""Accounts, log-ins, and the pets of each account.

Log in at `POST /auth/access-token`; the access token goes into `Authorization: Bearer …` and lives for minutes, the
refresh token gets the next pair. Unknown fields are refused. Every refusal is a problem document (RFC 9457).""",
    log_in="/auth/access-token",
)
