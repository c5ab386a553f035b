"""Authentication of requests by their access token."""

from service.http import ServiceRequest, check_query
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
        request.auth = request.app.authenticate(_bearer_token(request))
        set_user(request.auth.user)
    if (query := request.scope["query_string"]) and not handler.opt.get("any_query"):
        check_query(handler, query)


def _bearer_token(request: ServiceRequest) -> str:
    """Return the token of the one ``Authorization: Bearer`` header (RFC 6750, 2.1)."""
    by_name, sent = request.raw_headers, request.scope["headers"]
    given = by_name.get(b"authorization", b"")
    # Only if some header is repeated is it worth looking whether it is this one.
    if len(by_name) < len(sent) and sum(name == b"authorization" for name, _ in sent) > 1:  # type: ignore[arg-type]  # a list
        raise NotAuthenticated
    scheme, _, token = given.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    return token.strip()
