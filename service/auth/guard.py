"""Who is calling: the one thing of `auth` that other features use."""

from litestar.types import HTTPScope

from service.http import ServiceRequest, check_query, headers
from service.problems import NotAuthenticated
from service.telemetry import set_user

# The security scheme of the OpenAPI document. A controller or handler that states ``security = BEARER`` admits only
# requests with a genuine access token.
BEARER = [{"bearer": list[str]()}]


async def admit(request: ServiceRequest) -> None:
    """Check the access token, if the handler asks for one, then the query; the application's ``before_request`` hook.

    Raises NotAuthenticated or InvalidToken; InvalidInput for a query parameter that the handler does not have.
    """
    handler = request.route_handler
    if handler.resolve_security():
        caller = request.scope["auth"] = request.app.authenticate(_bearer_token(request.scope))
        set_user(caller.user)
    if (query := request.scope["query_string"]) and not handler.opt.get("any_query"):
        check_query(handler, query)


def _bearer_token(scope: HTTPScope) -> str:
    """Return the token of the one ``Authorization: Bearer`` header (RFC 6750, 2.1)."""
    head = headers(scope)
    given = head.get(b"authorization", b"")
    # Only if some field is repeated is it worth looking whether it is this one.
    if len(head) < len(scope["headers"]) and sum(name == b"authorization" for name, _ in scope["headers"]) > 1:  # type: ignore[arg-type]  # a list
        raise NotAuthenticated
    scheme, _, token = given.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    return token.strip()
