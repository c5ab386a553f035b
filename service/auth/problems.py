"""The error responses of log-in, tokens and registration."""

from collections.abc import Mapping

from typing_extensions import override

from service.problems import InvalidInput, Problem

# The names of the headers, for the OpenAPI document.
RATE_LIMIT = {"RateLimit": "", "RateLimit-Policy": ""}
# Of a 503: the password was right each time, but its hash was replaced before the request could use it.
BEING_CHANGED = "The password is being changed"


class InvalidGrant(Problem):
    """The password or the refresh token is wrong (RFC 6749, 5.2)."""

    status, type, title = 400, "/problems/invalid-grant", "The credentials are not valid"
    error = "invalid_grant"


class WrongPassword(InvalidGrant):
    """No account has this email address and this password; the headers say how many attempts remain."""

    @override
    @classmethod
    def example(cls) -> Problem:
        return cls("Incorrect email or password", headers=RATE_LIMIT)


class WrongCurrentPassword(InvalidInput):
    """``current_password`` is wrong; the headers say how many attempts remain."""

    @override
    @classmethod
    def example(cls) -> Problem:
        return cls(
            headers=RATE_LIMIT, errors=[{"pointer": "/current_password", "detail": "is not the current password"}]
        )


class UnsupportedGrantType(Problem):
    """The grant type is not ``password``, the only one that this endpoint supports (RFC 6749, 5.2)."""

    status, type, title = 400, "/problems/unsupported-grant-type", "The grant type is not supported"
    error = "unsupported_grant_type"


class TooManyAttempts(Problem):
    """Too many attempts within a period (RFC 6585, 4); `retry_after` is in seconds."""

    def __init__(self, *, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"Try again in {retry_after} seconds", headers={"Retry-After": str(retry_after), **headers})

    @override
    @classmethod
    def example(cls) -> Problem:
        return cls(retry_after=900, headers=RATE_LIMIT)


class TooManyLogins(TooManyAttempts):
    """Too many wrong passwords from this network or for this account; the right one is not accepted either."""

    status, type, title = 429, "/problems/too-many-logins", "Too many failed log-ins"


class TooManyRegistrations(TooManyAttempts):
    """Too many registrations attempted from one network."""

    status, type, title = 429, "/problems/too-many-registrations", "Too many registrations"
