"""Authentication of requests by their access token."""

from service.http import ServiceRequest, check_query
from service.telemetry import set_user

# The security scheme of the OpenAPI document. A controller or handler with ``security = BEARER`` requires an access
# token; a handler with ``security=[]`` needs none, whatever its controller requires.
BEARER = [{"bearer": list[str]()}]


async def check_request(request: ServiceRequest) -> None:
    """Check the access token, if the handler requires one, and the query string; the ``before_request`` hook.

    Raises NotAuthenticated or InvalidToken; InvalidInput for an unknown query parameter.
    """
    handler = request.route_handler
    if handler.resolve_security():
        set_user(request.auth.user)  # reading `auth` checks the token
    if (query := request.scope["query_string"]) and not handler.opt.get("any_query"):
        check_query(handler, query)
