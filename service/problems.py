"""Every error response: its status, its stable type, and the database constraints that cause it.

Each response of 400 and above is an RFC 9457 problem. `docs/problems.md` lists the types for clients.
"""

import http.client
import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, TypedDict
from uuid import UUID

import asyncpg
from typing_extensions import override


class FieldError(TypedDict):
    """One broken rule: where (a JSON pointer, RFC 6901), and which."""

    pointer: str
    detail: str


# The problem of each constraint. A violation of any other constraint is a bug in the service: 500.
BY_CONSTRAINT: "dict[str, type[Problem]]" = {}


class OperatorError(Exception):
    """An error whose text is one sentence for an operator: the command line shows it without a traceback."""


class Problem(OperatorError):  # noqa: N818 - RFC 9457's word
    """An error response. `detail` describes this one request; `title` is the same for all of its type."""

    status: int
    type: str
    title: str
    # OAuth's code: RFC 6749, 5.2 at the token endpoints; RFC 6750, 3.1 for bearer tokens.
    error: ClassVar[str | None] = None
    # The constraints whose violation is this problem: a feature names them in its class.
    constraints: ClassVar[Collection[str]] = ()

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.errors = list(errors)
        super().__init__(self.detail)

    @override
    def __init_subclass__(cls) -> None:
        """Register the constraints that mean this problem."""
        BY_CONSTRAINT.update(dict.fromkeys(vars(cls).get("constraints", ()), cls))

    def body(self, request_id: str, *, token_endpoint: bool = False) -> dict[str, object]:
        """Return the members of the problem's JSON object (RFC 9457, 3.1).

        At a `token_endpoint`, an error without a code of its own is `invalid_request` (RFC 6749, 5.2).
        """
        body: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{UUID(request_id)}",
        }
        if self.errors:
            body["errors"] = self.errors
        error = self.error or ("invalid_request" if token_endpoint and self.status < 500 else None)  # noqa: PLR2004
        if error is not None:
            body |= {"error": error, "error_description": self.detail}
        return body


def pointer_step(name: str) -> str:
    """Return `name` as a step of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


NO_BODY = "The body is empty"


class MalformedRequest(Problem):
    """The request cannot be read: not JSON, not a form, not UTF-8."""

    status, type, title = 400, "/problems/malformed-request", "The request cannot be read"


class InvalidGrant(Problem):
    """The password or the refresh token is wrong (RFC 6749, 5.2)."""

    status, type, title = 400, "/problems/invalid-grant", "The credentials are not valid"
    error = "invalid_grant"


class UnsupportedGrantType(Problem):
    """OAuth 2 has other grants; this endpoint accepts only the password grant (RFC 6749, 5.2)."""

    status, type, title = 400, "/problems/unsupported-grant-type", "The grant type is not supported"
    error = "unsupported_grant_type"


class NotAuthenticated(Problem):
    """The request has no bearer token. RFC 6750, 3.1 then requires no error code."""

    status, type, title = 401, "/problems/not-authenticated", "Authentication required"

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(
            detail or "This request needs a bearer token", headers=headers or {"WWW-Authenticate": "Bearer"}
        )


class InvalidToken(Problem):
    """The bearer token is malformed, forged or expired, or its session has ended (RFC 6750, 3.1)."""

    status, type, title = 401, "/problems/invalid-token", "The access token is not valid"
    error = "invalid_token"

    def __init__(self, detail: str = "The access token is malformed, forged or expired") -> None:
        challenge = f'Bearer error="{self.error}", error_description="{detail}"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class SessionEnded(InvalidToken):
    """The token is genuine, but its session has ended or its user is deleted."""

    def __init__(self) -> None:
        super().__init__("The session has ended")


class Forbidden(Problem):
    """The caller is known but not allowed to do this (RFC 9110, 15.5.4)."""

    status, type, title = 403, "/problems/forbidden", "Not allowed"


class NotFound(Problem):
    """The resource does not exist or belongs to another user: the response is the same."""

    status, type, title = 404, "/problems/not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path exists, but not for this method; ``Allow`` lists its methods."""

    status, type, title = 405, "/problems/method-not-allowed", "Method not allowed"


class RequestTimeout(Problem):
    """The request did not arrive in time."""

    status, type, title = 408, "/problems/request-timeout", "The request took too long to arrive"


class RequestInFlight(Problem):
    """Another request with the same ``Idempotency-Key`` is still in progress."""

    status, type, title = 409, "/problems/request-in-flight", "A request with this key is still in progress"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class PreconditionFailed(Problem):
    """``If-Match`` names a version that is no longer the current one (RFC 9110, 13.1.1)."""

    status, type, title = 412, "/problems/precondition-failed", "The resource has changed since you read it"


class ContentTooLarge(Problem):
    """The body is larger than 64 KiB."""

    status, type, title = 413, "/problems/content-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body has a type or an encoding that is not supported."""

    status, type, title = 415, "/problems/unsupported-media-type", "Unsupported media type"


class UnknownHost(Problem):
    """The ``Host`` is not in ALLOWED_HOSTS (RFC 9110, 15.5.20)."""

    status, type, title = 421, "/problems/unknown-host", "This service does not serve that host"


class InvalidInput(Problem):
    """A well-formed request breaks rules; ``errors`` says which, and where."""

    status, type, title = 422, "/problems/invalid-input", "The input is not valid"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        found = "; ".join(f"{error['pointer'] or 'The body'}: {error['detail']}" for error in errors)
        super().__init__(detail or found, headers=headers, errors=errors)

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidInput":
        """Return the problem for the value at `pointer` (RFC 6901)."""
        return cls(errors=[{"pointer": pointer, "detail": detail}])


class HeadTooLarge(Problem):
    """The path and the header fields take more than 32 KiB (RFC 6585, 5)."""

    status, type, title = 431, "/problems/head-too-large", "The request line and headers are too large"


class TooManyLogins(Problem):
    """Too many wrong passwords from this address or for this account (RFC 6585, 4); even the right one has to wait."""

    status, type, title = 429, "/problems/too-many-logins", "Too many failed log-ins"

    def __init__(self, *, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"Try again in {retry_after} seconds", headers={"Retry-After": str(retry_after), **headers})


class TooManyRegistrations(Problem):
    """Too many registrations attempted from one network (RFC 6585, 4)."""

    status, type, title = 429, "/problems/too-many-registrations", "Too many registrations"

    def __init__(self, *, retry_after: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"Try again in {retry_after} seconds", headers={"Retry-After": str(retry_after), **headers})


class IdempotencyKeyReused(Problem):
    """The ``Idempotency-Key`` was used for another request."""

    status, type, title = 422, "/problems/idempotency-key-reused", "The key was used for another request"


class InternalError(Problem):
    """A bug in the service. The log has the details under the request's id; the response has none."""

    status, type, title = 500, "/problems/internal-error", "Internal server error"


class QueryFinding(Problem):
    """`sql check` has a finding in the query that the request needs. Only `dev` checks."""

    status, type, title = 500, "/problems/query-finding", "A query does not pass its check"


class NotImplementedHere(Problem):
    """The request needs a part of HTTP that the service does not implement (RFC 9110, 15.6.2)."""

    status, type, title = 501, "/problems/not-implemented", "Not implemented"


class Unavailable(Problem):
    """The service cannot answer now; a retry can succeed."""

    status, type, title = 503, "/problems/unavailable", "Service temporarily unavailable"

    def __init__(
        self, detail: str | None = None, *, retry_after: int = 1, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after), **(headers or {})})


class HTTPProblem(Problem):
    """A status without a type of its own, raised by the framework or a handler (RFC 9457, 4.2.1)."""

    def __init__(self, status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.type = status, "about:blank"
        self.title = http.client.responses.get(status, "Unknown status")
        super().__init__(detail, headers=headers)


# The account was deleted during the request, and its session with it.
OF_USER = "_user_id_fkey"
# Citus appends the number of a shard to the names of its table and of its constraints.
SHARD = re.compile(r"_\d{6,}$")
QUOTED = re.compile(r'"([^"]+)"')
# How Citus reports a worker that was lost during a statement; the SQLSTATE is that of any internal error.
WORKER_LOST = re.compile(
    "failure on connection marked as essential|server closed the connection unexpectedly|terminating connection due to"
)


def violated(error: asyncpg.PostgresError) -> tuple[str, str]:
    """Return the table and the constraint that `error` is about, as migrations name them.

    Citus gives both only in the message, with the names of a shard.
    """
    quoted = QUOTED.findall(str(error).partition("\n")[0]) or [""]
    names = error.table_name or quoted[0], error.constraint_name or quoted[-1]
    table, constraint = (SHARD.sub("", name) for name in names)
    return table, constraint


def of_database(error: asyncpg.PostgresError) -> Problem:
    """Return the problem that an error from PostgreSQL means for the client."""
    _, constraint = violated(error)
    match error:
        case asyncpg.IntegrityConstraintViolationError() if constraint in BY_CONSTRAINT:
            return BY_CONSTRAINT[constraint]()
        case asyncpg.ForeignKeyViolationError() if constraint.endswith(OF_USER):
            return SessionEnded()
        case asyncpg.InternalServerError() if WORKER_LOST.match(str(error)):
            return Unavailable()
        case asyncpg.CharacterNotInRepertoireError():
            return InvalidInput("A string contains a character that cannot be stored, such as NUL")
        # The second is asyncpg's: a time near the year 1 or 9999, in another zone.
        case asyncpg.NumericValueOutOfRangeError() | asyncpg.DataError(__cause__=OverflowError()):
            return InvalidInput("A number or a time is out of range")
        case _:
            return InternalError()
