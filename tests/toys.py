"""A controller that tests add to the service, with what accounts have no use for: parameters, numbers as ids, ETags."""

from typing import Annotated

import attrs
import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from service.answers import Answer
from service.auth.guard import BEARER, authenticated
from service.openapi import ETAG, LINK, LOCATION
from service.preconditions import IfMatch, IfNoneMatch, etag, matches_any, not_modified
from service.request import ServiceRequest

ToyId = Annotated[int, PathParameter(description="the toy", ge=1, le=2**63 - 1)]
Limit = Annotated[int, QueryParameter(description="toys on a page at most", ge=1, le=1000)]
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", description="of the client's choice", min_length=1)]


@attrs.frozen
class Toy:
    """A toy."""

    id: int
    toy_name: str


class ToyName(msgspec.Struct, forbid_unknown_fields=True):
    """What a toy is to be called."""

    toy_name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class ToysController(Controller):
    """One toy, which nothing changes."""

    path = "/toys"
    tags = ("toys",)
    before_request = staticmethod(authenticated)
    security = BEARER

    @post("/create", response_headers=[ETAG, LOCATION])
    async def create_toy(
        self, request: ServiceRequest, data: JSONBody[ToyName], idempotency_key: Key = None
    ) -> Answer[Toy]:
        """Add a toy to the caller's own; with a key only one."""
        return Answer(Toy(1, data.toy_name), status_code=201, headers={"ETag": etag(1), "Location": "/toys/1"})

    @get("/me", response_headers=[LINK])
    async def list_my_toys(self, request: ServiceRequest, limit: Limit = 100) -> Answer[list[Toy]]:
        """List the caller's toys."""
        return Answer([Toy(1, "Train")][:limit])

    @get("/{toy_id:int}", response_headers=[ETAG])
    async def show_toy(self, toy_id: ToyId, if_none_match: IfNoneMatch = None) -> Answer[Toy]:
        """Show a toy."""
        return not_modified(1) if matches_any(if_none_match, 1) else Answer(Toy(toy_id, "Train"))

    @patch("/{toy_id:int}", response_headers=[ETAG])
    async def rename_toy(self, toy_id: ToyId, data: JSONBody[ToyName], if_match: IfMatch = None) -> Answer[Toy]:
        """Give a toy another name."""
        return Answer(Toy(toy_id, data.toy_name), headers={"ETag": etag(2)})

    @delete("/{toy_id:int}")
    async def delete_toy(self, toy_id: ToyId, if_match: IfMatch = None) -> None:
        """Remove a toy."""
