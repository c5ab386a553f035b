"""Who is calling: the one thing of `auth` that other features use."""

from litestar import Request
from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send

from service.auth.models import Caller
from service.auth.tokens import Tokens
from service.problems import NotAuthenticated

# The name of the security scheme in the OpenAPI document, as a handler states it.
BEARER = [{"bearer": list[str]()}]


def authenticated(app: ASGIApp) -> ASGIApp:
    """Let in only requests with a genuine access token. An ASGI middleware, so that it answers before a body is read.

    Raises NotAuthenticated or InvalidToken.
    """

    async def authenticate(scope: Scope, receive: Receive, send: Send) -> None:
        tokens: Tokens = scope["litestar_app"].state.tokens
        scope["auth"] = tokens.caller(_bearer_token(scope))
        await app(scope, receive, send)

    return authenticate


def _bearer_token(scope: Scope) -> str:
    """Return the token of the one ``Authorization: Bearer`` header (RFC 6750, 2.1)."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        raise NotAuthenticated
    scheme, _, token = given[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    return token.strip()


def provide_caller(request: Request[object, Caller, State]) -> Caller:
    """Give a handler its `caller`."""
    return request.auth
