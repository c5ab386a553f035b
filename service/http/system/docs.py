"""The interactive documentation: Swagger UI at ``/``, and the files that it loads."""

import mimetypes
from functools import cache
from pathlib import Path

from litestar import MediaType, Response, get
from litestar.params import FromPath

from service.problems import NotFound

# The files by name, so that no path is made from what a client sends.
SWAGGER_UI = {path.name: path for path in (Path(__file__).parent / "swagger_ui").iterdir()}
# The page loads only its own scripts and styles, and calls only its own service.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}


@get(["/", "/docs/{name:str}"], include_in_schema=False, sync_to_thread=False, any_query=True)
def docs_file(name: FromPath[str] = "index.html") -> Response[bytes]:
    """Return the documentation page, or a file that it loads."""
    if name not in SWAGGER_UI:
        raise NotFound
    media_type = mimetypes.guess_type(name)[0] or MediaType.TEXT  # LICENSE
    return Response(docs_content(name), media_type=media_type, headers=PAGE_HEADERS)


@cache
def docs_content(name: str) -> bytes:
    """Read a file of the documentation page; cached, so that slow clients share one copy in memory."""
    return SWAGGER_UI[name].read_bytes()
