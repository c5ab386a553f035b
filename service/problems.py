"""Error responses: a class for each type, and the errors and violated constraints of PostgreSQL that cause one.

Every response with status 400 or above is a problem document (RFC 9457). `docs/problems.md` lists the types for
clients. Features define their own types, each in its `problems.py`.

A violated constraint becomes an error response if a Problem lists the constraint's name, which
`http/database_problems.py` looks up. A foreign key can be violated in two ways: list it in `constraints` for a row that
refers to a missing row, and in `still_referenced` for a row that cannot be deleted because others refer to it.
"""

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar, TypedDict
from uuid import UUID

from typing_extensions import override


class FieldError(TypedDict):
    """One invalid value: `pointer` locates it (JSON pointer, RFC 6901), `detail` describes the error."""

    pointer: str
    detail: str


# The same as http.client.responses, without importing http.client.
PHRASES: Mapping[int, str] = {status: status.phrase for status in HTTPStatus}
# The problem of each constraint that a class lists.
PROBLEM_BY_CONSTRAINT: "dict[str, type[Problem]]" = {}
# The same for the foreign keys that a class lists as `still_referenced`.
PROBLEM_BY_REFERENCE: "dict[str, type[Problem]]" = {}


class OperatorError(Exception):
    """An error whose message is one sentence for an operator; the command line prints it without a traceback."""


class Problem(OperatorError):  # noqa: N818 - RFC 9457 calls it a problem
    """An error response, raised as an exception. `title` is fixed for its type; `detail` explains this occurrence."""

    status: int
    type: str
    title: str
    # OAuth 2 error code: RFC 6749, 5.2 at the token endpoints; RFC 6750, 3.1 for bearer tokens.
    error: ClassVar[str | None] = None
    # Names of the constraints whose violation becomes this problem; of a foreign key: the referenced row is missing.
    constraints: ClassVar[Collection[str]] = ()
    # Names of the foreign keys that keep a row from being deleted or changed while other rows refer to it.
    still_referenced: ClassVar[Collection[str]] = ()

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
        """Register the `constraints` and the `still_referenced` of the new class."""
        PROBLEM_BY_CONSTRAINT.update(dict.fromkeys(vars(cls).get("constraints", ()), cls))
        PROBLEM_BY_REFERENCE.update(dict.fromkeys(vars(cls).get("still_referenced", ()), cls))

    @classmethod
    def example(cls) -> "Problem":
        """Return an occurrence, for the OpenAPI document."""
        return cls()

    def body(self, request_id: str, *, token_endpoint: bool = False) -> dict[str, object]:
        """Return the members of the JSON object (RFC 9457, 3.1).

        At a `token_endpoint`, a client error without an OAuth code gets `invalid_request` (RFC 6749, 5.2).
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
    """Return `name` escaped as one reference token of a JSON pointer (RFC 6901, 3)."""
    return name.replace("~", "~0").replace("/", "~1")


NO_BODY = "The body is empty"
# Errors listed in a response: clients choose how many they make.
MAX_ERRORS = 20


class MalformedRequest(Problem):
    """The request cannot be read: not JSON, not a form, not UTF-8."""

    status, type, title = 400, "/problems/malformed-request", "The request cannot be read"


class NotAuthenticated(Problem):
    """The request has no bearer token. RFC 6750, 3.1 asks for no error code in this case."""

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
    """The token is valid, but its session has ended or its user was deleted."""

    def __init__(self) -> None:
        super().__init__("The session has ended")


class Forbidden(Problem):
    """The caller is authenticated but not allowed to do this (RFC 9110, 15.5.4)."""

    status, type, title = 403, "/problems/forbidden", "Not allowed"


class NotFound(Problem):
    """The resource does not exist, or belongs to another user; the response does not reveal which."""

    status, type, title = 404, "/problems/not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path does not support this method; ``Allow`` lists the methods that it supports."""

    status, type, title = 405, "/problems/method-not-allowed", "Method not allowed"


class RequestTimeout(Problem):
    """The request did not arrive in time (RFC 9110, 15.5.9)."""

    status, type, title = 408, "/problems/request-timeout", "The request took too long to arrive"


class RequestInFlight(Problem):
    """Another request with the same ``Idempotency-Key`` is still in progress."""

    status, type, title = 409, "/problems/request-in-flight", "A request with this key is still in progress"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class PreconditionFailed(Problem):
    """``If-Match`` does not name the current version (RFC 9110, 13.1.1)."""

    status, type, title = 412, "/problems/precondition-failed", "The resource has changed since you read it"


class ContentTooLarge(Problem):
    """The body is larger than MAX_BODY_BYTES of app.py."""

    status, type, title = 413, "/problems/content-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The media type or the encoding of the body is not supported."""

    status, type, title = 415, "/problems/unsupported-media-type", "Unsupported media type"


class UnknownHost(Problem):
    """The ``Host`` is not in ALLOWED_HOSTS (RFC 9110, 15.5.20)."""

    status, type, title = 421, "/problems/unknown-host", "This service does not serve that host"


class InvalidInput(Problem):
    """The request is well-formed, but some values are not valid; ``errors`` lists them."""

    status, type, title = 422, "/problems/invalid-input", "The input is not valid"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        errors = errors[:MAX_ERRORS]
        summary = "; ".join(f"{error['pointer'] or 'The body'}: {error['detail']}" for error in errors)
        super().__init__(detail or summary, headers=headers, errors=errors)

    @override
    @classmethod
    def example(cls) -> "Problem":
        return cls.at("/name", "is missing")

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidInput":
        """Return the problem for a single invalid value, located by `pointer` (RFC 6901)."""
        return cls(errors=[{"pointer": pointer, "detail": detail}])


class HeadTooLarge(Problem):
    """The request line and the headers are larger than MAX_HEAD_BYTES of server/protocol.py (RFC 6585, 5)."""

    status, type, title = 431, "/problems/head-too-large", "The request line and headers are too large"


class IdempotencyKeyReused(Problem):
    """The ``Idempotency-Key`` was used before, for a different request."""

    status, type, title = 422, "/problems/idempotency-key-reused", "The key was used for another request"


class InternalError(Problem):
    """A bug in the service. The details are only in the log, under the request's id."""

    status, type, title = 500, "/problems/internal-error", "Internal server error"


class QueryFinding(Problem):
    """`sql check` has a finding for a query that the request needs. Only `dev` responds with it."""

    status, type, title = 500, "/problems/query-finding", "A query does not pass its check"


class NotImplementedHere(Problem):
    """The request uses a part of HTTP that the service does not implement (RFC 9110, 15.6.2)."""

    status, type, title = 501, "/problems/not-implemented", "Not implemented"


class Unavailable(Problem):
    """The service cannot handle the request now; a retry can succeed (RFC 9110, 15.6.4)."""

    status, type, title = 503, "/problems/unavailable", "Service temporarily unavailable"

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1", **(headers or {})})


class HTTPProblem(Problem):
    """A status that has no problem type, raised by the framework or a handler (RFC 9457, 4.2.1)."""

    def __init__(self, status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.type = status, "about:blank"
        self.title = PHRASES.get(status, "Unknown status")
        super().__init__(detail, headers=headers)
