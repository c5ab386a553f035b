"""Authentication of requests by their access token."""

from service.http import ServiceRequest, check_query
from service.problems import NotAuthenticated
from service.telemetry import set_user

# The security scheme of the OpenAPI document. A controller or handler with ``security = BEARER`` requires an access
# token.
BEARER = [{"bearer": list[str]()}]


async def check_request(request: ServiceRequest) -> None:
    """Check the access token, if the handler requires one, and the query string; the ``before_request`` hook.

    Raises NotAuthenticated or InvalidToken; InvalidInput for an unknown query parameter.
    """
    handler = request.route_handler
    if handler.resolve_security():
        request.auth = request.app.authenticate(_bearer_token(request))
        set_user(request.auth.user)
    if (query := request.scope["query_string"]) and not handler.opt.get("any_query"):
        check_query(handler, query)


def _bearer_token(request: ServiceRequest) -> str:
    """Return the token of the ``Authorization: Bearer`` header (RFC 6750, 2.1).

    Raises NotAuthenticated unless there is exactly one such header.
    """
    by_name, sent = request.raw_headers, request.scope["headers"]
    authorization = by_name.get(b"authorization", b"")
    # The dictionary is shorter than the list only if a header is repeated.
    if len(by_name) < len(sent) and sum(name == b"authorization" for name, _ in sent) > 1:  # type: ignore[arg-type]  # a list
        raise NotAuthenticated
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    return token.strip()
