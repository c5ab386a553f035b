"""What the OpenAPI document says about your API as a whole."""

from service.http import ApiDescription

API = ApiDescription(
    title="Pets",
    contact="The operator of this service",
    description="""Accounts, log-ins and the pets of each account.

Log in at `POST /auth/access-token`. Send the access token as `Authorization: Bearer …`; it is valid for 15 minutes
by default. When it expires, or before, exchange the refresh token at `POST /auth/refresh-token` for a new access and
refresh token. Unknown fields are rejected. Errors are problem documents (RFC 9457).""",
    license_name="MIT",
    license_url="https://opensource.org/license/mit",
    log_in="/auth/access-token",
)
