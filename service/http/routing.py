"""What Litestar's routes lack: HEAD, a complete ``Allow``, ids that are written in one way only."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from litestar import Litestar
from litestar._asgi.routing_trie.types import RouteTrieNode
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, Receive, Scope, Send

from service.http.errors import JSONResponse


def whole_number(text: str) -> int:
    """Read an id as it is written in answers; int() takes 1_0, +10, blanks and the digits of other scripts, too.

    Raises ValueError.
    """
    number = int(text)
    if str(number) != text:
        raise ValueError(text)
    return number


def uuid(text: str) -> UUID:
    """Read a UUID with its hyphens (RFC 9562, 4); UUID() takes it in braces and as a URN, too.

    Raises ValueError.
    """
    found = UUID(text)
    if str(found) != text.lower():
        raise ValueError(text)
    return found


STRICT: dict[Any, Callable[[str], Any]] = {int: whole_number, UUID: uuid}


def complete_routes(app: Litestar) -> None:
    """Complete the routes of `app`, once: a request for another method pays nothing for it.

    HEAD is GET without the body (RFC 9110, 9.3.2), which the server leaves out; OPTIONS names all methods of a path
    (9.3.7), where Litestar names those of one handler, and asks for a token. An id that is another one's alias is 404.
    """
    for node in _nodes(app.asgi_router.root_route_map_node):
        handlers = node.asgi_handlers
        for method, parameters in node.path_parameters.items():
            node.path_parameters[method] = tuple(
                each._replace(parser=STRICT.get(each.type, each.parser)) for each in parameters
            )
        if get := handlers.get("GET"):
            handlers["HEAD"] = get._replace(asgi_app=_as_get(get.asgi_app))
            node.path_parameters["HEAD"] = node.path_parameters["GET"]
        if options := handlers.get("OPTIONS"):
            handlers["OPTIONS"] = options._replace(asgi_app=_options(", ".join(sorted(handlers))))


def _nodes(node: RouteTrieNode) -> Iterator[RouteTrieNode]:
    yield node
    for child in node.children.values():
        yield from _nodes(child)


def _as_get(get: ASGIApp) -> ASGIApp:
    async def head(scope: Scope, receive: Receive, send: Send) -> None:
        await get({**scope, "method": "GET"}, receive, send)  # type: ignore[arg-type]  # it is HTTP's scope

    return head


def _options(allowed: str) -> ASGIApp:
    async def options(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(None, status_code=204, headers={"Allow": allowed})(scope, receive, send)

    return options


def plain_preflight_refusals(app: ASGIApp, cors: CORSConfig) -> ASGIApp:
    """Wrap `app`: the preflight of an origin that may not call is answered as any OPTIONS, without CORS fields.

    The browser takes that for the refusal that it is (https://fetch.spec.whatwg.org/#cors-preflight-fetch, 7).
    Litestar answers 400 in plain text.
    """

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # a websocket has none, and there are none
            origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
            if not all(map(cors.is_origin_allowed, origins)):
                scope["headers"] = [field for field in scope["headers"] if field[0] != b"origin"]
        await app(scope, receive, send)

    return dispatch
