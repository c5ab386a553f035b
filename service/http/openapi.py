"""The OpenAPI document: what Litestar reads from the handlers, and what it cannot know."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast, get_args, get_origin

import attrs
import msgspec
from litestar import Litestar, Request, Router
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, OAuthFlow, OAuthFlows, Schema, SecurityScheme, Tag
from litestar.plugins.attrs import AttrsSchemaPlugin
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler, Method
from litestar.typing import FieldDefinition
from typing_extensions import override

from service import __version__
from service.http.openapi_problems import HEADERS, SCHEMAS, header_reference, problems_of, refusals
from service.problems import NotFound

DOCUMENT = "/openapi.json"
LARGEST_BIGINT = 2**63 - 1
# Examples of what declares none, by format.
BY_FORMAT: dict[str, object] = {
    "uuid": "0f6ee0b2-6ad8-4d3f-a5f3-4a3b7c0e4a6e",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
}


@attrs.frozen
class ApiDescription:
    """What the document says about the API as a whole; `log_in` is the path that issues access tokens."""

    title: str
    contact: str
    description: str
    log_in: str


def _header(name: str, description: str, example: str, *, required: bool = True) -> ResponseHeader:
    return ResponseHeader(name, description=description, example=example, required=required, documentation_only=True)


# Headers of responses, for handlers to name.
ETAG = _header("ETag", "its version, for `If-Match` and `If-None-Match` (RFC 9110, 8.8.3)", '"1"')
LOCATION = _header("Location", "where it is found", "/things/5")
NO_STORE = _header("Cache-Control", "`no-store`: the response is a secret", "no-store")
LINK = _header(
    "Link",
    '`<…>; rel="next"` (RFC 8288): the next page, while there is one',
    '</things?limit=100&after=NTpUYWRldXN6>; rel="next"',
    required=False,
)


def openapi_config(api: ApiDescription, controllers: Sequence[ControllerRouterHandler]) -> OpenAPIConfig:
    """Return what the document says about the whole service, and how it is served."""
    bearer = SecurityScheme(
        type="oauth2",
        description="Access token returned by the log-in",
        flows=OAuthFlows(password=OAuthFlow(token_url=api.log_in, scopes={})),
    )
    tagged = [(getattr(each, "tags", None), each) for each in controllers]
    tags = [(tag, each) for tags, each in tagged if isinstance(tags, Sequence) for tag in tags]
    return OpenAPIConfig(
        title=api.title,
        version=__version__,
        description=api.description,
        contact=Contact(name=api.contact),
        license=License(name="MIT", url="https://opensource.org/license/mit"),
        tags=[Tag(tag, description=each.__doc__ if isinstance(each, type) else None) for tag, each in tags],
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        openapi_router=Router(DOCUMENT, route_handlers=[], include_in_schema=False, before_request=_only_the_document),
        render_plugins=[CompleteDocument(path="/")],
        components=Components(security_schemes={"bearer": bearer}),
    )


def _operation_id(handler: HTTPRouteHandler, method: Method, _: object) -> str:
    # HEAD is GET's handler (routing.py), and leaves the document again.
    return f"{method}_{handler.handler_name}" if method == "HEAD" else handler.handler_name


async def _only_the_document(request: Request[Any, Any, Any]) -> None:
    """Refuse the other paths that Litestar adds below the document's; their responses are no problem documents."""
    if request.url.path != DOCUMENT:
        raise NotFound


class CompleteDocument(JsonRenderPlugin):
    """The OpenAPI document as JSON, complete."""

    @override
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        complete(openapi_schema, request.app)
        return super().render(request, openapi_schema)


class RowSchemas(AttrsSchemaPlugin):
    """Carries description and examples of ``Annotated[…, msgspec.Meta(…)]`` from the fields of attrs classes."""

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        for name, hint in field_definition.get_type_hints(include_extras=True).items():
            field = (schema.properties or {}).get(name)
            for meta in _metas(hint) if isinstance(field, Schema) else ():
                field = cast("Schema", field)
                field.description, field.examples = meta.description, meta.examples
                for key, value in (meta.extra_json_schema or {}).get("extra", {}).items():
                    setattr(field, key, value)
        return schema


def _metas(hint: object) -> Iterator[msgspec.Meta]:
    if get_origin(hint) is Annotated:
        yield from (meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta))  # type: ignore[attr-defined]  # of Annotated
    for part in get_args(hint):
        yield from _metas(part)


def openapi_document(app: Litestar) -> dict[str, Any]:
    """Return the document as clients get it."""
    document = app.openapi_schema.to_schema()
    complete(document, app)
    return document


def complete(document: dict[str, Any], app: Litestar) -> None:
    """Add to `document`, of `app`, what Litestar leaves out; done twice, it changes nothing."""
    schemas = document["components"].setdefault("schemas", {})
    schemas |= SCHEMAS
    document["components"]["headers"] = {name: dict(header) for name, header in HEADERS.items()}
    for operations in document["paths"].values():
        operations.pop("head", None)
    for handler, operation in _operations(document, app):
        _summarise(operation)
        _add_responses(operation, refusals(problems_of(operation, handler.opt), handler.opt))
        for parameter in operation.get("parameters", []):
            _take_no_null(parameter["schema"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "oneOf" in content["schema"]:  # a body that can be left out
                _take_no_null(content["schema"])
                operation["requestBody"]["required"] = False
            if "$ref" not in content["schema"]:  # a form; classes of clients are named after components
                schemas[content["schema"]["title"]] = content["schema"]
                content["schema"] = {"$ref": f"#/components/schemas/{content['schema']['title']}"}
            schemas[content["schema"]["$ref"].rpartition("/")[2]]["additionalProperties"] = False
    for name, schema in _named_schemas(document):
        _complete_schema(name, schema)


def _operations(document: dict[str, Any], app: Litestar) -> Iterator[tuple[HTTPRouteHandler, dict[str, Any]]]:
    """Yield each operation of the document with its handler."""
    for route in app.routes:
        for method, (handler, _) in route.route_handler_map.items() if isinstance(route, HTTPRoute) else ():
            if operation := document["paths"].get(route.path_format, {}).get(method.lower()):
                yield handler, operation


def _summarise(operation: dict[str, Any]) -> None:
    """Make the first clause of the handler's docstring the summary."""
    if description := operation.get("description", "").replace("``", "`"):
        operation["description"] = description
        operation["summary"] = re.split(r"[;.(]", description, maxsplit=1)[0].strip()


def _add_responses(operation: dict[str, Any], refused: Mapping[str, dict[str, Any]]) -> None:
    responses = operation["responses"]
    if any(parameter["name"] == "If-None-Match" for parameter in operation.get("parameters", [])):
        headers = {"ETag": dict(responses["200"]["headers"]["ETag"])}
        responses["304"] = {"description": "It is still what the client has", "headers": headers}
    responses.pop("400", None)  # Litestar's own, which no client gets here
    responses |= refused
    for response in responses.values():
        for header in response.setdefault("headers", {}).values():
            if "$ref" not in header and "schema" not in header:
                header["schema"] = {"type": "string"} | (
                    {"examples": [header.pop("example")]} if "example" in header else {}
                )
        response["headers"]["X-Request-ID"] = header_reference("X-Request-ID")


def _take_no_null(schema: dict[str, Any]) -> None:
    """Remove null: a parameter or a body that is left out is None to its handler, but a client cannot send null."""
    for kind in schema.pop("oneOf", []):
        if kind != {"type": "null"}:
            schema |= kind


def _named_schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema of a property, a parameter or a header, with its name there."""
    for operation in (each for operations in document["paths"].values() for each in operations.values()):
        for response in operation["responses"].values():
            for name, header in response["headers"].items():
                if "$ref" not in header:
                    yield name, header["schema"]
        for parameter in operation.get("parameters", []):
            yield parameter["name"], parameter["schema"]
    for schema in document["components"]["schemas"].values():
        yield from schema.get("properties", {}).items()


def _complete_schema(name: str, schema: dict[str, Any]) -> None:
    """Give the schema of `name` an example if it has none, and state its limits exactly."""
    for limit in ("minimum", "maximum"):
        if limit in schema:
            schema[limit] = min(int(schema[limit]), LARGEST_BIGINT)  # Litestar makes a float of 2**63 - 1
    kinds = [each for each in schema.get("oneOf", []) if each != {"type": "null"}]
    if "$ref" not in schema and schema.get("type") != "array":
        schema.setdefault("examples", [example(name, kinds[0] if kinds else schema)])


def example(name: str, schema: Mapping[str, Any]) -> object:
    """Return an example for a field `name` that declares none."""
    match schema:
        case {"format": str(kind)} if kind in BY_FORMAT:
            return BY_FORMAT[kind]
        case {"enum": [first, *_]}:
            return first
        case {"const": value}:
            return value
        case {"type": "boolean"}:
            return True
        case {"type": "integer" | "number", **rules}:
            return max(1, rules.get("minimum", 1))
        case _:
            return name.replace("_", " ")
