"""Authentication of requests by their access token."""

from service.http import ServiceRequest, check_query
from service.problems import NotAuthenticated
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
        request.auth = request.app.authenticate(_authorization(request))
        set_user(request.auth.user)
    if (query := request.scope["query_string"]) and not handler.opt.get("any_query"):
        check_query(handler, query)


def _authorization(request: ServiceRequest) -> bytes:
    """Return the value of the ``Authorization`` header. Raises NotAuthenticated unless it is sent exactly once."""
    by_name, sent = request.raw_headers, request.scope["headers"]
    # The dictionary is shorter than the list only if some header is repeated.
    is_repeated = len(by_name) < len(sent) and sum(name == b"authorization" for name, _ in sent) > 1  # type: ignore[arg-type]  # a list
    if is_repeated or b"authorization" not in by_name:
        raise NotAuthenticated
    return by_name[b"authorization"]
